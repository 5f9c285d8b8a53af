"""Whether a map is mirrored, told from the helices of its candidates before any sequence is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray, IntArray

# Distances of C-alphas 1, 2 and 3 residues apart in an alpha helix (radius 2.3 A, rise 1.5 A, 100 degrees per
# residue), and what candidates may be off, A
LINK, LINK_OFF = 3.8, 0.6
SECOND, SECOND_OFF = 5.4, 0.6
THIRD, THIRD_OFF = 5.2, 0.8
LEAST_TURNS = 20
LEAST_EXCESS = 3.5


@dataclass(frozen=True)
class Handedness:
    """Helical turns of either hand.

    Attributes
    ----------
    right, left : number of turns with a positive and with a negative dihedral angle
    """

    right: int
    left: int

    @property
    def hand(self) -> Literal["right", "left", "undecided"]:
        """The hand that has more turns, by `LEAST_EXCESS` standard deviations of a fair coin."""
        turns = self.right + self.left
        if turns < LEAST_TURNS or abs(self.right - self.left) < LEAST_EXCESS * np.sqrt(turns):
            return "undecided"
        return "right" if self.right > self.left else "left"


def handedness(xyz: FloatArray) -> Handedness:
    """Count right- and left-handed helical turns among C-alpha positions.

    A turn is four positions that lie as four consecutive C-alphas of an alpha helix do: neighbours 3.8 A apart, the
    next but one 5.4 A, the first and the last 5.2 A. Their dihedral angle is near +50 degrees in proteins, near -50 in
    their mirror images (Levitt 1976, J. Mol. Biol. 104, 59-107). Strands have no such turns.

    Parameters
    ----------
    xyz : (N, 3) angstrom, in any order
    """
    xyz = np.asarray(xyz, dtype=np.float64)
    first, second, third, last = (xyz[row] for row in find_turns(xyz).T)
    volume = np.einsum("ij,ij->i", np.cross(second - first, third - second), last - third)
    return Handedness(right=int((volume > 0).sum()), left=int((volume < 0).sum()))


def find_turns(xyz: FloatArray) -> IntArray:
    """Indices (T, 4) of positions that lie as in an alpha helix; each turn once, in one of its two directions."""
    number = len(xyz)
    if number < 4:
        return np.empty((0, 4), dtype=np.intp)
    links = cKDTree(xyz).query_pairs(LINK + LINK_OFF, output_type="ndarray")
    links = links[_apart(xyz, links, LINK, LINK_OFF)]
    links = np.concatenate([links, links[:, ::-1]])
    before, after = _matches(links[:, 1], links[:, 0])
    bends = np.column_stack([links[before], links[after, 1]])
    bends = bends[_apart(xyz, bends, SECOND, SECOND_OFF)]
    before, after = _matches(bends[:, 1] * number + bends[:, 2], bends[:, 0] * number + bends[:, 1])
    turns = np.column_stack([bends[before], bends[after, 2]])
    turns = turns[turns[:, 0] < turns[:, 3]]
    return turns[_apart(xyz, turns, THIRD, THIRD_OFF)]


def _apart(xyz: FloatArray, rows: IntArray, distance: float, off: float) -> NDArray[np.bool_]:
    """Rows of indices whose first and last position are `distance` apart, give or take `off`."""
    found = np.linalg.norm(xyz[rows[:, 0]] - xyz[rows[:, -1]], axis=1)
    return np.abs(found - distance) <= off


def _matches(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of places at which two lists hold the same number."""
    order = np.argsort(right, kind="stable")
    first = np.searchsorted(right[order], left, side="left")
    counts = np.searchsorted(right[order], left, side="right") - first
    starts = np.repeat(first - np.cumsum(counts) + counts, counts)
    return np.repeat(np.arange(len(left)), counts), order[starts + np.arange(counts.sum())]
