"""Fragments where no sequence fits, against cases in which a second chain is in the map and not in the FASTA file."""

from dataclasses import replace
from functools import cache

import hmm_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from cryo2struct.objects import UNASSIGNED, Candidates, Sequences
from cryo2struct.settings import load_settings
from cryo2struct.tracing import trace, with_unassigned
from cryo2struct.tracing.unassigned import CLEARANCE

SETTINGS = load_settings().tracing
AWAY = np.array([500.0, 0.0, 0.0])


def two_chains(known: str, unknown: str) -> tuple[Candidates, Sequences, np.ndarray]:
    """Candidates of two cases, the sequence of the first one, and the true C-alphas of the second one."""
    candidates, sequences = cases.read_case(known)
    others, _ = cases.read_case(unknown)
    truth = cases.read_truth(unknown)
    both = candidates.followed_by(replace(others, xyz=others.xyz + AWAY))
    return both, sequences, np.where(truth["in_map"][:, None], truth["xyz"] + AWAY, np.nan)


@pytest.fixture(scope="module")
def case():
    candidates, sequences, true = two_chains("easy_1", "nomissing_2")
    traced = trace(candidates, sequences)
    return candidates, sequences, true, traced, *with_unassigned(candidates, traced, sequences, SETTINGS)


def test_a_chain_without_sequence_is_followed(case):
    _, _, true, traced, both, _ = case
    added = both.chosen(np.arange(len(traced), len(both)))
    there = np.isfinite(true[:, 0])
    away, nearest = cKDTree(true[there]).query(added.xyz)
    residue = np.flatnonzero(there)[nearest]
    assert (away < 3).mean() > 0.95
    assert (cKDTree(added.xyz).query(true[there])[0] < 3).mean() > 0.85
    linked = np.diff(added.position) == 1
    step = np.abs(np.diff(residue))[linked]
    assert (step == 1).mean() > 0.85


def test_what_is_traced_stays_and_the_rest_is_one_more_entity(case):
    _, sequences, _, traced, both, more = case
    for name in ("entity", "copy", "position", "candidate", "xyz", "confidence", "register_prob"):
        np.testing.assert_array_equal(getattr(both, name)[: len(traced)], getattr(traced, name))
    assert more.entities[:-1] == sequences.entities
    assert more.entities[-1].name == UNASSIGNED
    assert more.entities[-1].letters == "X" * (int(both.position[-1]) + 1)
    assert set(both.entity[len(traced) :]) == {len(sequences.entities)}


def test_fragments_stand_apart_and_numbers_say_where_they_end(case):
    candidates, _, _, traced, both, _ = case
    added = both.chosen(np.arange(len(traced), len(both)))
    assert len(set(added.candidate)) == len(added)
    assert cKDTree(traced.xyz).query(added.xyz)[0].min() > CLEARANCE
    np.testing.assert_allclose(added.xyz, candidates.xyz[added.candidate])
    fragments = np.split(np.arange(len(added)), np.flatnonzero(np.diff(added.position) != 1) + 1)
    assert min(map(len, fragments)) >= SETTINGS.min_unassigned
    steps = np.linalg.norm(np.diff(added.xyz, axis=0), axis=1)
    assert steps[np.diff(added.position) == 1].max() < 7


@pytest.mark.parametrize("least", [0, 10_000])
def test_none_are_asked_for(case, least):
    candidates, sequences, _, traced, _, _ = case
    changed = SETTINGS.model_copy(update={"min_unassigned": least})
    same, as_given = with_unassigned(candidates, traced, sequences, changed)
    assert same is traced
    assert as_given is sequences


def test_nothing_is_left():
    candidates, sequences = cases.read_case("nomissing_1")
    traced = trace(candidates, sequences)
    same, _ = with_unassigned(candidates, traced, sequences, SETTINGS)
    assert same is traced


@cache
def known_case():
    candidates, sequences = cases.read_case("easy_1")
    return candidates, sequences, trace(candidates, sequences)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 30))
def test_a_straight_chain_is_found_whatever_the_order_of_candidates(seed, length):
    rng = np.random.default_rng(seed)
    known, sequences, traced = known_case()
    line = np.arange(length)[:, None] * np.array([3.3, 1.9, 0.0]) + AWAY
    line[1::2, 2] += 1.0
    others = Candidates(line, np.full(length, 0.9), np.full((length, 20), 0.05))
    both = known.followed_by(others)
    rows = rng.permutation(len(both))
    result, _ = with_unassigned(both.chosen(rows), traced, sequences, SETTINGS)
    added = result.xyz[len(traced) :]
    assert len(added) == length
    assert np.array_equal(added, line) or np.array_equal(added, line[::-1])
