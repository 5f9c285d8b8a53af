"""Second look at what lies between two pieces of a chain that are sure: the residues there are probably in the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.tracing.chains import Chain, symbols_of
from hmm.sparse import Decoder, Links, Path

HELD = 1e4
"""Added to the emissions of the two residues that a bridge must start and end at, nats."""

SURE = 0.5
"""Least probability of being in register of the residues that a bridge joins."""

MARGIN = 2
"""Residues on either side of a gap whose places are searched again as well."""

MOST_PIECES = 2
"""A bridge may be broken once."""


def bridge_gaps(
    decoder: Decoder,
    chains: Sequence[Chain],
    paths: Sequence[Path],
    probabilities: Sequence[FloatArray],
    emissions: Sequence[NDArray[np.float64]],
    bonus: float,
) -> list[Path]:
    """Paths, one per chain, in which sure pieces are joined through candidates that no other path uses.

    Between two sure residues, the search is repeated with a bonus for each residue of the way. What it finds is taken
    if links lead all the way, but for one break: a way of just the right number of steps is seldom there by chance.

    Parameters
    ----------
    probabilities : per chain (L,), of the register of each residue
    emissions : per chain (rows, N), see `emission_scores`
    bonus : added to a link per residue that it advances, nats
    """
    easier = replace(decoder, links=_with_bonus(decoder.links, bonus))
    states = [path.state.copy() for path in paths]
    taken = np.zeros(decoder.n_sites, dtype=bool)
    for state in states:
        taken[decoder.entered(state)] = True
    for _, number, first, last in sorted(_gaps(paths, probabilities)):
        inner = states[number][first : last + 1]
        if inner[0] < 0 or inner[-1] < 0:  # a bridge nearby left it out
            continue
        free = ~taken
        free[decoder.entered(inner)] = True
        found = _bridge(easier, symbols_of(chains[number])[first : last + 1], inner, emissions[number], free)
        if found is not None:
            taken[decoder.entered(inner)] = False
            taken[decoder.entered(found)] = True
            states[number][first : last + 1] = found
    return [
        path
        if np.array_equal(state, path.state)
        else Path(state, decoder.opens(state), decoder.score(symbols_of(chain), state, emission))
        for chain, path, state, emission in zip(chains, paths, states, emissions, strict=True)
    ]


def _with_bonus(links: Links, bonus: float) -> Links:
    """Links whose score is higher by the bonus for each symbol that they advance."""
    counts = np.diff(links.start, axis=1)  # of each state and step; links are in this order
    steps = np.repeat(np.tile(np.arange(1, links.steps + 1), len(counts)), counts.ravel())
    return replace(links, score=links.score + bonus * steps)


def _gaps(paths: Sequence[Path], probabilities: Sequence[FloatArray]) -> list[tuple[int, int, int, int]]:
    """Gaps between sure residues: residues of it, number of the path, the sure residue before and the one after."""
    gaps = []
    for number, (path, probability) in enumerate(zip(paths, probabilities, strict=True)):
        sure = np.flatnonzero((path.state >= 0) & (probability >= SURE))
        opens = np.cumsum(path.opens)
        for before, after in pairwise(sure):
            if after - before > 1 or opens[after] > opens[before]:
                first = max(before - MARGIN, sure[0])
                last = min(after + MARGIN, sure[-1])
                while path.state[first] < 0:
                    first -= 1
                while path.state[last] < 0:
                    last += 1
                gaps.append((int(after - before), number, int(first), int(last)))
    return gaps


def _bridge(
    decoder: Decoder,
    symbols: IntArray,
    inner: NDArray[np.int64],
    emission: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.int64] | None:
    """States of the residues from the first to the last of `inner`, or None where no way was found."""
    ends = np.full((2, emission.shape[1]), -np.inf)
    ends[0, inner[0]] = ends[1, inner[-1]] = HELD
    rows = np.concatenate([[len(emission)], symbols[1:-1], [len(emission) + 1]])
    price = np.where(free, 0.0, np.inf)
    path = decoder.decode(rows, np.vstack([emission, ends]), price=price, near=inner[:1])
    whole = path.state[0] == inner[0] and path.state[-1] == inner[-1] and path.opens.sum() <= MOST_PIECES
    return path.state if whole else None
