"""Models of known structures, disturbed and refined against simulated density."""

from pathlib import Path

import gemmi
import numpy as np
import pytest
import scipy.ndimage

from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.errors import InputError, UsageError
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.refinement import refine, rounds
from cryo2struct.refinement.energy import Energy, Weights, nearest_rotamers, restraints
from cryo2struct.refinement.flips import flip_peptides
from cryo2struct.refinement.geometry import geometry
from cryo2struct.refinement.neighbours import Neighbours
from cryo2struct.refinement.target import Target, charges, crop
from cryo2struct.refinement.topology import coordinates, topology

REFERENCE = Path(__file__).parents[2] / "examples" / "emd_6272" / "reference.cif"
RESOLUTION = 3.0
N = 25


def part(keep):
    """The reference with the residues (by index) that `keep` wants."""
    structure = read_structure(REFERENCE)
    structure.remove_alternative_conformations()
    chain = structure[0][0]
    for index in reversed(range(len(chain))):
        if not keep(index):
            del chain[index]
    while len(structure[0]) > 1:
        del structure[0][1]
    return structure


def placed(structure, xyz):
    moved = structure.clone()
    for site, place in zip(moved[0].all(), xyz.tolist(), strict=True):
        site.atom.pos = gemmi.Position(*place)
    return moved


def rms(found, expected):
    return np.sqrt(((found - expected) ** 2).sum(axis=1).mean())


def neighbours_of(restraints):
    return Neighbours(restraints.elements, restraints.bonds)


@pytest.fixture(scope="module")
def truth():
    return part(lambda index: index < N)


@pytest.fixture(scope="module")
def density(truth):
    return simulate(truth, box_around(truth, RESOLUTION, 1.0, 6, 10**7), RESOLUTION)


@pytest.fixture(scope="module")
def disturbed(truth):
    """Residues moved by 0.3 A and atoms by 0.2 A per axis."""
    rng, xyz = np.random.default_rng(2), coordinates(truth)
    residue = np.repeat(np.arange(N), [len(residue) for residue in truth[0][0]])
    return placed(truth, xyz + 0.3 * rng.normal(size=(N, 3))[residue] + 0.2 * rng.normal(size=xyz.shape))


@pytest.fixture(scope="module")
def refined(disturbed, density):
    return refine(disturbed, density, RESOLUTION)


def test_disturbed_model_returns(truth, disturbed, refined):
    expected = coordinates(truth)
    assert refined.refined
    assert refined.note is None
    assert rms(coordinates(disturbed), expected) > 0.5
    assert rms(coordinates(refined.structure), expected) < 0.25
    assert refined.after.bond_rmsd < 0.02
    assert refined.after.angle_rmsd < 2.0
    assert refined.after.wrong_hands == 0
    assert refined.after.clashes_per_1000 == 0
    assert refined.correlation_after > refined.correlation_before


def test_refinement_changes_coordinates_alone(disturbed, refined):
    before, after = ([*s[0].all()] for s in (disturbed, refined.structure))
    assert [str(site) for site in before] == [str(site) for site in after]
    assert [site.atom.b_iso for site in before] == [site.atom.b_iso for site in after]


def test_mode_none_and_the_given_structure_stay(disturbed, density):
    start = coordinates(disturbed)
    kept = refine(disturbed, density, RESOLUTION, "none")
    assert not kept.refined
    np.testing.assert_array_equal(coordinates(kept.structure), start)
    refine(part(lambda index: index < 3), density, RESOLUTION)
    np.testing.assert_array_equal(coordinates(disturbed), start)


def test_deposited_model_has_nearly_no_strain(truth):
    found = topology(truth)
    per_restraint = restraints(coordinates(truth), found, np.zeros((len(found.elements), 3))) / (
        len(found.bonds) + len(found.angles) + len(found.plane_atoms) + len(found.volumes)
    )
    assert per_restraint < 2
    shape = geometry(coordinates(truth), found, neighbours_of(found))
    assert shape.bond_rmsd < 0.02
    assert shape.angle_rmsd < 3
    assert shape.wrong_hands == 0


def test_restraints_alone_reach_ideal_geometry(disturbed, density):
    found = topology(disturbed)
    xyz = coordinates(disturbed)
    target = Target(crop(density, xyz), charges(found.elements), 0.7)
    energy = Energy(found, neighbours_of(found), target, Weights(density=0, ramachandran=0, rotamer=0))
    for _ in range(4):
        xyz = energy.minimise(xyz, 100)
    shape = geometry(xyz, found, neighbours_of(found))
    assert shape.bond_rmsd < 0.002
    assert shape.angle_rmsd < 0.7


def test_gradient_of_the_whole_energy_is_that_of_finite_differences(disturbed, density):
    found, xyz = topology(disturbed), coordinates(disturbed)
    xyz += np.random.default_rng(0).normal(0, 0.1, xyz.shape)
    energy = Energy(found, neighbours_of(found), Target(crop(density, xyz), charges(found.elements), 0.8), Weights())
    energy.prepare(xyz)
    _, gradient = energy(xyz)
    for index in [(0, 0), (found.alphas[2], 1), (17, 1), (101, 2), (len(xyz) - 1, 0)]:
        step = np.zeros_like(xyz)
        step[index] = 1e-4
        numerical = (energy(xyz + step)[0] - energy(xyz - step)[0]) / 2e-4
        assert gradient[index] == pytest.approx(numerical, rel=1e-3, abs=0.1)


def test_c_alphas_are_held_where_they_were(disturbed, density):
    found, start = topology(disturbed), coordinates(disturbed)
    target = Target(crop(density, start), charges(found.elements), 0.7)
    moved = []
    for weight in (0.0, 10.0, 1e5):
        weights = Weights(density=0, ramachandran=0, rotamer=0, position=weight)
        xyz = Energy(found, neighbours_of(found), target, weights).minimise(start, 200)
        moved.append(np.linalg.norm(xyz[found.alphas] - start[found.alphas], axis=1).mean())
    assert moved[0] > 1.2 * moved[1] > 12 * moved[2]


def test_target_is_the_squared_difference_on_a_grid(truth, density):
    """The map is made of Gaussians, and the value falls with the squared difference of two such maps."""
    width, found = 1.0, topology(truth)
    frame = box_around(truth, RESOLUTION, 0.5, 8, 10**7)
    grid = frame.to_xyz(np.argwhere(np.ones(frame.shape))).reshape(*frame.shape, 3)

    def gaussians(xyz):
        values = np.zeros(frame.shape)
        for charge, place in zip(charges(found.elements), xyz, strict=True):
            low = np.maximum(np.floor(frame.to_index(place) - 10).astype(int), 0)
            box = tuple(slice(a, a + 21) for a in low)
            square = ((grid[box] - place) ** 2).sum(axis=-1)
            values[box] += charge * np.exp(-square / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
        return values

    xyz = coordinates(truth)
    true = gaussians(xyz)
    target = Target(crop(DensityMap(true.astype(np.float32), frame), xyz), charges(found.elements), width)
    near = neighbours_of(found).near
    other = xyz + np.random.default_rng(0).normal(size=xyz.shape) * 0.5
    model = gaussians(other)
    expected = (true * model).sum() / np.sqrt((true**2).sum() * (model**2).sum())
    assert target.correlation(xyz, near(xyz, 8)) == pytest.approx(1, abs=0.01)
    assert target.correlation(other, near(other, 8)) == pytest.approx(expected, abs=0.01)


def test_chain_breaks_stay_open(density):
    broken = part(lambda index: index < 10 or 15 <= index < N)
    found = topology(broken)
    whole = topology(part(lambda index: index < N - 5))
    assert len(found.omega) == len(whole.omega) - 1 == N - 7
    assert len(found.phi_psi) == len(whole.phi_psi) - 2
    result = refine(broken, density, RESOLUTION)
    assert result.refined
    chain = result.structure[0][0]
    assert chain[9]["C"][0].pos.dist(chain[10]["N"][0].pos) > 5


def test_single_and_isolated_residues_keep_their_places(density):
    for keep in (lambda index: index == 12, lambda index: index in (5, 10, 15)):
        residues = part(keep)
        result = refine(residues, density, RESOLUTION)
        assert not result.refined
        assert "no two residues" in result.note
        np.testing.assert_array_equal(coordinates(result.structure), coordinates(residues))


def test_isolated_residue_beside_a_chain_keeps_its_place(density):
    mixed = part(lambda index: index < 10 or index == 12)
    held = ~topology(mixed).moving
    assert held.sum() == len(mixed[0][0][10])
    result = refine(mixed, density, RESOLUTION)
    assert result.refined
    np.testing.assert_array_equal(coordinates(result.structure)[held], coordinates(mixed)[held])


def test_lone_alpha_carbons_and_strange_residues_keep_their_places(density):
    mixed = part(lambda index: index < 20)
    chain = mixed[0][0]
    for index in reversed(range(len(chain[8]))):
        if chain[8][index].name != "CA":
            del chain[8][index]
    chain[19].name = "ATP"
    for atom in chain[19]:
        atom.name = f"X{atom.name}"
    held = ~topology(mixed).moving
    assert held.sum() == 1 + len(chain[19])
    rng, xyz = np.random.default_rng(0), coordinates(mixed)
    start = placed(mixed, xyz + rng.normal(size=xyz.shape) * 0.1)
    result = refine(start, density, RESOLUTION)
    assert result.refined
    np.testing.assert_allclose(coordinates(result.structure)[held], coordinates(start)[held], atol=1e-9)
    assert (coordinates(result.structure)[~held] != coordinates(start)[~held]).any()


def test_model_of_alpha_carbons_is_kept(truth, density):
    alone = truth.clone()
    for residue in alone[0][0]:
        for index in reversed(range(len(residue))):
            if residue[index].name != "CA":
                del residue[index]
    result = refine(alone, density, RESOLUTION)
    assert not result.refined
    assert "no two residues with N, CA and C" in result.note


def test_map_elsewhere_is_refused(truth, density):
    away = DensityMap(density.values, GridFrame(density.frame.shape, density.frame.voxel, density.frame.origin + 500))
    with pytest.raises(InputError, match=r"does not cover the model: \d+ of \d+ atoms are outside"):
        refine(truth, away, RESOLUTION)
    flat = DensityMap(np.ones_like(density.values), density.frame)
    with pytest.raises(InputError, match="constant around the model"):
        refine(truth, flat, RESOLUTION)


def test_settings_out_of_range_are_refused(truth, density):
    with pytest.raises(UsageError, match="--refine best"):
        refine(truth, density, RESOLUTION, "best")
    with pytest.raises(UsageError, match="--resolution 0"):
        refine(truth, density, 0.0)


def test_diverged_refinement_keeps_the_model(disturbed, density, monkeypatch):
    monkeypatch.setattr(Energy, "minimise", lambda self, xyz, steps: xyz * np.nan)
    result = refine(disturbed, density, RESOLUTION)
    assert not result.refined
    assert result.note == "refinement: diverged; the model is kept as it was"
    np.testing.assert_array_equal(coordinates(result.structure), coordinates(disturbed))


def test_fall_of_the_correlation_keeps_the_model(truth, density, monkeypatch):
    monkeypatch.setattr(Energy, "minimise", lambda self, xyz, steps: xyz + 1.5)
    result = refine(truth, density, RESOLUTION)
    assert not result.refined
    assert "correlation fell from" in result.note
    np.testing.assert_array_equal(coordinates(result.structure), coordinates(truth))


@pytest.mark.parametrize("fall", [0.01, 0.03])
@pytest.mark.parametrize("better", [True, False])
def test_small_fall_of_the_correlation_is_allowed_for_fewer_unusual_residues(
    truth, disturbed, density, monkeypatch, better, fall
):
    begin, end = (disturbed, truth) if better else (truth, truth)
    monkeypatch.setattr(Energy, "minimise", lambda self, xyz, steps: coordinates(end) + 1e-6)
    monkeypatch.setattr(rounds, "FLIP_ROUNDS", 0)
    monkeypatch.setattr(
        rounds, "_correlation", lambda _, __, xyz: 0.8 - fall * (not np.array_equal(xyz, coordinates(begin)))
    )
    result = refine(begin, density, RESOLUTION)
    assert result.refined == (better and fall == 0.01)
    if result.refined:
        assert result.after.unusual < result.before.unusual
    else:
        assert "correlation fell from 0.800" in result.note


def test_flipped_peptides_are_turned_back(truth, density):
    found, xyz = topology(truth), coordinates(truth)
    wrong = xyz.copy()
    for peptide in (6, 14, 20):
        first, c, o, n, last = found.peptides[peptide]
        axis = (xyz[last] - xyz[first]) / np.linalg.norm(xyz[last] - xyz[first])
        for atom in (c, o, n):
            arm = xyz[atom] - xyz[first]
            wrong[atom] = xyz[first] + 2 * (arm @ axis) * axis - arm
    target = Target(crop(density, xyz), charges(found.elements), 0.9)
    energy = Energy(found, neighbours_of(found), target, Weights())
    energy.prepare(wrong)
    mended, turned = flip_peptides(wrong, found, target, Weights())
    assert turned >= 3
    oxygen = found.peptides[[6, 14, 20], 2]
    assert (np.linalg.norm(wrong[oxygen] - xyz[oxygen], axis=1) > 2).all()
    assert (np.linalg.norm(mended[oxygen] - xyz[oxygen], axis=1) < 1).all()


def test_backbone_mode_follows_the_backbone(truth, disturbed, density):
    result = refine(disturbed, density, RESOLUTION, "backbone")
    backbone = topology(truth).backbone
    assert result.refined
    before = rms(coordinates(disturbed)[backbone], coordinates(truth)[backbone])
    assert rms(coordinates(result.structure)[backbone], coordinates(truth)[backbone]) < 0.7 * before
    assert result.after.bond_rmsd < 0.02


def test_nearest_rotamers_lie_within_half_a_turn(truth):
    found = topology(truth)
    ideal, weight = nearest_rotamers(coordinates(truth), found)
    assert (weight > 0).sum() == sum(rows.size for rows in found.chi_rows.values()) > 20
    assert np.isfinite(ideal).all()


def test_atoms_in_line_do_not_stop_the_refinement(truth, disturbed, density):
    """An angle C-N-CA of 180 degrees, where phi and omega jump, as a misplaced proline may have."""
    found, xyz = topology(truth), coordinates(disturbed).copy()
    _, c, n, ca = found.omega[10]
    xyz[n] = (xyz[c] + xyz[ca]) / 2
    result = refine(placed(truth, xyz), density, RESOLUTION)
    assert result.refined
    assert result.after.angle_rmsd < 2
    assert rms(coordinates(result.structure), coordinates(truth)) < 0.3


def test_other_half_map_is_fitted_better_too(disturbed, density):
    rng, sd = np.random.default_rng(4), density.values.std()
    halves = []
    for _ in range(2):
        noise = scipy.ndimage.gaussian_filter(rng.normal(size=density.values.shape), RESOLUTION / 4)
        values = density.values + 0.5 * sd * noise / noise.std()
        halves.append(DensityMap(values.astype(np.float32), density.frame))
    result = refine(disturbed, halves[0], RESOLUTION)
    found, start = topology(disturbed), coordinates(disturbed)
    target = Target(crop(halves[1], start), charges(found.elements), 0.22 * RESOLUTION)
    before, after = (
        target.correlation(xyz, neighbours_of(found).near(xyz, target.reach))
        for xyz in (start, coordinates(result.structure))
    )
    assert result.refined
    assert after > before + 0.01
