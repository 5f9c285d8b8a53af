"""Candidates that the network saw the wrong way round: the trace may take the other reading."""

from dataclasses import replace
from itertools import pairwise

import hmm_cases as cases
import numpy as np
import pytest

from cryo2struct.settings import load_settings
from cryo2struct.tracing import trace, tracer
from cryo2struct.tracing.readings import both_ways
from cryo2struct.tracing.register import Register
from cryo2struct.tracing.tracer import Placement
from hmm.sparse import Path

SETTINGS = load_settings().tracing


def with_reverse(name, turned):
    """A case with directions; where turned (N,), types and directions are those of the wrong way, and the right ones
    those of the reverse, less likely as the network thinks."""
    candidates, sequences = cases.read_case(name)
    truth = cases.read_truth(name)
    rng = np.random.default_rng(1)
    n = len(candidates)
    state = truth["state"]
    after = rng.normal(size=(n, 3))
    before = rng.normal(size=(n, 3))
    xyz = np.asarray(candidates.xyz)
    pairs = [(a, b) for a, b in pairwise(state) if a >= 0 and b >= 0]
    for a, b in pairs:
        after[a], before[b] = xyz[b] - xyz[a], xyz[a] - xyz[b]
    after /= np.linalg.norm(after, axis=1, keepdims=True)
    before /= np.linalg.norm(before, axis=1, keepdims=True)
    wrong = rng.dirichlet(np.ones(20), n)
    own = turned[:, None]
    right = np.asarray(candidates.aa_prob)
    return (
        replace(
            candidates,
            aa_prob=np.where(own, wrong, right),
            next_vec=np.where(own, before, after),
            prev_vec=np.where(own, after, before),
            reverse_prob=np.full(n, 0.3),
            reverse_xyz=xyz + 0.1,
            reverse_aa_prob=np.where(own, right, wrong),
            reverse_next_vec=np.where(own, after, before),
            reverse_prev_vec=np.where(own, before, after),
        ),
        sequences,
    )


@pytest.fixture(scope="module")
def turned():
    """Every second stretch of 15 candidates is seen the wrong way round."""
    name = "nomissing_1"
    state = cases.read_truth(name)["state"]
    rows = np.zeros(len(cases.read_case(name)[0]), dtype=bool)
    rows[state[(np.arange(len(state)) // 15 % 2 == 1) & (state >= 0)]] = True
    return name, rows


def test_stretches_that_were_seen_backwards_are_traced(turned):
    name, rows = turned
    candidates, sequences = with_reverse(name, rows)
    found = trace(candidates, sequences, SETTINGS)
    accuracy, precision, _ = cases.score_case(name, found, sequences)
    assert accuracy > 0.97
    assert precision > 0.97
    placed = found.candidate >= 0
    assert len(np.unique(found.candidate[placed])) == placed.sum()
    assert found.candidate.max() < len(candidates)
    # the position is that of the reading that was taken
    which = rows[found.candidate[placed]]
    moved = found.xyz[placed] - np.asarray(candidates.xyz)[found.candidate[placed]]
    np.testing.assert_allclose(moved[which], 0.1, atol=1e-4)
    assert np.mean(np.abs(moved[~which]) < 1e-4) > 0.95


def test_without_the_other_reading_they_are_lost(turned):
    name, rows = turned
    candidates, sequences = with_reverse(name, rows)
    alone = replace(candidates, **dict.fromkeys(field for field in vars(candidates) if field.startswith("reverse_")))
    both, one = (cases.score_case(name, trace(c, sequences, SETTINGS), sequences)[0] for c in (candidates, alone))
    assert one < both - 0.2


def test_the_likelier_way_costs_nothing_and_unlikely_ones_are_left_out(turned):
    candidates, _ = with_reverse(*turned)
    reverse = np.where(np.arange(len(candidates)) % 2, 0.8, SETTINGS.min_reverse / 2)
    readings = both_ways(replace(candidates, reverse_prob=reverse), SETTINGS)
    n = len(candidates)
    assert readings.site[:n].tolist() == list(range(n))
    assert readings.site[n:].tolist() == list(range(1, n, 2))
    np.testing.assert_array_equal(readings.prior[:n:2], 0)
    np.testing.assert_allclose(readings.prior[1:n:2], -SETTINGS.reverse_weight * np.log(0.8 / 0.2))
    np.testing.assert_array_equal(readings.prior[n:], 0)
    np.testing.assert_array_equal(readings.candidates.aa_prob[n:], candidates.reverse_aa_prob[1::2])


def test_without_directions_there_is_one_reading(turned):
    candidates, _ = with_reverse(*turned)
    readings = both_ways(replace(candidates, next_vec=None), SETTINGS)
    np.testing.assert_array_equal(readings.site, np.arange(len(candidates)))


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("best", range(3))
def test_where_little_is_sure_one_way_is_tried_too_and_the_most_likely_kept(turned, monkeypatch, best, noisy):
    candidates, sequences = with_reverse(*turned)
    tried = []

    def find(readings, chains, emission, settings, unknown):
        assert emission.shape[1] == len(readings.site)
        tried.append((len(readings.site) // len(candidates), settings.link_sd))
        length = len(chains[0].types)
        state = np.full(length, -1)
        state[:10] = np.arange(10) + 10 * len(tried)
        sure = np.where(state >= 0, 0.9 if len(tried) == best + 1 else 0.6, 0.0)
        nowhere = np.full(length, -1)
        return [
            Placement(
                chains[0],
                Path(state, np.arange(length) == 0, 0.0),
                Register(sure, np.zeros(length), nowhere, nowhere),
                sure,
            )
        ]

    monkeypatch.setattr(tracer, "find_placements", find)
    monkeypatch.setattr(tracer, "types_temperature", lambda *_: 1.0)
    monkeypatch.setattr(tracer, "types_are_noisy", lambda *_: noisy)
    found = trace(candidates, sequences, SETTINGS)
    usual, poor = SETTINGS.link_sd, SETTINGS.poor.link_sd
    assert tried == [(2, usual), (1, usual), (2, poor)]
    kept = best if noisy or best < 2 else 0
    assert found.candidate.tolist() == list(range(10 * kept + 10, 10 * kept + 20))
