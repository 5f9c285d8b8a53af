"""Targets of the enhancer are the sums of Gaussians that they are said to be; losses tell better from worse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.training import crops
from cryo2struct.training.enhancement import (
    PROTEIN_DENSITY,
    enhancer_losses,
    structural_similarity,
    target_density,
)
from cryo2struct.training.labels import CROP, MARGIN

PACK = Path(__file__).parents[1] / "data" / "small_pack.npz"


@pytest.fixture(scope="module")
def batch():
    pack = StructurePack(PACK)
    options = {"batch_size": 2, "resolutions": (3.5, 4.0), "seed": 3, "first_batch": 0, "simulate_here": True}
    return crops.CropStream(pack, [2, 3], **options).batch(0)


def test_target_is_the_sum_of_gaussians(batch):
    density = target_density(batch)[:, 0].numpy()
    rng = np.random.default_rng(0)
    for crop, d in enumerate(batch.map_resolution.tolist()):
        mine = (batch.atom_crop == crop).numpy() & batch.atom_kept.numpy()
        xyz, weight = batch.atom_xyz.numpy()[mine], batch.atom_full.numpy()[mine]
        k = (np.pi / (0.9 * d)) ** 2
        voxels = rng.integers(4, CROP - 4, (300, 3))
        r2 = ((xyz - voxels[:, None, ::-1] - MARGIN) ** 2).sum(axis=2)
        expected = ((k / np.pi) ** 1.5 * weight * np.exp(-k * r2)).sum(axis=1) / PROTEIN_DENSITY
        error = density[crop][tuple(voxels.T)] - expected
        assert np.sqrt(np.mean(error**2)) < 0.1 * expected.std()  # atoms are spread over eight voxels first
        assert abs(error.mean()) < 0.01


def test_atoms_keep_their_full_weight_where_the_map_is_weak(batch):
    assert (batch.atom_weight < 0.9 * batch.atom_full).any()
    inside = target_density(batch) > 0.5
    assert 0.6 < float(target_density(batch)[inside].mean()) < 1.8


def test_a_map_without_structure_has_an_empty_target():
    pack = StructurePack(PACK)
    options = {"batch_size": 2, "resolutions": (3.0, 3.0), "seed": 3, "first_batch": 0, "simulate_here": True}
    batch = crops.CropStream(pack, [0, 1], **options, structureless_share=1.0).batch(0)
    assert float(target_density(batch).abs().max()) < 1e-5
    assert float(crops.simulate(batch).std()) == pytest.approx(1, abs=0.01)


def test_losses_fall_on_the_way_to_the_target(batch):
    target = target_density(batch)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    steps = [enhancer_losses(target + far * noise, batch) for far in (1.0, 0.5, 0.1, 0.0)]
    for name in ("squared", "smooth", "similarity"):
        values = [float(step[name]) for step in steps]
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(0, abs=1e-5)


def test_similarity_against_its_formula():
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=(2, 9, 9, 9)) + 1
    expected = []
    for z in (0, 2):
        for y in (0, 2):
            for x in (0, 2):
                a, b = (v[z : z + 7, y : y + 7, x : x + 7].ravel() for v in (one, other))
                ma, mb, cov = a.mean(), b.mean(), np.mean(a * b) - a.mean() * b.mean()
                top = (2 * ma * mb + 0.0016) * (2 * cov + 0.0144)
                expected.append(top / ((ma**2 + mb**2 + 0.0016) * (a.var() + b.var() + 0.0144)))
    found = structural_similarity(*(torch.from_numpy(v)[None, None] for v in (one, other)))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-9)
