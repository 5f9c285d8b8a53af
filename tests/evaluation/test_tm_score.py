"""TM-score; tests/data/tm_lddt/README.md says where the golden values come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paired_structures import GOLDEN, PAIRS, lysozyme, read
from scipy.spatial.transform import Rotation
from tmtools import tm_align

from cryo2struct.evaluation import tm_score as module
from cryo2struct.evaluation.against_target import against_target
from cryo2struct.evaluation.ca import ca_points
from cryo2struct.evaluation.superposition import superpose, superposition_rmsd
from cryo2struct.evaluation.tm_score import length_scale, tm_score

CHAIN = ca_points(lysozyme()).xyz


def distorted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The chain, part of it missing, with hinges and noise; which residues it has."""
    generator = np.random.default_rng(seed)
    xyz = CHAIN.copy()
    for hinge in generator.choice(len(xyz), generator.integers(0, 5)):
        turn = Rotation.from_rotvec(generator.normal(size=3) * generator.choice([0.1, 0.4, 1.0]))
        xyz[hinge:] = turn.apply(xyz[hinge:] - xyz[hinge]) + xyz[hinge]
    xyz += generator.normal(size=xyz.shape) * generator.choice([0.3, 1, 3])
    kept = generator.random(len(xyz)) > generator.choice([0.0, 0.2, 0.6])
    return xyz[kept], kept


@pytest.mark.parametrize("pair", PAIRS)
def test_golden(pair: str) -> None:
    golden = GOLDEN[pair]
    wanted = golden.get("usalign_fixed_by_sequence") or golden["tmscore_complex_sequence_dependent"]
    found = against_target(read(pair, "model"), read(pair, "target"))
    assert found.tm_score == pytest.approx(wanted["tm_norm_target"], abs=0.002)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if "usalign_fixed_by_resnum" in GOLDEN[pair]])
def test_golden_by_number(pair: str) -> None:
    model, target = read(pair, "model")[0][0], read(pair, "target")[0][0]
    numbers = {residue.seqid.num: residue["CA"][0].pos.tolist() for residue in model}
    pairs = [(numbers[r.seqid.num], r["CA"][0].pos.tolist()) for r in target if r.seqid.num in numbers]
    moving, fixed = np.array(pairs).transpose(1, 0, 2)
    wanted = GOLDEN[pair]["usalign_fixed_by_resnum"]
    assert tm_score(moving, fixed, len(target)) == pytest.approx(wanted["tm_norm_target"], abs=0.002)
    assert superposition_rmsd(moving, fixed) == pytest.approx(wanted["rmsd"], abs=0.006)


@pytest.mark.parametrize("seed", range(12))
def test_like_tm_align_of_the_same_pairs(seed: int) -> None:
    model, kept = distorted(seed)
    letters = "A" * len(CHAIN)
    alignment = ["".join("A" if there else "-" for there in kept), letters]
    wanted = tm_align(model, CHAIN, "A" * len(model), letters, alignment=alignment).tm_norm_chain2
    found = tm_score(model, CHAIN[kept], len(CHAIN))
    # Both are the best of many superpositions: the other program may not find more, and finds hardly less.
    assert wanted - 1e-4 <= found <= wanted + 0.002


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_no_superposition_is_better(seed: int, draw: int) -> None:
    model, kept = distorted(seed)
    found = tm_score(model, CHAIN[kept], len(CHAIN))
    generator = np.random.default_rng(draw)
    for _ in range(20):
        some = generator.choice(len(model), min(len(model), 20), replace=False)
        turn, _ = Rotation.align_vectors(
            CHAIN[kept][some] - CHAIN[kept][some].mean(axis=0), model[some] - model[some].mean(axis=0)
        )
        moved = turn.apply(model - model[some].mean(axis=0)) + CHAIN[kept][some].mean(axis=0)
        squares = ((moved - CHAIN[kept]) ** 2).sum(axis=1)
        assert (1 / (1 + squares / length_scale(len(CHAIN)) ** 2)).sum() / len(CHAIN) <= found + 1e-4


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_rigid_move_changes_nothing(seed: int) -> None:
    model, kept = distorted(seed)
    moved = Rotation.random(random_state=seed).apply(model) + np.array([1000, -300, 20])
    assert tm_score(moved, CHAIN[kept], 129) == pytest.approx(tm_score(model, CHAIN[kept], 129), abs=1e-5)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 129])
def test_what_is_there_counts_in_full(number: int) -> None:
    moved = Rotation.random(random_state=1).apply(CHAIN[:number]) + 50
    assert tm_score(moved, CHAIN[:number], 129) == pytest.approx(number / 129, abs=1e-9)


def test_nothing_is_zero() -> None:
    assert tm_score(CHAIN[:0], CHAIN[:0], 129) == 0
    assert superposition_rmsd(CHAIN[:0], CHAIN[:0]) is None


def test_parts_of_a_long_chain_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, kept = distorted(5)
    whole = tm_score(model, CHAIN[kept], 129)
    monkeypatch.setattr(module, "BATCH", 7 * len(model))
    assert tm_score(model, CHAIN[kept], 129) == pytest.approx(whole, abs=1e-6)


def test_length_scale() -> None:
    assert [length_scale(length) for length in (1, 15, 21)] == [0.5] * 3
    # As US-align prints them.
    assert [round(length_scale(length), 2) for length in (129, 130, 205, 284, 363)] == [4.21, 4.23, 5.33, 6.2, 6.92]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_superposition_is_the_best_proper_rotation(seed: int, mirrored: bool) -> None:
    generator = np.random.default_rng(seed)
    moving, fixed = generator.normal(size=(2, 9, 3)) * 5
    if mirrored:
        fixed = moving * [1, 1, -1]
    weights = generator.random((2, 9))
    rotations, translations = superpose(moving, fixed, weights)
    for rotation, translation, weight in zip(rotations, translations, weights, strict=True):
        start, end = np.average(moving, axis=0, weights=weight), np.average(fixed, axis=0, weights=weight)
        wanted, _ = Rotation.align_vectors(fixed - end, moving - start, weights=weight)
        np.testing.assert_allclose(rotation, wanted.as_matrix(), atol=1e-6)
        np.testing.assert_allclose(rotation @ start + translation, end, atol=1e-9)
