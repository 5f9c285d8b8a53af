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
def twist_score(xyz: Array, a: int, b: int, c: int, d: int, twist: Array) -> float:
    """Score of four states of successive symbols; twist has a row per unit of the distance between first and last.

    Its columns are for left-handed and right-handed turns.
    """
    squared, volume = 0.0, 0.0
    for x in range(3):
        y, z = (x + 1) % 3, (x + 2) % 3
        squared += (xyz[d, x] - xyz[a, x]) ** 2
        minor = (xyz[b, y] - xyz[a, y]) * (xyz[c, z] - xyz[b, z]) - (xyz[b, z] - xyz[a, z]) * (xyz[c, y] - xyz[b, y])
        volume += minor * (xyz[d, x] - xyz[c, x])
    return twist[min(int(np.sqrt(squared)), len(twist) - 1), 1 if volume > 0 else 0]


@njit
def shape_score(xyz: Array, behind: tuple[int, int, int], s: int, shape: tuple[Array, Array]) -> float:
    """What bend and twist add where state s follows the states one, two and three symbols before, -1 where none is."""
    near, middle, far = behind
    if middle < 0:
        return 0.0
    score = bend_score(xyz, middle, s, shape[0])
    if far >= 0:
        score += twist_score(xyz, far, middle, near, s, shape[1])
    return score


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
    symbols: Array, state: Array, emission: Array, links: tuple, xyz: Array, shape: tuple, break_cost: float
) -> tuple[float, Array]:
    """Score of a given path (L,), -1 where a symbol has no state, and where it has no link from the state before."""
    start, target, link_score = links
    total = 0.0
    opens = np.zeros(len(state), np.bool_)
    last = -1
    behind = (-1, -1, -1)
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
            else:
                total += link_score[found]
            if found < 0 or i - last > 1:
                behind = (-1, -1, -1)
            total += shape_score(xyz, behind, s, shape)
        behind = (s, behind[0], behind[1])
        last = i
    return total, opens


@njit
def _joint(
    head: Array,
    last: int,
    linked: int,
    tail: Array,
    following: Array,
    cut: int,
    links: tuple,
    xyz: Array,
    shape: tuple,
    break_cost: float,
) -> float:
    """What the score of a path owes to joining head[:cut] and tail[cut:].

    `last` is the last symbol with a state of the head, `linked` the number of links of one symbol, 2 at most, that
    lead there one after the other; `following` (L + 1,) is the first symbol from each one on with a state of the tail.
    """
    start, target, link_score = links
    here = following[cut]
    if last < 0 or here == len(tail):
        return 0.0
    found = _find_link(start, target, head[last], tail[here], here - last)
    if found < 0:
        return -break_cost
    total = link_score[found]
    if here - last > 1:
        return total
    behind = (head[last], head[last - 1] if linked > 0 else -1, head[last - 2] if linked > 1 else -1)
    # the first three states of the tail have states of the head behind them
    for i in range(here, min(here + 3, len(tail))):
        if i > here and (tail[i] < 0 or _find_link(start, target, tail[i - 1], tail[i], 1) < 0):
            break
        alone = (tail[i - 1] if i > here else -1, tail[i - 2] if i > here + 1 else -1, -1)
        total += shape_score(xyz, behind, tail[i], shape) - shape_score(xyz, alone, tail[i], shape)
        behind = (tail[i], behind[0], behind[1])
    return total


@njit
def exchange(first: Array, second: Array, links: tuple, xyz: Array, shape: tuple, break_cost: float) -> bool:
    """Swap tails of two paths (L,) of the same symbols in place where that raises their total; whether any was."""
    length = len(first)
    start, target, _ = links
    paths = (first, second)
    following = np.full((2, length + 1), length)
    for k in range(2):
        for i in range(length - 1, -1, -1):
            following[k, i] = i if paths[k][i] >= 0 else following[k, i + 1]
    last, linked = np.array([-1, -1]), np.array([0, 0])
    swapped = False
    for cut in range(length):
        gain = 0.0
        for k in range(2):
            for j in range(2):
                joint = _joint(paths[k], last[k], linked[k], paths[j], following[j], cut, links, xyz, shape, break_cost)
                gain += -joint if k == j else joint
        if cut > 0 and gain > 1e-9:
            swapped = True
            for i in range(cut, length):
                first[i], second[i] = second[i], first[i]
                following[0, i], following[1, i] = following[1, i], following[0, i]
        for k in range(2):
            s = paths[k][cut]
            if s >= 0:
                by_one = last[k] == cut - 1 and cut > 0 and _find_link(start, target, paths[k][cut - 1], s, 1) >= 0
                last[k], linked[k] = cut, min(linked[k] + 1, 2) if by_one else 0
    return swapped
