"""Kernel of the sparse visit-once decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm._jit import njit

Array = NDArray[Any]


@njit
def _bend(xyz: Array, first: int, last: int, bend: Array) -> float:
    """Score of the distance between two states that are two symbols apart; bend is (mean, sd, weight, cap)."""
    squared = 0.0
    for axis in range(3):
        squared += (xyz[first, axis] - xyz[last, axis]) ** 2
    z = (np.sqrt(squared) - bend[0]) / bend[1]
    return -bend[2] * min(0.5 * z * z, bend[3])


@njit
def _within(xyz: Array, first: int, last: int, limit: float) -> bool:
    squared = 0.0
    for axis in range(3):
        squared += (xyz[first, axis] - xyz[last, axis]) ** 2
    return squared <= limit * limit


@njit
def _keep(scores: Array, parents: Array, score: float, parent: int) -> None:
    """Insert into one state's hypotheses, best first; of equal scores the earlier stays ahead."""
    rank = len(scores) - 1
    if score <= scores[rank]:
        return
    while rank > 0 and score > scores[rank - 1]:
        scores[rank] = scores[rank - 1]
        parents[rank] = parents[rank - 1]
        rank -= 1
    scores[rank] = score
    parents[rank] = parent


@njit
def _cutoff(scores: Array, width: int) -> float:
    """Score that a hypothesis must exceed so that about `width` remain."""
    alive = scores[scores > -np.inf]
    if len(alive) <= width:
        return -np.inf
    return float(np.partition(alive, len(alive) - width - 1)[len(alive) - width - 1])


@njit
def best_path(
    symbols: Array,
    emission: Array,
    start: Array,
    target: Array,
    link_score: Array,
    xyz: Array,
    bend: Array,
    break_cost: float,
    reach: Array,
    beam: int,
    width: int,
    once: bool,
) -> tuple[Array, Array, float]:
    """Path of the best score: state per symbol (-1 where skipped), whether it starts a piece, and the score.

    Parameters
    ----------
    symbols : (L,) int
    emission : (symbols, N) score of a state showing a symbol; -inf where the state must not be used
    start, target, link_score : see `hmm.sparse.links.Links`
    xyz : (N, 3)
    bend : (4,) see `_bend`
    break_cost : cost of leaving a piece and starting another one
    reach : (2,) a piece may start within reach[0] + reach[1] * (symbols since the end of the one before)
    beam : hypotheses per symbol and state
    width : hypotheses per symbol, about
    once : whether a path enters a state at most once; otherwise it only does not turn back at once
    """
    length, n_states, steps = len(symbols), emission.shape[1], start.shape[1] - 1
    words = (n_states + 63) // 64
    rows = steps + 1
    capacity = min(n_states * beam, width + beam)
    parent = np.empty(length * capacity, np.int32)
    state = np.empty(length * capacity, np.int32)
    total = np.empty(length * capacity, np.float64)
    first = np.zeros(length + 1, np.int64)
    visited = np.zeros((rows, capacity, words), np.uint64)
    scores = np.empty((n_states, beam), np.float64)
    parents = np.empty((n_states, beam), np.int64)
    # the best path so far, from which a new piece may start
    rest, rest_id, rest_row, rest_visited = 0.0, -1, 0, np.zeros(words, np.uint64)
    best, best_id = 0.0, -1
    gain = np.zeros(n_states)
    for s in range(n_states):
        for link in range(start[s, 0], start[s, steps]):
            gain[s] = max(gain[s], link_score[link])
    row_of = np.empty(length * capacity, np.int32)
    one = np.uint64(1)
    for i in range(length):
        shown = emission[symbols[i]]
        scores[:] = -np.inf
        for s in range(n_states):
            if shown[s] > -gain[s]:
                word, bit = s >> 6, one << np.uint64(s & 63)
                if rest_id >= 0 and (
                    (once and rest_visited[word] & bit)
                    or not _within(xyz, state[rest_id], s, reach[0] + reach[1] * (i - rest_row))
                ):
                    continue
                scores[s, 0] = rest + shown[s]
                parents[s, 0] = -2 - rest_id
        for k in range(1, min(steps, i) + 1):
            row = i - k
            for h in range(first[row], first[row + 1]):
                source, mine = state[h], visited[row % rows, h - first[row]]
                before = parent[h]
                straight = k == 1 and before >= 0 and row_of[before] == row - 1
                for link in range(start[source, k - 1], start[source, k]):
                    s = target[link]
                    score = total[h] + link_score[link] + shown[s]
                    if score <= scores[s, beam - 1]:
                        continue
                    if mine[s >> 6] & (one << np.uint64(s & 63)) if once else before >= 0 and state[before] == s:
                        continue
                    if straight:
                        score += _bend(xyz, state[before], s, bend)
                    _keep(scores[s], parents[s], score, h)
        # a hypothesis that no link can lift above a fresh start is worth nothing later
        next_rest = max(rest, scores[:, 0].max() - break_cost)
        for s in range(n_states):
            for rank in range(beam):
                if scores[s, rank] <= next_rest - gain[s]:
                    scores[s, rank] = -np.inf
        cutoff = _cutoff(scores.ravel(), width)
        count = first[i]
        for s in range(n_states):
            for rank in range(beam):
                if scores[s, rank] <= cutoff or count - first[i] >= capacity:
                    break
                state[count], total[count], row_of[count] = s, scores[s, rank], i
                origin = parents[s, rank]
                parent[count] = origin
                bits = visited[i % rows, count - first[i]]
                if origin >= 0:
                    row = row_of[origin]
                    bits[:] = visited[row % rows, origin - first[row]]
                elif origin == -1:
                    bits[:] = np.uint64(0)
                else:
                    bits[:] = rest_visited
                bits[s >> 6] |= one << np.uint64(s & 63)
                if scores[s, rank] > best:
                    best, best_id = scores[s, rank], count
                count += 1
        first[i + 1] = count
        if best_id >= first[i] and best - break_cost > rest:
            rest, rest_id, rest_row = best - break_cost, best_id, i
            rest_visited = visited[i % rows, best_id - first[i]].copy()
    path = np.full(length, -1, np.int64)
    opens = np.zeros(length, np.bool_)
    node = best_id
    while node >= 0:
        path[row_of[node]] = state[node]
        node_parent = parent[node]
        if node_parent < 0:
            opens[row_of[node]] = True
            node = -2 - node_parent
        else:
            node = node_parent
    return path, opens, best


@njit
def walk(
    symbols: Array,
    state: Array,
    emission: Array,
    start: Array,
    target: Array,
    link_score: Array,
    xyz: Array,
    bend: Array,
    break_cost: float,
) -> tuple[float, Array]:
    """Score of a given path (L,), -1 where a symbol has no state, and where it has no link from the state before."""
    total = 0.0
    opens = np.zeros(len(state), np.bool_)
    before, last, straight = -1, -1, False
    for i in range(len(state)):
        s = state[i]
        if s < 0:
            continue
        total += emission[symbols[i], s]
        if last < 0:
            opens[i] = True
        else:
            p, step = state[last], i - last
            found = -1
            if step < start.shape[1]:
                for link in range(start[p, step - 1], start[p, step]):
                    if target[link] == s:
                        found = link
            if found < 0:
                opens[i] = True
                total -= break_cost
                straight = False
            else:
                total += link_score[found]
                if step == 1 and straight:
                    total += _bend(xyz, state[before], s, bend)
                straight = step == 1
        before, last = last, i
    return total, opens
