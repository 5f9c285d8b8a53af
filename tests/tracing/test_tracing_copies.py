"""Unknown numbers of copies, and sequences longer than the candidates."""

from dataclasses import replace

import hmm_cases as cases
import numpy as np
import pytest

from cryo2struct import pipeline
from cryo2struct.io.models import chain_names, model_from_trace
from cryo2struct.objects import Candidates, DensityMap, Entity, GridFrame, Prediction, Sequences
from cryo2struct.record import Recorder
from cryo2struct.settings import load_settings
from cryo2struct.tracing import copies as counting
from cryo2struct.tracing import copies_built, trace
from cryo2struct.tracing.chains import protein_chains
from cryo2struct.tracing.copies import MAX_COPIES, carried_chains
from cryo2struct.tracing.readings import one_way
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import make_decoder


def first_residues(name: str, length: int) -> tuple[Candidates, Entity]:
    """The true candidates of the first residues of a case, and their sequence."""
    candidates, sequences = cases.read_case(name)
    state = cases.read_truth(name)["state"][:length]
    rows = state[state >= 0]
    entity = Entity(name, sequences.entities[0].letters[:length], None, "protein")
    return Candidates(candidates.xyz[rows], candidates.ca_prob[rows], candidates.aa_prob[rows]), entity


def assemble(parts: list[tuple[Candidates, int]]) -> Candidates:
    """Candidates of several copies of each part, 500 A apart, in shuffled order."""
    xyz, ca_prob, aa_prob = [], [], []
    for part, copies in parts:
        for _ in range(copies):
            xyz.append(part.xyz + 500 * np.array([len(xyz), 0, 0]))
            ca_prob.append(part.ca_prob)
            aa_prob.append(part.aa_prob)
    rows = np.random.default_rng(0).permutation(sum(map(len, ca_prob)))
    return Candidates(np.concatenate(xyz)[rows], np.concatenate(ca_prob)[rows], np.concatenate(aa_prob)[rows])


LARGE = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("copies_2", "copies_5", "medium_4", "s500_2", "s1000_2", "s1000_4")
]


@pytest.mark.parametrize("name", ["absent_3", "copies_4", "medium_3", *LARGE])
def test_as_many_copies_as_in_the_case(name):
    candidates, sequences = cases.read_case(name)
    known = trace(candidates, sequences)
    result = trace(candidates, cases.without_copies(sequences))
    truth = cases.read_truth(name)
    true, chain = [], 0
    for entity in sequences.entities:
        true.append(sum(truth["in_map"][truth["chain"] == chain + k].any() for k in range(entity.copies)))
        chain += entity.copies
    assert cases.copies_in(result, sequences) == true
    assert cases.score_case(name, result, sequences).accuracy > cases.score_case(name, known, sequences).accuracy - 0.02


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 2), (1, 5), (2, 0), (0, 0)])
def test_copies_that_stand_apart_are_counted(first, second):
    one, other = first_residues("easy_1", 60), first_residues("easy_2", 50)
    absent = first_residues("nomissing_1", 80)[1]
    known = first_residues("nomissing_3", 40)
    candidates = assemble([(one[0], first), (other[0], second), (known[0], 2)])
    sequences = Sequences((absent, one[1], replace(known[1], copies=2), other[1], Entity("rna", "ACGU", None, "rna")))
    result = trace(candidates, sequences)
    assert cases.copies_in(result, sequences) == [0, first, 2, second, 0]
    assert copies_built(result, sequences) == [
        "sequence nomissing_1: number of copies unknown, 0 built; --copies nomissing_1=M overrides",
        f"sequence easy_1: number of copies unknown, {first} built; --copies easy_1=M overrides",
        f"sequence easy_2: number of copies unknown, {second} built; --copies easy_2=M overrides",
    ]
    for entity, copies in ((1, first), (3, second)):
        assert set(result.copy[result.entity == entity]) == set(range(copies))
    # nothing is made of residues of two copies that stand 500 A apart
    for entity, copy in set(zip(result.entity, result.copy, strict=True)):
        assert np.ptp(result.xyz[(result.entity == entity) & (result.copy == copy)], axis=0).max() < 100


@pytest.mark.parametrize("name", ["medium_3", "absent_3", pytest.param("s1000_4", marks=pytest.mark.slow)])
def test_order_of_the_sequences_only_renames_unknown_copies(name):
    candidates, sequences = cases.read_case(name)
    some = cases.without_copies(sequences).entities[:-1] + sequences.entities[-1:]
    n = len(some)
    expected = trace(candidates, Sequences(some))
    result = trace(candidates, Sequences(some[::-1]))
    rows = zip(n - 1 - result.entity, result.copy, result.position, result.candidate, strict=True)
    mine = zip(expected.entity, expected.copy, expected.position, expected.candidate, strict=True)
    assert sorted(rows) == sorted(mine)


def test_no_more_than_sixty_copies_and_each_has_a_name():
    part, entity = first_residues("easy_1", 40)
    sequences = Sequences((entity,))
    result = trace(assemble([(part, MAX_COPIES + 3)]), sequences)
    assert cases.copies_in(result, sequences) == [60]
    assert len(set(chain_names(result, sequences).values())) == 60
    assert len(model_from_trace(result, sequences).structure[0]) == 60


def test_where_nothing_is_sure_one_copy_is_tried(monkeypatch):
    candidates, sequences = cases.read_case("medium_1")
    monkeypatch.setattr(counting, "COUNTED", 1.1)
    unknown = cases.without_copies(sequences)
    result = trace(candidates, unknown)
    assert cases.copies_in(result, unknown) == [1]
    assert np.array_equal(result.candidate, trace(candidates, sequences).candidate)


@pytest.mark.parametrize(("length", "copies"), [(50, 1), (51, 0)])
def test_sequence_that_nothing_speaks_for_gets_one_copy_if_candidates_are_left_for_it(length, copies):
    good, entity = first_residues("easy_1", 60)
    featureless, _ = first_residues("easy_2", 50)
    featureless = replace(featureless, aa_prob=np.full((50, 20), 0.05, np.float32))
    other = Entity("other", cases.read_case("easy_2")[1].entities[0].letters[:length], None, "protein")
    candidates = assemble([(good, 1), (featureless, 1)])
    assert len(good) + 50 == len(candidates)
    settings, chains = load_settings().tracing, protein_chains(Sequences((entity, other)))
    decoder, emission = make_decoder(one_way(candidates), settings), emission_scores(candidates, settings)
    carried = carried_chains(decoder, chains, {0, 1}, emission, settings)
    assert [chain.entity for chain in carried] == [0] + [1] * copies


def test_share_of_a_copy_decides():
    whole, entity = first_residues("easy_1", 100)
    part, _ = first_residues("easy_1", 50)
    candidates, sequences = assemble([(whole, 2), (part, 1)]), Sequences((entity,))
    for share, built in ((0.3, 3), (0.7, 2)):
        result = trace(candidates, sequences, load_settings(None, {"tracing.copy_share": share}).tracing)
        assert cases.copies_in(result, sequences) == [built]


def test_two_halves_of_a_sequence_are_no_two_copies():
    """Parts too far from each other for one path, but nothing shows any residue twice."""
    part, entity = first_residues("easy_1", 100)
    gap = np.where(np.arange(100)[:, None] < 50, 0.0, 900.0)
    split = replace(part, xyz=part.xyz + gap)
    assert cases.copies_in(trace(split, Sequences((entity,))), Sequences((entity,))) == [1]


@pytest.mark.parametrize("copies", [1, None])
def test_sequence_longer_than_the_candidates(copies, monkeypatch):
    """What is there is built, in register, and the coverage says how much that is."""
    part, _ = first_residues("nomissing_1", 60)
    _, whole = cases.read_case("nomissing_1")
    length = len(whole.entities[0].letters)
    assert len(part) < length
    sequences = Sequences((Entity("long", whole.entities[0].letters, copies, "protein"),))
    density = DensityMap(np.zeros((32, 32, 32), dtype=np.float32), GridFrame((32, 32, 32), np.ones(3), np.zeros(3)))
    nothing = Prediction(
        density.frame, np.zeros((1, 3), int), np.eye(1, 4, dtype=np.float16), np.empty((0, 3), int), {}
    )
    found = pipeline.Found(nothing, part, mirrored=False)
    monkeypatch.setattr(pipeline, "predict_and_pick", lambda *_, **__: found)
    record = Recorder(counts={"resolution": 3.0})
    result = pipeline.build(density, sequences, load_settings(), record=record)
    assert 50 <= len(result.trace) <= 60
    placed = result.trace.candidate >= 0
    assert (result.trace.candidate[placed] == result.trace.position[placed]).mean() > 0.9
    assert result.coverage == {"A": {"built": len(result.trace), "residues": length}}
    assert any("number of copies unknown, 1 built" in line for line in record.warnings) == (copies is None)
    # The atoms are not in this map: they stay where they were built, and that is said.
    assert any("refinement: map: does not cover the model" in line for line in record.warnings)
    assert record.counts["refinement"]["refined"] is False
