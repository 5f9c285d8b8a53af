"""Chains that compete for sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.sparse.decode import Decoder, Path
from hmm.sparse.exchange import exchange_tails

REPAIR_ROUND = 3
"""From this round on, chains that have a place of their own are decoded from the surroundings of their path only."""

CLOSE_EVERY = 5
"""Rounds after which the paths are made to share no site, as a possible result."""

REPAIR_SHARE = 0.8
"""Share of a path's sites that no other chain uses if the chain has a place of its own."""


@dataclass(frozen=True)
class Competition:
    """How the price of a contested site grows.

    Attributes
    ----------
    rounds : int
        Rounds of negotiation; 0 decodes the chains one after another.
    present : float
        Price, per round gone by, of a site that another chain uses now.
    history : float
        What is added for good to the price of a site after each round in which more than one chain used it.
    """

    rounds: int
    present: float
    history: float


def decode_chains(
    decoder: Decoder,
    chains: Sequence[NDArray[np.integer[Any]]],
    emission: NDArray[np.float64],
    competition: Competition,
) -> list[Path]:
    """Paths of all chains in which no site is used twice.

    Every chain is decoded with prices on the sites: one that rises round by round for sites that other chains
    use at that moment, and one that remembers how long a site was contested, between chains or by two places of
    the same chain, so that it ends where most is lost without it. Meanwhile a chain may use a site more than once.
    After every `CLOSE_EVERY` rounds, and without any prices, the chains are decoded once more, best score first, each
    site once; the best total without prices is kept. Prices can overshoot, so the last ones are not always the best.

    Parameters
    ----------
    chains : symbols of each chain, (L,) int; ties between chains go to the earlier one
    emission : (symbols, N)

    Notes
    -----
    Negotiated congestion (McMurchie & Ebeling 1995, PathFinder) on the paths of a hidden Markov model; the
    remembered prices are Lagrange multipliers of the condition that a site is used once.
    """
    history = np.zeros(decoder.n_sites)
    paths: list[Path | None] = [None] * len(chains)
    closed: list[list[Path]] = []
    everywhere = np.zeros(decoder.n_sites, dtype=np.int64)
    for number in range(competition.rounds):
        present = competition.present * (number + 1)
        for c, symbols in enumerate(chains):
            path = paths[c]
            if path is not None:
                used = decoder.entered(path.state)
                # what nobody contests is left alone once the first exchanges are over
                if number > 1 and (everywhere[used] <= 1).all():
                    continue
                np.subtract.at(everywhere, used, 1)
            near = _settled(decoder, path, everywhere) if path is not None and number >= REPAIR_ROUND else None
            price = history + present * everywhere
            path = paths[c] = decoder.decode(symbols, emission, once=False, price=price, near=near)
            np.add.at(everywhere, decoder.entered(path.state), 1)
        contested = np.maximum(everywhere - 1, 0)
        if not contested.any():
            break
        history += competition.history * contested
        if (number + 1) % CLOSE_EVERY == 0 and number + 1 < competition.rounds:
            closed.append(_close_in_turn(decoder, chains, emission, history, paths))
    closed.append(_close_in_turn(decoder, chains, emission, history, paths))
    if history.any():
        closed.append(_close_in_turn(decoder, chains, emission, np.zeros(decoder.n_sites), [None] * len(chains)))
    return max(closed, key=lambda found: sum(path.score for path in found))


def _close_in_turn(
    decoder: Decoder,
    chains: Sequence[NDArray[np.integer[Any]]],
    emission: NDArray[np.float64],
    price: NDArray[np.float64],
    paths: Sequence[Path | None],
) -> list[Path]:
    """Keep paths that share no site, best score first; decode the others over what is left.

    The scores returned are those without prices.
    """
    price = price.copy()
    states = [np.empty(0, dtype=np.int64)] * len(chains)
    order = sorted(range(len(chains)), key=lambda c: -(paths[c].score if paths[c] else 0.0))  # type: ignore[union-attr]
    for c in order:
        path = paths[c]
        used = decoder.entered(path.state) if path else np.empty(0, np.int64)
        if path is None or np.isposinf(price[used]).any() or len(set(used.tolist())) < len(used):
            path = decoder.decode(chains[c], emission, price=price)
        price[decoder.entered(path.state)] = np.inf
        states[c] = path.state
    _exchange_all(decoder, chains, states)
    return [
        Path(state, decoder.opens(state), decoder.score(symbols, state, emission))
        for symbols, state in zip(chains, states, strict=True)
    ]


def _settled(decoder: Decoder, path: Path, others: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """States of a path if others use few of their sites (S,): then it needs no other place, only repair."""
    used = decoder.entered(path.state)
    return path.state[path.state >= 0] if (others[used] == 0).sum() > REPAIR_SHARE * len(used) else None


def _exchange_all(
    decoder: Decoder, chains: Sequence[NDArray[np.integer[Any]]], states: list[NDArray[np.int64]]
) -> None:
    """Exchange tails between all pairs of identical chains."""
    for a in range(len(chains)):
        for b in range(a + 1, len(chains)):
            if np.array_equal(chains[a], chains[b]):
                states[a], states[b] = exchange_tails(decoder, states[a], states[b])
