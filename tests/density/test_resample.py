from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.density.resample import border_median, mirrored, plan_axis, resample, resample_back
from cryo2struct.objects import DensityMap, GridFrame

voxels = st.floats(0.5, 2.2)


def density_map(values: np.ndarray, voxel: tuple[float, float, float] | float = 1.0) -> DensityMap:
    shape = (values.shape[0], values.shape[1], values.shape[2])
    spacing = np.broadcast_to(np.asarray(voxel, dtype=float), 3)
    return DensityMap(values.astype(np.float32), GridFrame(shape, spacing, np.zeros(3)))


def gaussian(frame: GridFrame, centre: np.ndarray, sigma: float) -> np.ndarray:
    z, y, x = (
        np.exp(-0.5 * ((np.arange(n) * voxel + start - middle) / sigma) ** 2)
        for n, voxel, start, middle in zip(
            frame.shape, frame.voxel[::-1], frame.origin[::-1], centre[::-1], strict=True
        )
    )
    return z[:, None, None] * y[:, None] * x


@settings(max_examples=25, deadline=None)
@given(voxels, voxels, voxels, st.integers(0, 2**32 - 1))
def test_a_band_limited_function_is_the_same_on_both_grids(vx: float, vy: float, vz: float, seed: int) -> None:
    # A Gaussian of 3.5 A is band-limited to float32 accuracy at all these spacings, and over before the faces.
    rng = np.random.default_rng(seed)
    voxel, origin = np.array([vx, vy, vz]), rng.uniform(-100, 100, 3)
    shape = tuple(int(np.ceil(rng.uniform(40, 48) / spacing)) for spacing in voxel[::-1])
    frame = GridFrame((shape[0], shape[1], shape[2]), voxel, origin)
    centre = frame.to_xyz((np.array(shape) - 1) / 2) + rng.uniform(-1, 1, 3)
    result = resample(DensityMap(gaussian(frame, centre, 3.5).astype(np.float32), frame), workers=1)
    np.testing.assert_allclose(result.values, gaussian(result.frame, centre, 3.5), atol=1e-5)
    np.testing.assert_array_equal(result.frame.origin, origin)
    assert result.values.dtype == np.float32
    assert result.values.shape == result.frame.shape
    weights = result.values[..., None].astype(float)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in result.frame.shape), indexing="ij"), axis=-1)
    centroid = (weights * result.frame.to_xyz(index)).sum((0, 1, 2)) / weights.sum()
    np.testing.assert_allclose(centroid, centre, atol=0.01)


@settings(max_examples=15, deadline=None)
@given(voxels, voxels, voxels, st.floats(-3, 3), st.integers(0, 2**32 - 1))
def test_the_way_back_gives_the_map_again(vx: float, vy: float, vz: float, level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    voxel = np.array([vx, vy, vz])
    shape = tuple(int(np.ceil(rng.uniform(44, 52) / spacing)) for spacing in voxel[::-1])
    frame = GridFrame((shape[0], shape[1], shape[2]), voxel, rng.uniform(-100, 100, 3))
    centre = frame.to_xyz((np.array(shape) - 1) / 2) + rng.uniform(-1, 1, 3)
    values = (level + gaussian(frame, centre, 3.5)).astype(np.float32)
    back = resample_back(resample(DensityMap(values, frame), workers=1).values, frame, level, workers=1)
    np.testing.assert_allclose(back, values, atol=2e-5)
    assert back.dtype == np.float32


@pytest.mark.parametrize(("voxel", "samples"), [(0.5, 32), (2.0, 32), (1.5, 28), (0.75, 32)])
def test_every_frequency_of_a_periodic_box_but_the_highest_is_exact(voxel: float, samples: int) -> None:
    rng = np.random.default_rng(1)
    plan = plan_axis(samples, voxel, 1.0)
    assert plan.padded == samples
    # Band limit of the coarser grid, without its highest term: that one has no defined phase.
    limit = (min(plan.padded, plan.resampled) - 2) // 2
    phases, amplitudes = rng.uniform(0, 2 * np.pi, (3, limit)), rng.normal(size=(3, limit))

    def sample(number: int) -> np.ndarray:
        angle = 2 * np.pi * np.arange(number)[:, None] / number * np.arange(1, limit + 1)
        z, y, x = (np.cos(angle + phases[axis]) @ amplitudes[axis] for axis in range(3))
        return z[:, None, None] + y[:, None] * 0.1 + x + z[:, None, None] * y[:, None] * x * 0.01

    given_box, wanted = sample(plan.padded), sample(plan.resampled)
    result = resample(density_map(given_box, voxel), workers=1)
    assert result.values.shape == (plan.kept,) * 3
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(result.values / scale, wanted[(slice(plan.kept),) * 3] / scale, atol=1e-5)


def test_to_a_finer_grid_and_back_changes_nothing_not_even_the_highest_term() -> None:
    values = np.random.default_rng(2).normal(size=(16, 20, 24))
    finer = resample(density_map(values, 2.0), 1.0, workers=1)
    full = [plan_axis(n, 2.0, 1.0) for n in values.shape]
    assert finer.values.shape == tuple(plan.kept for plan in full)
    # One more sample is needed for whole periods: it lies behind the last sample given.
    axis_only = density_map(np.repeat(values[:, :1, :1], 16, axis=1).repeat(16, axis=2), (1.0, 1.0, 2.0))
    there = resample(axis_only, 1.0, workers=1).values[:, 0, 0]
    spectrum = np.fft.rfft(values[:, 0, 0])
    spectrum = np.concatenate([spectrum, np.zeros(8)])
    spectrum[8] /= 2
    np.testing.assert_allclose(there, np.fft.irfft(spectrum, 32)[:31] * 2, atol=1e-5)
    np.testing.assert_allclose(finer.values[::2, ::2, ::2], values, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(voxels, st.floats(-1e3, 1e3), st.integers(16, 30))
def test_a_constant_stays_constant(voxel: float, level: float, samples: int) -> None:
    values = np.full((samples, 17, 20), level)
    result = resample(density_map(values, voxel), workers=1).values
    np.testing.assert_allclose(result, np.float32(level), rtol=1e-6, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.floats(20, 800), st.floats(0.4, 4.0))
def test_plans_cover_the_box_and_come_near_the_wanted_voxel(length: float, voxel: float) -> None:
    samples = int(np.ceil(length / voxel))
    plan = plan_axis(samples, voxel, 1.0)
    assert plan.padded % 2 == plan.resampled % 2 == 0
    assert samples <= plan.padded <= samples + max(16, samples // 8)
    new = plan.ratio * voxel
    # Even numbers of voxels alone, without any padding, come within one voxel in the length of the box.
    assert abs(new - 1) < 0.006 + 1 / length
    assert plan.kept <= plan.resampled
    # The last sample given lies within the result, or within one new voxel of its end when the box is not padded.
    assert (plan.kept - 1) * new > (samples - 1) * voxel - new


def test_a_map_of_the_wanted_voxel_is_returned_as_it_is() -> None:
    values = np.random.default_rng(3).normal(size=(17, 31, 20)).astype(np.float32)
    result = resample(density_map(values))
    np.testing.assert_array_equal(result.values, values)
    np.testing.assert_array_equal(result.frame.voxel, np.ones(3))


def test_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=(20, 22, 24))
    whole = resample(density_map(values, 1.3), workers=1)
    monkeypatch.setattr("cryo2struct.density.resample.SLAB_BYTES", 1)
    np.testing.assert_allclose(resample(density_map(values, 1.3), workers=1).values, whole.values, atol=1e-6)


def test_border_median_is_the_solvent_level() -> None:
    values = np.full((10, 10, 10), 0.3)
    values[2:8, 2:8, 2:8] = 5
    assert border_median(values) == pytest.approx(0.3)


@pytest.mark.parametrize("voxel", [0.83, 1.0, 1.37])
def test_mirrored_about_the_box_of_the_input(voxel: float) -> None:
    """A blob comes to lie at the mirrored place, whether the map is resampled before or after."""
    frame = GridFrame((30, 34, 41), np.full(3, voxel), np.array([-20.0, 3.0, 11.0]))
    centre = frame.to_xyz([14, 18, 11])
    density = DensityMap(gaussian(frame, centre, 2.0).astype(np.float32), frame)
    wanted = centre.copy()
    wanted[0] = 2 * frame.to_xyz([0, 0, 20])[0] - centre[0]
    for flipped in (mirrored(density, frame), resample(mirrored(density, frame)), mirrored(resample(density), frame)):
        np.testing.assert_allclose(flipped.values, gaussian(flipped.frame, wanted, 2.0), atol=1e-2)
    np.testing.assert_array_equal(mirrored(mirrored(density, frame), frame).values, density.values)
