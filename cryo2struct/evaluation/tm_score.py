"""TM-score of residues that are paired already.

Definition: Y. Zhang and J. Skolnick 2004, "Scoring function for automated assessment of protein structure template
quality", Proteins 57, 702-710: the largest value, over all superpositions, of 1/L sum 1 / (1 + (d / d0)^2).
"""

from __future__ import annotations

import numpy as np

from cryo2struct.evaluation.superposition import superpose
from cryo2struct.objects import FloatArray

SMALLEST_FRAGMENT = 4  # residues that a superposition starts from
STARTS = 20  # fragments of each length
STEPS = 12  # of every start
FINALISTS = 16  # starts that are followed until they stand still
FINAL_STEPS = 200
STANDSTILL = 1e-6  # gain of the score per step of every start
BATCH = 2_000_000  # starts x residues at a time, bounds the memory


def length_scale(length: int) -> float:
    """The distance d0 in angstrom for a structure of `length` residues; at least 0.5."""
    return max(0.5, 1.24 * float(np.cbrt(length - 15)) - 1.8)


def tm_score(moving: FloatArray, fixed: FloatArray, length: int) -> float:
    """TM-score of paired points; 0 without pairs.

    The best superposition is sought from many: each starts from a fragment of the pairs, all lengths from all pairs
    down to four. Then pairs are weighted by the derivative of their term, (1 + (d / d0)^2)^-2, and superposed again:
    the terms are concave in d^2, so that no step lowers the score.

    Parameters
    ----------
    moving, fixed : (P, 3) in angstrom
        In the order of the chain.
    length : residues of the structure that the score is normalised by; at least P
    """
    number = len(moving)
    if not number:
        return 0.0
    scale = length_scale(length) ** 2
    moving, fixed = moving - moving.mean(axis=0), fixed - fixed.mean(axis=0)
    starts = _fragments(number)
    batch = max(1, BATCH // number)
    best: FloatArray = np.empty(0)
    weights: FloatArray = np.empty((0, number))
    for first in range(0, len(starts), batch):
        scores, part = _step(moving, fixed, _windows(starts[first : first + batch], number), scale)
        for _ in range(STEPS):
            scores, part = _step(moving, fixed, part, scale)
        best, weights = np.concatenate([best, scores]), np.concatenate([weights, part])
        order = np.argsort(-best, kind="stable")[:FINALISTS]
        best, weights = best[order], weights[order]
    for _ in range(FINAL_STEPS):
        former = best
        best, weights = _step(moving, fixed, weights, scale)
        if (best - former).max() < STANDSTILL * length:
            break
    return float(best.max() / length)


def _fragments(number: int) -> list[tuple[int, int]]:
    """First and end of the stretches of pairs that superpositions start from."""
    fragments, size = [], number
    while True:
        places = number - size + 1
        firsts = np.unique(np.linspace(0, places - 1, min(places, STARTS)).round().astype(int))
        fragments += [(int(first), int(first) + size) for first in firsts]
        if size <= SMALLEST_FRAGMENT:
            return fragments
        size = max(SMALLEST_FRAGMENT, size // 2)


def _windows(fragments: list[tuple[int, int]], number: int) -> FloatArray:
    """Weights (B, P): 1 within the fragment."""
    ends = np.array(fragments)
    places = np.arange(number)
    return ((places >= ends[:, :1]) & (places < ends[:, 1:])).astype(np.float64)


def _step(moving: FloatArray, fixed: FloatArray, weights: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """Superpose by the weights: sums of the terms (B,) and the weights (B, P) that follow."""
    rotations, translations = superpose(moving, fixed, weights)
    squares = np.zeros((len(weights), len(moving)))
    for axis in range(3):
        squares += (rotations[:, axis] @ moving.T + translations[:, axis, None] - fixed[:, axis]) ** 2
    terms = 1 / (1 + squares / scale)
    return terms.sum(axis=1), terms**2
