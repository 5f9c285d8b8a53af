"""Crops: labels stand where the atoms are, densities peak there, batches are reproducible."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.training import crops
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.labels import BOX, CROP, MARGIN, random_rotation
from cryo2struct.training.losses import classifier_losses

PACK = Path(__file__).parents[1] / "data" / "small_pack.npz"
PLAIN = {
    "resolution": 2.0, "fsc_width": 0.01, "noise": 0.0, "weighting": 1.0, "falloff": 60.0, "low_pass": 10.0,
    "solvent": 0.0, "contrast": 0.0,    "blur": np.zeros(3), "soft_mask": False, "zone": 0.0, "clip": False,
    "structureless": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def pack() -> StructurePack:
    return StructurePack(PACK)


def stream(pack, first=0):
    return CropStream(
        pack, [0, 1, 2], batch_size=3, resolutions=(2.0, 4.0), seed=5, first_batch=first, simulate_here=True
    )


def one_crop(pack, seed=0, **changes):
    rng = np.random.default_rng(seed)
    crop = crops.draw_crop(pack[3], pack.atom_names, {**PLAIN, **changes}, rng)
    return crops.collate([crop], seed=seed)


def test_structureless_crop_is_noise_of_the_same_power_without_labels(pack):
    signal, noise = one_crop(pack), one_crop(pack, structureless=True, noise=1.0)
    assert len(signal.ca_cell) > 0
    assert len(noise.ca_cell) == 0
    assert not noise.atoms.any()
    assert not noise.filled.any()
    a, b = (crops.simulate(batch)[0, 0].numpy() for batch in (signal, noise))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.1
    # Noise of one seed is another noise of another.
    other = crops.simulate(one_crop(pack, seed=1, structureless=True, noise=1.0))[0, 0].numpy()
    assert abs(np.corrcoef(b.ravel(), other.ravel())[0, 1]) < 0.1


def test_losses_of_noise_alone_are_numbers(pack):
    """A batch without any structure teaches what is empty, and nothing else."""
    batch = one_crop(pack, structureless=True, noise=1.0)
    shapes = {"aa": 20, "ss": 3, "nonprotein": 1, "offset": 3, "next": 3, "prev": 3}
    heads = {name: torch.zeros(1, channels, 24, 24, 24) for name, channels in shapes.items()}
    losses = classifier_losses({"atoms": torch.zeros(1, 4, 48, 48, 48), **heads}, batch)
    assert losses.pop("atoms") > 0
    assert all(float(value) == 0 for value in losses.values())


def test_shares_of_nucleic_and_structureless_crops(pack):
    options = {"batch_size": 60, "resolutions": (2.0, 4.0), "seed": 5, "first_batch": 0, "simulate_here": True}
    both = CropStream(pack, list(range(len(pack))), **options, nucleic_share=0.5, structureless_share=0.3).batch(0)
    none = CropStream(pack, list(range(len(pack))), **options).batch(0)
    assert not none.map_structureless.any()
    assert 8 <= both.map_structureless.sum() <= 28  # 18 +- 3.5
    assert ((both.filled == 2).flatten(1).sum(1) > 100).sum() > 2 * ((none.filled == 2).flatten(1).sum(1) > 100).sum()


def test_batches_depend_on_seed_and_number_alone(pack):
    late = iter(stream(pack, first=2))
    batch, density = next(late)
    again = stream(pack).batch(2)
    for field in fields(batch):
        a, b = getattr(batch, field.name), getattr(again, field.name)
        assert torch.equal(a, b) or (a.isnan() == b.isnan()).all() if isinstance(a, torch.Tensor) else a == b
    torch.testing.assert_close(simulate(again), density)


def test_splat_keeps_weight_and_centre():
    xyz = torch.rand(50, 3) * 40 + 10
    weight = torch.rand(50)
    grid = crops.splat(torch.zeros(50, dtype=torch.long), xyz, weight, 1)[0]
    assert grid.sum().item() == pytest.approx(weight.sum().item(), rel=1e-4)
    index = torch.nonzero(grid > 0)
    centre = (index * grid[tuple(index.T)][:, None]).sum(0) / grid.sum()
    torch.testing.assert_close(centre.flip(0), (xyz * weight[:, None]).sum(0) / weight.sum(), atol=1e-3, rtol=1e-4)


def test_rotations_are_proper():
    for seed in range(20):
        rotation = random_rotation(np.random.default_rng(seed))
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)


def test_labels_are_where_the_atoms_are(pack):
    batch = one_crop(pack)
    ca = torch.nonzero(batch.atoms[0] == 1)
    _, z, y, x = batch.ca_cell.unbind(1)
    centre = torch.stack([2 * x, 2 * y, 2 * z], 1) + 0.5
    position = centre + batch.offset  # in the crop, x, y, z
    assert (batch.offset.abs() <= 1.0 + 1e-5).all()
    atoms = batch.atom_xyz - MARGIN
    assert torch.cdist(position, atoms).min(1).values.max() < 0.05
    assert torch.cdist(position.round().flip(1), ca.float()).min(1).values.max() == 0
    assert (batch.filled[0, z, y, x] == 1).all()


def test_directions_point_to_the_neighbours(pack):
    batch = one_crop(pack, seed=3)
    _, z, y, x = batch.ca_cell.unbind(1)
    position = torch.stack([2 * x, 2 * y, 2 * z], 1) + 0.5 + batch.offset
    there = ~batch.next.isnan().any(1)
    target = position[there] + 3.8 * batch.next[there]
    distance = torch.cdist(target, position).min(1).values
    assert (distance < 0.3).float().mean() > 0.85  # the others lie outside the crop or are cis
    torch.testing.assert_close(batch.next[there].norm(dim=1), torch.ones(int(there.sum())), atol=1e-4, rtol=0)


def test_density_is_normalised_and_high_at_atoms(pack):
    batch = one_crop(pack)
    density = simulate(batch)
    assert density.shape == (1, 1, CROP, CROP, CROP)
    assert density.mean().item() == pytest.approx(0, abs=1e-4)
    assert density.std().item() == pytest.approx(1, abs=1e-3)
    assert density[0, 0][batch.atoms[0] > 0].mean() > 2.0


def test_zone_mask_drops_labels_and_density_together(pack):
    batch = one_crop(pack, zone=4.0)
    density = simulate(batch)[0, 0]
    labelled = batch.atoms[0] > 0
    assert labelled.any()
    empty = torch.isclose(density, density.flatten().mode().values)  # a zeroed background is one value
    assert empty.float().mean() > 0.3
    assert not (labelled & empty).any()


def test_ideal_density_agrees_with_gaussian_atoms(pack):
    """The trilinear splat, deconvolved, against a direct sum of Gaussians of the same B factor."""
    batch = one_crop(pack)
    batch.group_b[:] = 120.0
    spectrum = crops.ideal_spectrum(batch)
    density = torch.fft.irfftn(spectrum, s=(BOX,) * 3, dim=(1, 2, 3))[0]
    points = torch.randint(16, 48, (40, 3), generator=torch.Generator().manual_seed(0))
    k = 4 * np.pi**2 / 120.0  # exp(-B s^2 / 4) in real space
    distance2 = torch.cdist(points.flip(1).float(), batch.atom_xyz) ** 2
    direct = ((k / np.pi) ** 1.5 * torch.exp(-k * distance2) * batch.atom_weight).sum(1)
    found = density[tuple(points.T)]
    assert torch.corrcoef(torch.stack([found, direct]))[0, 1] > 0.999
    torch.testing.assert_close(found, direct, atol=0.02 * float(direct.max()), rtol=0.05)
