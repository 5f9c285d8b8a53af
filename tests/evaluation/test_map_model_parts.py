"""Masks, surroundings of atoms, shells and crossings by brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.ndimage

from cryo2struct.density.structure_factors import Atoms
from cryo2struct.evaluation.map_model_fsc import crossing, map_model_fsc, shells_of
from cryo2struct.evaluation.map_model_regions import atom_radius, highest, molecule_mask, points_around, smooth_mask
from cryo2struct.objects import GridFrame


def some_atoms(frame: GridFrame, number: int) -> Atoms:
    rng = np.random.default_rng(3)
    xyz = frame.origin + rng.uniform(-0.1, 1.1, (number, 3)) * np.array(frame.shape[::-1]) * frame.voxel
    return Atoms(xyz, rng.choice(["C", "N", "O", "S"], number), np.ones(number), np.full(number, 20.0))


def periodic_distance(frame: GridFrame, xyz: np.ndarray) -> np.ndarray:
    """Distances (N, z, y, x) to the nearest images of points."""
    edges = np.array(frame.shape[::-1]) * frame.voxel
    points = frame.to_xyz(np.stack(np.indices(frame.shape), axis=-1))
    apart = np.abs(points[None] - xyz[:, None, None, None]) % edges
    return np.linalg.norm(np.minimum(apart, edges - apart), axis=-1)


def test_molecule_mask_against_brute_force() -> None:
    frame = GridFrame((18, 20, 16), np.array([0.7, 0.6, 0.8]), np.array([3.0, -20.0, 9.0]))
    atoms = some_atoms(frame, 6)
    radius = np.array([{"C": 1.775, "N": 1.5, "O": 1.45, "S": 1.8}[e] for e in atoms.elements])
    distance = periodic_distance(frame, atoms.xyz)
    for enlarged in (0.0, 1.0):
        wide = (distance < radius[:, None, None, None] + 1.1 + enlarged).any(axis=0)
        edges = np.argwhere(~wide)
        kept = [wide[tuple(i)] and gap(frame, i, edges) >= 0.9 for i in np.argwhere(np.ones_like(wide))]
        wanted = np.array(kept).reshape(wide.shape)
        assert 0.05 < wanted.mean() < 0.95
        np.testing.assert_array_equal(molecule_mask(frame, atoms, enlarged), wanted)


def gap(frame: GridFrame, index: np.ndarray, others: np.ndarray) -> float:
    apart = np.abs(others - index)
    apart = np.minimum(apart, np.array(frame.shape) - apart) * np.array(frame.voxel)[::-1]
    return float(np.linalg.norm(apart, axis=1).min())


def test_points_around_are_each_within_the_radius_and_none_twice() -> None:
    frame = GridFrame((17, 22, 19), np.array([0.9, 0.6, 1.1]), np.array([-4.0, 2.0, 0.0]))
    xyz = some_atoms(frame, 5).xyz
    wanted = np.flatnonzero((periodic_distance(frame, xyz) <= 3.0).any(axis=0))
    np.testing.assert_array_equal(points_around(frame, xyz, 3.0), wanted)
    assert points_around(frame, np.empty((0, 3)), 3.0).size == 0


def test_smooth_mask_is_a_gaussian_filter() -> None:
    frame = GridFrame((31, 35, 33), np.array([1.0, 1.2, 0.9]), np.zeros(3))
    mask = np.zeros(frame.shape, dtype=bool)
    mask[12:20, 10:25, 28:33] = True
    sigma = 2 / np.array(frame.voxel)[::-1]
    wanted = scipy.ndimage.gaussian_filter(mask.astype(float), sigma, mode="wrap", truncate=8)
    np.testing.assert_allclose(smooth_mask(frame, mask, 2.0), wanted, atol=2e-3)
    assert smooth_mask(frame, mask, 0.5).min() == 0


def test_highest_has_one_voxel_more_than_asked_for() -> None:
    values = np.random.default_rng(0).permutation(60).reshape(3, 4, 5).astype(float)
    assert sorted(values[highest(values, 7)]) == list(range(52, 60))
    assert highest(values, 60).all()
    assert highest(values, 500).all()


def test_radius_of_atoms() -> None:
    def radius(b: float, resolution: float) -> float:
        return atom_radius(Atoms(np.zeros((1, 3)), np.array(["O"]), np.ones(1), np.array([b])), resolution)

    assert radius(20, 2) == 3
    assert radius(20, 4.3) == 4.3
    assert radius(20, 15) == 10
    # The image of a very blurred atom is that of a Gaussian, whose inflection is at one standard deviation.
    assert radius(1200, 3) == pytest.approx(2 * np.sqrt(1200 / 8) / np.pi, rel=0.02)


@pytest.mark.parametrize(
    ("shape", "voxel"), [((28, 31, 34), (1.0137, 1.2921, 0.9071)), ((49, 16, 17), (2.0313, 1.0, 2.9171))]
)
def test_shells_against_a_walk_over_all_terms(shape: tuple[int, int, int], voxel: tuple[float, ...]) -> None:
    frame = GridFrame(shape, np.array(voxel), np.zeros(3))
    rng = np.random.default_rng(1)
    values, other = rng.normal(size=shape), rng.normal(size=shape)
    values += other
    one, two = np.fft.fftn(values), np.fft.fftn(other)
    edges = np.array(shape) * np.array(voxel)[::-1]
    z, y, x = ([*range((n + 1) // 2), *range(-((n - 1) // 2), 0)] for n in shape)
    hemisphere = [index for index in product(z, y, x) if index[::-1] > (0, 0, 0)]
    terms = [(1 / np.linalg.norm(index / edges), one[index], two[index]) for index in hemisphere]
    # Terms of one d stay in the order of a half spectrum.
    terms.sort(key=lambda term: round(term[0], 9))
    bins: list[list[tuple[float, complex, complex]]] = []
    while terms:
        least = 100 if terms[0][0] > 10 else 250 if terms[0][0] > 5 else 500
        size = 1
        while size < len(terms) and not (size > least or (size >= least and terms[size - 1][0] - terms[0][0] > 0.005)):
            size += 1
        if len(terms) - size < least:
            size = len(terms)
        bins.append(terms[:size])
        terms = terms[size:]
    shells = shells_of(frame)
    np.testing.assert_allclose(shells.d, [np.mean([d for d, _, _ in members]) for members in bins])
    assert len(shells.order) == len(set(shells.order.tolist())) == sum(map(len, bins))
    model = np.fft.rfftn(other)
    wanted = []
    for members in bins:
        _, a, b = (np.array(column) for column in zip(*members, strict=True))
        wanted.append((a * b.conj()).sum().real / np.sqrt((np.abs(a) ** 2).sum() * (np.abs(b) ** 2).sum()))
    raw = [1 / d for d in shells.d][::-1]
    found = map_model_fsc(values, model, shells)
    np.testing.assert_allclose(found.d_inv, raw)
    fine = np.array(shells.d) <= 15
    smooth = np.array(wanted)
    if len(bins) > 10:
        padded = np.pad(smooth[fine], 10, mode="reflect")
        smooth[fine] = [
            np.polyval(np.polyfit(np.arange(-10, 11), padded[n : n + 21], 2), 0) for n in range(np.count_nonzero(fine))
        ]
    np.testing.assert_allclose(found.fsc, smooth[::-1], atol=1e-9)


def test_crossings() -> None:
    s = np.linspace(0.05, 0.5, 40)
    curve = 1 - 4 * s**2
    assert crossing(1 / s, curve, 0.5) == pytest.approx(1 / np.sqrt(0.125), abs=1e-6)
    assert crossing(1 / s, curve, 0.143) == pytest.approx(1 / np.sqrt(0.857 / 4), abs=1e-6)
    assert crossing(1 / s, curve, -0.5) is None
    # Two shells bear no parabola, and one whose root is far away is not used: the shell's own place counts.
    assert crossing(np.array([8.0, 4.0]), np.array([0.9, 0.1]), 0.5) == 4.0
    step = np.where(s < 0.3, 0.9, 0.0)
    place = crossing(1 / s, step, 0.5)
    assert place is not None
    assert abs(place - 1 / s[np.argmax(s >= 0.3)]) <= 0.25
