"""Backbones completed from C-alphas, against a crystal structure, brute force and ideal geometry."""

from itertools import pairwise, product
from pathlib import Path

import gemmi
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cryo2struct.completion import complete
from cryo2struct.completion.evidence import C, Evidence, N
from cryo2struct.completion.geometry import place_beta, place_oxygen, torsion, trans_plane
from cryo2struct.completion.planes import best_path, dihedrals, plane_atoms
from cryo2struct.completion.relax import BAND, _equations, relax, restraints
from cryo2struct.io.models import read_structure
from cryo2struct.objects import Entity, GridFrame, Prediction, Sequences, Trace
from cryo2struct.ramachandran import log_odds, log_odds_of_first_psi, log_odds_of_phi, log_odds_of_psi

REFERENCE = Path(__file__).parents[2] / "examples" / "emd_6272" / "reference.cif"
VOXEL = np.array([1.0, 1.01, 0.99])


@pytest.fixture(scope="module")
def truth():
    """N, CA, C, O, CB (R, 5, 3) of the first 150 residues and their one-letter codes."""
    residues = list(read_structure(REFERENCE)[0][0])[:150]
    assert [b.seqid.num - a.seqid.num for a, b in pairwise(residues)] == [1] * 149
    xyz = np.full((len(residues), 5, 3), np.nan)
    for row, residue in enumerate(residues):
        for column, name in enumerate(("N", "CA", "C", "O", "CB")):
            if (atom := residue.find_atom(name, "*")) is not None:
                xyz[row, column] = atom.pos.tolist()
    return xyz, "".join(gemmi.find_tabulated_residue(residue.name).one_letter_code for residue in residues)


def prediction_of(xyz, spread=0.6):
    """Each C-alpha, N and C as a Gaussian of probability on a grid; only voxels that hold some are kept."""
    origin = np.nanmin(xyz, axis=(0, 1)) - 5
    shape = tuple(int(n) for n in np.ceil((np.nanmax(xyz, axis=(0, 1)) + 5 - origin) / VOXEL)[::-1])
    frame = GridFrame(shape, VOXEL, origin)
    classes = np.zeros((4, *shape))
    for column, atom in ((1, 1), (N, 0), (C, 2)):
        index = frame.to_index(xyz[:, atom])
        low = np.rint(index).astype(int)
        for step in product((-2, -1, 0, 1, 2), repeat=3):
            voxel = low + step
            distance = np.linalg.norm(frame.to_xyz(voxel) - xyz[:, atom], axis=1)
            values = np.exp(-0.5 * (distance / spread) ** 2) / (spread * np.sqrt(2 * np.pi)) ** 3
            np.add.at(classes[column], tuple(voxel.T), values)
    classes[0] = np.maximum(1 - classes.sum(axis=0), 0)
    voxels = np.argwhere(classes[0] < 0.999)
    atoms = classes[:, *voxels.T].T.astype(np.float16)
    return Prediction(frame, voxels, atoms, np.zeros((0, 3), int), {})


def trace_of(ca, candidate=0):
    zeros, ones = np.zeros(len(ca), dtype=int), np.ones(len(ca))
    return Trace(zeros, zeros, np.arange(len(ca)), np.full(len(ca), candidate), ca, ones, ones, ones)


def sequences_of(letters):
    return Sequences((Entity("x", letters, 1, "protein"),))


def rms(found, expected):
    square = ((found - expected) ** 2).sum(axis=-1)
    return np.sqrt(np.nanmean(square, axis=0))


def bonds_and_omega(xyz):
    n, ca, c = xyz[:, 0], xyz[:, 1], xyz[:, 2]
    peptide = np.linalg.norm(n[1:] - c[:-1], axis=1)
    places = zip(ca, c, n[1:], ca[1:], strict=False)
    omega = [np.degrees(gemmi.calculate_dihedral(*(gemmi.Position(*p) for p in four))) for four in places]
    return np.linalg.norm(n - ca, axis=1), np.linalg.norm(c - ca, axis=1), peptide, np.abs(omega)


def chirality(xyz):
    """Positive for L residues."""
    n, ca, c, _, cb = xyz.transpose(1, 0, 2)
    return (np.cross(n - ca, c - ca) * (cb - ca)).sum(axis=1)


def test_backbone_from_exact_alphas(truth):
    xyz, letters = truth
    found = complete(trace_of(xyz[:, 1]), sequences_of(letters), prediction_of(xyz))
    assert found.complete.all()
    errors = rms(found.xyz, xyz)
    assert (errors[[0, 1, 2]] < 0.2).all()
    assert (errors[[3, 4]] < [0.4, 0.3]).all()


def test_known_alphas_can_be_held(truth):
    xyz, letters = truth
    noisy = prediction_of(xyz + np.random.default_rng(3).normal(0, 0.3, xyz.shape))
    free, held = (
        rms(complete(trace_of(xyz[:, 1]), sequences_of(letters), noisy, **options).xyz, xyz)
        for options in ({}, {"ca_sd": 0.1})
    )
    assert held[1] < 0.1 < free[1]
    assert (held[[0, 2, 4]] < 0.85 * free[[0, 2, 4]]).all()


def test_ends_that_nothing_was_seen_of_take_likely_torsions(truth):
    xyz, letters = truth
    nowhere = prediction_of(xyz[:40] + 300)
    found = complete(trace_of(xyz[:40, 1]), sequences_of(letters[:40]), nowhere).xyz
    n, ca, c = found[:, 0], found[:, 1], found[:, 2]
    assert 90 < torsion(n[0], ca[0], c[0], n[1]) < 180
    assert -160 < torsion(c[-2], n[-1], ca[-1], c[-1]) < -40


@pytest.mark.parametrize("log_odds_of_one", [log_odds_of_phi, log_odds_of_psi, log_odds_of_first_psi])
def test_log_odds_of_single_torsions_are_over_a_uniform_density(log_odds_of_one):
    angle = np.radians(np.arange(-179.5, 180))
    assert np.exp(log_odds_of_one(angle)).mean() == pytest.approx(1, abs=0.01)
    assert log_odds_of_one(angle + 2 * np.pi) == pytest.approx(log_odds_of_one(angle))


def test_log_odds_of_single_torsions_are_marginals_of_both():
    angle = np.radians(np.arange(2.5, 360, 5))
    both = np.exp(log_odds(angle[:, None], angle))
    assert np.log(both.mean(axis=1)) == pytest.approx(log_odds_of_phi(angle))
    assert np.log(both.mean(axis=0)) == pytest.approx(log_odds_of_psi(angle))


def test_blurred_alphas_get_ideal_geometry(truth):
    xyz, letters = truth
    noisy = xyz[:, 1] + np.random.default_rng(0).normal(0, 0.35, (len(xyz), 3))
    found = complete(trace_of(noisy), sequences_of(letters), prediction_of(xyz)).xyz
    assert rms(found, xyz)[1] < 0.8 * rms(noisy[:, None], xyz[:, 1:2])[0]
    n_ca, ca_c, peptide, omega = bonds_and_omega(found)
    np.testing.assert_allclose(n_ca, 1.458, atol=0.03)
    np.testing.assert_allclose(ca_c, 1.525, atol=0.03)
    np.testing.assert_allclose(peptide, 1.329, atol=0.03)
    assert omega.min() > 140
    assert np.median(omega) > 170
    has_beta = np.isfinite(found[:, 4, 0])
    assert "".join(np.array(list(letters))[~has_beta]) == "G" * letters.count("G")
    assert (chirality(found)[has_beta] > 2).all()
    np.testing.assert_allclose(np.linalg.norm(found[:, 3] - found[:, 2], axis=1), 1.231, atol=1e-6)


def test_lone_residues_and_long_links(truth):
    """A residue without a neighbour keeps its C-alpha; one at a gap is completed from its other side."""
    xyz, letters = truth
    ca = xyz[:12, 1].copy()
    ca[8:] += 0.6 * (ca[8] - ca[7])  # the step of 3.8 A becomes 6.1 A
    assert np.linalg.norm(ca[8] - ca[7]) > 6
    trace = trace_of(ca)
    keep = np.array([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])  # without residue 1, residue 0 is alone
    trace = Trace(**{name: np.asarray(value)[keep] for name, value in vars(trace).items() if value is not None})
    found = complete(trace, sequences_of(letters), prediction_of(xyz[:12]))
    assert found.complete.tolist() == [False] + [True] * 10
    np.testing.assert_array_equal(found.xyz[0, 1], ca[0])
    assert np.isnan(found.xyz[0, [0, 2, 3, 4]]).all()
    peptide = np.linalg.norm(found.xyz[2:, 0] - found.xyz[1:-1, 2], axis=1)
    far = keep[1:-1] == 7
    assert peptide[far] > 2
    np.testing.assert_allclose(peptide[~far], 1.329, atol=0.03)


def test_rows_may_come_in_any_order(truth):
    xyz, letters = truth
    trace = trace_of(xyz[:30, 1])
    prediction = prediction_of(xyz[:30])
    shuffled = np.random.default_rng(1).permutation(30)
    other = Trace(**{name: np.asarray(value)[shuffled] for name, value in vars(trace).items() if value is not None})
    straight = complete(trace, sequences_of(letters), prediction)
    np.testing.assert_array_equal(complete(other, sequences_of(letters), prediction).xyz, straight.xyz[shuffled])


def test_nothing_predicted_or_nothing_linked_is_no_fault(truth):
    xyz, letters = truth
    far = prediction_of(xyz[:10] + 200)
    found = complete(trace_of(xyz[:10, 1]), sequences_of(letters), far)
    assert found.complete.all()
    alone = complete(trace_of(xyz[:1, 1]), sequences_of(letters), far)
    assert not alone.complete.any()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.floats(0.1, 6))
@example(0, 2, 0.25)  # the equations of the relaxation became singular
def test_any_trace_gives_finite_l_residues(seed, length, size):
    ca = np.random.default_rng(seed).normal(0, size, (length, 3)) + 20
    found = complete(trace_of(ca), sequences_of("A" * length), prediction_of(np.full((1, 5, 3), 20.0)))
    linked = np.linalg.norm(np.diff(ca, axis=0), axis=1) < 5.3
    expected = np.append(linked, False) | np.insert(linked, 0, False)
    assert (found.complete == expected).all()
    assert np.isfinite(found.xyz[expected]).all()
    assert (chirality(found.xyz[expected]) > 0).all()


def test_oxygen_and_beta_from_the_other_atoms(truth):
    xyz, letters = truth
    n, ca, c, o, cb = xyz.transpose(1, 0, 2)
    assert rms(place_oxygen(ca[:-1], c[:-1], n[1:]), o[:-1]) < 0.1
    proline = np.array(list(letters)) == "P"
    assert rms(place_beta(n, ca, c, proline), cb) < 0.12


def test_trans_plane_is_ideal():
    c, n, distance = trans_plane()
    end = np.array([distance, 0.0])
    assert distance == pytest.approx(3.80, abs=0.01)
    assert np.linalg.norm(c) == pytest.approx(1.525)
    assert np.linalg.norm(n - c) == pytest.approx(1.329)
    assert np.linalg.norm(end - n) == pytest.approx(1.458)
    assert c[1] * n[1] < 0  # on either side of the line: trans


def test_planes_turn_about_the_line_of_the_alphas():
    ca = np.array([[0.0, 0, 0], [3.8, 0, 0], [3.8, 3.8, 0]])
    carbon, nitrogen = plane_atoms(ca)
    np.testing.assert_allclose(carbon[0, :, 0], carbon[0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(nitrogen - carbon, axis=2), 1.329, atol=0.002)
    np.testing.assert_allclose(np.linalg.norm(nitrogen - ca[1:, None], axis=2), 1.458, atol=0.002)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_best_path_is_the_best(length, seed):
    rng = np.random.default_rng(seed)
    own, between = rng.normal(size=(length, 3)), rng.normal(size=(length - 1, 3, 3))

    def score(path):
        return own[np.arange(length), path].sum() + sum(
            b[i, j] for b, i, j in zip(between, path, path[1:], strict=False)
        )

    best = max(product(range(3), repeat=length), key=score)
    assert best_path(own, between).tolist() == list(best)


def test_dihedrals_agree_with_gemmi():
    a, b, c, d = np.random.default_rng(2).normal(size=(4, 3))
    axis = (c - b) / np.linalg.norm(c - b)
    found = dihedrals((a - b)[None, None], axis[None, None], (d - c)[None, None])[0, 0, 0]
    assert found == pytest.approx(gemmi.calculate_dihedral(*(gemmi.Position(*p) for p in (a, b, c, d))))


def test_evidence_is_interpolated_as_on_a_dense_grid(truth):
    prediction = prediction_of(truth[0][:20])
    dense = np.zeros(prediction.frame.shape)
    dense[tuple(prediction.voxels.T)] = prediction.atoms[:, N]
    points = prediction.frame.to_xyz(np.random.default_rng(3).uniform(-2, np.array(dense.shape) + 1, (500, 3)))
    expected = scipy.ndimage.map_coordinates(dense, prediction.frame.to_index(points).T, order=1, mode="grid-constant")
    evidence = Evidence(prediction)
    np.testing.assert_allclose(evidence.at(points, N), expected, atol=1e-12)
    centre, mass = evidence.centre(points, N, 1.5)
    places = prediction.frame.to_xyz(prediction.voxels)
    for point, mean, total in zip(points, centre, mass, strict=True):
        weight = prediction.atoms[:, N].astype(float) * (np.linalg.norm(places - point, axis=1) <= 1.5)
        assert total == pytest.approx(weight.sum(), abs=1e-9)
        if total > 0:
            np.testing.assert_allclose(mean, weight @ places / total, atol=1e-6)


def test_equations_of_the_relaxation():
    """Gradient against differences of the energy, bands against the dense matrix."""
    rng = np.random.default_rng(4)
    linked = np.array([True, False, True])
    pairs, ideal, strength = restraints(4, linked)
    points, aim, pull = rng.normal(0, 3, (12, 3)), rng.normal(0, 3, (12, 3)), rng.random((12, 1))

    def residuals(flat):
        at = flat.reshape(-1, 3)
        length = np.linalg.norm(at[pairs[:, 0]] - at[pairs[:, 1]], axis=1)
        return np.concatenate([(np.sqrt(pull) * (at - aim)).ravel(), np.sqrt(strength) * (length - ideal)])

    flat = points.ravel()
    steps = 1e-6 * np.eye(flat.size)
    jacobian = np.stack([(residuals(flat + s) - residuals(flat - s)) / 2e-6 for s in steps], axis=1)
    gradient, bands = _equations(points, aim, pull, pairs, ideal, strength)
    np.testing.assert_allclose(gradient.ravel(), jacobian.T @ residuals(flat), rtol=1e-5, atol=1e-3)
    matrix = jacobian.T @ jacobian
    assert np.abs(np.tril(matrix, -BAND)).max() < 1e-6
    for k in range(BAND):
        np.testing.assert_allclose(bands[k, : flat.size - k], np.diag(matrix, -k), rtol=1e-5, atol=1e-3)


def test_relaxation_leaves_the_ideal_alone():
    c, n, distance = trans_plane()
    xyz = np.zeros((2, 3, 3))
    xyz[0, 2, :2], xyz[1, 0, :2], xyz[1, 1, 0] = c, n, distance
    tau = np.radians(111.2)
    for row, known, free, length in ((0, 2, 0, 1.458), (1, 0, 2, 1.525)):
        along = xyz[row, known] - xyz[row, 1]
        along /= np.linalg.norm(along)
        xyz[row, free] = xyz[row, 1] + length * (np.cos(tau) * along + np.sin(tau) * np.array([0, 0, 1.0]))
    relaxed = relax(xyz, xyz, np.ones((2, 3)), np.array([True]))
    np.testing.assert_allclose(relaxed, xyz, atol=1e-6)


def test_phi_and_psi_are_a_density():
    angle = np.radians(np.arange(0, 360, 5) + 2.5)
    phi, psi = np.meshgrid(angle, angle, indexing="ij")
    assert np.exp(log_odds(phi, psi)).mean() == pytest.approx(1, abs=1e-3)
    helix, empty = log_odds(np.radians([-63, 100]), np.radians([-42, 100]))
    assert helix > 3
    assert empty < -1
