"""Kernels of the dense visit-once Viterbi."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm._jit import njit


@njit
def decode_until_frozen(
    symbols: NDArray[Any],
    log_initial: NDArray[Any],
    log_transition: NDArray[Any],
    log_emission: NDArray[Any],
) -> NDArray[Any]:
    """States of all symbols, or of those before the first step that leaves some state without a path.

    Parameters
    ----------
    symbols : (L,) int, at least one
    log_initial : (N,)
    log_transition : (N, N) from row to column
    log_emission : (symbols, N)
    """
    n_states, length = len(log_initial), len(symbols)
    score = log_initial + log_emission[symbols[0]]
    visited = np.zeros((n_states, n_states), np.bool_)
    next_visited = np.empty_like(visited)
    for s in range(n_states):
        visited[s, s] = True
    parent = np.empty((length, n_states), np.int32)
    best = np.empty(n_states)
    origin = np.empty(n_states, np.int32)
    decoded = length
    for t in range(1, length):
        emission = log_emission[symbols[t]]
        best[:] = -np.inf
        origin[:] = -1
        for p in range(n_states):
            row, used, value = log_transition[p], visited[p], score[p]
            # the sum keeps this order, and ties the lowest p: the published program's rounding decides its ties
            for s in range(n_states):
                candidate = (value + row[s]) + emission[s]
                better = (candidate > best[s]) & (not used[s])
                best[s] = candidate if better else best[s]
                origin[s] = p if better else origin[s]
        if origin.min() < 0:
            decoded = t
            break
        parent[t] = origin
        for s in range(n_states):
            next_visited[s] = visited[origin[s]]
            next_visited[s, s] = True
        visited, next_visited = next_visited, visited
        score[:] = best
    path = np.empty(decoded, np.int64)
    path[decoded - 1] = np.argmax(score)
    for t in range(decoded - 1, 0, -1):
        path[t - 1] = parent[t, path[t]]
    return path
