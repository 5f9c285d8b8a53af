"""What the network says of N and C at a point of space."""

from __future__ import annotations

import numpy as np

from cryo2struct.objects import FloatArray, IntArray, Prediction

N, C = 2, 3
"""Columns of `Prediction.atoms`."""

CORNERS = np.argwhere(np.ones((2, 2, 2)))


class Evidence:
    """Probabilities of the voxels, found by position; nothing but the predicted voxels is held.

    Parameters
    ----------
    prediction : Prediction
    """

    def __init__(self, prediction: Prediction) -> None:
        self._frame = prediction.frame
        self._shape = prediction.frame.shape
        flat = np.ravel_multi_index(tuple(prediction.voxels.T), self._shape)
        order = np.argsort(flat)
        self._flat = flat[order]
        self._atoms = prediction.atoms[order]

    def at_voxels(self, index: IntArray, column: int) -> FloatArray:
        """Probability (...) of a class in voxels (..., 3) z, y, x; 0 where nothing was predicted."""
        inside = ((index >= 0) & (index < np.array(self._shape))).all(axis=-1)
        flat = np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), self._shape, mode="clip")
        row = np.minimum(np.searchsorted(self._flat, flat), len(self._flat) - 1)
        known = inside & (self._flat[row] == flat)
        return np.where(known, self._atoms[row, column], 0.0).astype(np.float64)

    def at(self, xyz: FloatArray, column: int) -> FloatArray:
        """Probability (...) of a class at points (..., 3), interpolated between the voxels (trilinear)."""
        index = self._frame.to_index(xyz)
        low = np.floor(index).astype(np.int64)
        share = index - low
        total = np.zeros(index.shape[:-1])
        for corner in CORNERS:
            weight = np.where(corner, share, 1 - share).prod(axis=-1)
            total += weight * self.at_voxels(low + corner, column)
        return total

    def centre(self, xyz: FloatArray, column: int, radius: float) -> tuple[FloatArray, FloatArray]:
        """Centre (P, 3) of the probability within `radius` angstrom of points (P, 3), and its sum (P,)."""
        index = self._frame.to_index(xyz)
        reach = int(np.ceil(radius / float(self._frame.voxel.min())))
        steps = np.argwhere(np.ones((2 * reach + 1,) * 3)) - reach
        around = np.rint(index).astype(np.int64)[:, None] + steps
        places = self._frame.to_xyz(around)
        near = ((places - xyz[:, None]) ** 2).sum(axis=-1) <= radius**2
        weight = np.where(near, self.at_voxels(around, column), 0.0)
        mass = weight.sum(axis=1)
        centre = (weight[..., None] * places).sum(axis=1) / np.maximum(mass, 1e-9)[:, None]
        return centre, mass
