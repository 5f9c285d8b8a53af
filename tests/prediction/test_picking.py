"""Picking finds made-up C-alphas where they are."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from cryo2struct.objects import GridFrame, Prediction
from cryo2struct.prediction import picking
from cryo2struct.prediction.picking import calibrated_presence, pick_candidates
from cryo2struct.settings import load_settings

SHAPE = (30, 28, 26)
FRAME = GridFrame(SHAPE, np.array([1.01, 0.99, 1.0]), np.array([-12.0, 40.0, 3.5]))


def prediction_of(index, strength=0.95, sigma=0.7, aa=None) -> Prediction:
    """Gaussian blobs of probability at fractional voxel indices (N, 3)."""
    grid = np.argwhere(np.ones(SHAPE))
    probability = np.zeros(len(grid))
    for number, point in enumerate(np.atleast_2d(index)):
        blob = np.exp(-((grid - point) ** 2).sum(1) / (2 * sigma**2))
        probability += np.broadcast_to(strength, len(np.atleast_2d(index)))[number] * blob / blob.sum()
    atoms = np.stack([1 - probability, probability, 0 * probability, 0 * probability], axis=1)
    cells = np.argwhere(np.ones([n // 2 for n in SHAPE]))
    count = len(cells)
    heads = {
        "aa": np.full((count, 20), 0.05),
        "ss": np.full((count, 3), 1 / 3),
        "nonprotein": np.full((count, 1), 0.2),
        "offset": np.zeros((count, 3)),
        "next": np.tile([2.0, 0, 0], (count, 1)),
        "prev": np.zeros((count, 3)),
    }
    if aa is not None:
        for point, kind in zip(index, aa, strict=True):
            here = (cells == np.rint(point).astype(int) // 2).all(axis=1)
            heads["aa"][here] = np.eye(20)[kind]
    return Prediction(FRAME, grid, atoms.astype(np.float16), cells, {k: v.astype(np.float16) for k, v in heads.items()})


@pytest.fixture(scope="module")
def settings():
    return load_settings().picking


def test_positions_types_and_vectors(settings):
    rng = np.random.default_rng(0)
    points = np.array([[z, y, x] for z in (6, 12, 18) for y in (7, 14) for x in (6, 12, 19)]) + rng.uniform(
        -0.5, 0.5, (18, 3)
    )
    kinds = rng.integers(0, 20, 18)
    found = pick_candidates(prediction_of(points, aa=kinds), settings)
    assert len(found) == 18
    expected = FRAME.to_xyz(points)
    distance = np.linalg.norm(found.xyz[:, None] - expected, axis=2)
    assert distance.min(axis=1).max() < 0.25
    assert np.array_equal(found.aa_prob.argmax(axis=1), kinds[distance.argmin(axis=1)])
    np.testing.assert_allclose(found.next_vec, np.tile([1, 0, 0], (18, 1)), atol=1e-3)
    assert np.isnan(found.prev_vec).all()
    assert (found.ca_prob > 0.6).all()


def test_weak_ones_are_left_out_and_order_is_by_presence(settings):
    points = np.array([[6, 6, 6], [6, 14, 14], [14, 6, 14], [20, 20, 20]], dtype=float)
    found = pick_candidates(prediction_of(points, strength=[0.9, 0.02, 0.6, 0.75]), settings)
    assert len(found) == 3
    assert (np.diff(found.ca_prob) <= 0).all()
    np.testing.assert_allclose(found.xyz, FRAME.to_xyz(points[[0, 3, 2]]), atol=0.1)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_no_two_candidates_are_too_close(seed):
    options = load_settings().picking
    rng = np.random.default_rng(seed)
    found = pick_candidates(prediction_of(rng.uniform(4, 22, (25, 3)), strength=0.6), options)
    distance = np.linalg.norm(found.xyz[:, None] - found.xyz, axis=2) + 100 * np.eye(len(found))
    # Suppression works on maxima; the centres around them may move by a fraction of a voxel.
    assert distance.min() > options.separation - 1.3


def test_presence_is_a_rising_probability(settings):
    presence = calibrated_presence(np.linspace(0, 3, 50), settings)
    assert ((presence >= 0) & (presence <= 1)).all()
    assert (np.diff(presence) >= 0).all()


def test_empty_prediction_gives_no_candidates(settings):
    assert len(pick_candidates(prediction_of(np.array([[15.0, 15, 15]]), strength=1e-4), settings)) == 0


def simply_picked(prediction: Prediction, options) -> tuple[np.ndarray, np.ndarray]:
    """Positions and presences by loops over the whole box at once."""
    dense = np.zeros(np.array(SHAPE) + 20, dtype=np.float32)
    dense[tuple((prediction.voxels + 10).T)] = prediction.atoms[:, 1]
    smooth = scipy.ndimage.gaussian_filter(dense, options.smoothing)
    highest = scipy.ndimage.maximum_filter(smooth, size=3)
    maxima = sorted(np.argwhere((smooth == highest) & (smooth > 0.01)).tolist(), key=lambda v: -smooth[tuple(v)])
    voxel = prediction.frame.voxel[::-1]
    peaks: list[np.ndarray] = []
    for voxels in map(np.array, maxima):
        if all(np.linalg.norm((voxels - peak) * voxel) > options.separation for peak in peaks):
            peaks.append(voxels)
    every = np.argwhere(dense > 0)
    nearest = cKDTree(np.array(peaks) - 10).query(every - 10)[1]  # where two are as near, either will do
    positions, masses = [], []
    for number, peak in enumerate(peaks):
        own = (nearest == number) & (((every - peak) ** 2).sum(axis=1) <= (options.radius / voxel.mean()) ** 2)
        weight = dense[tuple(every[own].T)].astype(np.float64)
        masses.append(weight.sum())
        positions.append(prediction.frame.to_xyz(weight @ (every[own] - 10) / weight.sum()))
    return np.array(positions), calibrated_presence(np.array(masses), options)


@pytest.mark.parametrize("slab", [1, 5, 64])
def test_slabs_give_what_the_whole_box_gives(settings, monkeypatch, slab):
    rng = np.random.default_rng(4)
    made = prediction_of(rng.uniform(1, 25, (60, 3)), strength=0.8)
    # Two regions are predicted that lie more than a slab of five apart.
    kept = (made.voxels[:, 0] < 11) | (made.voxels[:, 0] > 21)
    made = replace(made, voxels=made.voxels[kept], atoms=made.atoms[kept])
    monkeypatch.setattr(picking, "SLAB", slab)
    found = pick_candidates(made, settings)
    positions, presence = simply_picked(made, settings)
    order = np.argsort(-presence, kind="stable")[: (presence >= settings.threshold).sum()]
    assert len(found) == len(order) > 20
    np.testing.assert_allclose(found.ca_prob, presence[order], rtol=1e-9)
    np.testing.assert_allclose(found.xyz, positions[order], atol=1e-9)
