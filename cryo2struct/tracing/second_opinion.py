"""Two traces of the same chains, made in two versions of a map, joined segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from cryo2struct.density.sampling import values_at
from cryo2struct.objects import DensityMap, FloatArray, IntArray, Trace

SAME_PLACE = 1.5
"""C-alphas of one residue that lie this near to each other are the same, angstrom."""

SAME_COPY = 3.0
"""Copies are told apart by how many of their residues lie this near to each other, angstrom."""

APART = 2.5
"""A segment that comes nearer than this to what else is kept is left out, angstrom."""


LEAST_GAIN = 1.0
"""Of support, for a segment to be taken: one sure residue of usual density."""


@dataclass(frozen=True)
class Joined:
    """What was kept of two traces.

    Attributes
    ----------
    trace : Trace
        Sorted by entity, copy, position; candidates of the second trace are numbered after those of the first.
    taken : number of residues from the second trace
    segments : number of segments that they make
    """

    trace: Trace
    taken: int
    segments: int


def join(first: Trace, second: Trace, support: Sequence[FloatArray], n_candidates: int) -> Joined:
    """Keep of two traces, for each segment in which they differ, the one that has more support.

    Where both have a residue at the same place, it is that of the first. A segment is a run of residues of one chain in
    which they differ, or one of them has nothing. That of the second trace is taken if its support is larger by
    `LEAST_GAIN`, and if it does not overlap with other residues that are kept.

    Parameters
    ----------
    first, second : Trace
        Of the same sequences; the copies may be numbered differently.
    support : (R1,), (R2,)
        What speaks for each residue: the sums over segments are compared.
    n_candidates : of the first trace
    """
    second = replace(second, copy=_copies_like(first, second))
    rows, same = _paired(first, second)
    differing = ~same
    begins = np.flatnonzero(differing & np.concatenate([[True], ~differing[:-1] | _jumps(first, second, rows)]))
    ends = np.flatnonzero(differing & np.concatenate([~differing[1:] | _jumps(first, second, rows), [True]])) + 1
    from_second = np.zeros(len(rows), dtype=bool)
    gains = [
        (float(_sum(support[1], rows[a:b, 1]) - _sum(support[0], rows[a:b, 0])), int(a), int(b))
        for a, b in zip(begins, ends, strict=True)
    ]
    kept = rows[:, 0] >= 0
    segments = 0
    for gain, a, b in sorted(gains, reverse=True):
        if gain < LEAST_GAIN:
            break
        others = kept.copy()
        others[a:b] = False
        xyz = second.xyz[rows[a:b, 1][rows[a:b, 1] >= 0]]
        placed = _places(first, second, rows, from_second, others)
        if len(placed) and (cKDTree(placed).query(xyz)[0] < APART).any():
            continue
        from_second[a:b] = True
        kept[a:b] = rows[a:b, 1] >= 0
        segments += 1
    chosen = np.where(from_second, rows[:, 1] + len(first), rows[:, 0])[kept]
    both = first.followed_by(replace(second, candidate=_shifted(second.candidate, n_candidates)))
    return Joined(both.chosen(chosen), int((from_second & kept).sum()), segments)


def support(density: DensityMap, *traces: Trace) -> tuple[FloatArray, ...]:
    """Confidence of each residue of each trace times the density at its C-alpha.

    The density is that of a map above its median, 1 for the median residue and at most 2.
    """
    level = float(np.median(density.values))
    heights = [values_at(density, trace.xyz) - level for trace in traces]
    usual = max(float(np.median(np.concatenate(heights))), 1e-12)
    return tuple(
        trace.confidence * np.clip(height / usual, 0, 2) for trace, height in zip(traces, heights, strict=True)
    )


def _sum(values: FloatArray, rows: IntArray) -> float:
    return float(values[rows[rows >= 0]].sum())


def _shifted(candidate: IntArray, by: int) -> IntArray:
    return np.where(candidate >= 0, candidate + by, -1)


def _copies_like(first: Trace, second: Trace) -> IntArray:
    """Copies (R2,) of the second trace, numbered as those of the first that lie at the same places."""
    copies = second.copy.copy()
    for entity in np.unique(second.entity):
        mine, other = (trace.entity == entity for trace in (first, second))
        count = 1 + max(int(trace.copy[rows].max(initial=0)) for trace, rows in ((first, mine), (second, other)))
        overlap = np.zeros((count, count))
        for a in range(count):
            for b in range(count):
                one, two = np.flatnonzero(mine & (first.copy == a)), np.flatnonzero(other & (second.copy == b))
                _, i, j = np.intersect1d(first.position[one], second.position[two], return_indices=True)
                away = np.linalg.norm(first.xyz[one[i]] - second.xyz[two[j]], axis=1)
                overlap[a, b] = (away < SAME_COPY).sum()
        a, b = linear_sum_assignment(overlap, maximize=True)
        numbered = np.empty(count, dtype=copies.dtype)
        numbered[b] = a
        copies[other] = numbered[copies[other]]
    return copies


def _paired(first: Trace, second: Trace) -> tuple[IntArray, NDArray[np.bool_]]:
    """Rows (K, 2) of each residue in both traces, -1 where one has none, and whether (K,) both have it at one place."""
    keys = np.concatenate([_keys(first), _keys(second)])
    every, number = np.unique(keys, axis=0, return_inverse=True)
    rows = np.full((len(every), 2), -1)
    rows[number.ravel()[: len(first)], 0] = np.arange(len(first))
    rows[number.ravel()[len(first) :], 1] = np.arange(len(second))
    both = (rows >= 0).all(axis=1)
    same = np.zeros(len(every), dtype=bool)
    away = np.linalg.norm(first.xyz[rows[both, 0]] - second.xyz[rows[both, 1]], axis=1)
    same[both] = away < SAME_PLACE
    return rows, same


def _keys(trace: Trace) -> IntArray:
    return np.column_stack([trace.entity, trace.copy, trace.position])


def _jumps(first: Trace, second: Trace, rows: IntArray) -> NDArray[np.bool_]:
    """Whether (K - 1,) the next residue is not the following one of the same chain."""
    keys = np.where(rows[:, :1] >= 0, _keys(first)[rows[:, 0]], _keys(second)[rows[:, 1]])
    return (np.diff(keys, axis=0) != (0, 0, 1)).any(axis=1)


def _places(
    first: Trace, second: Trace, rows: IntArray, from_second: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> FloatArray:
    """Positions of the residues that are kept."""
    return np.concatenate([first.xyz[rows[kept & ~from_second, 0]], second.xyz[rows[kept & from_second, 1]]])
