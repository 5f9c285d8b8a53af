"""How sure the register of a traced residue is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.settings import TracingSettings
from cryo2struct.tracing.chains import Chain, symbols_of
from hmm.sparse import Decoder, Path

SHUFFLES = 3
"""Shuffled sequences that are threaded for each sequence."""


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


def trusted_runs(path: Path, register: FloatArray, settings: TracingSettings, least: float) -> list[IntArray]:
    """Runs of residues of a path that are in register with a probability (L,) of at least `least`."""
    trusted = np.flatnonzero((path.state >= 0) & (register >= least))
    runs = runs_of(trusted, path.opens, settings.skip_steps)
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
        is a path that is nowhere right, which the search lifts to `chance`, see `chance_evidence`.
        """
        length = len(chain.types)
        probability, other_prob, place = np.zeros(length), np.zeros(length), np.full(length, -1)
        for run in runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps):
            shown = emission[:, path.state[run]].astype(np.float32)[self._symbols] / settings.register_temperature
            first = self._first[chain.entity]
            own = slice(first, first + length)
            probability[run], other_prob[run], place[run] = _run_register(run, own, shown, chance, settings)
        placed = place >= 0
        return Register(
            probability,
            other_prob,
            np.where(placed, self._entity[place], -1),
            np.where(placed, self._position[place], -1),
        )


def _windows(length: int, reach: int) -> tuple[IntArray, IntArray]:
    """Begin and end of the window of each residue of a run; at its ends the window stays inside."""
    begin = np.clip(np.arange(length) - reach, 0, max(length - 2 * reach - 1, 0))
    return begin, np.minimum(begin + 2 * reach + 1, length)


def chance_evidence(
    decoder: Decoder, chains: Sequence[Chain], emission: NDArray[np.float64], settings: TracingSettings
) -> FloatArray:
    """Evidence, nats, that a path which is nowhere right reaches in windows of 0, 1, ... residues.

    It is the most that the paths of the sequences in shuffled order reach, which have the composition of the true
    ones and nothing else and may come back to a candidate: an upper bound. It is at least `settings.chance_evidence`.
    """
    most = np.full(2 * settings.register_window + 2, settings.chance_evidence)
    for chain in (chain for chain in chains if chain.copy == 0):
        for seed in range(SHUFFLES):
            symbols = np.random.default_rng(seed).permutation(symbols_of(chain))
            path = decoder.decode(symbols, emission, once=False)
            for run in runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps):
                total = np.concatenate([[0.0], np.cumsum(emission[symbols[run], path.state[run]])])
                for width in range(1, min(len(run) + 1, len(most))):
                    most[width] = max(most[width], (total[width:] - total[:-width]).max())
    return np.maximum.accumulate(most)


def _run_register(
    run: IntArray, own: slice, shown: FloatArray, chance: FloatArray, settings: TracingSettings
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Softmax probability (n,) of the traced place among all of them, that of the best other place, and that place.

    `shown` is (places, n), `own` the places of this sequence.
    """
    n_places, along = len(shown), run - run[0]
    begin, end = _windows(len(run), settings.register_window)
    places = np.arange(n_places)
    evidence = []
    for sign in (1, -1):
        rows = (places[None, :] + sign * along[:, None]) % n_places
        sums = np.zeros((len(run) + 1, n_places), np.float32)
        np.cumsum(shown[rows, np.arange(len(run))[:, None]], axis=0, out=sums[1:])
        evidence.append(sums[end] - sums[begin])
    traced = evidence[0][:, own.start + run[0]]
    chance = chance[end - begin] / settings.register_temperature
    top = np.maximum(np.maximum(evidence[0].max(axis=1), evidence[1].max(axis=1)), chance)
    total = sum(np.exp(part - top[:, None]).sum(axis=1) for part in evidence) + np.exp(chance - top)
    # the same letters in another entity are the same register
    alike = np.abs(evidence[0] - traced[:, None]) < 1e-4
    alike[:, own] = False
    same = 1 + alike.sum(axis=1)
    probability = _held(np.asarray(same * np.exp(traced - top) / total, dtype=np.float64), run, settings.slip)
    alike[:, own.start + run[0]] = True
    evidence[0][alike] = -np.inf
    both = np.concatenate(evidence, axis=1)
    best = both.argmax(axis=1)
    other = np.exp(both[np.arange(len(run)), best] - top) / total
    place = (best + np.where(best < n_places, along, -along)) % n_places
    return probability, np.minimum(other, 1 - probability), place


def _held(probability: FloatArray, run: IntArray, slip: float) -> FloatArray:
    """A residue is as sure as the one before or after it, but for the chance that the path slips between them."""
    held = (1 - slip) ** np.diff(run)
    for n in range(1, len(run)):
        probability[n] = max(probability[n], held[n - 1] * probability[n - 1])
    for n in range(len(run) - 2, -1, -1):
        probability[n] = max(probability[n], held[n] * probability[n + 1])
    return probability
