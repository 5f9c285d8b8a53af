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
def _gains(start: Array, link_score: Array) -> Array:
    """Best score of the links that leave each state, at least 0."""
    gain = np.zeros(len(start))
    for s in range(len(start)):
        for link in range(start[s, 0], start[s, -1]):
            gain[s] = max(gain[s], link_score[link])
    return gain


@njit
def _prune(scores: Array, gain: Array, fresh: float, width: int) -> float:
    """Drop what no link can lift above a fresh start; return the score that the best `width` exceed."""
    for s in range(len(scores)):
        for rank in range(scores.shape[1]):
            if scores[s, rank] <= fresh - gain[s]:
                scores[s, rank] = -np.inf
    every = scores.ravel()
    alive = every[every > -np.inf]
    if len(alive) <= width:
        return -np.inf
    return float(np.partition(alive, len(alive) - width - 1)[len(alive) - width - 1])


@njit
def _start_pieces(
    i: int, shown: Array, gain: Array, xyz: Array, reach: Array, rest: tuple, once: bool, scores: Array, parents: Array
) -> None:
    """Hypotheses of symbol i that start a piece: the first one, or one after the best path so far."""
    rest_score, rest_id, rest_state, rest_symbol, rest_visited = rest
    one = np.uint64(1)
    for s in range(len(shown)):
        if shown[s] <= -gain[s]:
            continue
        if rest_id >= 0:
            if once and rest_visited[s >> 6] & (one << np.uint64(s & 63)):
                continue
            if not _within(xyz, rest_state, s, reach[0] + reach[1] * (i - rest_symbol)):
                continue
        scores[s, 0] = rest_score + shown[s]
        parents[s, 0] = -2 - rest_id


@njit
def _extend(
    k: int, shown: Array, links: tuple, xyz: Array, bend: Array, row: tuple, once: bool, scores: Array, parents: Array
) -> None:
    """Hypotheses that follow from those of the row k symbols earlier."""
    start, target, link_score = links
    first, last, state, total, visited, before, parent = row
    one = np.uint64(1)
    for h in range(first, last):
        source, mine, grand = state[h], visited[h - first], before[h]
        back = state[parent[h]] if parent[h] >= 0 else -1
        for link in range(start[source, k - 1], start[source, k]):
            s = target[link]
            score = total[h] + link_score[link] + shown[s]
            if score <= scores[s, -1]:
                continue
            if (mine[s >> 6] & (one << np.uint64(s & 63))) if once else back == s:
                continue
            if k == 1 and grand >= 0:
                score += _bend(xyz, grand, s, bend)
            _keep(scores[s], parents[s], score, h)


@njit
def _trace_back(node: int, parent: Array, state: Array, symbol: Array, length: int) -> tuple[Array, Array]:
    """Path and where its pieces start, from its last hypothesis."""
    path = np.full(length, -1, np.int64)
    opens = np.zeros(length, np.bool_)
    while node >= 0:
        path[symbol[node]] = state[node]
        origin = parent[node]
        opens[symbol[node]] = origin < 0
        node = origin if origin >= 0 else -2 - origin
    return path, opens


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
    capacity = min(n_states * beam, width + beam)
    size, n_rows, words = length * capacity, steps + 1, (n_states + 63) // 64
    # all hypotheses, row after row; `parent` is -1 at the first piece's start, -2 - h where a piece follows h
    state, total, symbol = np.empty(size, np.int32), np.empty(size, np.float64), np.empty(size, np.int32)
    parent, first = np.empty(size, np.int32), np.zeros(length + 1, np.int64)
    # the state one symbol before, -1 where that was skipped or belongs to another piece
    before = np.empty(size, np.int32)
    visited = np.zeros((n_rows, capacity, words), np.uint64)
    scores, parents = np.empty((n_states, beam), np.float64), np.empty((n_states, beam), np.int64)
    gain = _gains(start, link_score)
    rest: tuple = (0.0, -1, -1, 0, np.zeros(words, np.uint64))
    best, best_id = 0.0, -1
    for i in range(length):
        shown = emission[symbols[i]]
        scores[:] = -np.inf
        _start_pieces(i, shown, gain, xyz, reach, rest, once, scores, parents)
        for k in range(1, min(steps, i) + 1):
            row = (first[i - k], first[i - k + 1], state, total, visited[(i - k) % n_rows], before, parent)
            _extend(k, shown, (start, target, link_score), xyz, bend, row, once, scores, parents)
        cutoff = _prune(scores, gain, max(rest[0], scores[:, 0].max() - break_cost), width)
        count = first[i]
        for s in range(n_states):
            for rank in range(beam):
                if scores[s, rank] <= cutoff or count - first[i] >= capacity:
                    break
                origin = parents[s, rank]
                state[count], total[count], symbol[count], parent[count] = s, scores[s, rank], i, origin
                before[count] = state[origin] if origin >= 0 and symbol[origin] == i - 1 else -1
                if once:
                    bits = visited[i % n_rows, count - first[i]]
                    if origin >= 0:
                        bits[:] = visited[symbol[origin] % n_rows, origin - first[symbol[origin]]]
                    else:
                        bits[:] = rest[4]
                    bits[s >> 6] |= np.uint64(1) << np.uint64(s & 63)
                if scores[s, rank] > best:
                    best, best_id = scores[s, rank], count
                count += 1
        first[i + 1] = count
        if best_id >= first[i] and best - break_cost > rest[0]:
            bits = visited[i % n_rows, best_id - first[i]].copy()
            rest = (best - break_cost, best_id, np.int64(state[best_id]), i, bits)
    path, opens = _trace_back(best_id, parent, state, symbol, length)
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
