"""Sharpening by the slope of the Guinier plot."""

import numpy as np
import pytest

from cryo2struct.density.fourier import fsc, radial_power, sharpen
from cryo2struct.enhancement.bfactor import guinier_b, sharpen_by_slope, sharpening
from cryo2struct.errors import InputError

VOXEL = [1.1, 1.0, 1.2]


def points(seed=3, shape=(40, 36, 44)):
    """Many points at random places: their amplitudes do not fall with frequency, as far as chance goes."""
    values = np.zeros(shape, dtype=np.float32)
    generator = np.random.default_rng(seed)
    values[tuple(generator.integers(0, size, 4000) for size in shape)] = 1
    return values - np.float32(values.mean())


@pytest.mark.parametrize("b_factor", [60.0, -60.0, 200.0])
def test_the_b_factor_of_a_blurred_map_is_found(b_factor):
    original = points()
    before, after = (
        guinier_b(*radial_power(values, VOXEL), 3.0) for values in (original, sharpen(original, VOXEL, b_factor))
    )
    assert abs(before) < 12  # the slope that chance gives
    assert after - before == pytest.approx(b_factor, rel=0.01, abs=0.5)  # shells are not infinitely thin


def test_a_blurred_map_is_sharpened_to_what_the_original_becomes():
    original = points()
    wanted, before = sharpen_by_slope(original, VOXEL, 3.0)
    found, after = sharpen_by_slope(sharpen(original, VOXEL, 60.0), VOXEL, 3.0)
    assert after - before == pytest.approx(-60, abs=0.5)
    np.testing.assert_allclose(found, wanted, atol=0.04 * wanted.std())


def test_the_slope_is_that_of_the_target_and_ends_at_the_resolution():
    sharpened, _ = sharpen_by_slope(sharpen(points(), VOXEL, 90.0), VOXEL, 3.5)
    s, power = radial_power(sharpened, VOXEL)
    used = (s >= 0.1) & (s <= 1 / 3.5)
    assert -2 * np.polyfit(s[used] ** 2, np.log(power[used]), 1)[0] == pytest.approx(5.9 * 3.5**2, abs=4)
    assert power[s > 1.25 / 3.5].max() < 2e-3 * power[used][-1]


def test_the_correlation_of_no_shell_changes():
    """Each shell is multiplied by one number, also beyond the resolution."""
    one, other = (points(seed, (96, 84, 90)) for seed in (3, 8))
    changed, _ = sharpen_by_slope(one + other, VOXEL, 3.5)
    before, after = (fsc(values, one, VOXEL)[1] for values in (one + other, changed))
    np.testing.assert_allclose(after[1:], before[1:], atol=0.03)


def test_the_cut_leaves_everything_up_to_the_resolution():
    s = np.array([0, 0.1, 0.25, 0.275, 0.3, 0.4])
    np.testing.assert_allclose(sharpening(0.0, 4.0, s), [1, 1, 1, np.sqrt(0.02), 0.02, 0.02], atol=1e-6)
    np.testing.assert_allclose(sharpening(-80.0, 4.0, s[:3]), np.exp(20 * s[:3] ** 2), rtol=1e-6)


def test_the_mask_decides_about_the_slope():
    """Half of the box is blurred; with a mask on the other half the slope is that one's."""
    original, mask = points(shape=(64, 32, 32)), np.zeros((64, 32, 32), dtype=np.float32)
    mask[4:28] = 1
    mixed = np.where(np.arange(64)[:, None, None] < 32, original, sharpen(original, 1.0, 200.0))
    _, sharp = sharpen_by_slope(mixed, 1.0, 3.0, mask)
    _, blurred = sharpen_by_slope(mixed, 1.0, 3.0, mask[::-1])
    assert sharp == pytest.approx(5.9 * 9, abs=15)
    assert blurred < sharp - 90


def test_too_few_shells_are_refused():
    s, power = radial_power(points(), 1.0)
    with pytest.raises(InputError, match=r"0 Fourier shells .* resolution 12 A, 4 are needed"):
        guinier_b(s, power, 12.0)
    with pytest.raises(InputError, match="0 Fourier shells"):
        guinier_b(s, np.zeros_like(power), 3.0)
