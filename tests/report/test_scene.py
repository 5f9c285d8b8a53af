"""Map and model as the page holds them, against those that they were made of."""

import base64

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.io.run_folder import BuiltChain
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.report.scene import MARGIN, MOST_VOXELS, STEPS, crop, map_scene, model_scene


def unpack(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def chain_at(xyz, name="A", start=1):
    number = len(xyz)
    backbone = np.repeat(xyz[:, None], 4, axis=1) + np.arange(4)[None, :, None]
    positions = np.arange(start, start + number)
    return BuiltChain(
        name, "s", "A" * (start + number), positions, np.full(number, 80.0), np.zeros(number, bool), backbone
    )


def map_values(scene):
    """Function from coordinates (N, 3) to the scene's map, in the units of the map."""
    values = unpack(scene["values"], "i1").astype(float).reshape(scene["size"]) + 127
    assert values.min() >= 0
    assert values.max() <= STEPS

    def at(xyz):
        index = (xyz - scene["origin"]) / scene["voxel"]
        inside = scipy.ndimage.map_coordinates(values, index.T, order=1, mode="nearest")
        return scene["background"] + scene["step"] * inside

    return at


def smooth_map(rng, shape, voxel, origin):
    """Gaussians of 3 A width in the middle of a box of zeros, about points that are returned too."""
    frame = GridFrame(shape, np.array(voxel), np.array(origin))
    size = np.array(shape[::-1]) * frame.voxel
    points = frame.origin + size * rng.uniform(0.35, 0.65, (20, 3))
    values = np.zeros(shape, np.float32)
    np.add.at(values, tuple(np.round(frame.to_index(points)).astype(int).T), 1)
    values = scipy.ndimage.gaussian_filter(values, 3.0 / frame.voxel[::-1])
    return DensityMap(values / values.max(), frame), points


@pytest.mark.parametrize(
    ("shape", "voxel", "origin"),
    [((40, 50, 60), (1.1, 1.0, 0.9), (5.0, -7.0, 30.0)), ((130, 150, 140), (0.8, 0.8, 0.8), (-50.0, 0.0, 9.0))],
)
def test_the_map_is_where_it_was(shape, voxel, origin):
    rng = np.random.default_rng(3)
    density, points = smooth_map(rng, shape, voxel, origin)
    # The second map is larger than a page holds, and has to be: its points are spread over all of it.
    corners = density.frame.to_xyz(np.array([np.zeros(3), np.array(shape) - 1]))
    scene = map_scene(density, [chain_at(np.concatenate([points, corners]))])
    assert np.prod(scene["size"]) <= MOST_VOXELS
    assert (np.prod(shape) > MOST_VOXELS) == (tuple(scene["size"]) != shape[::-1])
    expected = scipy.ndimage.map_coordinates(density.values, density.frame.to_index(points).T, order=1)
    top = scene["background"] + scene["step"] * STEPS
    found = map_values(scene)(points)
    assert np.abs(found - np.minimum(expected, top)).max() < 0.03
    assert 0 < scene["level"] < STEPS


def test_first_level_is_below_the_chain_and_above_the_background():
    density, points = smooth_map(np.random.default_rng(5), (48, 48, 48), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    scene = map_scene(density, [chain_at(points)])
    level = scene["background"] + scene["step"] * scene["level"]
    assert (map_values(scene)(points) > level).mean() > 0.8
    assert (density.values > level).mean() < 0.2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_crop_holds_all_within_the_margin_and_no_more(seed):
    rng = np.random.default_rng(seed)
    frame = GridFrame(tuple(rng.integers(16, 30, 3).tolist()), rng.uniform(0.5, 3, 3), rng.uniform(-50, 50, 3))
    density = DensityMap(rng.random(frame.shape).astype(np.float32), frame)
    points = frame.origin + rng.uniform(0, 1, (4, 3)) * (np.array(frame.shape[::-1]) - 1) * frame.voxel
    part = crop(density, points)
    index = np.indices(frame.shape).reshape(3, -1).T
    xyz = frame.to_xyz(index)
    near = ((xyz >= points.min(axis=0) - MARGIN) & (xyz <= points.max(axis=0) + MARGIN)).all(axis=1)
    within = part.frame.to_index(xyz)
    held = ((within > -1e-6) & (within < np.array(part.frame.shape) - 1 + 1e-6)).all(axis=1)
    assert held[near].all()
    wide = (
        (xyz >= points.min(axis=0) - MARGIN - 1.001 * frame.voxel)
        & (xyz <= points.max(axis=0) + MARGIN + 1.001 * frame.voxel)
    ).all(axis=1)
    assert wide[held].all()
    places = tuple(np.round(within[held]).astype(int).T)
    assert np.array_equal(part.values[places], density.values[tuple(index[held].T)])


def test_no_map_where_the_model_is_outside_of_it():
    density, points = smooth_map(np.random.default_rng(5), (32, 32, 32), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert map_scene(density, [chain_at(points + 500)]) is None
    assert map_scene(density, [chain_at(points - 500)]) is None


@pytest.mark.parametrize("extent", [30.0, 3000.0])
def test_the_model_is_where_it_was(extent):
    rng = np.random.default_rng(1)
    chains = [chain_at(rng.uniform(-extent, extent, (50, 3)), name, start) for name, start in (("A", 1), ("B", 300))]
    chains[1].backbone[3, 0] = np.nan
    scene = model_scene(chains)
    packed = unpack(scene["xyz"], "<i2").reshape(-1, 4, 3)
    xyz = np.concatenate([chain.backbone for chain in chains])
    missing = (packed == -32768).all(axis=2)
    assert np.array_equal(missing, np.isnan(xyz[:, :, 0]))
    found = np.array(scene["centre"]) + scene["step"] * packed
    assert np.abs(found - xyz)[~missing].max() < 0.002 + scene["step"]
    assert scene["step"] <= 2 * (extent + 3) / 65_000 + 1e-3
    assert np.array_equal(unpack(scene["position"], "<i4"), np.concatenate([c.position for c in chains]))
    assert np.allclose(unpack(scene["confidence"], "<u2") / 100, 80)
    assert [chain["letters"] for chain in scene["chains"]] == ["A" * 50, "A" * 50]
