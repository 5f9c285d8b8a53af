from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from cryo2struct.density.normalise import background, occupied


@pytest.fixture(scope="module")
def molecule() -> np.ndarray:
    """Atom-like spikes in a ball of 15 voxels, blurred: mostly positive inside, 0 outside."""
    rng = np.random.default_rng(5)
    place = np.indices((64, 60, 70)) - np.array([32, 28, 36])[:, None, None, None]
    inside = (place**2).sum(axis=0) < 15**2
    spikes = np.where(inside & (rng.random(inside.shape) < 0.08), 40.0, 0.0)
    return scipy.ndimage.gaussian_filter(spikes, 1.2)


def noise(shape: tuple[int, ...], sigma: float, seed: int = 0) -> np.ndarray:
    white = np.random.default_rng(seed).normal(size=shape)
    rough = scipy.ndimage.gaussian_filter(white, 0.8) - scipy.ndimage.gaussian_filter(white, 4.0)
    return rough * (sigma / rough.std())


def checked(values: np.ndarray, molecule: np.ndarray) -> float:
    """Share of occupied voxels, none of the molecule's being lost."""
    mask = occupied(values)
    assert mask[molecule > 0.5].all()
    return float(mask.mean())


def test_noise_everywhere(molecule: np.ndarray) -> None:
    assert checked(molecule + noise(molecule.shape, 1.0), molecule) < 0.2


def test_zeros_outside_a_tight_mask(molecule: np.ndarray) -> None:
    mask = scipy.ndimage.binary_dilation(molecule > 0.5, iterations=3)
    values = (molecule + noise(molecule.shape, 1.0)) * mask
    assert (values == 0).mean() > 0.75
    assert checked(values, molecule) < 0.25


def test_zeros_outside_a_ball_with_noise_in_it(molecule: np.ndarray) -> None:
    place = np.indices(molecule.shape) - np.array([32, 30, 35])[:, None, None, None]
    ball = (place**2).sum(axis=0) < 29**2
    assert checked((molecule + noise(molecule.shape, 1.0)) * ball, molecule) < 0.2


@pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0.0), (1.0, -30.0), (5e3, 7e3)])
def test_scale_and_offset_do_not_matter(molecule: np.ndarray, scale: float, shift: float) -> None:
    values = molecule + noise(molecule.shape, 1.0)
    same = occupied(values) == occupied(values * scale + shift)
    assert same.mean() > 0.999


def test_a_box_without_solvent_is_occupied_throughout(molecule: np.ndarray) -> None:
    values = (molecule + noise(molecule.shape, 1.0))[24:40, 20:36, 28:44]
    assert occupied(values).all()


def test_noise_alone_and_a_constant_are_not_ruled_out() -> None:
    assert occupied(noise((40, 40, 40), 1.0)).all()
    assert occupied(np.full((20, 20, 20), 3.0)).all()


def test_background_of_noise_and_of_a_mask(molecule: np.ndarray) -> None:
    ground = background(molecule + noise(molecule.shape, 1.0) + 7.0)
    assert ground.level == pytest.approx(7.0, abs=0.15)
    assert ground.sigma == pytest.approx(1.0, rel=0.1)
    zeroed = background(np.where(molecule > 0.5, molecule, 0.0))
    assert zeroed.level == 0
    assert zeroed.sigma == 0
