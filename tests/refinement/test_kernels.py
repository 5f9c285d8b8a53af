"""Energies of restraints: gradients against finite differences, values against slow and obvious formulas."""

import gemmi
import numpy as np
import pytest
import scipy.ndimage

from cryo2struct.refinement import _kernels as kernels

RNG = np.random.default_rng(1)
XYZ = RNG.normal(size=(12, 3)) * 1.5 + 8
ROWS = np.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [9, 2, 11, 0, 5]])
WEIGHT = np.array([1.0, 2.0, 0.5])
MAP = RNG.normal(size=(14, 15, 16))
TABLES = RNG.normal(size=(2, 12, 12))
ORIGIN, VOXEL = np.array([-1.0, -2.0, -3.0]), np.array([1.2, 1.3, 1.4])

ENERGIES = {
    "bonds": lambda x, g: kernels.bonds(x, ROWS[:, :2], np.array([1.0, 2, 3]), WEIGHT, g),
    "repulsion": lambda x, g: kernels.repulsion(x, ROWS[:, :2], np.full(3, 9.0), 1.5, g),
    "angles": lambda x, g: kernels.angles(x, ROWS[:, :3], np.array([1.0, 2, 1.5]), WEIGHT, g),
    "volumes": lambda x, g: kernels.volumes(x, ROWS[:, :4], np.array([2.5, 0, -2.5]), WEIGHT, g),
    "planes": lambda x, g: kernels.planes(x, ROWS.ravel(), np.array([0, 4, 10, 15]), 2.0, g),
    "torsions": lambda x, g: kernels.torsions(x, ROWS[:, :4], WEIGHT, np.array([1.0, 2, 3]), WEIGHT, g),
    "ramachandran": lambda x, g: kernels.ramachandran(x, ROWS, np.array([0, 1, 0]), TABLES, 1.5, g),
    "overlap": lambda x, g: kernels.overlap(x, ROWS[:, :2], CHARGE, 2.0, 0.7, g),
    "density": lambda x, g: kernels.density(x, CHARGE, MAP, ORIGIN, VOXEL, 0.7, g),
}
CHARGE = np.linspace(1, 2, len(XYZ))


@pytest.mark.parametrize("name", ENERGIES)
def test_gradients_are_those_of_finite_differences(name):
    energy = ENERGIES[name]
    gradient = np.zeros_like(XYZ)
    energy(XYZ, gradient)
    assert np.abs(gradient).max() > 0.01
    numerical, step = np.zeros_like(XYZ), 1e-5
    for index in np.ndindex(XYZ.shape):
        ahead, behind = XYZ.copy(), XYZ.copy()
        ahead[index] += step
        behind[index] -= step
        unused = np.zeros_like(XYZ)
        numerical[index] = (energy(ahead, unused) - energy(behind, unused)) / (2 * step)
    np.testing.assert_allclose(gradient, numerical, rtol=1e-4, atol=1e-5 * np.abs(gradient).max())


def test_dihedral_is_that_of_gemmi():
    for row in ROWS:
        places = [gemmi.Position(*XYZ[i]) for i in row[:4]]
        found = kernels.dihedral(XYZ, *row[:4], np.empty((4, 3)))
        assert found == pytest.approx(gemmi.calculate_dihedral(*places), abs=1e-6)


def test_plane_is_that_of_a_singular_value_decomposition():
    group = XYZ[:6]
    smallest = np.linalg.svd(group - group.mean(axis=0), compute_uv=False)[-1]
    found = kernels.planes(XYZ, np.arange(6), np.array([0, 6]), 1.0, np.zeros_like(XYZ))
    assert found == pytest.approx(smallest**2, rel=1e-9)


def test_density_is_that_of_scipys_spline():
    index = ((XYZ - ORIGIN) / VOXEL)[:, ::-1]
    expected = -scipy.ndimage.map_coordinates(MAP, index.T, order=3, prefilter=False)
    found = [kernels.density(x[None], np.ones(1), MAP, ORIGIN, VOXEL, 1.0, np.zeros((1, 3))) for x in XYZ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_ramachandran_table_is_periodic_and_passes_through_its_values():
    values = RNG.normal(size=(12, 12))
    spline = scipy.ndimage.spline_filter(values, order=3, mode="grid-wrap")
    angles = [kernels.dihedral(XYZ, *ROWS[0][k : k + 4], np.empty((4, 3))) for k in (0, 1)]
    places = np.array(angles)[:, None] * 12 / (2 * np.pi) - 0.5
    expected = scipy.ndimage.map_coordinates(spline, places, order=3, mode="grid-wrap", prefilter=False)
    found = kernels.ramachandran(XYZ, ROWS[:1], np.zeros(1, int), spline[None], 1.0, np.zeros_like(XYZ))
    assert found == pytest.approx(expected[0], rel=1e-9)
