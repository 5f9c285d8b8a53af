"""How well atoms agree with a map.

The model's density is a Gaussian at each atom. The squared difference of map and scaled model is, but for a constant,
the map smoothed by that Gaussian at the atoms, and the overlap of the Gaussians with each other: no grid of the model
is needed, and atoms are not drawn to the highest density but share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from cryo2struct.errors import InputError
from cryo2struct.objects import DensityMap, FloatArray, IntArray
from cryo2struct.refinement import _kernels as kernels

MARGIN = 8.0
"""The map is kept to this distance around the model, angstrom."""

NEAR = 3.0
"""Voxels within this distance of an atom are near the model, angstrom."""

OUTSIDE = 0.1
"""Share of the atoms that may be outside of the map."""

SULFUR, HEAVY = 16, 1.7
"""Atoms from this atomic number on scatter electrons about this much more than C, N and O at 3 angstrom."""


REACH = 5.0
"""Of the Gaussians' standard deviations: at this distance the overlap of two is exp(-6.25) of its peak."""


@dataclass(frozen=True)
class Crop:
    """The part of a map around a model.

    Attributes
    ----------
    values : (z, y, x) above the background
    origin, voxel : (3,) angstrom
    power : integral of the squared values near the atoms, which is what the model has to explain
    """

    values: FloatArray
    origin: FloatArray
    voxel: FloatArray
    power: float


def crop(density: DensityMap, xyz: FloatArray) -> Crop:
    """Part of the map around atoms (A, 3).

    Raises
    ------
    InputError
        More than a tenth of the atoms are outside of the map, or the map is constant around them.
    """
    index = density.frame.to_index(xyz)
    last = np.array(density.frame.shape) - 1
    outside = int((~((index >= 0) & (index <= last)).all(axis=1)).sum())
    if outside > OUTSIDE * len(xyz):
        raise InputError(
            f"map: does not cover the model: {outside} of {len(xyz)} atoms are outside; give the map it was built in"
        )
    reach = MARGIN / density.frame.voxel[::-1]
    low = np.clip(np.floor(index.min(axis=0) - reach), 0, last).astype(int)
    high = np.clip(np.ceil(index.max(axis=0) + reach), 0, last).astype(int) + 1
    values = density.values[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float64)
    values -= np.median(values)
    if not values.any():
        raise InputError("map: is constant around the model; give the map it was built in")
    voxel = np.asarray(density.frame.voxel, dtype=np.float64)
    free = np.ones(values.shape, dtype=bool)
    places = np.rint(index - low).astype(int)
    free[tuple(places[((places >= 0) & (places < values.shape)).all(axis=1)].T)] = False
    near = scipy.ndimage.distance_transform_edt(free, sampling=voxel[::-1]) <= NEAR
    return Crop(values, density.frame.to_xyz(low), voxel, float((values[near] ** 2).sum() * voxel.prod()))


class Target:
    """Agreement of atoms with a map, and its gradient.

    Parameters
    ----------
    crop : Crop
    charge : (A,) relative weight of each atom, 0 for those that do not count
    width : standard deviation of the atoms' Gaussians, angstrom
    """

    def __init__(self, crop: Crop, charge: FloatArray, width: float) -> None:
        self._crop, self._charge, self.width = crop, charge, width
        smooth = scipy.ndimage.gaussian_filter(crop.values, width / crop.voxel[::-1], mode="constant", truncate=3)
        self._coefficients = scipy.ndimage.spline_filter(smooth, order=3, mode="mirror").astype(np.float32)
        # the integral of the product of two of the Gaussians, which are normalised to 1
        self._peak = (4 * np.pi * width**2) ** -1.5
        self.scale = 1.0

    @property
    def reach(self) -> float:
        """Distance from which the Gaussians of two atoms hardly overlap, angstrom."""
        return REACH * self.width

    def product(self, xyz: FloatArray, weight: float, gradient: FloatArray) -> float:
        """Minus `weight` times the integral of map times model."""
        c = self._crop
        return float(kernels.density(xyz, self._charge, self._coefficients, c.origin, c.voxel, weight, gradient))

    def square(self, xyz: FloatArray, pairs: IntArray, weight: float, gradient: FloatArray) -> float:
        """`weight` times the integral of the squared model, with the pairs (M, 2) of atoms that are near each other."""
        own = weight * self._peak * float((self._charge**2).sum())
        return own + float(kernels.overlap(xyz, pairs, self._charge, self.width**2, 2 * weight * self._peak, gradient))

    def correlation(self, xyz: FloatArray, pairs: IntArray) -> float:
        """Correlation about zero of the model and the map near it, as it was at first."""
        unused = np.zeros_like(xyz)
        square = self.square(xyz, pairs, 1.0, unused)
        return -self.product(xyz, 1.0, unused) / np.sqrt(square * self._crop.power)

    def set_scale(self, xyz: FloatArray, pairs: IntArray) -> None:
        """Find the scale of the model that fits the map best, and with it the unit of `__call__`, about -1 per atom."""
        unused = np.zeros_like(xyz)
        product = max(-self.product(xyz, 1.0, unused), 1e-6 * np.sqrt(self._crop.power))
        self.scale = product / self.square(xyz, pairs, 1.0, unused)
        self._unit = np.count_nonzero(self._charge) / (self.scale * product)

    def cost(self, moved: FloatArray, xyz: FloatArray, others: IntArray, starts: IntArray) -> FloatArray:
        """Share (P,) of groups of atoms of charge 1 in the value of `__call__` for weight 1.

        Parameters
        ----------
        moved : (P, K, 3) the atoms of each group
        xyz : (A, 3) all atoms
        others, starts : rows of `xyz` near group p and not in it are others[starts[p]:starts[p + 1]]
        """
        c = self._crop
        places = np.moveaxis(((moved - c.origin) / c.voxel)[..., ::-1], -1, 0)
        values = scipy.ndimage.map_coordinates(self._coefficients, places, order=3, mode="nearest", prefilter=False)
        crowded = np.zeros(len(moved))
        kernels.crowding(moved, xyz, others, starts, self.width**2, crowded)
        return np.asarray(2 * self.scale * self._unit * (self.scale * self._peak * crowded - values.sum(axis=1)))

    def __call__(self, xyz: FloatArray, pairs: IntArray, weight: float, gradient: FloatArray) -> float:
        """`weight` times the squared difference of map and model but for a constant; the gradient is added."""
        unit = weight * self._unit
        energy = self.product(xyz, 2 * self.scale * unit, gradient)
        return energy + self.square(xyz, pairs, self.scale**2 * unit, gradient)


def charges(elements: IntArray) -> FloatArray:
    """Relative weights (A,) of atoms by atomic number (A,)."""
    return np.where(elements >= SULFUR, HEAVY, 1.0)
