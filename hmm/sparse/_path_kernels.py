"""Kernels on given paths: their score, and the exchange of tails between two of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm._jit import njit

Array = NDArray[Any]


@njit
def bend_score(xyz: Array, first: int, last: int, bend: Array) -> float:
    """Score of the distance between two states that are two symbols apart; bend is (mean, sd, weight, cap)."""
    squared = 0.0
    for axis in range(3):
        squared += (xyz[first, axis] - xyz[last, axis]) ** 2
    z = (np.sqrt(squared) - bend[0]) / bend[1]
    return -bend[2] * min(0.5 * z * z, bend[3])


@njit
def _find_link(start: Array, target: Array, source: int, s: int, step: int) -> int:
    """Index of the link from a state to another one `step` symbols later, -1 where there is none."""
    if step < start.shape[1]:
        for link in range(start[source, step - 1], start[source, step]):
            if target[link] == s:
                return link
    return -1


@njit
def walk(
    symbols: Array, state: Array, emission: Array, links: tuple, xyz: Array, bend: Array, break_cost: float
) -> tuple[float, Array]:
    """Score of a given path (L,), -1 where a symbol has no state, and where it has no link from the state before."""
    start, target, link_score = links
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
            found = _find_link(start, target, state[last], s, i - last)
            if found < 0:
                opens[i] = True
                total -= break_cost
                straight = False
            else:
                total += link_score[found]
                if i - last == 1 and straight:
                    total += bend_score(xyz, state[before], s, bend)
                straight = i - last == 1
        before, last = last, i
    return total, opens


@njit
def _joint(
    head: Array,
    last: int,
    straight: bool,
    tail: Array,
    following: Array,
    cut: int,
    links: tuple,
    xyz: Array,
    bend: Array,
    break_cost: float,
) -> float:
    """What the score of a path owes to joining head[:cut] and tail[cut:].

    `last` is the last symbol with a state of the head, `straight` whether a link of one symbol ends there;
    `following` (L + 1,) is the first symbol from each one on with a state of the tail.
    """
    start, target, link_score = links
    here = following[cut]
    if last < 0 or here == len(tail):
        return 0.0
    found = _find_link(start, target, head[last], tail[here], here - last)
    if found < 0:
        return -break_cost
    total = link_score[found]
    if here - last == 1:
        if straight:
            total += bend_score(xyz, head[last - 1], tail[here], bend)
        after = here + 1
        if following[after] == after < len(tail) and _find_link(start, target, tail[here], tail[after], 1) >= 0:
            total += bend_score(xyz, head[last], tail[after], bend)
    return total


@njit
def exchange(first: Array, second: Array, links: tuple, xyz: Array, bend: Array, break_cost: float) -> bool:
    """Swap tails of two paths (L,) of the same symbols in place where that raises their total; whether any was."""
    length = len(first)
    start, target, _ = links
    paths = (first, second)
    following = np.full((2, length + 1), length)
    for k in range(2):
        for i in range(length - 1, -1, -1):
            following[k, i] = i if paths[k][i] >= 0 else following[k, i + 1]
    last, straight = np.array([-1, -1]), np.array([False, False])
    swapped = False
    for cut in range(length):
        gain = 0.0
        for k in range(2):
            for j in range(2):
                joint = _joint(
                    paths[k], last[k], straight[k], paths[j], following[j], cut, links, xyz, bend, break_cost
                )
                gain += -joint if k == j else joint
        if cut > 0 and gain > 1e-9:
            swapped = True
            for i in range(cut, length):
                first[i], second[i] = second[i], first[i]
                following[0, i], following[1, i] = following[1, i], following[0, i]
        for k in range(2):
            s = paths[k][cut]
            if s >= 0:
                linked = last[k] == cut - 1 and cut > 0 and _find_link(start, target, paths[k][cut - 1], s, 1) >= 0
                last[k], straight[k] = cut, linked
    return swapped
