"""The second set of weights, and what is left out where little can be trusted."""

import hmm_cases as cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo2struct.errors import NothingToBuildError
from cryo2struct.settings import load_settings
from cryo2struct.tracing import trace, tracer
from cryo2struct.tracing.chains import protein_chains
from cryo2struct.tracing.register import Register
from cryo2struct.tracing.tracer import Placement, doubt, threshold_of
from hmm.sparse import Path

SETTINGS = load_settings().tracing


def placement(chain, states, probability):
    """The first residues of a chain at the given candidates, as sure as given."""
    length = len(chain.types)
    state, values = np.full(length, -1), np.zeros(length)
    state[: len(states)], values[: len(states)] = states, probability
    nowhere = np.full(length, -1)
    opens = np.arange(length) == 0
    return Placement(chain, Path(state, opens, 0.0), Register(values, np.zeros(length), nowhere, nowhere), values)


def choose(monkeypatch, usual, poor, temperature=1.0, noisy=False):
    """What is traced and the weights tried, which place `usual` and `poor`: residues and their probability."""
    candidates, sequences = cases.read_case("nomissing_1")
    tried = []

    def find(candidates, chains, emission, settings, unknown):
        tried.append(settings)
        count, probability = usual if len(tried) == 1 else poor
        return [placement(chains[0], np.arange(count) + 50 * (len(tried) - 1), probability)]

    monkeypatch.setattr(tracer, "find_placements", find)
    monkeypatch.setattr(tracer, "types_temperature", lambda *_: temperature)
    monkeypatch.setattr(tracer, "types_are_noisy", lambda *_: noisy)
    return trace(candidates, sequences), tried, len(protein_chains(sequences)[0].types)


def test_good_candidates_are_traced_once(monkeypatch):
    length = len(protein_chains(cases.read_case("nomissing_1")[1])[0].types)
    found, tried, _ = choose(monkeypatch, (length, 0.61), (length, 1.0))
    assert [settings.link_sd for settings in tried] == [SETTINGS.link_sd]
    assert len(found) == length


@pytest.mark.parametrize(("temperature", "noisy"), [(1.0, False), (1.0, True), (0.61, False)])
@pytest.mark.parametrize(("poor", "better"), [((40, 0.9), True), ((40, 0.6), False)])
def test_poor_candidates_are_traced_twice_and_the_more_likely_is_kept_where_types_are_noisy(
    monkeypatch, temperature, noisy, poor, better
):
    found, tried, length = choose(monkeypatch, (30, 0.9), poor, temperature, noisy)
    assert length > 30 * 0.9 / 0.6
    underconfident = dict(SETTINGS) | dict(SETTINGS.underconfident)
    assert [dict(settings) for settings in tried] == [
        underconfident if temperature < 1 else dict(SETTINGS),
        underconfident | dict(SETTINGS.poor),
    ]
    assert found.candidate[0] == (50 if better and (noisy or temperature < 1) else 0)


@pytest.mark.parametrize(("temperature", "changed"), [(0.61, dict(SETTINGS.underconfident)), (0.63, {})])
def test_types_that_are_not_sure_enough_are_read_otherwise(monkeypatch, temperature, changed):
    length = len(protein_chains(cases.read_case("nomissing_1")[1])[0].types)
    _, tried, _ = choose(monkeypatch, (length, 0.9), (length, 1.0), temperature)
    assert [dict(settings) for settings in tried] == [dict(SETTINGS) | changed]


@pytest.mark.slow
def test_poor_weights_help_poor_candidates_alone():
    alone = SETTINGS.model_copy(
        update={"poor": SETTINGS.poor.model_copy(update={k: getattr(SETTINGS, k) for k, _ in SETTINGS.poor})}
    )
    for name, gain in (("hard_vectors_2", 0.3), ("nomissing_1", 0.0)):
        candidates, sequences = cases.read_case(name)
        try:
            without = cases.score_case(name, trace(candidates, sequences, alone), sequences).accuracy
        except NothingToBuildError:
            without = 0.0
        assert cases.score_case(name, trace(candidates, sequences), sequences).accuracy >= without + gain


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0]), min_size=1, max_size=12), st.floats(0, 1), st.floats(0, 1)
)
def test_so_much_is_kept_that_enough_of_it_is_expected_right(probabilities, least, share):
    settings = SETTINGS.model_copy(update={"min_confidence": least, "min_right": share})
    chain = protein_chains(cases.read_case("nomissing_1")[1])[0]
    threshold = threshold_of([placement(chain, np.arange(len(probabilities)), probabilities)], settings)
    assert threshold >= least
    values = np.array(probabilities)

    def kept(t):
        return values[values >= t]

    allowed = [t for t in (least, *probabilities) if t >= least and len(kept(t)) and kept(t).mean() >= share + 1e-9]
    if allowed:
        assert len(kept(threshold)) >= max(len(kept(t)) for t in allowed)
    if len(kept(threshold)):
        assert kept(threshold).mean() >= share - 1e-9


def test_unlikely_residues_are_left_out_until_half_is_expected_right(monkeypatch):
    candidates, sequences = cases.read_case("nomissing_1")
    probability = np.concatenate([np.full(10, 0.7), np.full(40, 0.5)])

    def find(candidates, chains, *_):
        return [placement(chains[0], np.arange(50), probability)]

    monkeypatch.setattr(tracer, "find_placements", find)
    monkeypatch.setattr(tracer, "types_temperature", lambda *_: 1.0)
    found = trace(candidates, sequences)
    assert found.position.tolist() == list(range(10))
    assert doubt(found, SETTINGS) is None
    everything = SETTINGS.model_copy(update={"min_right": 0.0})
    assert len(trace(candidates, sequences, everything)) == 50
    lower = SETTINGS.model_copy(update={"min_right": 0.53})
    assert len(trace(candidates, sequences, lower)) == 50  # 0.54 are expected right
    probability[:] = 0.3
    guess = trace(candidates, sequences)
    assert len(guess) == 50
    assert "guess" in doubt(guess, SETTINGS)
