"""Atoms found by place, and what they are to trial side chains near them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo2struct.completion._kernels import surroundings
from cryo2struct.objects import FloatArray, IntArray

RADIUS = {6: 1.65, 7: 1.40, 8: 1.35, 16: 1.75}
"""Half a contact distance by atomic number, angstrom, reduced so that hydrogen bonds do not count as bumps."""


@dataclass(frozen=True)
class Atoms:
    """Fixed atoms: `xyz` (E, 3), `weight`, `radius`, `residue` and `part` (E,), see `_kernels.surroundings`."""

    xyz: FloatArray
    weight: FloatArray
    radius: FloatArray
    residue: IntArray
    part: IntArray


class Surroundings:
    """Fixed atoms, sorted into cells so that those near a point are found."""

    def __init__(self, atoms: Atoms, width: float) -> None:
        self._width = width
        self._size = max(3.6, 2.5 * float(np.sqrt(width / 2)))
        self._low = atoms.xyz.min(axis=0)
        cell = np.floor((atoms.xyz - self._low) / self._size).astype(np.int64)
        self._cells = cell.max(axis=0) + 1
        flat = np.ravel_multi_index(tuple(cell.T), tuple(self._cells))
        order = np.argsort(flat, kind="stable")
        self._start = np.searchsorted(flat[order], np.arange(int(self._cells.prod()) + 1))
        self._atoms = Atoms(*(np.ascontiguousarray(a[order]) for a in vars(atoms).values()))

    def terms(
        self,
        points: FloatArray,
        weights: FloatArray,
        radii: FloatArray,
        owner: IntArray,
        before: IntArray,
        closed: bool,
    ) -> tuple[FloatArray, FloatArray]:
        """Overlap (M,) and bumps (M,) of trial side chains, see `_kernels.surroundings`."""
        a = self._atoms
        found = surroundings(
            *(points, weights, radii, owner, closed, before, a.xyz, a.weight, a.radius, a.residue, a.part),
            *(self._start, self._low, self._cells, self._size, self._width),
        )
        return found[0], found[1]
