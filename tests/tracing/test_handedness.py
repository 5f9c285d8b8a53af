"""Turns of helices, and the hand that they give, on ideal points."""

import itertools

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.objects import Candidates
from cryo2struct.tracing.handedness import Handedness, find_turns, handedness


def candidates(points, following, preceding) -> Candidates:
    return Candidates(points, np.ones(len(points)), np.full((len(points), 20), 0.05), following, preceding)


def along(points: np.ndarray) -> Candidates:
    """Candidates in the order of a chain, with the directions that it has; unknown where it ends."""
    step = unit(np.diff(points, axis=0))
    unknown = np.full((1, 3), np.nan)
    return candidates(points, np.concatenate([step, unknown]), np.concatenate([unknown, -step]))


def together(*parts: Candidates) -> Candidates:
    return candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("xyz", "next_vec", "prev_vec")))


def moved(given: Candidates, turn: np.ndarray, shift=0.0, order=slice(None)) -> Candidates:
    xyz, following, preceding = (v[order] @ turn.T for v in (given.xyz, given.next_vec, given.prev_vec))
    return candidates(xyz + shift, following, preceding)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def helix(residues: int) -> np.ndarray:
    """C-alphas of a right-handed alpha helix: radius 2.3 A, rise 1.5 A, 100 degrees per residue."""
    turn = np.radians(100) * np.arange(residues)
    return np.column_stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(residues)])


def cloud(number: int, edge: float, generator: np.random.Generator) -> Candidates:
    return candidates(generator.uniform(0, edge, (number, 3)), *unit(generator.normal(size=(2, number, 3))))


MIRRORS = [np.diag(signs) for signs in ([-1.0, 1, 1], [1.0, -1, 1], [1.0, 1, -1])]


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_helices_of_either_hand(noise, seed):
    """Eight helices side by side, 10 A apart; the directions are those of the places before they were moved."""
    generator = np.random.default_rng(seed)
    bundle = together(*(along(helix(20) + np.array([10 * n, 10 * (n % 3), 0])) for n in range(8)))
    noisy = candidates(
        bundle.xyz + generator.normal(scale=noise, size=bundle.xyz.shape), bundle.next_vec, bundle.prev_vec
    )
    assert handedness(noisy).hand == "right"
    for mirror in MIRRORS:
        assert handedness(moved(noisy, mirror)).hand == "left"


def test_every_turn_of_an_ideal_helix_is_counted_once():
    assert handedness(along(helix(20))) == Handedness(right=17, left=0)
    assert handedness(along(helix(20) * [1, -1, 1])) == Handedness(right=0, left=17)


def test_without_directions_there_are_no_turns():
    assert handedness(candidates(helix(40), None, None)) == Handedness(right=0, left=0)
    unknown = np.full((40, 3), np.nan)
    assert handedness(candidates(helix(40), unknown, unknown)) == Handedness(right=0, left=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_mirror_swaps_the_hands_and_order_and_place_do_not_matter(seed):
    generator = np.random.default_rng(seed)
    chain = along(helix(30) + generator.normal(scale=0.3, size=(30, 3)))
    given_ = together(chain, cloud(60, 20, generator))
    found = handedness(given_)
    assert handedness(moved(given_, MIRRORS[0])) == Handedness(right=found.left, left=found.right)
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    assert handedness(moved(given_, turn, generator.normal(size=3), generator.permutation(90))) == found


def test_turns_are_those_that_a_search_over_all_fours_finds():
    generator = np.random.default_rng(8)
    given_ = together(along(helix(10)), cloud(25, 14, generator))
    points, following, preceding = given_.xyz, np.nan_to_num(given_.next_vec), np.nan_to_num(given_.prev_vec)
    apart = np.linalg.norm(points[:, None] - points, axis=2)

    def linked(a, b):
        cosines = (points[b] - points[a]) @ np.array([following[a], -preceding[b]]).T / apart[a, b]
        return 3.0 <= apart[a, b] <= 4.8 and np.mean(cosines) >= 0.5

    links = {(a, b) for a, b in itertools.permutations(range(len(points)), 2) if linked(a, b)}
    expected = {
        (a, b, c, d)
        for (a, b), (c, d) in itertools.permutations(links, 2)
        if (b, c) in links and 4.5 <= apart[a, c] <= 6.4 and 4.5 <= apart[b, d] <= 6.4 and 4.0 <= apart[a, d] <= 6.8
    }
    found = [tuple(row) for row in find_turns(given_).tolist()]
    assert len(expected) > 7
    assert len(found) == len(set(found))
    assert set(found) == expected
    angles = [np.degrees(gemmi.calculate_dihedral(*(gemmi.Position(*points[i]) for i in row))) for row in expected]
    right, left = (sum(20 <= sign * angle <= 85 for angle in angles) for sign in (1, -1))
    assert handedness(given_) == Handedness(right=right, left=left)


@pytest.mark.parametrize("seed", range(5))
def test_random_points_are_undecided(seed):
    found = handedness(cloud(8000, 60, np.random.default_rng(seed)))
    assert min(found.right, found.left) > 50  # chance alone, both hands alike
    assert found.hand == "undecided"


def test_strands_are_undecided():
    """A sheet of strands: 3.3 A rise, pleated, 4.8 A apart."""
    step = np.arange(12)
    strand = np.column_stack([3.3 * step, 0.95 * (-1.0) ** step, np.zeros(12)])
    assert handedness(together(*(along(strand + np.array([0, 0, 4.8 * row])) for row in range(8)))).hand == "undecided"


@pytest.mark.parametrize("number", range(2, 5))
def test_few_points_are_undecided(number):
    found = handedness(along(helix(number)))
    assert (found.hand, found.right, found.left) == ("undecided", max(0, number - 3), 0)


def test_no_candidates_are_undecided():
    assert handedness(candidates(*np.empty((3, 0, 3)))).hand == "undecided"


def test_too_few_or_mixed_turns_are_undecided():
    assert Handedness(right=11, left=0).hand == "undecided"
    assert Handedness(right=12, left=0).hand == "right"
    assert Handedness(right=20, left=80).hand == "left"
    assert Handedness(right=79, left=21).hand == "undecided"
