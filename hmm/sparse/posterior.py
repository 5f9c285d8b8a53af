"""Posterior probabilities of states: forward-backward over the neighbour list."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.sparse._posterior_kernels import forward
from hmm.sparse.decode import Decoder
from hmm.sparse.links import Links, links_from_pairs


def posteriors(
    decoder: Decoder,
    symbols: NDArray[np.integer[Any]],
    emission: NDArray[np.float64],
    states: NDArray[np.integer[Any]],
) -> NDArray[np.float64]:
    """Probability (L, n) that each symbol is shown by each of the given states.

    A path has the probability exp(score) over the sum of all, that without a state among them. Emissions, links with
    skipped symbols and breaks count as in `Decoder`. What depends on more than two neighbours of a path does not: a
    path may come back to a state, a new piece may start anywhere, and there is no term for states two symbols apart.

    Parameters
    ----------
    symbols : (L,) int
    emission : (symbols, N) or, where each symbol is one of its own, (L, N); -inf closes a state
    states : (n,) int
        Only paths within these are summed. Time and memory grow with L n: give the surroundings of a path.

    Notes
    -----
    In log space. The backward sums are the forward ones of the reversed symbols with links turned round: ends are
    as free as starts.
    """
    shown = np.ascontiguousarray(emission[:, states])
    symbols = np.ascontiguousarray(symbols, dtype=np.int64)
    source, target, step, score = _pairs_among(decoder.links, states)
    size, steps, cost = len(states), decoder.links.steps, float(decoder.break_cost)
    incoming = links_from_pairs(size, steps, target, source, step, score)
    outgoing = links_from_pairs(size, steps, source, target, step, score)
    before, total = forward(symbols, shown, _arrays(incoming), cost)
    after, _ = forward(symbols[::-1].copy(), shown, _arrays(outgoing), cost)
    rows = shown[symbols]
    closed = np.isneginf(rows)
    log_probability = before + after[::-1] - np.where(closed, 0.0, rows) - total
    return np.where(closed, 0.0, np.exp(np.minimum(log_probability, 0.0)))


def _arrays(links: Links) -> tuple[Any, ...]:
    return links.start, links.target, links.score


def _pairs_among(links: Links, states: NDArray[np.integer[Any]]) -> tuple[NDArray[Any], ...]:
    """Source, target, step and score of the links between some states, numbered as they are given."""
    number = np.full(len(links.start), -1)
    number[states] = np.arange(len(states))
    first, last = links.start[states, 0], links.start[states, -1]
    source = np.repeat(np.arange(len(states)), last - first)
    link = np.arange(len(source)) - np.repeat(np.cumsum(last - first) - last, last - first)
    step = 1 + (link[:, None] >= links.start[states[source], 1:-1]).sum(axis=1)
    target = number[links.target[link]]
    inside = target >= 0
    return source[inside], target[inside], step[inside], links.score[link[inside]]
