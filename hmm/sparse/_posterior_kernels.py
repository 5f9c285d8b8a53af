"""Kernel of the sums over all paths of a sparse model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm._jit import njit

Array = NDArray[Any]


@njit
def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = max(a, b), min(a, b)
    if low == -np.inf:
        return high
    return high + np.log1p(np.exp(low - high))


@njit
def forward(
    symbols: Array, emission: Array, incoming: tuple[Array, Array, Array], break_cost: float
) -> tuple[Array, float]:
    """Log of the summed weights (L, N) of all paths that end with a symbol in a state, and of all paths.

    Parameters
    ----------
    symbols : (L,) int
    emission : (symbols, N)
    incoming : start, source, score: as `hmm.sparse.links.Links`, but by the state that a link leads to
    break_cost : cost of each piece after the first
    """
    start, source, link_score = incoming
    length, n_states, steps = len(symbols), emission.shape[1], start.shape[1] - 1
    weight = np.empty((length, n_states))
    # all paths so far, the one without a state among them
    total = 0.0
    ended = -np.inf
    for i in range(length):
        fresh = _log_add(0.0, ended - break_cost)
        row_top = -np.inf
        for s in range(n_states):
            shown = emission[symbols[i], s]
            top = fresh
            for k in range(1, min(steps, i) + 1):
                for link in range(start[s, k - 1], start[s, k]):
                    top = max(top, weight[i - k, source[link]] + link_score[link])
            summed = np.exp(fresh - top)
            for k in range(1, min(steps, i) + 1):
                for link in range(start[s, k - 1], start[s, k]):
                    more = weight[i - k, source[link]] + link_score[link] - top
                    if more > -40.0:  # less is lost in rounding
                        summed += np.exp(more)
            weight[i, s] = shown + top + np.log(summed)
            row_top = max(row_top, weight[i, s])
        if row_top > -np.inf:
            summed = 0.0
            for s in range(n_states):
                summed += np.exp(weight[i, s] - row_top)
            ended = _log_add(ended, row_top + np.log(summed))
        total = _log_add(0.0, ended)
    return weight, total
