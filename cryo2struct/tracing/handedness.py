"""Whether a map is mirrored, told from the helices of its candidates before any sequence is used.

Proteins have right-handed helices only, and a network that never saw a left-handed one still finds its C-alphas and
the direction of its chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.objects import Candidates, FloatArray, IntArray

# Least and largest distances, A: wide, because candidates of coarse maps are off by more than 1 A
LINK = (3.0, 4.8)  # CA(i) to CA(i+1): 3.8
SECOND = (4.5, 6.4)  # CA(i) to CA(i+2): 5.4 in an alpha helix, 6.0 to 7.0 in strands
THIRD = (4.0, 6.8)  # CA(i) to CA(i+3): 5.2 in an alpha helix, 9 to 10.5 in strands
TURN = (20.0, 85.0)  # degrees, size of the dihedral angle
LEAST_COSINE = 0.5  # of a link and the predicted directions at its ends, their mean
LEAST_TURNS = 12
LEAST_SHARE = 0.8  # of one hand; chance gives a half


@dataclass(frozen=True)
class Handedness:
    """Helical turns of either hand.

    Attributes
    ----------
    right, left : number of turns with a dihedral angle near +50 and near -50 degrees
    """

    right: int
    left: int

    @property
    def hand(self) -> Literal["right", "left", "undecided"]:
        """The hand that the helices have; undecided where turns are few or of both hands."""
        turns = self.right + self.left
        if turns < LEAST_TURNS or max(self.right, self.left) < LEAST_SHARE * turns:
            return "undecided"
        return "right" if self.right > self.left else "left"


def handedness(candidates: Candidates) -> Handedness:
    """Count right- and left-handed helical turns among candidates.

    A turn is four candidates, each of which lies where the one before it has its next C-alpha, at distances as in an
    alpha helix. Their dihedral angle is near +50 degrees in proteins, near -50 in their mirror images (Levitt 1976,
    J. Mol. Biol. 104, 59-107). Without predicted directions there are no turns.
    """
    turns = find_turns(candidates)
    angle = _dihedral(*(candidates.xyz[index] for index in turns.T))
    right = (angle >= TURN[0]) & (angle <= TURN[1])
    left = (angle <= -TURN[0]) & (angle >= -TURN[1])
    return Handedness(right=int(right.sum()), left=int(left.sum()))


def find_turns(candidates: Candidates) -> IntArray:
    """Rows (T, 4) of candidates that follow each other as in a helix, in the predicted direction of the chain."""
    xyz, number = candidates.xyz, len(candidates)
    links = _links(candidates)
    before, after = _matches(links[:, 1], links[:, 0])
    bends = np.column_stack([links[before], links[after, 1]])
    bends = bends[_within(xyz, bends, SECOND)]
    before, after = _matches(bends[:, 1] * number + bends[:, 2], bends[:, 0] * number + bends[:, 1])
    turns = np.column_stack([bends[before], bends[after, 2]])
    return turns[_within(xyz, turns, THIRD)]


def _links(candidates: Candidates) -> IntArray:
    """Rows (L, 2) of candidates; the second lies where the first has its next C-alpha, and the reverse."""
    xyz, following, preceding = candidates.xyz, candidates.next_vec, candidates.prev_vec
    if len(xyz) == 0 or following is None or preceding is None:
        return np.empty((0, 2), dtype=np.intp)
    pairs = cKDTree(xyz).query_pairs(LINK[1], output_type="ndarray")
    pairs = pairs[_within(xyz, pairs, LINK)]
    links = np.concatenate([pairs, pairs[:, ::-1]])
    step = xyz[links[:, 1]] - xyz[links[:, 0]]
    # A direction that is not known (NaN) speaks for no link.
    predicted = np.nan_to_num(following[links[:, 0]]) - np.nan_to_num(preceding[links[:, 1]])
    cosine = np.einsum("ij,ij->i", step, predicted) / (2 * np.linalg.norm(step, axis=1))
    result: IntArray = links[cosine >= LEAST_COSINE]
    return result


def _dihedral(first: FloatArray, second: FloatArray, third: FloatArray, last: FloatArray) -> FloatArray:
    """Dihedral angles (T,) in degrees, -180 to 180, of four points (T, 3) each."""
    along = third - second
    before, after = np.cross(second - first, along), np.cross(along, last - third)
    sine = np.einsum("ij,ij->i", second - first, after) * np.linalg.norm(along, axis=1)
    return np.degrees(np.arctan2(sine, np.einsum("ij,ij->i", before, after)))


def _within(xyz: FloatArray, rows: IntArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Rows of indices whose first and last position are apart by what lies within the limits."""
    found = np.linalg.norm(xyz[rows[:, 0]] - xyz[rows[:, -1]], axis=1)
    return (found >= limits[0]) & (found <= limits[1])


def _matches(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of places at which two lists hold the same number."""
    order = np.argsort(right, kind="stable")
    first = np.searchsorted(right[order], left, side="left")
    counts = np.searchsorted(right[order], left, side="right") - first
    starts = np.repeat(first - np.cumsum(counts) + counts, counts)
    return np.repeat(np.arange(len(left)), counts), order[starts + np.arange(counts.sum())]
