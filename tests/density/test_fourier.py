from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage

from cryo2struct.density.fourier import (
    crossing,
    estimate_resolution,
    frequencies,
    fsc,
    radial_power,
    sharpen,
    shell_frequencies,
)

SHAPE = (18, 21, 24)
VOXEL = np.array([1.1, 0.9, 1.3])  # x, y, z


def test_shells_are_those_of_a_full_transform() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    second += first
    one, two = np.fft.fftn(first), np.fft.fftn(second)
    axes = np.meshgrid(*(np.fft.fftfreq(n, v) for n, v in zip(SHAPE, VOXEL[::-1], strict=True)), indexing="ij")
    full = np.sqrt(sum(axis**2 for axis in axes))
    shell = shell_frequencies(SHAPE, VOXEL)
    assert shell[1] == pytest.approx(1 / (24 * 1.1))
    assert shell[-1] <= 0.5 / 1.3 + 1e-9
    index = np.rint(full / shell[1]).astype(int)
    got, power = radial_power(first, VOXEL)
    np.testing.assert_array_equal(got, shell)
    np.testing.assert_allclose(power, [(np.abs(one) ** 2)[index == k].mean() for k in range(len(shell))], rtol=1e-5)
    wanted = [
        (one * two.conj())[index == k].sum().real
        / np.sqrt((np.abs(one) ** 2)[index == k].sum() * (np.abs(two) ** 2)[index == k].sum())
        for k in range(len(shell))
    ]
    np.testing.assert_allclose(fsc(first, second, VOXEL)[1], wanted, atol=1e-5)
    np.testing.assert_allclose(frequencies(SHAPE, VOXEL), full[:, :, :13], rtol=1e-6)


def test_fsc_of_a_map_with_itself_its_negative_and_nothing() -> None:
    values = np.random.default_rng(1).normal(size=(16, 16, 16))
    assert fsc(values, 3 * values, 1.0)[1] == pytest.approx(1)
    assert fsc(values, -values, 1.0)[1] == pytest.approx(-1)
    assert not fsc(values, np.zeros_like(values), 1.0)[1].any()
    with pytest.raises(ValueError, match="shells"):
        fsc(values, values[1:], 1.0)


def molecule(voxel: float, size: int) -> np.ndarray:
    """Point atoms of B = 80 in a ball of radius size/4 voxels."""
    rng = np.random.default_rng(2)
    place = np.indices((size,) * 3) - size / 2
    inside = (place**2).sum(axis=0) < (size / 4) ** 2
    atoms = np.where(inside & (rng.random(inside.shape) < 0.05 * voxel**3), 1.0, 0.0)
    return filtered(atoms, voxel, lambda s: np.exp(-80 * s**2 / 4))


def filtered(values: np.ndarray, voxel: float, factor: object) -> np.ndarray:
    assert callable(factor)
    return scipy.fft.irfftn(scipy.fft.rfftn(values) * factor(frequencies(values.shape, voxel)), s=values.shape)


def noisy(voxel: float, size: int, resolution: float) -> np.ndarray:
    """A molecule in white noise that leaves a third of its power at the resolution: FSC 0.143 of half maps."""
    clean = molecule(voxel, size)
    shell, power = radial_power(clean, voxel)
    share = 4 / 3 * np.pi / 4**3  # of the box is molecule
    noise = np.interp(1 / resolution, shell, power) / share / 0.334 / size**3
    return clean + np.sqrt(noise) * np.random.default_rng(3).normal(size=clean.shape)


@pytest.mark.parametrize(("voxel", "resolution"), [(0.8, 2.5), (1.0, 3.0), (1.3, 4.5)])
def test_resolution_from_noise_survives_sharpening(voxel: float, resolution: float) -> None:
    values = noisy(voxel, 72, resolution)
    assert estimate_resolution(values, voxel) == pytest.approx(resolution, rel=0.12)
    sharp = filtered(values, voxel, lambda s: np.exp(40 * s**2 / 4))
    assert estimate_resolution(sharp, voxel) == pytest.approx(resolution, rel=0.12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("voxel", "resolution"), [(0.8, 2.2), (1.0, 3.0), (1.3, 4.5)])
def test_resolution_from_the_cut_of_a_filter(voxel: float, resolution: float, masked: bool) -> None:
    values = filtered(
        noisy(voxel, 72, 0.8 * resolution), voxel, lambda s: 1 / (1 + np.exp((s - 1 / resolution) / 0.008))
    )
    if masked:
        place = np.indices(values.shape) - 36
        values = np.where((place**2).sum(axis=0) < 21**2, values, 0)
    assert estimate_resolution(values, voxel) == pytest.approx(resolution, rel=0.12)


def test_scale_offset_and_axes_do_not_matter() -> None:
    values = noisy(1.0, 64, 3.0)
    wanted = estimate_resolution(values, 1.0)
    assert estimate_resolution(values * 1e-3 + 5, 1.0) == pytest.approx(wanted, rel=0.05)
    assert estimate_resolution(values.transpose(2, 0, 1), 1.0) == pytest.approx(wanted, rel=1e-3)


def test_without_any_sign_it_is_the_fall_off_or_the_voxels() -> None:
    rng = np.random.default_rng(4)
    flat = scipy.ndimage.gaussian_filter(rng.normal(size=(40, 40, 40)), 0.3)
    assert estimate_resolution(flat, 1.5) == pytest.approx(3.0, rel=0.05)
    falling = filtered(rng.normal(size=(40, 40, 40)), 1.5, lambda s: np.exp(-80 * s**2 / 4))
    wanted = 1 / np.sqrt(0.01 + np.log(20) * 2 / 80)
    assert estimate_resolution(falling, 1.5) == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("b_factor", [40.0, -20.0])
def test_sharpening_is_that_of_a_gaussian(b_factor):
    """exp(-r^2 / 2 v) has the transform exp(-2 pi^2 v s^2): B adds B / 8 pi^2 to the variance v."""
    voxel, variance = np.array([0.9, 1.0, 1.1]), 3.0
    changed = variance + b_factor / (8 * np.pi**2)
    z, y, x = np.meshgrid(*[np.arange(32) - 16] * 3, indexing="ij")
    square = (z * voxel[2]) ** 2 + (y * voxel[1]) ** 2 + (x * voxel[0]) ** 2
    values = np.exp(-square / (2 * variance)).astype(np.float32)
    expected = (variance / changed) ** 1.5 * np.exp(-square / (2 * changed))
    np.testing.assert_allclose(sharpen(values, voxel, b_factor), expected, atol=2e-4)


def test_sharpening_leaves_what_a_mask_cleared():
    values = np.random.default_rng(0).normal(size=(20, 21, 22)).astype(np.float32)
    values[:, :8] = 0
    assert (sharpen(values, 1.0, -30.0)[:, :8] == 0).all()
    assert np.abs(sharpen(values, 1.0, 0.0) - values).max() < 1e-5


def test_crossings_of_known_curves():
    d_inv = np.linspace(0.02, 0.4, 20)
    line = 1 - 2.5 * d_inv
    assert crossing(d_inv, line, 0.5) == pytest.approx(5)
    assert crossing(d_inv, line, 0.143) == pytest.approx(2.5 / 0.857)
    assert crossing(d_inv, line, -0.1) is None
    # The first fall counts, not what comes after it; a curve that starts below crosses at its first shell.
    assert crossing(d_inv, np.where(d_inv > 0.3, 1.0, line), 0.5) == pytest.approx(5)
    assert crossing(d_inv, np.zeros(20), 0.5) == pytest.approx(50)
