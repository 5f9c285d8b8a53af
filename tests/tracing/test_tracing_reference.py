from dataclasses import replace

import hmm_cases as cases
import numpy as np
import pytest

from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import Candidates, Entity, Sequences
from cryo2struct.tracing import trace_reference

ORIGINAL = [name for name in cases.NAMES if (cases.FOLDER / f"{name}.original_path.npz").exists()]


@pytest.mark.parametrize("name", ORIGINAL)
def test_reproduces_the_original_state_for_state(name):
    candidates, sequences = cases.read_case(name)
    expected = np.load(cases.FOLDER / f"{name}.original_path.npz")["state"]
    assert np.array_equal(cases.states_of(trace_reference(candidates, sequences), sequences), expected)


def test_original_answers_are_there():
    assert len(ORIGINAL) == 28


def test_fewer_candidates_than_residues_are_refused():
    with pytest.raises(InputError, match="candidates") as refusal:
        trace_reference(*cases.read_case("absent_1"))
    assert refusal.value.exit_code == 3
    assert "\n" not in str(refusal.value)


def test_no_candidates_is_nothing_to_build():
    _, sequences = cases.read_case("easy_1")
    none = Candidates(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 20)))
    with pytest.raises(NothingToBuildError):
        trace_reference(none, sequences)


def test_unknown_residues_are_left_out_and_positions_kept():
    candidates, sequences = cases.read_case("easy_1")
    entity = sequences.entities[0]
    letters = entity.letters[:5] + "X" + entity.letters[5:]
    result = trace_reference(candidates, Sequences((replace(entity, letters=letters),)))
    plain = trace_reference(candidates, Sequences((entity,)))
    assert np.array_equal(result.candidate, plain.candidate)
    assert 5 not in result.position
    assert result.position.max() == plain.position.max() + 1


def test_confidences_are_the_published_regressions():
    candidates, sequences = cases.read_case("easy_1")
    result = trace_reference(candidates, sequences)
    ca_prob = candidates.ca_prob[result.candidate].astype(float)
    assert np.allclose(result.place_prob, 1 / (1 + np.exp(1.0359349 - 1.69959964 * ca_prob)))
    assert result.register_prob.min() > 0
    assert result.register_prob.max() < 1


def test_letter_that_is_no_amino_acid_is_refused():
    candidates, _ = cases.read_case("easy_1")
    with pytest.raises(InputError, match="letter J"):
        trace_reference(candidates, Sequences((Entity("a", "AJA", 1, "protein"),)))
