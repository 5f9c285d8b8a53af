"""Noise of simulated maps against the correlation that it is to give, measured shell by shell with numpy alone."""

import gemmi
import numpy as np
import pytest

from cryo2struct.density.noise import half_maps
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.errors import InputError, UsageError
from cryo2struct.objects import GridFrame


@pytest.fixture(scope="module")
def structure() -> gemmi.Structure:
    """A compact cloud of 600 carbon atoms away from the origin."""
    places = np.random.default_rng(5).normal(scale=9, size=(600, 3)) + np.array([40, -20, 7])
    residue = gemmi.Residue()
    residue.name, residue.seqid = "LIG", gemmi.SeqId(1, " ")
    for number, place in enumerate(places):
        atom = gemmi.Atom()
        atom.name, atom.element = f"C{number}", gemmi.Element("C")
        atom.pos, atom.b_iso = gemmi.Position(*place), 40.0
        residue.add_atom(atom)
    chain, model, result = gemmi.Chain("A"), gemmi.Model(1), gemmi.Structure()
    chain.add_residue(residue)
    model.add_chain(chain)
    result.add_model(model)
    return result


def correlation_near(first, second, voxel, frequency, width=0.012) -> float:
    """Correlation of all terms of two maps whose frequency is within `width` of the one asked for."""
    axes = np.meshgrid(*(np.fft.fftfreq(n, voxel) for n in first.shape), indexing="ij")
    shell = np.abs(np.sqrt(sum(axis**2 for axis in axes)) - frequency) < width
    one, two = np.fft.fftn(first.astype(float))[shell], np.fft.fftn(second.astype(float))[shell]
    return float((one * two.conj()).sum().real / np.sqrt((abs(one) ** 2).sum() * (abs(two) ** 2).sum()))


@pytest.mark.parametrize(("resolution", "seed"), [(3.0, 0), (4.0, 1)])
def test_correlation_is_0143_at_the_resolution(structure, resolution, seed):
    frame = box_around(structure, resolution, None, 10.0, 10**7)
    clean = simulate(structure, frame, resolution)
    first, second = half_maps(clean, resolution, np.random.default_rng(seed))
    voxel, one, two = frame.voxel[0], first.values, second.values
    assert correlation_near(one, two, voxel, 1 / resolution) == pytest.approx(0.143, abs=0.05)
    assert correlation_near(one, two, voxel, 0.6 / resolution) > 0.95
    assert correlation_near(one, two, voxel, 1.25 / resolution) < 0.05
    # The mean of the two correlates with the truth by sqrt(2 FSC / (1 + FSC)).
    assert correlation_near((one + two) / 2, clean.values, voxel, 1 / resolution) == pytest.approx(0.5, abs=0.05)
    assert first.frame is frame
    assert one.dtype == np.float32


def test_same_seed_same_noise(structure):
    clean = simulate(structure, box_around(structure, 4.0, None, 5.0, 10**7), 4.0)
    once, again, other = (half_maps(clean, 4.0, np.random.default_rng(seed))[0].values for seed in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_clean_map_is_that_of_gemmi_up_to_the_filter(structure):
    """Below 0.8 / resolution the filter is 1: there the terms are those of gemmi's map with blurring taken back."""
    frame = box_around(structure, 3.0, None, 10.0, 10**7)
    ours = np.fft.fftn(simulate(structure, frame, 3.0).values.astype(float))
    blur = 30.0
    calculator = gemmi.DensityCalculatorE()
    edges = (np.array(frame.shape[::-1]) * frame.voxel).tolist()
    calculator.grid.unit_cell = gemmi.UnitCell(*edges, 90, 90, 90)
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(*frame.shape[::-1])
    calculator.blur = blur
    moved = structure[0].clone()
    moved.transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*-frame.origin)))
    calculator.add_model_density_to_grid(moved)
    theirs = np.fft.fftn(np.asarray(calculator.grid.array, dtype=float).transpose(2, 1, 0))
    axes = np.meshgrid(*(np.fft.fftfreq(n, frame.voxel[0]) for n in frame.shape), indexing="ij")
    squares = sum(axis**2 for axis in axes)
    theirs *= np.exp(blur * squares / 4)
    low = squares < (0.8 / 3.0) ** 2
    assert np.abs(ours[low] - theirs[low]).max() < 5e-3 * np.abs(theirs[low]).max()
    assert np.vdot(ours[low], theirs[low]).real / np.linalg.norm(ours[low]) / np.linalg.norm(theirs[low]) > 0.9999


def test_box_holds_all_atoms_with_padding_on_whole_voxels(structure):
    frame = box_around(structure, 3.0, 0.9, 6.0, 10**7)
    places = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    last = frame.to_xyz(np.array(frame.shape) - 1)
    assert (places.min(axis=0) - frame.origin >= 6.0 - 1e-9).all()
    assert (last - places.max(axis=0) >= 6.0 - 1e-9).all()
    np.testing.assert_allclose(frame.origin / 0.9, np.round(frame.origin / 0.9), atol=1e-9)
    assert isinstance(frame, GridFrame)
    assert all(n % 2 == 0 for n in frame.shape)


@pytest.mark.parametrize(
    ("values", "error", "word"),
    [
        ((30.0, None, 10.0, 10**7), UsageError, "--resolution 30"),
        ((float("nan"), None, 10.0, 10**7), UsageError, "--resolution nan"),
        ((3.0, 1.5, 10.0, 10**7), UsageError, "--voxel 1.5"),
        ((3.0, 0.0, 10.0, 10**7), UsageError, "--voxel 0.0"),
        ((3.0, None, -1.0, 10**7), UsageError, "--padding -1"),
        ((3.0, None, 10.0, 1000), InputError, "1000"),
    ],
)
def test_refused_lengths(structure, values, error, word):
    with pytest.raises(error, match=word):
        box_around(structure, *values)
