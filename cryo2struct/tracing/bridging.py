"""Second look at what lies between two sure pieces of a chain, or just before its ends: it is probably in the map."""

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
"""Least probability of being in register of the residues that a bridge leads from and to."""

MARGIN = 2
"""Residues on either side of a gap whose places are searched again as well."""

LONGEST_END = 8
"""Residues that are looked for once more at an end of a chain; where more are missing, the map may not show them."""

Anchors = tuple[int, ...]
BOTH, FIRST, LAST = (0, -1), (0,), (-1,)
"""Which residues of a stretch keep their places."""


def bridge_gaps(
    decoder: Decoder,
    chains: Sequence[Chain],
    paths: Sequence[Path],
    probabilities: Sequence[FloatArray],
    emissions: Sequence[NDArray[np.float64]],
    bonus: float,
) -> list[Path]:
    """Paths, one per chain, in which sure pieces are joined, and end later, through candidates that no other path uses.

    Between two sure residues, the search is repeated with a bonus for each residue of the way. What it finds is taken
    if links lead all the way, but for one break: a way of just the right number of steps is seldom there by chance.
    From the last sure residue to a near end of the chain, what it finds without a break is taken if it is longer.

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
    for _, number, first, last, anchors in sorted(_gaps(paths, probabilities)):
        inner = states[number][first : last + 1]
        if (inner[list(anchors)] < 0).any():  # a bridge nearby left it out
            continue
        free = ~taken
        free[decoder.entered(inner)] = True
        found = _bridge(easier, symbols_of(chains[number])[first : last + 1], inner, anchors, emissions[number], free)
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


def _gaps(paths: Sequence[Path], probabilities: Sequence[FloatArray]) -> list[tuple[int, int, int, int, Anchors]]:
    """Gaps beside sure residues: size, number of the path, first and last residue, which of these are held."""
    gaps: list[tuple[int, int, int, int, Anchors]] = []
    for number, (path, probability) in enumerate(zip(paths, probabilities, strict=True)):
        sure = np.flatnonzero((path.state >= 0) & (probability >= SURE))
        opens, end = np.cumsum(path.opens), len(path.state) - 1
        for before, after in pairwise(sure):
            if after - before > 1 or opens[after] > opens[before]:
                first = max(before - MARGIN, sure[0])
                last = min(after + MARGIN, sure[-1])
                while path.state[first] < 0:
                    first -= 1
                while path.state[last] < 0:
                    last += 1
                gaps.append((int(after - before), number, int(first), int(last), BOTH))
        if len(sure) and 0 < sure[0] <= LONGEST_END:
            gaps.append((int(sure[0]), number, 0, int(sure[: 1 + MARGIN][-1]), LAST))
        if len(sure) and 0 < end - sure[-1] <= LONGEST_END:
            gaps.append((int(end - sure[-1]), number, int(sure[-1 - MARGIN :][0]), end, FIRST))
    return gaps


def _bridge(
    decoder: Decoder,
    symbols: IntArray,
    inner: NDArray[np.int64],
    anchors: Anchors,
    emission: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.int64] | None:
    """States of the residues of `inner`, of which `anchors` are held, or None where no better way was found."""
    held = np.full((len(anchors), emission.shape[1]), -np.inf)
    rows = symbols.copy()
    for row, anchor in enumerate(anchors):
        held[row, inner[anchor]] = HELD
        rows[anchor] = len(emission) + row
    price = np.where(free, 0.0, np.inf)
    path = decoder.decode(rows, np.vstack([emission, held]), price=price, near=inner[:1] if 0 in anchors else None)
    if any(path.state[anchor] != inner[anchor] for anchor in anchors) or path.opens.sum() > len(anchors):
        return None
    return path.state if anchors == BOTH or (path.state >= 0).sum() > (inner >= 0).sum() else None
