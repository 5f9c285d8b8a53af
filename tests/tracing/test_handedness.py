"""Turns of helices, and the hand that they give, on ideal points."""

import itertools

import numpy as np
import pytest

from cryo2struct.tracing.handedness import Handedness, find_turns, handedness


def helix(residues: int) -> np.ndarray:
    """C-alphas of a right-handed alpha helix: radius 2.3 A, rise 1.5 A, 100 degrees per residue."""
    turn = np.radians(100) * np.arange(residues)
    return np.column_stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(residues)])


def bundle(helices: int, residues: int, noise: float, seed: int) -> np.ndarray:
    """Helices side by side, 10 A apart, moved at random and in random order."""
    generator = np.random.default_rng(seed)
    places = [helix(residues) + np.array([10 * column, 10 * (column % 3), 0]) for column in range(helices)]
    points = np.concatenate(places)
    return generator.permutation(points + generator.normal(scale=noise, size=points.shape))


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_helices_of_either_hand(noise, seed):
    points = bundle(8, 20, noise, seed)
    assert handedness(points).hand == "right"
    for axis in range(3):
        mirrored = points.copy()
        mirrored[:, axis] *= -1
        assert handedness(mirrored).hand == "left"


def test_every_turn_of_an_ideal_helix_is_counted_once():
    assert handedness(helix(20)) == Handedness(right=17, left=0)
    assert handedness(helix(20) * [1, -1, 1]) == Handedness(right=0, left=17)


def test_turns_are_those_that_a_search_over_all_fours_finds():
    generator = np.random.default_rng(7)
    points = np.concatenate([helix(10), generator.uniform(-3, 12, size=(16, 3))])
    points += generator.normal(scale=0.2, size=points.shape)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = {
        (i, j, k, end)
        for i, j, k, end in itertools.permutations(range(len(points)), 4)
        if i < end
        and all(abs(apart[a, b] - 3.8) <= 0.6 for a, b in ((i, j), (j, k), (k, end)))
        and all(abs(apart[a, b] - 5.4) <= 0.6 for a, b in ((i, k), (j, end)))
        and abs(apart[i, end] - 5.2) <= 0.8
    }
    found = [tuple(row) for row in find_turns(points).tolist()]
    assert len(expected) > 7
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("seed", range(10))
def test_random_points_are_undecided(seed):
    """As dense as candidates are in a protein, and nearer than 2.2 A to none, as candidates are picked."""
    generator = np.random.default_rng(seed)
    kept = np.empty((0, 3))
    for point in generator.uniform(0, 50, size=(1500, 3)):
        if (np.linalg.norm(kept - point, axis=1) > 2.2).all():
            kept = np.vstack([kept, point])
    assert len(kept) > 900
    assert handedness(kept).hand == "undecided"


def test_strands_are_undecided():
    """A sheet of strands: 3.3 A rise, pleated, 4.8 A apart."""
    step = np.arange(12)
    strand = np.column_stack([3.3 * step, 0.95 * (-1.0) ** step, np.zeros(12)])
    sheet = np.concatenate([strand + np.array([0, 0, 4.8 * row]) for row in range(8)])
    assert handedness(sheet).hand == "undecided"


@pytest.mark.parametrize("number", range(5))
def test_few_points_are_undecided(number):
    assert handedness(helix(number)).hand == "undecided"


def test_too_few_turns_are_undecided():
    assert Handedness(right=19, left=0).hand == "undecided"
    assert Handedness(right=20, left=0).hand == "right"
    assert Handedness(right=60, left=40).hand == "undecided"
