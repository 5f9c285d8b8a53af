"""Frames in which candidates are looked at, and what neighbours say of each other's: they stand in one chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.objects import Candidates, FloatArray, IntArray

NEIGHBOUR = (2.6, 5.2)
"""Distances between which a candidate may be the next C-alpha (3.8 A, with errors on both sides), angstrom."""

BEND = (70.0, 165.0)
"""Angles that three consecutive C-alphas can make, with errors, degrees."""

STEP = 3.8
"""Distance of consecutive C-alphas, angstrom."""

TRUST = 0.5
"""Factor of the log odds that a frame is right: what the network sees of neighbouring residues overlaps."""

CONTRADICTION = 0.005
"""Odds of two neighbours each of which has the other one next, or each previous."""

UNANSWERED = 0.15
"""Odds of a neighbour whose own frame leads elsewhere."""

PASSES = 20
"""Rounds of messages between neighbours."""

DAMPING = 0.5
"""Share of the former message in each new one, on the scale of logarithms."""


@dataclass(frozen=True)
class SuggestedFrames:
    """Frames to try, of all candidates, in pairs: frames 2 k and 2 k + 1 have the same neighbours, exchanged.

    Attributes
    ----------
    owner : (F,) candidate
    after, before : (F, 3) vectors to what may be the next and the previous C-alpha, angstrom
    next, previous : (F,) the candidates there, -1 where there is none
    """

    owner: IntArray
    after: FloatArray
    before: FloatArray
    next: IntArray
    previous: IntArray


def suggest_frames(candidates: Candidates, pairs: int) -> SuggestedFrames:
    """At most `pairs` pairs of neighbours per candidate, distances nearest to 3.8 A first, in both directions.

    A candidate without any is seen in the directions that the voxel network predicted.
    """
    xyz = np.asarray(candidates.xyz, dtype=np.float64)
    owner: list[int] = []
    ends: list[tuple[FloatArray, FloatArray]] = []
    named: list[tuple[int, int]] = []
    near = cKDTree(xyz).query_ball_point(xyz, NEIGHBOUR[1])
    for i, around in enumerate(near):
        index = np.array(sorted(around))
        vectors = xyz[index] - xyz[i]
        length = np.linalg.norm(vectors, axis=1)
        far = length > NEIGHBOUR[0]
        index, vectors, length = index[far], vectors[far], length[far]
        first, second = np.triu_indices(len(vectors), 1)
        cosine = (vectors[first] * vectors[second]).sum(axis=1) / (length[first] * length[second])
        angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
        possible = np.flatnonzero((angle > BEND[0]) & (angle < BEND[1]))
        strain = (length[first] - STEP) ** 2 + (length[second] - STEP) ** 2
        order = possible[np.argsort(strain[possible], kind="stable")][:pairs]
        found = [(vectors[first[k]], vectors[second[k]]) for k in order]
        names = [(int(index[first[k]]), int(index[second[k]])) for k in order]
        if not found:
            found, names = [_predicted(candidates, i)], [(-1, -1)]
        for (a, b), (name_a, name_b) in zip(found, names, strict=True):
            owner += [i, i]
            ends += [(a, b), (b, a)]
            named += [(name_a, name_b), (name_b, name_a)]
    after, before = (np.array(side) for side in zip(*ends, strict=True))
    following, previous = np.array(named).T
    return SuggestedFrames(np.array(owner), after, before, following, previous)


def _predicted(candidates: Candidates, i: int) -> tuple[FloatArray, FloatArray]:
    """Directions of a candidate as predicted, or any where there are none."""
    if candidates.next_vec is not None and candidates.prev_vec is not None:
        ends = np.asarray(candidates.next_vec[i]), np.asarray(candidates.prev_vec[i])
        if np.isfinite(ends[0]).all():
            return ends
    return np.array([1.0, 0, 0]), np.array([-0.6, 0.8, 0])


def agree_frames(frames: SuggestedFrames, right: FloatArray) -> FloatArray:
    """Beliefs (F,), of sum 1 for each candidate, that a frame is right, given those of the neighbours that it names.

    Who has a neighbour as its next residue should be that neighbour's previous one. Sums over all choices of one frame
    per candidate are approximated by loopy belief propagation (Pearl 1988; Murphy, Weiss and Jordan 1999).

    Parameters
    ----------
    frames : SuggestedFrames
    right : (F,) probability that each frame is right, as the network sees it by itself
    """
    n = int(frames.owner.max(initial=-1)) + 1
    bounded = np.clip(np.asarray(right, dtype=np.float64), 1e-5, 1 - 1e-4)
    seen = (bounded / (1 - bounded)) ** TRUST
    receiver, sender, back = _edges(frames, n)
    at_next = _edge_of(frames.owner, frames.next, receiver, sender, n)
    at_previous = _edge_of(frames.owner, frames.previous, receiver, sender, n)
    # what the sender of each edge says: that it is the receiver's next or previous one, over that it is neither
    is_next, is_previous = np.ones(len(receiver) + 1), np.ones(len(receiver) + 1)
    for _ in range(PASSES):
        belief = _normalised(seen * is_next[at_next] * is_previous[at_previous], frames.owner, n)
        claims = _sums(belief, at_next, len(receiver)), _sums(belief, at_previous, len(receiver))
        neither = np.maximum(1 - claims[0] - claims[1], 1e-9)
        # without what the one that is told had said itself
        follows, precedes = claims[0] / is_next[:-1], claims[1] / is_previous[:-1]
        otherwise = neither + UNANSWERED * (follows + precedes)
        told_next = (precedes + UNANSWERED * neither + CONTRADICTION * follows) / otherwise
        told_previous = (follows + UNANSWERED * neither + CONTRADICTION * precedes) / otherwise
        is_next[:-1] = is_next[:-1] ** DAMPING * (told_next[back] + 1e-12) ** (1 - DAMPING)
        is_previous[:-1] = is_previous[:-1] ** DAMPING * (told_previous[back] + 1e-12) ** (1 - DAMPING)
    return _normalised(seen * is_next[at_next] * is_previous[at_previous], frames.owner, n)


def _edges(frames: SuggestedFrames, n: int) -> tuple[IntArray, IntArray, IntArray]:
    """Receiver and sender of each edge, both ways between all that name each other, and the index of the way back."""
    named = np.concatenate([frames.next, frames.previous])
    owner = np.concatenate([frames.owner, frames.owner])[named >= 0]
    named = named[named >= 0]
    codes = np.unique(np.concatenate([owner * n + named, named * n + owner]))
    receiver, sender = codes // n, codes % n
    return receiver, sender, np.searchsorted(codes, sender * n + receiver)


def _edge_of(owner: IntArray, named: IntArray, receiver: IntArray, sender: IntArray, n: int) -> IntArray:
    """Index of the edge from the named candidate to each frame's owner; one past the last where none is named."""
    return np.where(named >= 0, np.searchsorted(receiver * n + sender, owner * n + named), len(receiver))


def _sums(belief: FloatArray, edge: IntArray, edges: int) -> FloatArray:
    return np.asarray(np.bincount(edge, belief, minlength=edges + 1)[:edges], dtype=np.float64)


def _normalised(belief: FloatArray, owner: IntArray, n: int) -> NDArray[np.float64]:
    return np.asarray(belief / np.bincount(owner, belief, minlength=n)[owner])
