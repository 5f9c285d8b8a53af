"""CC_mask and CC_box in little memory against the scores that `map_model` computes in double precision."""

from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryo2struct.density.simulate import simulate
from cryo2struct.errors import UsageError
from cryo2struct.evaluation.map_model import map_model
from cryo2struct.evaluation.map_model_overall import _to_grid, cc_mask_and_box
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, GridFrame

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_6272"


@pytest.fixture(scope="module")
def model():
    """Sixty residues, of which one atom has a B factor below 0 and one is anisotropic."""
    structure = read_structure(EXAMPLE / "reference.cif")
    chain = structure[0][0]
    for number in reversed(range(60, len(chain))):
        del chain[number]
    structure[0][0][0][0].b_iso = -5
    structure[0][0][1][0].aniso = gemmi.SMat33f(2, 0.1, 0.1, 0, 0, 0)
    return structure


def a_map(model, shape, voxel, shift=0.0):
    xyz = np.array([atom.pos.tolist() for chain in model[0] for residue in chain for atom in residue])
    voxel = np.array(voxel)
    frame = GridFrame(shape, voxel, xyz.mean(axis=0) - voxel * np.array(shape[::-1]) / 2 + shift)
    values = simulate(model, frame, max(3.5, 2 * voxel.max())).values
    noise = np.random.default_rng(0).normal(0, values.std(), shape)
    return DensityMap((values + noise).astype(np.float32), frame)


@pytest.mark.parametrize("resolution", [2.1, 3.0, 6.0])
@pytest.mark.parametrize(
    ("shape", "voxel", "shift"),
    [
        ((60, 56, 58), (1.0, 1.0, 1.0), 0),
        ((43, 37, 51), (1.25, 1.4, 1.1), 0),  # odd edges, voxels that are no cubes
        ((40, 40, 40), (1.0, 1.0, 1.0), 14),  # the model sticks out
    ],
)
def test_as_map_model(model, shape, voxel, shift, resolution):
    density = a_map(model, shape, voxel, shift)
    expected = map_model(model, density, resolution)
    assert cc_mask_and_box(model, density, resolution) == pytest.approx((expected.cc_mask, expected.cc_box), abs=1e-3)
    assert expected.cc_mask > 0.2


def test_real_map():
    density, _ = read_map(EXAMPLE / "map.mrc.gz")
    structure = read_structure(EXAMPLE / "reference.cif")
    expected = map_model(structure, density, 2.6)
    assert cc_mask_and_box(structure, density, 2.6) == pytest.approx((expected.cc_mask, expected.cc_box), abs=1e-3)


def test_nothing_to_compare(model):
    density = a_map(model, (40, 40, 40), (1, 1, 1))
    flat = DensityMap(np.full_like(density.values, 3), density.frame)
    far = GridFrame(density.frame.shape, density.frame.voxel, density.frame.origin + 500)
    assert cc_mask_and_box(model, flat, 3.0) == (0, 0)
    assert cc_mask_and_box(model, DensityMap(density.values, far), 3.0) == (0, 0)
    with pytest.raises(UsageError, match="--resolution 0"):
        cc_mask_and_box(model, density, 0.0)


def test_terms_on_a_grid():
    """A few terms against the sum of their waves."""
    shape, highest = (7, 6, 8), np.array([2, 1, 2])
    generator = np.random.default_rng(1)
    terms = (generator.normal(size=(5, 3, 3)) + 1j * generator.normal(size=(5, 3, 3))).astype(np.complex64)
    z, y, x = np.meshgrid(*(np.arange(size) / size for size in shape), indexing="ij")
    expected = np.zeros(shape)
    for k, kz in enumerate([0, 1, 2, -2, -1]):
        for j, ky in enumerate([0, 1, -1]):
            for i in range(3):
                wave = terms[k, j, i] * np.exp(2j * np.pi * (kz * z + ky * y + i * x))
                expected += (1 if i == 0 else 2) * wave.real
    # Of the terms with x index 0, irfft takes the part that a real map can have.
    assert np.allclose(_to_grid(terms, highest, shape) * np.prod(shape), expected, atol=1e-4)
