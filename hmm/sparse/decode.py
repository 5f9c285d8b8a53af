"""Decoding one chain of symbols."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.sparse._kernels import best_path, gains
from hmm.sparse._path_kernels import walk
from hmm.sparse.links import Links


@dataclass(frozen=True)
class Path:
    """States of one chain.

    Attributes
    ----------
    state : (L,) int
        -1 where a symbol has none.
    opens : (L,) bool
        Whether the symbol starts a new piece, without a link to what came before.
    score : float
        Sum of emissions, links and breaks.
    """

    state: NDArray[np.int64]
    opens: NDArray[np.bool_]
    score: float


@dataclass(frozen=True)
class Decoder:
    """A sparse model and how it is searched.

    The score of a path is the sum of its emissions, of its links, of terms for the distances between states two and
    three symbols apart where no symbol between them is skipped, and `-break_cost` for each piece after the first. A
    path starts and ends anywhere; symbols outside its pieces cost nothing. Up to `beam` hypotheses are kept per symbol
    and state, each of which never enters a site twice; a hypothesis that is worse than the best path so far minus the
    break cost is dropped, which is exact but for the visited sites and the reach.

    Attributes
    ----------
    links : Links
    xyz : (N, 3) float64
        Positions of the states.
    bend : tuple of float
        Mean, sd, weight and cap of the term for states two symbols apart: `-weight * min(z^2 / 2, cap)`.
    break_cost : float
    reach : tuple of float
        A new piece starts within `reach[0] + reach[1] * n` of the end of the one before, n symbols earlier.
    beam : int
        Hypotheses per symbol and state.
    width : int
        Hypotheses per symbol; as many as there are states if that is more, since a path may start at any.
    site : (N,) int, optional
        States of one site exclude each other; without it each state is a site of its own.
    twist : (bins, 2) float64, optional
        Score of the distance between states three symbols apart, a row per unit of distance (the last one for all
        beyond), for left-handed and right-handed turns.
    """

    links: Links
    xyz: NDArray[np.float64]
    bend: tuple[float, float, float, float]
    break_cost: float
    reach: tuple[float, float]
    beam: int = 1
    width: int = 4000
    site: NDArray[np.integer[Any]] | None = None
    twist: NDArray[np.float64] | None = None

    @cached_property
    def sites(self) -> NDArray[np.int64]:
        """Site (N,) of each state."""
        return np.arange(len(self.xyz)) if self.site is None else np.asarray(self.site, dtype=np.int64)

    @cached_property
    def n_sites(self) -> int:
        """Number of sites."""
        return int(self.sites.max(initial=-1)) + 1

    def entered(self, state: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Sites of a path's states (L,), without the symbols that have none (-1)."""
        return self.sites[state[state >= 0]]

    def decode(
        self,
        symbols: NDArray[np.integer[Any]],
        emission: NDArray[np.float64],
        once: bool = True,
        price: NDArray[np.float64] | None = None,
        near: NDArray[np.int64] | None = None,
    ) -> Path:
        """Path of the best score found for symbols (L,) with emissions (symbols, N).

        An emission of -inf closes a state, a price (sites,) of inf a site; prices are taken off the emissions.
        Without `once`, a path may come back to a site after two or more others: a relaxed problem, for
        which two hypotheses per symbol and state are enough. With `near`, a path starts at one of these states or
        where a link leads from them, which saves looking at all others.
        """
        links, xyz, shape, break_cost = self.model
        state, opens, score = best_path(
            np.ascontiguousarray(symbols, dtype=np.int64),
            emission,
            np.zeros(self.n_sites) if price is None else price,
            links,
            self._gain,
            (xyz, *self._by_x, np.arange(len(xyz)) if near is None else self._around(near), self.sites),
            shape,
            (break_cost, np.array(self.reach, dtype=np.float64)),
            self.beam if once else min(self.beam, 2),
            max(self.width, len(self.xyz)),
            once,
        )
        return Path(state, opens, score)

    def _around(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """The states and those that links lead to from them, sorted."""
        start, target = self.links.start, self.links.target
        reached = [target[start[s, 0] : start[s, -1]] for s in states]
        return np.unique(np.concatenate([states, *reached]))

    @cached_property
    def model(self) -> tuple[Any, ...]:
        """Links (start, target, score), positions, (bend, twist) and break cost as the kernels take them."""
        links = (self.links.start, self.links.target, self.links.score)
        twist = np.zeros((1, 2)) if self.twist is None else np.ascontiguousarray(self.twist, dtype=np.float64)
        return links, self.xyz, (np.array(self.bend, dtype=np.float64), twist), float(self.break_cost)

    @cached_property
    def _gain(self) -> NDArray[np.float64]:
        """Most that a path gains after each state (N,) by having come there."""
        # a twist for each of the next three states
        return gains(self.links.start, self.links.score) + 3 * max(0.0, self.model[2][1].max())

    @cached_property
    def _by_x(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The states sorted by x, and their x."""
        order = np.argsort(self.xyz[:, 0], kind="stable")
        return order, np.ascontiguousarray(self.xyz[order, 0])

    def score(
        self, symbols: NDArray[np.integer[Any]], state: NDArray[np.integer[Any]], emission: NDArray[np.float64]
    ) -> float:
        """Score of a given path (L,), -1 where a symbol has no state; a missing link counts as a break."""
        return self._walk(symbols, state, emission)[0]

    def opens(self, state: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Where (L,) a path has no link from the state before."""
        nothing = np.zeros((1, len(self.xyz)))
        return self._walk(np.zeros(len(state), np.int64), state, nothing)[1]

    def _walk(
        self, symbols: NDArray[np.integer[Any]], state: NDArray[np.integer[Any]], emission: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.bool_]]:
        score, opens = walk(
            np.ascontiguousarray(symbols, dtype=np.int64),
            np.ascontiguousarray(state, dtype=np.int64),
            emission,
            *self.model,
        )
        return float(score), opens
