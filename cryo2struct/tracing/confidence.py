"""How sure the register of a traced residue is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.settings import TracingSettings
from cryo2struct.tracing.chains import Chain, symbols_of
from hmm.sparse import Path


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

    def register_probability(
        self, chain: Chain, path: Path, emission: FloatArray, settings: TracingSettings
    ) -> FloatArray:
        """Probability per residue (L,), 0 where not placed, that its neighbourhood is in register.

        The candidates in a window along the traced piece are held fixed and every other place of every sequence, in
        both directions, is compared for its types: softmax of the sums of log odds over the window, each place
        equally likely beforehand. Places that run over the end of a sequence take part as well. One more competitor
        is a path that is nowhere right, which the search lifts to about `chance_evidence`.
        """
        probability = np.zeros(len(chain.types))
        for run in runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps):
            shown = emission[:, path.state[run]].astype(np.float32)[self._symbols] / settings.register_temperature
            probability[run] = _run_probability(run, self._first[chain.entity], shown, settings)
        return probability


def _run_probability(run: IntArray, first: int, shown: FloatArray, settings: TracingSettings) -> FloatArray:
    """Softmax probability (n,) of the traced place among all of them; `shown` is (places, n)."""
    n_places, width = len(shown), 2 * settings.register_window + 1
    along = run - run[0]
    # at the ends of a run the window stays inside
    begin = np.clip(np.arange(len(run)) - settings.register_window, 0, max(len(run) - width, 0))
    end = np.minimum(begin + width, len(run))
    places = np.arange(n_places)
    evidence = []
    for sign in (1, -1):
        rows = (places[None, :] + sign * along[:, None]) % n_places
        sums = np.zeros((len(run) + 1, n_places), np.float32)
        np.cumsum(shown[rows, np.arange(len(run))[:, None]], axis=0, out=sums[1:])
        evidence.append(sums[end] - sums[begin])
    traced = evidence[0][:, first + run[0]]
    chance = settings.chance_evidence / settings.register_temperature
    top = np.maximum(np.maximum(evidence[0].max(axis=1), evidence[1].max(axis=1)), chance)
    total = sum(np.exp(part - top[:, None]).sum(axis=1) for part in evidence) + np.exp(chance - top)
    # the same letters elsewhere (another entity with that stretch) are the same register
    same = (np.abs(evidence[0] - traced[:, None]) < 1e-4).sum(axis=1)
    return np.asarray(same * np.exp(traced - top) / total, dtype=np.float64)
