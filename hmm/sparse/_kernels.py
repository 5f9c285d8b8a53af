"""Kernels of the sparse visit-once decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm._jit import njit
from hmm.sparse._path_kernels import shape_score

Array = NDArray[Any]


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
def gains(start: Array, link_score: Array) -> Array:
    """Best score of the links that leave each state, at least 0."""
    gain = np.zeros(len(start))
    for s in range(len(start)):
        for link in range(start[s, 0], start[s, -1]):
            gain[s] = max(gain[s], link_score[link])
    return gain


@njit
def _in_order(touched: Array, scores: Array) -> Array:
    """The touched states, ascending."""
    if 16 * len(touched) < len(scores):
        return np.sort(touched)
    count = 0
    for s in range(len(scores)):
        if scores[s, 0] > -np.inf:
            touched[count] = s
            count += 1
    return touched


@njit
def _prune(scores: Array, gain: Array, touched: Array, rest_score: float, break_cost: float, width: int) -> float:
    """Drop what no link can lift above a fresh start; return the least score of the best `width`."""
    fresh = rest_score
    for s in touched:
        fresh = max(fresh, scores[s, 0] - break_cost)
    alive = np.empty(len(touched) * scores.shape[1])
    count = 0
    for s in touched:
        for rank in range(scores.shape[1]):
            if scores[s, rank] <= fresh - gain[s]:
                scores[s, rank] = -np.inf
            else:
                alive[count] = scores[s, rank]
                count += 1
    if count <= width:
        return -np.finfo(np.float64).max
    return float(np.partition(alive[:count], count - width)[count - width])


@njit
def _holds(bits: Array, s: int, parent: Array, state: Array, node: int, site: Array) -> bool:
    """Whether hypothesis `node` has entered site s.

    `bits` has a bit for every n-th site: a hit is looked up, unless each has one of its own.
    """
    bit = s & (64 * len(bits) - 1)
    if not bits[bit >> 6] & (np.uint64(1) << np.uint64(bit & 63)):
        return False
    if 64 * len(bits) >= len(site):
        return True
    while node >= 0:
        if site[state[node]] == s:
            return True
        origin = parent[node]
        node = origin if origin >= 0 else -2 - origin
    return False


@njit
def _start_pieces(
    i: int,
    shown: tuple,
    gain: Array,
    places: tuple,
    reach: Array,
    rest: tuple,
    hypotheses: tuple,
    once: bool,
    scores: Array,
    parents: Array,
    touched: Array,
) -> int:
    """Hypotheses of symbol i that start a piece: the first one, or one after the best path so far.

    Returns how many states were touched.
    """
    emission, price = shown
    xyz, by_x, sorted_x, starts, site = places
    rest_score, rest_id, rest_state, rest_symbol, rest_visited = rest
    state, _, _, parent, _ = hypotheses
    from_states, begin, end, limit = starts, 0, len(starts), 0.0
    if rest_id >= 0:
        limit = reach[0] + reach[1] * (i - rest_symbol)
        # a little more than the reach, which decides below
        from_states = by_x
        begin = np.searchsorted(sorted_x, xyz[rest_state, 0] - 1.001 * limit)
        end = np.searchsorted(sorted_x, xyz[rest_state, 0] + 1.001 * limit)
    n_touched = 0
    for n in range(begin, end):
        s = from_states[n]
        score = emission[s] - price[site[s]]
        if score <= -gain[s]:
            continue
        if rest_id >= 0:
            if not _within(xyz, rest_state, s, limit):
                continue
            if once and _holds(rest_visited, site[s], parent, state, rest_id, site):
                continue
        scores[s, 0] = rest_score + score
        parents[s, 0] = -2 - rest_id
        touched[n_touched] = s
        n_touched += 1
    return n_touched


@njit
def _extend(
    k: int,
    shown: tuple,
    links: tuple,
    xyz: Array,
    site: Array,
    shape: tuple,
    row: tuple,
    hypotheses: tuple,
    once: bool,
    scores: Array,
    parents: Array,
    touched: Array,
    n_touched: int,
) -> int:
    """Hypotheses that follow from those of the row k symbols earlier; returns how many states were touched."""
    emission, price = shown
    start, target, link_score = links
    first, last, visited = row
    state, total, _, parent, before = hypotheses
    most = shape[1].max()
    for h in range(first, last):
        source, mine = state[h], visited[h - first]
        far = before[parent[h]] if before[h] >= 0 else -1
        behind = (source, before[h], far) if k == 1 else (source, -1, -1)
        open_end = most if k == 1 and far >= 0 else 0.0
        back = site[state[parent[h]]] if parent[h] >= 0 else -1
        for link in range(start[source, k - 1], start[source, k]):
            s = target[link]
            score = total[h] + link_score[link] + (emission[s] - price[site[s]])
            if score + open_end <= scores[s, -1]:
                continue
            if _holds(mine, site[s], parent, state, h, site) if once else back == site[s]:
                continue
            score += shape_score(xyz, behind, s, shape)
            if scores[s, 0] == -np.inf:
                touched[n_touched] = s
                n_touched += 1
            _keep(scores[s], parents[s], score, h)
    return n_touched


@njit
def _trace_back(node: int, hypotheses: tuple, length: int) -> tuple[Array, Array]:
    """Path and where its pieces start, from its last hypothesis."""
    state, _, symbol, parent, _ = hypotheses
    path = np.full(length, -1, np.int64)
    opens = np.zeros(length, np.bool_)
    while node >= 0:
        path[symbol[node]] = state[node]
        origin = parent[node]
        opens[symbol[node]] = origin < 0
        node = origin if origin >= 0 else -2 - origin
    return path, opens


@njit
def _store(
    i: int,
    count: int,
    kept: tuple,
    cutoff: float,
    hypotheses: tuple,
    first: Array,
    visited: Array,
    fresh: Array,
    site: Array,
    once: bool,
) -> int:
    """Append the hypotheses of symbol i from the cutoff up that there is room for; returns how many there are now."""
    touched, scores, parents = kept
    state, total, symbol, parent, before = hypotheses
    n_rows, capacity, words = visited.shape
    mask = 64 * words - 1
    for s in touched:
        for rank in range(scores.shape[1]):
            if scores[s, rank] < cutoff or count - first[i] >= capacity:
                break
            origin = parents[s, rank]
            state[count], total[count], symbol[count], parent[count] = s, scores[s, rank], i, origin
            before[count] = state[origin] if origin >= 0 and symbol[origin] == i - 1 else -1
            if once:
                bits = visited[i % n_rows, count - first[i]]
                if origin >= 0:
                    bits[:] = visited[symbol[origin] % n_rows, origin - first[symbol[origin]]]
                else:
                    bits[:] = fresh
                bits[(site[s] & mask) >> 6] |= np.uint64(1) << np.uint64(site[s] & 63)
            count += 1
        scores[s] = -np.inf
    return count


@njit
def _room(size: int) -> tuple:
    """Arrays for hypotheses: state, total score, symbol, parent, state one symbol before.

    The parent is -1 at the first piece's start, -2 - h where a piece follows hypothesis h; the state before is -1
    where that symbol was skipped or belongs to another piece.
    """
    return (
        np.empty(size, np.int32),
        np.empty(size, np.float64),
        np.empty(size, np.int32),
        np.empty(size, np.int64),
        np.empty(size, np.int32),
    )


@njit
def _grown(hypotheses: tuple, size: int) -> tuple:
    """The hypotheses with room for `size` of them at least."""
    n = len(hypotheses[0])
    if n >= size:
        return hypotheses
    longer = _room(max(size, 2 * n))
    longer[0][:n], longer[1][:n], longer[2][:n] = hypotheses[0], hypotheses[1], hypotheses[2]
    longer[3][:n], longer[4][:n] = hypotheses[3], hypotheses[4]
    return longer


@njit
def _n_words(n_states: int, length: int) -> int:
    """Words of 64 bits, a power of 2, with a bit for every n-th site: few of a path's sites share one."""
    words = 1
    while 64 * words < min(n_states, 16 * length):
        words *= 2
    return words


@njit
def _best_of(total: Array, begin: int, end: int, best: float, best_id: int) -> tuple[float, int]:
    """The best score and its hypothesis, of equal ones the first."""
    for h in range(begin, end):
        if total[h] > best:
            best, best_id = total[h], h
    return best, best_id


@njit
def best_path(
    symbols: Array,
    emission: Array,
    price: Array,
    links: tuple,
    gain: Array,
    places: tuple,
    shape: tuple,
    breaks: tuple,
    beam: int,
    width: int,
    once: bool,
) -> tuple[Array, Array, float]:
    """Path of the best score: state per symbol (-1 where skipped), whether it starts a piece, and the score.

    Only states that a hypothesis reaches are looked at, so that the cost grows with their number and not with all.

    Parameters
    ----------
    symbols : (L,) int
    emission : (symbols, N) score of a state showing a symbol; -inf where the state must not be used
    price : (sites,) taken off the emissions; inf where the site must not be used
    links : start, target, score of `hmm.sparse.links.Links`
    gain : (N,) see `gains`
    places : positions (N, 3), the states sorted by x, their x, the states where a path may start, and their sites (N,)
    shape : bend (4,) and twist (bins, 2), see `bend_score` and `twist_score`
    breaks : cost of leaving a piece and starting another one, and (2,) the reach: a piece may start within
        reach[0] + reach[1] * (symbols since the end of the one before)
    beam : hypotheses per symbol and state
    width : hypotheses per symbol, about
    once : whether a path enters a site at most once; otherwise it only does not turn back at once
    """
    length, n_states, steps = len(symbols), emission.shape[1], links[0].shape[1] - 1
    break_cost, reach = breaks
    capacity = min(n_states * beam, width + beam)
    visited = np.zeros((steps + 1, capacity, _n_words(n_states, length) if once else 1), np.uint64)
    # all hypotheses, symbol after symbol
    every = _room(capacity)
    first = np.zeros(length + 1, np.int64)
    scores, parents = np.full((n_states, beam), -np.inf), np.empty((n_states, beam), np.int64)
    touched = np.empty(n_states, np.int32)
    rest: tuple = (0.0, -1, -1, 0, np.zeros(visited.shape[2], np.uint64))
    best, best_id = 0.0, -1
    for i in range(length):
        shown = (emission[symbols[i]], price)
        n = _start_pieces(i, shown, gain, places, reach, rest, every, once, scores, parents, touched)
        for k in range(1, min(steps, i) + 1):
            row = (first[i - k], first[i - k + 1], visited[(i - k) % (steps + 1)])
            n = _extend(k, shown, links, places[0], places[4], shape, row, every, once, scores, parents, touched, n)
        reached = _in_order(touched[:n], scores)
        cutoff = _prune(scores, gain, reached, rest[0], break_cost, width)
        every = _grown(every, first[i] + min(capacity, n * beam))
        first[i + 1] = _store(
            i, first[i], (reached, scores, parents), cutoff, every, first, visited, rest[4], places[4], once
        )
        state, total = every[:2]
        best, best_id = _best_of(total, first[i], first[i + 1], best, best_id)
        if best_id >= first[i] and best - break_cost > rest[0]:
            bits = visited[i % (steps + 1), best_id - first[i]].copy()
            rest = (best - break_cost, best_id, np.int64(state[best_id]), i, bits)
    return (*_trace_back(best_id, every, length), best)
