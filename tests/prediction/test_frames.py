"""Which frames are tried, and how neighbours agree about them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from cryo2struct.objects import Candidates
from cryo2struct.prediction.frames import (
    BEND,
    CONTRADICTION,
    NEIGHBOUR,
    STEP,
    TRUST,
    UNANSWERED,
    agree_frames,
    suggest_frames,
)


def helix(count):
    t = np.arange(count)
    return np.stack([2.3 * np.cos(np.deg2rad(100 * t)), 2.3 * np.sin(np.deg2rad(100 * t)), 1.5 * t], axis=1)


def strand(count):
    """Positions 3.8 A apart of which only consecutive ones are neighbours."""
    return np.array([[3.2 * i, 2.05 * (i % 2), 0.1 * i] for i in range(count)])


def candidates_at(xyz):
    return Candidates(xyz, np.ones(len(xyz)), np.full((len(xyz), 20), 0.05))


def test_frames_are_the_pairs_of_neighbours_brute_force():
    xyz = np.random.default_rng(3).uniform(0, 14, (40, 3))
    frames = suggest_frames(candidates_at(xyz), pairs=100)
    expected = set()
    for i, j, k in itertools.permutations(range(40), 3):
        a, b = xyz[j] - xyz[i], xyz[k] - xyz[i]
        la, lb = np.linalg.norm(a), np.linalg.norm(b)
        angle = np.rad2deg(np.arccos(a @ b / la / lb))
        if NEIGHBOUR[0] < la < NEIGHBOUR[1] and NEIGHBOUR[0] < lb < NEIGHBOUR[1] and BEND[0] < angle < BEND[1]:
            expected.add((i, j, k))
    named = frames.next >= 0
    found = list(zip(frames.owner[named], frames.next[named], frames.previous[named], strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)
    np.testing.assert_allclose(frames.after[named], (xyz[frames.next] - xyz[frames.owner])[named])
    np.testing.assert_allclose(frames.before[named], (xyz[frames.previous] - xyz[frames.owner])[named])
    alone = set(range(40)) - {row[0] for row in expected}
    assert alone
    assert sorted(frames.owner[~named]) == sorted([*alone, *alone])


def test_the_best_pairs_are_kept_and_predicted_directions_are_the_last_resort():
    plain = candidates_at(np.concatenate([helix(6), helix(6) + 0.9]))

    def least_strain(frames):
        strain = (np.linalg.norm(frames.after, axis=1) - STEP) ** 2
        strain += (np.linalg.norm(frames.before, axis=1) - STEP) ** 2
        return [strain[frames.owner == i].min() for i in range(12)]

    few = suggest_frames(plain, pairs=2)
    assert (np.bincount(few.owner) <= 4).all()
    assert least_strain(few) == pytest.approx(least_strain(suggest_frames(plain, pairs=50)))
    single = replace(
        candidates_at(np.zeros((1, 3))), next_vec=np.array([[0, 0, 1.0]]), prev_vec=np.array([[0, 1.0, 0]])
    )
    frames = suggest_frames(single, pairs=2)
    np.testing.assert_array_equal(frames.after, [[0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(frames.before, frames.after[::-1])
    assert (frames.next < 0).all()


def compatibility(first, second, a, b):
    """Odds of frames (next, previous) of candidates a and b."""
    says = [int(ends[0] == other) - int(ends[1] == other) for ends, other in ((first, b), (second, a))]
    if says[0] * says[1] == -1 or says == [0, 0]:
        return 1.0
    return CONTRADICTION if says[0] * says[1] == 1 else UNANSWERED


def test_beliefs_are_the_marginals_where_neighbours_form_a_line_brute_force():
    frames = suggest_frames(candidates_at(strand(6)), pairs=5)
    assert np.bincount(frames.owner).tolist() == [2] * 6
    right = np.random.default_rng(5).uniform(0.05, 0.95, len(frames.owner))
    options = [np.flatnonzero(frames.owner == i) for i in range(6)]
    marginal = np.zeros(len(right))
    for chosen in itertools.product(*options):
        weight = np.prod([(right[f] / (1 - right[f])) ** TRUST for f in chosen])
        for i in range(5):
            ends = [(frames.next[f], frames.previous[f]) for f in chosen[i : i + 2]]
            weight *= compatibility(*ends, i, i + 1)
        marginal[list(chosen)] += weight
    marginal /= marginal[options[0]].sum()
    np.testing.assert_allclose(agree_frames(frames, right), marginal, rtol=1e-3)


@pytest.mark.parametrize("shape", [helix, strand])
def test_neighbours_turn_a_frame_that_was_taken_the_wrong_way(shape):
    frames = suggest_frames(candidates_at(shape(12)), pairs=6)
    true = (frames.next == frames.owner + 1) & (frames.previous == frames.owner - 1)
    back = (frames.next == frames.owner - 1) & (frames.previous == frames.owner + 1)
    right = np.where(true, 0.6, np.where(back, 0.3, 0.05))
    turned = np.isin(frames.owner, [4, 7])
    right[turned & true], right[turned & back] = 0.3, 0.6
    belief = agree_frames(frames, right)
    for i in range(1, 11):
        assert belief[true & (frames.owner == i)] == belief[frames.owner == i].max()
    np.testing.assert_allclose(np.bincount(frames.owner, belief), 1)


def test_candidates_without_neighbours_keep_what_was_seen():
    frames = suggest_frames(candidates_at(np.array([[0, 0, 0], [30.0, 0, 0]])), pairs=3)
    belief = agree_frames(frames, np.array([0.8, 0.2, 0.5, 0.5]))
    odds = (0.8 / 0.2) ** (2 * TRUST)
    np.testing.assert_allclose(belief, [odds / (1 + odds), 1 / (1 + odds), 0.5, 0.5])
