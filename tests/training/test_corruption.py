"""Each corruption does what its name says."""

import numpy as np
import pytest
import torch

from cryo2struct.training import corruption

SIZE = 32


def spectrum_of(density):
    return torch.fft.rfftn(density, dim=(1, 2, 3))


def frequencies(size=SIZE):
    full, half = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    return torch.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half[None, None, :] ** 2)


def test_carboxylates_alone_are_weakened():
    weight = np.ones(6, dtype=np.float32)
    acid = np.array([True, False, True, False, False, False])
    changed = corruption.weaken_carboxylates(weight, acid, np.random.default_rng(1))
    assert (changed[~acid] == 1).all()
    assert (changed[acid] < 1).all()
    assert (changed[acid] >= -0.5).all()


def test_oxygen_and_nitrogen_alone_are_weakened():
    element = np.array([6, 7, 8, 16, 8])
    weights = np.array(
        [
            corruption.weaken_polar_atoms(np.ones(5, dtype=np.float32), element, np.random.default_rng(s))
            for s in range(99)
        ]
    )
    assert (weights[:, [0, 3]] == 1).all()
    assert np.array_equal(weights[:, 2], weights[:, 4])
    assert 0.6 <= weights[:, 1].min() < weights[:, 1].max() <= 1.05
    assert -0.4 <= weights[:, 2].min() < 0 < 0.8 < weights[:, 2].max() <= 0.9


def test_side_chains_fade_with_depth():
    depth = np.array([-1, 0, 1, 2, 3, 4])
    weights = [
        corruption.weaken_side_chains(
            np.ones(6, dtype=np.float32), depth, np.zeros(6, dtype=int), np.random.default_rng(s)
        )
        for s in range(50)
    ]
    assert all(w[0] == 1 for w in weights)
    assert all((np.diff(w[1:]) <= 1e-6).all() for w in weights)
    assert min(w[5] for w in weights) < 0.6


def test_b_factors_follow_mobility_and_start_at_zero():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0, 60, (400, 3)).astype(np.float32)
    mobility = rng.uniform(10, 80, 400).astype(np.float32)
    values = [corruption.atomic_b_factors(xyz, mobility, np.full(400, -1), np.random.default_rng(s)) for s in range(40)]
    assert all(v.min() == 0 for v in values)
    assert np.mean([np.corrcoef(v, mobility)[0, 1] for v in values if v.std() > 0]) > 0.3


def test_radial_mean_against_a_loop():
    power = torch.rand(2, SIZE * SIZE * (SIZE // 2 + 1))
    shell = (frequencies() * SIZE).round().long().flatten()
    weight = 1 + torch.rand(len(shell))
    shells = int(shell.max()) + 1
    found = corruption.radial_mean(power, shell, weight, shells)
    for number in range(0, shells, 5):
        here = shell == number
        expected = (power[:, here] * weight[here]).sum(1) / weight[here].sum()
        torch.testing.assert_close(found[:, number], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("resolution", [2.0, 3.0, 4.5])
def test_fsc_crosses_0143_at_the_resolution(resolution):
    at = corruption.fsc_curve(torch.tensor([1 / resolution]), torch.tensor([resolution]), torch.tensor([0.02]))
    assert at.item() == pytest.approx(0.143, abs=0.002)


def test_noise_leaves_the_fsc_that_was_asked_for():
    """Two maps with independent noise of this amplitude correlate, in the occupied volume, as half-map sums do."""
    torch.manual_seed(0)
    signal = torch.randn(1, SIZE, SIZE, SIZE)
    spectrum = spectrum_of(signal)
    fsc = torch.full(spectrum.shape, 0.4)
    power = torch.full(spectrum.shape, float(spectrum.abs().square().mean()))
    maps = [
        corruption.add_noise(spectrum, fsc, power, torch.ones(1), torch.Generator().manual_seed(seed))
        for seed in (1, 2)
    ]
    # Signal power 2 FSC / (1 + FSC), noise power (1 - FSC) / (1 + FSC): the share of signal is that of the full map.
    shared = (maps[0] * maps[1].conj()).real.mean() / maps[0].abs().square().mean()
    assert shared.item() == pytest.approx(2 * 0.4 / 1.4, abs=0.03)


def test_weighting_is_taken_back_as_far_as_asked():
    """Without weighting the signal is as it was, but where next to nothing of it is left."""
    torch.manual_seed(0)
    spectrum = spectrum_of(torch.randn(3, SIZE, SIZE, SIZE))
    fsc = torch.rand(spectrum.shape).clamp_min(0.03)
    quiet = corruption.add_noise(spectrum, fsc, fsc, torch.zeros(3), torch.Generator())
    changed = corruption.undo_weighting(quiet, fsc, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(changed[0], spectrum[0])
    torch.testing.assert_close(changed[1].abs(), (quiet[1] * spectrum[1]).abs().sqrt())
    torch.testing.assert_close(changed[2], quiet[2])
    nothing = corruption.undo_weighting(quiet, torch.full(fsc.shape, 1e-6), torch.zeros(3))
    torch.testing.assert_close(nothing, 5 * quiet)


def test_sharpening_reaches_the_fall_off():
    s = torch.arange(33) / 64
    power = torch.exp(-2 * 180.0 * s**2 / 4)[None]  # amplitudes fall with B = 180
    target = torch.tensor([40.0])
    b = corruption.sharpening(power, s, torch.tensor([3.0]), target)
    assert b.item() == pytest.approx(40 - 180, abs=0.5)


def test_interpolation_blur_is_linear_interpolation():
    fraction = 0.3
    signal = torch.randn(64)
    interpolated = (1 - fraction) * signal + fraction * torch.roll(signal, 1)
    ratio = torch.fft.rfft(interpolated).abs() / torch.fft.rfft(signal).abs()
    torch.testing.assert_close(
        corruption.interpolation_blur(torch.fft.rfftfreq(64), torch.tensor([fraction]))[0], ratio, rtol=1e-3, atol=1e-4
    )


def test_zone_mask_against_distances():
    kept = torch.zeros(2, SIZE, SIZE, SIZE)
    kept[0, 10, 12, 14] = kept[0, 20, 5, 9] = kept[1, 16, 16, 16] = 1
    found = corruption.zone_mask(kept, torch.tensor([4.0, 6.0]))
    grid = np.argwhere(np.ones((SIZE,) * 3))
    for crop, points, radius in ((0, [(10, 12, 14), (20, 5, 9)], 4), (1, [(16, 16, 16)], 6)):
        distance = np.min([np.linalg.norm(grid - p, axis=1) for p in points], axis=0).reshape((SIZE,) * 3)
        assert np.array_equal(found[crop].numpy(), distance <= radius)


def test_soft_mask_keeps_the_inside_and_clears_the_outside():
    smooth = torch.zeros(1, SIZE, SIZE, SIZE)
    smooth[:, 8:24, 8:24, 8:24] = 1
    masked = corruption.soft_mask(torch.ones_like(smooth), smooth)
    assert masked[0, 16, 16, 16] > 0.99
    assert masked[0, 2, 2, 2] < 0.01


def test_contrast_varies_slowly():
    density = torch.ones(1, SIZE, SIZE, SIZE)
    changed = corruption.vary_contrast(density, torch.tensor([0.3]), torch.Generator().manual_seed(1))
    assert changed.std() > 0.05
    assert (changed[:, 1:] - changed[:, :-1]).abs().max() < 0.2
    assert torch.equal(corruption.vary_contrast(density, torch.zeros(1), torch.Generator().manual_seed(1)), density)
