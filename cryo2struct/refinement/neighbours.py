"""Atoms that are near each other, and how near they may come."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray, IntArray

LEAST = {(6, 6): 3.3, (6, 7): 3.1, (6, 8): 3.0, (7, 7): 2.8, (7, 8): 2.65, (8, 8): 2.6, (6, 16): 3.4, (16, 16): 2.0}
"""Least distance by the atomic numbers of a pair, angstrom: hydrogen bonds and disulfides are not pushed apart."""

OTHERS = 3.1

FARTHEST_BONDED = 3
"""Atoms joined by no more bonds than this do not repel each other."""


class Neighbours:
    """Pairs of atoms within a distance, with their least distances.

    Parameters
    ----------
    elements : (A,) atomic numbers
    bonds : (B, 2)
    """

    def __init__(self, elements: IntArray, bonds: IntArray) -> None:
        self._n = len(elements)
        table = np.full((120, 120), OTHERS)
        for (first, second), distance in LEAST.items():
            table[first, second] = table[second, first] = distance
        self._table, self._elements = table, elements
        joined = scipy.sparse.coo_array((np.ones(len(bonds)), tuple(bonds.T)), shape=(self._n, self._n)).tocsr()
        step = joined + joined.T + scipy.sparse.eye_array(self._n, format="csr")
        reach = step
        for _ in range(FARTHEST_BONDED - 1):
            reach = reach @ step
        near = reach.tocoo()
        self._bonded = np.unique(near.coords[0].astype(np.int64) * self._n + near.coords[1])

    def near(self, xyz: FloatArray, radius: float) -> IntArray:
        """All pairs (M, 2) within `radius` angstrom, first < second."""
        pairs = cKDTree(xyz).query_pairs(radius, output_type="ndarray")
        return np.ascontiguousarray(np.sort(pairs, axis=1), dtype=np.int64)

    def repelling(self, pairs: IntArray) -> tuple[IntArray, FloatArray]:
        """The pairs (M, 2) that are not joined by a few bonds, and their least distances (M,)."""
        key = pairs[:, 0] * self._n + pairs[:, 1]
        place = np.minimum(np.searchsorted(self._bonded, key), len(self._bonded) - 1)
        free = np.ascontiguousarray(pairs[self._bonded[place] != key])
        return free, self._table[self._elements[free[:, 0]], self._elements[free[:, 1]]]
