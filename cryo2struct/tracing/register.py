"""How sure the register of a traced residue is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, logsumexp

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.settings import TracingSettings
from cryo2struct.tracing.chains import Chain, symbols_of
from hmm.sparse import Decoder, Path

CHANCE_RESIDUES = 600
"""Least number of residues of the shuffled sequences that are threaded."""

PRIOR_ROUNDS = 30
PRIOR_TOLERANCE = 1e-3
"""The share of a path that is right is settled when its log odds change by less than this, or after so many rounds."""

COUNTED = 0.2
"""Least probability of being in register of a residue that counts where copies, or two ways to trace, are compared."""


@dataclass(frozen=True)
class Register:
    """Per residue (L,) of a chain, how sure its register is and what the next best one would be.

    Attributes
    ----------
    probability : that of the place traced; 0 where not placed
    other_prob : that of the most likely other place in any sequence, in either direction
    other_entity, other_position : that place; -1 where not placed
    """

    probability: FloatArray
    other_prob: FloatArray
    other_entity: IntArray
    other_position: IntArray


def runs_of(positions: IntArray, opens: NDArray[np.bool_], largest_step: int) -> list[IntArray]:
    """Split sorted positions where a new piece opens or where more than a link's steps lie between."""
    if len(positions) == 0:
        return []
    pieces = np.cumsum(opens)[positions]
    cuts = np.flatnonzero((np.diff(positions) > largest_step) | (np.diff(pieces) > 0)) + 1
    return list(np.split(positions, cuts))


def trusted_runs(path: Path, trusted: NDArray[np.bool_], settings: TracingSettings) -> list[IntArray]:
    """Runs of residues of a path that are trusted (L,)."""
    runs = runs_of(np.flatnonzero((path.state >= 0) & trusted), path.opens, settings.skip_steps)
    return [run for run in runs if len(run) >= settings.min_segment]


class Ring:
    """All distinct sequences joined in a ring, in which the places that a traced piece might have are compared."""

    def __init__(self, chains: list[Chain]) -> None:
        self._first: dict[int, int] = {}
        distinct: list[IntArray] = []
        for chain in chains:
            if chain.entity not in self._first:
                self._first[chain.entity] = sum(map(len, distinct))
                distinct.append(symbols_of(chain))
        self._symbols = np.concatenate(distinct)
        self._entity = np.repeat(list(self._first), [len(symbols) for symbols in distinct])
        self._position = np.concatenate([np.arange(len(symbols)) for symbols in distinct])

    def register_of(
        self, chain: Chain, path: Path, emission: FloatArray, chance: FloatArray, settings: TracingSettings
    ) -> Register:
        """Probability of each residue that its neighbourhood is in register, and the next best register.

        The candidates in a window along the traced piece are held fixed and every other place of every sequence, in
        both directions, is compared for its types: softmax of the sums of log odds over the window, each place
        equally likely beforehand. Places that run over the end of a sequence take part as well. One more competitor
        is a path that is nowhere right, which the search lifts to `chance`, see `chance_evidence`. The less of the
        path turns out to be right, the likelier is that one beforehand (empirical Bayes, Efron 2010).
        """
        length = len(chain.types)
        probability, other_prob, place = np.zeros(length), np.zeros(length), np.full(length, -1)
        runs = runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps)
        if runs:
            first = self._first[chain.entity]
            symbols = slice(first, first + length)
            compared = [
                _compare(run, symbols, emission[:, path.state[run]][self._symbols], chance, settings) for run in runs
            ]
            placed = np.concatenate(runs)
            own, rest, by_chance, other, other_place = map(np.concatenate, zip(*compared, strict=True))
            place[placed] = other_place
            probability[placed], total = _with_prior(runs, own, rest, by_chance, settings)
            other_prob[placed] = np.minimum(np.exp(other - total), 1 - probability[placed])
        return Register(
            probability,
            other_prob,
            np.where(place >= 0, self._entity[place], -1),
            np.where(place >= 0, self._position[place], -1),
        )


def _windows(length: int, reach: int) -> tuple[IntArray, IntArray]:
    """Begin and end of the window of each residue of a run; at its ends the window stays inside."""
    begin = np.clip(np.arange(length) - reach, 0, max(length - 2 * reach - 1, 0))
    return begin, np.minimum(begin + 2 * reach + 1, length)


def chance_evidence(
    decoder: Decoder, chains: Sequence[Chain], emission: NDArray[np.float64], settings: TracingSettings
) -> FloatArray:
    """Evidence, nats, that a path which is nowhere right reaches in windows of 0, 1, ... residues.

    It is measured on paths of the sequences in shuffled order, which have the composition of the true ones and nothing
    else: the mean over their windows and `settings.chance_spread` standard deviations.
    """
    totals: list[list[FloatArray]] = [[] for _ in range(2 * settings.register_window + 2)]
    first = [symbols_of(chain) for chain in chains if chain.copy == 0]
    times = -(-CHANCE_RESIDUES // sum(map(len, first)))
    for symbols in first:
        for seed in range(times):
            shuffled = np.random.default_rng(seed).permutation(symbols)
            path = decoder.decode(shuffled, emission)
            for run in runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps):
                total = np.concatenate([[0.0], np.cumsum(emission[shuffled[run], path.state[run]])])
                for width in range(1, min(len(run) + 1, len(totals))):
                    totals[width].append(total[width:] - total[:-width])
    windows = [np.concatenate(of_width or [np.zeros(1)]) for of_width in totals]
    return np.maximum.accumulate([each.mean() + settings.chance_spread * each.std() for each in windows])


def _compare(
    run: IntArray, symbols: slice, shown: FloatArray, chance: FloatArray, settings: TracingSettings
) -> tuple[FloatArray, ...]:
    """Log weights (n,) of the traced place, of all others, of chance and of the best other place, and that place.

    `shown` is (places, n), `symbols` the places of this sequence.
    """
    shown = np.asarray(shown / settings.register_temperature, dtype=np.float32)
    n_places, along = len(shown), run - run[0]
    begin, end = _windows(len(run), settings.register_window)
    places = np.arange(n_places)
    evidence = []
    for sign in (1, -1):
        rows = (places[None, :] + sign * along[:, None]) % n_places
        sums = np.zeros((len(run) + 1, n_places), np.float32)
        np.cumsum(shown[rows, np.arange(len(run))[:, None]], axis=0, out=sums[1:])
        evidence.append(sums[end] - sums[begin])
    traced = evidence[0][:, symbols.start + run[0]]
    # the same letters in another entity are the same register
    alike = np.abs(evidence[0] - traced[:, None]) < 1e-4
    alike[:, symbols] = False
    alike[:, symbols.start + run[0]] = True
    own = traced + np.log(alike.sum(axis=1))
    evidence[0][alike] = -np.inf
    both = np.concatenate(evidence, axis=1)
    best = both.argmax(axis=1)
    place = (best + np.where(best < n_places, along, -along)) % n_places
    by_chance = chance[end - begin] / settings.register_temperature
    return own, logsumexp(both, axis=1), by_chance, both[np.arange(len(run)), best], place


def _with_prior(
    runs: list[IntArray], own: FloatArray, rest: FloatArray, by_chance: FloatArray, settings: TracingSettings
) -> tuple[FloatArray, FloatArray]:
    """Probability (n,) of the traced place and log of the sum of all weights, at the share that it makes right itself.

    Windows overlap: the odds of that share count `settings.chance_prior` times.
    """
    ends = np.cumsum([len(run) for run in runs])[:-1]
    log_odds = 0.0
    for _ in range(PRIOR_ROUNDS):
        total = np.logaddexp(own, np.logaddexp(rest, by_chance - settings.chance_prior * log_odds))
        pieces = np.split(np.exp(own - total), ends)
        held = np.concatenate([_held(piece, run, settings.slip) for piece, run in zip(pieces, runs, strict=True)])
        before, log_odds = log_odds, float(logit((held.sum() + 1) / (len(held) + 2)))
        if abs(log_odds - before) < PRIOR_TOLERANCE:
            break
    return held, total


def _held(probability: FloatArray, run: IntArray, slip: float) -> FloatArray:
    """A residue is as sure as the one before or after it, but for the chance that the path slips between them."""
    held = (1 - slip) ** np.diff(run)
    for n in range(1, len(run)):
        probability[n] = max(probability[n], held[n - 1] * probability[n - 1])
    for n in range(len(run) - 2, -1, -1):
        probability[n] = max(probability[n], held[n] * probability[n + 1])
    return probability
