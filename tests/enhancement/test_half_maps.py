"""What half maps say, against sums done by hand and against maps of which the truth is known."""

import numpy as np
import pytest
import scipy.ndimage

from cryo2struct.density import noise
from cryo2struct.density.fourier import fsc, radial_power, sharpen
from cryo2struct.enhancement import half_maps as two
from cryo2struct.errors import InputError
from cryo2struct.objects import DensityMap, GridFrame

VOXEL = np.array([1.0, 1.2, 1.1])
SHAPE = (40, 48, 44)
FRAME = GridFrame(SHAPE, VOXEL, np.array([5.0, -3.0, 2.0]))


def clean(seed=2, blur=80.0):
    """Points with a B factor, everywhere."""
    generator = np.random.default_rng(seed)
    values = np.zeros(SHAPE, dtype=np.float32)
    values[tuple(generator.integers(0, size, 5000) for size in SHAPE)] = 1
    return DensityMap(sharpen(values - values.mean(), VOXEL, blur), FRAME)


def halves(resolution=3.5, seed=5):
    return two.HalfMaps(*noise.half_maps(clean(), resolution, np.random.default_rng(seed)))


def test_figure_of_merit_is_the_correlation_with_the_truth():
    """Rosenthal & Henderson's formula against maps whose signal is known."""
    generator = np.random.default_rng(0)
    for share in (0.2, 0.5, 2.0):
        truth = generator.standard_normal(200_000)
        one, other = (share * truth + generator.standard_normal(len(truth)) for _ in range(2))
        correlation = np.corrcoef(one, other)[0, 1]
        expected = np.corrcoef((one + other) / 2, truth)[0, 1]
        assert two.figure_of_merit(np.array([correlation]))[0] == pytest.approx(expected, abs=0.01)
    np.testing.assert_array_equal(two.figure_of_merit(np.array([-0.4, 0.0, 1.0])), [0, 0, 1])


def test_resolution_is_that_of_the_simulated_noise():
    agreed = two.agreement(halves(3.5))
    assert agreed.resolution == pytest.approx(3.5, rel=0.06)
    whole = np.ones(SHAPE, dtype=np.float32)
    np.testing.assert_allclose(two.agreement(halves(3.5), whole).fsc[1:], agreed.fsc[1:], atol=1e-4)


def test_levels_that_noise_moves_do_not_disagree_by_the_mask():
    """What differs between the levels of the halves would be, times the mask, the strongest of the lowest terms."""
    z, y, x = np.indices(SHAPE)
    ball = (z - 20) ** 2 + (y - 24) ** 2 + (x - 22) ** 2 < 15**2
    generator = np.random.default_rng(3)
    molecule = clean().values * ball / clean().values.std()
    maps = [
        DensityMap((molecule + generator.standard_normal(SHAPE) + level).astype(np.float32), FRAME)
        for level in (0.0, 3.0)
    ]
    soft = two.softened(ball, FRAME)
    assert two.agreement(two.HalfMaps(*maps), soft).fsc[1:4].min() > 0.8


def test_noise_of_the_mean():
    generator = np.random.default_rng(1)
    signal = clean().values
    maps = [DensityMap((signal + 0.3 * generator.standard_normal(SHAPE)).astype(np.float32), FRAME) for _ in range(2)]
    pair = two.HalfMaps(*maps)
    assert pair.noise() == pytest.approx(0.3 / np.sqrt(2), rel=0.02)
    assert np.std(pair.mean.values - signal) == pytest.approx(pair.noise(), rel=0.02)


def test_b_factor_is_that_of_the_blur_in_spite_of_the_noise():
    """Noise is flat where the signal falls: without the weight the plot would be too level."""
    pair = halves(3.5)
    agreed = two.agreement(pair)
    found = two.weighted_b(pair, agreed, agreed.resolution)
    assert found == pytest.approx(5.9 * agreed.resolution**2 - 80, abs=16)


def test_local_correlation_is_that_of_the_sums_around_a_place():
    pair = halves(4.0)
    local = two.local_agreement(pair, 4.0, -80.0)
    k = 5
    z, y, x = (np.fft.fftfreq(n, v) for n, v in zip(SHAPE, VOXEL[::-1], strict=True))
    s = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    triangle = np.maximum(1 - np.abs(s - 0.03 * k) / 0.03, 0) * np.exp(
        20 * np.minimum(s, local.middles[-1] + 0.03) ** 2
    )
    one, other = (np.fft.ifftn(np.fft.fftn(half.values) * triangle).real for half in (pair.first, pair.second))
    cell = (7, 6, 5)
    place = local.frame.to_xyz(cell)
    index = np.stack(np.indices(SHAPE), axis=-1)
    weight = np.exp(-0.5 * (((FRAME.to_xyz(index) - place) / 8.0) ** 2).sum(axis=-1))
    expected = (weight * one * other).sum() / np.sqrt((weight * one**2).sum() * (weight * other**2).sum())
    below = local.correlation[:k, 7, 6, 5].min()
    assert local.correlation[(k, *cell)] == pytest.approx(min(expected, below), abs=0.02)
    assert expected < below  # so that the sums were compared


def mixed():
    """A map that is blurred in the upper part of the box, and its half maps, with the same noise everywhere."""
    shape = (64, 40, 40)
    frame = GridFrame(shape, np.ones(3), np.zeros(3))
    values = np.zeros(shape, dtype=np.float32)
    generator = np.random.default_rng(7)
    values[tuple(generator.integers(0, size, 8000) for size in shape)] = 1
    whole = DensityMap(sharpen(values - values.mean(), 1.0, 60.0), frame)
    blurred = sharpen(whole.values, 1.0, 200.0)
    signal = np.where(np.arange(64)[:, None, None] >= 32, blurred, whole.values)
    noisy = noise.half_maps(whole, 2.8, np.random.default_rng(8))
    return signal, two.HalfMaps(*(DensityMap(half.values - whole.values + signal, frame) for half in noisy))


def test_local_resolution_and_low_pass():
    truth, pair = mixed()
    agreed = two.agreement(pair)
    b_factor = two.weighted_b(pair, agreed, agreed.resolution)
    local = two.local_agreement(pair, agreed.resolution, b_factor)
    resolution = local.resolution()
    z = resolution.frame.to_xyz(np.stack(np.indices(resolution.frame.shape), axis=-1))[..., 2]
    good, poor = (np.median(resolution.values[part]) for part in (z < 20, z > 44))
    assert good == pytest.approx(2.8 / 0.893, rel=0.1)  # correlation 0.5 of this noise
    assert poor > 1.15 * good
    made = two.apply_local(pair.mean.values, pair.mean.frame, local, b_factor)
    power = [radial_power(made[part], 1.0) for part in (slice(0, 24), slice(40, 64))]
    shell = int(np.argmin(np.abs(power[0][0] - 0.3)))
    assert power[1][1][shell] < 0.1 * power[0][1][shell]
    sharp = sharpen(truth, 1.0, b_factor)
    plain = sharpen(pair.mean.values, 1.0, b_factor)
    assert np.corrcoef(made.ravel(), sharp.ravel())[0, 1] > np.corrcoef(plain.ravel(), sharp.ravel())[0, 1] + 0.1


def test_nothing_is_invented():
    """One half map enhanced correlates with the other, raw, as well as it did raw."""
    _, pair = mixed()
    agreed = two.agreement(pair)
    b_factor = two.weighted_b(pair, agreed, agreed.resolution)
    local = two.local_agreement(pair, agreed.resolution, b_factor)
    made = two.apply_local(pair.first.values, pair.first.frame, local, b_factor)
    s, raw = fsc(pair.first.values, pair.second.values, 1.0)
    _, enhanced = fsc(made, pair.second.values, 1.0)
    judged = (raw < 0.5) & (s > 0.1)
    assert judged.sum() >= 8
    assert (enhanced[judged] >= raw[judged] - 0.02).all()


def test_bands_sum_to_the_sharpened_map():
    values = clean().values
    certain = two.LocalAgreement(np.arange(12) * 0.03, np.ones((12, 2, 2, 2), dtype=np.float32), FRAME)
    made = two.apply_local(values, FRAME, certain, -40.0)
    s, correlation = fsc(made, sharpen(values, VOXEL, -40.0), VOXEL)
    assert (correlation[s < 0.32] > 0.9999).all()
    _, power = radial_power(made, VOXEL)
    _, wanted = radial_power(sharpen(values, VOXEL, -40.0), VOXEL)
    np.testing.assert_allclose(power[s < 0.31], wanted[s < 0.31], rtol=1e-3, atol=1e-6)


def test_refusals():
    pair = halves()
    moved = DensityMap(pair.second.values, GridFrame(SHAPE, VOXEL, FRAME.origin + 4))
    with pytest.raises(InputError, match="--half2: its grid is not that of --half1"):
        two.HalfMaps(pair.first, moved)
    with pytest.raises(InputError, match="same values"):
        two.HalfMaps(pair.first, DensityMap(pair.first.values.copy(), FRAME))
    generator = np.random.default_rng(3)
    one = generator.standard_normal(SHAPE).astype(np.float32)
    smooth = scipy.ndimage.gaussian_filter(one, 2).astype(np.float32)
    with pytest.raises(InputError, match="does not correlate"):
        two.agreement(two.HalfMaps(DensityMap(smooth, FRAME), DensityMap(-smooth, FRAME)))
