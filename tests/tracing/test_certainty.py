"""Types that are less, or more, sure than they are right."""

import hmm_cases as cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences
from cryo2struct.settings import load_settings
from cryo2struct.tracing.certainty import LEAST_RESIDUES, types_are_noisy, types_temperature
from cryo2struct.tracing.chains import protein_chains
from cryo2struct.tracing.readings import one_way
from cryo2struct.tracing.scores import FREQUENCIES, confusion, emission_scores, log_types
from cryo2struct.tracing.tracer import UNDERCONFIDENT, make_decoder
from hmm.sparse import Path

SETTINGS = load_settings().tracing


def temperature_of(candidates, sequences):
    decoder = make_decoder(one_way(candidates), SETTINGS)
    emission = emission_scores(candidates, SETTINGS)
    return types_temperature(decoder, protein_chains(sequences), emission, candidates.aa_prob)


def stretched(length, temperature, copies=1):
    """A stretched chain, whose types are drawn from the given probabilities after division by a temperature."""
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 3, (length, 20))
    types = [rng.choice(20, p=p) for p in softmax(logits / temperature, axis=1)]
    xyz = np.arange(length)[:, None] * np.array([3.8, 0, 0])
    sequences = Sequences((Entity("a", "".join(AMINO_ACIDS[t] for t in types), copies, "protein"),))
    return Candidates(xyz, np.full(length, 0.9), softmax(logits, axis=1)), sequences


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.6])
@pytest.mark.parametrize("copies", [1, 3])
def test_temperature_is_that_of_the_types(temperature, copies):
    found = temperature_of(*stretched(500, temperature, copies))
    assert 0.8 * temperature < found < 1.1 * temperature  # the path prefers what fits


def test_few_residues_tell_nothing():
    assert temperature_of(*stretched(LEAST_RESIDUES - 1, 0.3)) == 1.0
    assert temperature_of(*stretched(LEAST_RESIDUES + 20, 0.3)) < 0.5


@pytest.mark.parametrize("name", ["easy_1", "medium_1", "copies_4", "s500_1"])
def test_drawn_types_are_less_sure_than_they_are_right(name):
    assert temperature_of(*cases.read_case(name)) < UNDERCONFIDENT


def true_path(name):
    """Chains, each with its path in the answer of a case."""
    truth, chains = cases.read_truth(name), protein_chains(cases.read_case(name)[1])
    states = [truth["state"][truth["chain"] == number] for number in range(len(chains))]
    return [(chain, Path(state, np.zeros(len(state), bool), 0.0)) for chain, state in zip(chains, states, strict=True)]


@pytest.mark.parametrize("name", ["hard_vectors_1", "hard_vectors_3", "copies_2"])
def test_types_drawn_about_look_alikes_are_noisy(name):
    candidates, _ = cases.read_case(name)
    assert types_are_noisy(true_path(name), candidates.aa_prob, SETTINGS.underconfident.type_confusion)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_types_that_are_probabilities_are_not_noisy(temperature):
    """Nor are those of `LEAST_RESIDUES` residues less one, or of none at all."""
    candidates, sequences = stretched(800, temperature)
    (chain,) = protein_chains(sequences)
    for placed in (800, LEAST_RESIDUES - 1, 0):
        state = np.where(np.arange(800) < placed, np.arange(800), -1)
        path = Path(state, state < 0, 0.0)
        assert not types_are_noisy([(chain, path)], candidates.aa_prob, SETTINGS.underconfident.type_confusion)


def test_confusion_names_the_types_that_are_likely_together():
    a, c, d = (AMINO_ACIDS.index(letter) for letter in "ACD")
    probability = np.zeros((30, 20))
    probability[:10, a], probability[:10, c] = 0.7, 0.3
    probability[10:20, a], probability[10:20, c] = 0.3, 0.7
    probability[20:, d] = 1
    expected = np.zeros((20, 20))
    expected[a, c] = expected[c, a] = 1
    np.testing.assert_allclose(confusion(log_types(probability)), expected, atol=1e-3)


@given(arrays(np.float64, (7, 20), elements=st.floats(0.001, 1)), st.floats(0, 1))
def test_emission_with_confusion_against_loops(probability, share):
    probability /= probability.sum(axis=1, keepdims=True)
    settings = SETTINGS.model_copy(update={"type_confusion": share, "type_temperature": 1.3, "type_cap": 99.0})
    emission = emission_scores(Candidates(np.zeros((7, 3)), np.ones(7), probability), settings)
    log_probability = log_types(probability)
    others = confusion(log_probability)
    assert (others >= 0).all()
    assert (np.diag(others) == 0).all()
    sums = others.sum(axis=1)
    assert (np.isclose(sums, 1) | (sums < 1)).all()
    for n in range(7):
        mixed = np.zeros(20)
        for t in range(20):
            mixed[t] = (1 - share) * log_probability[n, t]
            mixed[t] += share * sum(others[t, k] * log_probability[n, k] for k in range(20))
        mixed = np.exp(mixed) / np.exp(mixed).sum()
        np.testing.assert_allclose(emission[:20, n], np.log(mixed / FREQUENCIES) / 1.3, atol=1e-8)
    assert (emission[20] == 0).all()
