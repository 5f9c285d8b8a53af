"""How well atoms fit the density.

The density counts as sum of squares: with atoms as Gaussians g of one width, the misfit of a map rho is, up to a
constant, -2 sum_a w_a (rho * g)(x_a) + sum_ab w_a w_b (g * g)(x_a - x_b). Both terms are sums over atoms and pairs, the
second says that density which one atom explains does not speak for another.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.completion.surroundings import Atoms, Surroundings
from cryo2struct.density.normalise import background
from cryo2struct.objects import DensityMap, FloatArray

ATOM_WIDTH = 0.27
"""Standard deviation of an atom's Gaussian over the resolution."""

MARGIN = 12.0
"""What is kept of the map around the model, angstrom."""

WINDOW = 3
"""Residues on either side whose backbone tells how strong the density is."""

WEAKEST, STRONGEST = 0.3, 1.5
"""Bounds of the strength of a residue's density over that of the median residue."""


class Field:
    """The density, filtered with an atom's Gaussian and over the height that a lone atom has in it.

    Parameters
    ----------
    density : DensityMap
    resolution : angstrom
    around : (P, 3) points of the model
    """

    def __init__(self, density: DensityMap, resolution: float, around: FloatArray) -> None:
        self.sigma = ATOM_WIDTH * resolution
        self.height = 1.0
        frame = density.frame
        low = np.floor(frame.to_index(around.min(axis=0) - MARGIN)).astype(int)
        high = np.ceil(frame.to_index(around.max(axis=0) + MARGIN)).astype(int)
        low = np.clip(low, 0, np.array(frame.shape) - 1)
        box = tuple(slice(a, max(b, a + 1)) for a, b in zip(low, high, strict=True))
        self._frame, self._low = frame, low
        values = np.asarray(density.values[box], dtype=np.float32) - np.float32(background(density.values).level)
        self._values = scipy.ndimage.gaussian_filter(values, self.sigma / frame.voxel[::-1], mode="nearest")

    @property
    def overlap_width(self) -> float:
        """Of exp(-distance^2 / width), the overlap of two atoms over that of an atom with itself, angstrom^2."""
        return float(4 * self.sigma**2)

    def at(self, xyz: FloatArray) -> FloatArray:
        """Filtered density (...) at points (..., 3), 0 outside of the map."""
        index = self._frame.to_index(xyz) - self._low
        found = scipy.ndimage.map_coordinates(
            self._values, np.moveaxis(index, -1, 0), order=1, mode="constant", cval=0.0, output=np.float64
        )
        return np.asarray(found / self.height)


def strengths(field: Field, fixed: Atoms, backbone: FloatArray, linked: NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Height of a lone atom in the density, and its strength (R,) at each residue over that.

    From the filtered density at N, CA and C over what the backbone's own atoms add up to there, the median over the
    neighbouring residues of the chain.

    Parameters
    ----------
    field : Field
    fixed : backbone atoms with weight 1
    backbone : (R, 5, 3) N, CA, C, O, CB
    linked : (R,) bool, bonded to the residue before
    """
    points = backbone[:, :3]
    rows = len(points)
    nobody, ones = np.full(rows * 3, -1), np.ones((rows * 3, 1))
    around = Surroundings(fixed, field.overlap_width)
    overlap, _ = around.terms(points.reshape(-1, 1, 3), ones, np.zeros(1), nobody, np.full(rows, -1), False)
    expected = (overlap - 1) / 2  # once each, the atom itself among them
    ratio = (field.at(points) / expected.reshape(rows, 3)).mean(axis=1)
    segment = np.cumsum(~linked)
    smooth = np.empty(rows)
    for row in range(rows):
        near = slice(max(row - WINDOW, 0), row + WINDOW + 1)
        smooth[row] = np.median(ratio[near][segment[near] == segment[row]])
    height = float(np.median(smooth))
    if height <= 0:  # no density where the model is: nothing speaks for any side chain
        return 1.0, np.zeros(rows)
    return height, np.clip(smooth / height, WEAKEST, STRONGEST)
