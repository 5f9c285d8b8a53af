from dataclasses import replace

import hmm_cases as cases
import numpy as np
import pytest

from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences
from cryo2struct.settings import load_settings
from cryo2struct.tracing import doubt, trace
from cryo2struct.tracing.chains import protein_chains, symbols_of
from cryo2struct.tracing.readings import one_way
from cryo2struct.tracing.register import Ring, chance_evidence, runs_of
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import make_decoder
from hmm.sparse import Path

GROUPS = sorted(cases.FLOOR)


@pytest.fixture(scope="module")
def results():
    """Traces of all cases."""
    answers = {}
    for name in cases.NAMES:
        candidates, sequences = cases.read_case(name)
        answers[name] = (candidates, sequences, trace(candidates, sequences))
    return answers


@pytest.mark.parametrize("group", GROUPS)
def test_not_below_a_first_order_viterbi(results, group):
    scores = [
        cases.score_case(name, result, sequences)
        for name, (_, sequences, result) in results.items()
        if cases.group_of(name) == group
    ]
    accuracy, precision, _ = np.mean(scores, axis=0)
    assert accuracy >= cases.FLOOR[group][0] - 5e-4
    assert precision >= cases.FLOOR[group][1] - 5e-4


@pytest.mark.parametrize("group", ["medium", "nonprotein", "hard_vectors", "hard"])
def test_as_much_is_right_as_the_confidence_says(results, group):
    expected, right = [], []
    for name, (_, sequences, result) in results.items():
        if cases.group_of(name) == group:
            expected.append(result.confidence[result.candidate >= 0].mean())
            right.append(cases.score_case(name, result, sequences).precision)
    assert -0.15 < np.mean(expected) - np.mean(right) < 0.06  # rather too modest than too sure


def test_rows_are_sound(results):
    for candidates, sequences, result in results.values():
        real = result.candidate >= 0
        assert np.allclose(result.xyz[real], candidates.xyz[result.candidate[real]])
        assert len(set(result.candidate[real])) == real.sum()
        keys = list(zip(result.entity, result.copy, result.position, strict=True))
        assert keys == sorted(set(keys))
        for values in (result.confidence, result.place_prob, result.register_prob):
            assert values.min() >= 0
            assert values.max() <= 1
        for entity, copy, position in keys:
            assert copy < (sequences.entities[entity].copies or 1)
            assert position < len(sequences.entities[entity].letters)


def test_interpolated_residues_are_mostly_right(results):
    distances = []
    for name, (_, sequences, result) in results.items():
        if cases.group_of(name) not in ("medium", "s500", "nonprotein"):
            continue
        truth = cases.read_truth(name)
        filled = result.candidate < 0
        chain_of = {(chain.entity, chain.copy): c for c, chain in enumerate(protein_chains(sequences))}
        for entity, copy, position, xyz in zip(
            result.entity[filled], result.copy[filled], result.position[filled], result.xyz[filled], strict=True
        ):
            row = np.flatnonzero(truth["chain"] == chain_of[entity, copy])[position]
            distances.append(np.linalg.norm(truth["xyz"][row] - xyz))
    assert len(distances) > 50
    assert np.mean(np.array(distances) < 3) > 0.7


@pytest.mark.parametrize("name", ["copies_4", "absent_3", "s1000_2", "s1000_4"])
def test_order_of_the_sequences_only_renames(results, name):
    candidates, sequences, expected = results[name]
    n = len(sequences.entities)
    result = trace(candidates, Sequences(sequences.entities[::-1]))
    rows = zip(n - 1 - result.entity, result.copy, result.position, result.candidate, strict=True)
    mine = zip(expected.entity, expected.copy, expected.position, expected.candidate, strict=True)
    assert sorted(rows) == sorted(mine)


def test_the_same_input_gives_the_same_trace(results):
    candidates, sequences, expected = results["copies_4"]
    again = trace(candidates, sequences)
    assert np.array_equal(again.candidate, expected.candidate)
    assert np.array_equal(again.confidence, expected.confidence)


def test_optional_fields_are_used():
    candidates, sequences = cases.read_case("nomissing_1")
    wrong = np.zeros(len(candidates))
    truth = cases.read_truth("nomissing_1")
    first_half = truth["state"][: len(truth["state"]) // 2]
    wrong[first_half] = 1.0
    result = trace(replace(candidates, nonprotein_prob=wrong), sequences)
    assert not set(result.candidate) & set(first_half[10:-10])
    assert len(result) > 50


def test_unknown_directions_do_no_harm():
    candidates, sequences = cases.read_case("copies_4")
    unknown = np.full((len(candidates), 3), np.nan)
    result = trace(replace(candidates, next_vec=unknown, prev_vec=unknown), sequences)
    plain = trace(replace(candidates, next_vec=None, prev_vec=None), sequences)
    assert np.array_equal(result.candidate, plain.candidate)


def test_attention_places_what_types_cannot():
    candidates, sequences = cases.read_case("medium_1")
    truth = cases.read_truth("medium_1")
    assert len(sequences.entities) == 1
    assert sequences.entities[0].copies == 1
    attention = np.zeros((len(candidates), len(sequences.entities[0].letters)), dtype=np.float16)
    there = truth["state"] >= 0
    attention[truth["state"][there], np.flatnonzero(there)] = 4
    blind = replace(candidates, aa_prob=np.full_like(candidates.aa_prob, 0.05))
    seeing = replace(blind, attention=attention)
    settings = load_settings(None, {"tracing.attention_weight": 1.0}).tracing
    accuracy = cases.score_case("medium_1", trace(seeing, sequences, settings), sequences)[0]
    assert accuracy > 0.9
    off = settings.model_copy(update={"attention_weight": 0.0})
    np.testing.assert_array_equal(
        trace(replace(candidates, attention=attention), sequences, off).candidate,
        trace(candidates, sequences, off).candidate,
    )
    # nothing to tell apart: rows per residue give what rows per type give
    nothing = replace(candidates, attention=np.zeros_like(attention))
    for field in ("candidate", "position", "register_prob"):
        np.testing.assert_allclose(
            getattr(trace(nothing, sequences, settings), field), getattr(trace(candidates, sequences, off), field)
        )
    with pytest.raises(InputError, match="attention to 7 residues"):
        trace(replace(candidates, attention=attention[:, :7]), sequences, settings)


def test_nucleic_acids_are_not_traced():
    candidates, sequences = cases.read_case("easy_1")
    rna = Entity("rna", "ACGU", 1, "rna")
    result = trace(candidates, Sequences((rna, *sequences.entities)))
    assert set(result.entity) == {1}
    assert set(result.copy) == {0}


def test_unknown_types_are_traced_through():
    candidates, sequences = cases.read_case("easy_1")
    entity = sequences.entities[0]
    letters = entity.letters[:20] + "XX" + entity.letters[22:]
    result = trace(candidates, Sequences((replace(entity, letters=letters),)))
    assert {20, 21} <= set(result.position)


def test_shuffled_types_are_not_placed():
    candidates, sequences = cases.read_case("medium_1")
    flat = np.full_like(candidates.aa_prob, 1 / 20)
    with pytest.raises(NothingToBuildError):
        trace(replace(candidates, aa_prob=flat), sequences)


@pytest.mark.parametrize("name", ["hard_vectors_2", "s500_1"])
def test_another_protein_is_hardly_placed(name):
    candidates, sequences = cases.read_case(name)
    length = len(sequences.entities[0].letters)
    drawn = "".join(np.random.default_rng(1).choice(list(AMINO_ACIDS), length))
    try:
        result = trace(candidates, Sequences((Entity("other", drawn, 1, "protein"),)))
    except NothingToBuildError:
        return
    assert result.register_prob.sum() < 0.1 * length


def test_where_nothing_is_sure_the_likely_is_kept_and_said():
    candidates, sequences = cases.read_case("medium_1")
    blurred = replace(candidates, aa_prob=0.5 * candidates.aa_prob + 0.5 / 20)
    strict = load_settings(None, {"tracing.min_confidence": 1.0}).tracing
    usual = trace(blurred, sequences)
    assert doubt(usual, load_settings().tracing) is None
    kept = trace(blurred, sequences, strict)
    assert len(kept) >= len(usual)
    assert "guess" in doubt(kept, strict)
    with pytest.raises(NothingToBuildError):
        trace(blurred, sequences, strict.model_copy(update={"guess_factor": 1e9}))


def test_chance_is_the_mean_of_shuffled_paths_and_its_spread():
    candidates, sequences = cases.read_case("easy_1")
    settings = load_settings(None, {"tracing.register_window": 1, "tracing.chance_spread": 1.5}).tracing
    chains = protein_chains(sequences)
    decoder, emission = make_decoder(one_way(candidates), settings), emission_scores(candidates, settings)
    symbols = symbols_of(chains[0])
    windows = {width: [] for width in (1, 2, 3)}
    for seed in range(-(-600 // len(symbols))):
        shuffled = np.random.default_rng(seed).permutation(symbols)
        path = decoder.decode(shuffled, emission)
        scores = np.where(path.state >= 0, emission[shuffled, path.state], np.nan)
        for run in runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps):
            for width, totals in windows.items():
                totals += [scores[run[n : n + width]].sum() for n in range(len(run) - width + 1)]
    expected = [0.0] + [np.mean(totals) + 1.5 * np.std(totals) for totals in windows.values()]
    found = chance_evidence(decoder, chains, emission, settings)
    assert found == pytest.approx(np.maximum.accumulate(expected))


def test_no_candidates_and_no_protein_are_refused():
    candidates, sequences = cases.read_case("easy_1")
    none = Candidates(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 20)))
    with pytest.raises(NothingToBuildError) as refusal:
        trace(none, sequences)
    assert refusal.value.exit_code == 5
    with pytest.raises(InputError, match="protein"):
        trace(candidates, Sequences((Entity("rna", "ACGU", 1, "rna"),)))
    with pytest.raises(NothingToBuildError, match="none of the"):
        trace(replace(candidates, xyz=candidates.xyz * 50), sequences)


def test_single_candidate_is_no_fault():
    one = Candidates(np.zeros((1, 3)), np.ones(1), np.full((1, 20), 0.05))
    with pytest.raises(NothingToBuildError):
        trace(one, Sequences((Entity("a", "ACD", 1, "protein"),)))


def test_register_probability_against_direct_enumeration():
    rng = np.random.default_rng(0)
    letters = "".join(rng.choice(list(AMINO_ACIDS), 12))
    candidates = Candidates(rng.normal(size=(8, 3)), np.ones(8), rng.dirichlet(np.ones(20), 8))
    settings = load_settings(
        None, {"tracing.register_window": 1, "tracing.slip": 1.0, "tracing.chance_prior": 0.5}
    ).tracing
    chains = protein_chains(Sequences((Entity("a", letters, 1, "protein"),)))
    emission = emission_scores(candidates, settings)
    state = np.full(12, -1)
    state[[3, 4, 6, 7]] = [0, 5, 2, 7]
    path = Path(state, np.arange(12) == 3, 0.0)
    found = Ring(chains).register_of(chains[0], path, emission, np.array([9.0, 1.0, 2.0, 3.0]), settings)
    run = [3, 4, 6, 7]
    share = (found.probability.sum() + 1) / (len(run) + 2)
    # all windows have three residues
    chance = np.exp(3.0 / settings.register_temperature) * np.sqrt((1 - share) / share)
    for n, position in enumerate(run):
        window = run[:3] if n < 2 else run[1:]
        weights = {}
        for place in range(12):
            for sign in (1, -1):
                odds = sum(
                    emission[AMINO_ACIDS.index(letters[(place + sign * (r - 3)) % 12]), state[r]] for r in window
                )
                weights[place, sign] = np.exp(odds / settings.register_temperature)
        total = sum(weights.values()) + chance
        own = weights.pop((3, 1))
        assert found.probability[position] == pytest.approx(own / total, rel=1e-3)
        place, sign = max(weights, key=weights.get)
        assert found.other_prob[position] == pytest.approx(weights[place, sign] / total, rel=1e-3)
        assert found.other_entity[position] == 0
        assert found.other_position[position] == (place + sign * (position - 3)) % 12
    for values in (found.other_entity, found.other_position):
        assert values[[0, 1, 2, 5, 8]].tolist() == [-1] * 5
    assert found.probability[[0, 1, 2, 5, 8]].tolist() == [0] * 5
    equal = settings.model_copy(update={"chance_prior": 0.0})
    alone, held = (
        Ring(chains).register_of(
            chains[0], path, emission, np.array([9.0, 1.0, 2.0, 3.0]), equal.model_copy(update=slip)
        )
        for slip in ({"slip": 1.0}, {"slip": 0.1})
    )
    for position in run:
        likeliest = max(alone.probability[other] * 0.9 ** abs(other - position) for other in run)
        assert held.probability[position] == pytest.approx(likeliest)
        assert held.other_prob[position] <= 1 - held.probability[position] + 1e-12
