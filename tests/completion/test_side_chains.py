"""Side chains against the dictionary's coordinates, brute force, and known structures with simulated density."""

from itertools import product
from pathlib import Path

import gemmi
import numpy as np
import pytest
from biotite.structure.info import residue as ccd_residue
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.completion._kernels import bump, pair_energies, settle
from cryo2struct.completion.conformers import build, ring_energy, torsion_energy, trial_torsions
from cryo2struct.completion.geometry import torsion
from cryo2struct.completion.side_chains import place_side_chains
from cryo2struct.completion.surroundings import Atoms, Surroundings
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap
from cryo2struct.stereochemistry import amino_acids

REFERENCE = Path(__file__).parents[2] / "examples" / "emd_6272" / "reference.cif"
WITH_SIDE_CHAIN = [letter for letter in amino_acids() if letter not in "AG"]
BY_NAME = {amino_acid.name: amino_acid for amino_acid in amino_acids().values()}


def chi_of(amino_acid, at):
    """Torsions (n,) in degrees of atoms by name."""
    return np.array([float(torsion(*(at[name][None] for name in four))[0]) for four in amino_acid.chi])


def positions(residue):
    return {atom.name: np.array(atom.pos.tolist()) for atom in residue}


def off_chi1(truth, model):
    """Differences (R,) of chi1 in degrees between residues that have one."""
    found = []
    for one, other in zip(truth[0][0], model[0][0], strict=True):
        amino_acid = BY_NAME[one.name]
        if amino_acid.chi:
            first, second = (chi_of(amino_acid, positions(residue))[0] for residue in (one, other))
            found.append(abs((first - second + 180) % 360 - 180))
    return np.array(found)


@pytest.fixture(scope="module")
def truth():
    """The first 70 residues of a crystal structure, all with B 40."""
    structure = read_structure(REFERENCE)
    chain = structure[0][0]
    del chain[70:]
    while len(structure[0]) > 1:
        del structure[0][1]
    for residue in chain:
        for atom in residue:
            atom.b_iso = 40.0
    return structure


def stripped(structure):
    """N, CA, C, O alone."""
    bare = structure.clone()
    for residue in bare[0][0]:
        for index in reversed(range(len(residue))):
            if residue[index].name not in ("N", "CA", "C", "O"):
                del residue[index]
    return bare


def density_of(structure, resolution):
    return simulate(structure, box_around(structure, resolution, 1.0, 8.0, 10**7), resolution)


def empty(structure):
    frame = box_around(structure, 3.0, 1.0, 8.0, 10**7)
    return DensityMap(np.zeros(frame.shape, dtype=np.float32), frame)


@pytest.mark.parametrize("letter", WITH_SIDE_CHAIN)
def test_built_side_chains_are_those_of_a_crystal_structure(letter):
    amino_acid = amino_acids()[letter]
    found = [positions(residue) for residue in read_structure(REFERENCE)[0][0] if residue.name == amino_acid.name]
    found = [at for at in found if set(amino_acid.atoms) <= set(at)]
    backbone = np.array([[at[name] for name in ("N", "CA", "C", "O", "CB")] for at in found])
    chi = np.array([chi_of(amino_acid, at) for at in found])
    built = build(amino_acid, backbone, chi)
    names = [placement.atom for placement in amino_acid.placements]
    expected = np.array([[at[name] for name in names] for at in found])
    assert np.median(np.linalg.norm(built - expected, axis=2)) < 0.25  # tryptophans here have wide angles
    for at, atoms, angles in zip(found, built, chi, strict=True):
        again = chi_of(amino_acid, at | dict(zip(names, atoms, strict=True)))
        assert (again - angles + 180) % 360 == pytest.approx(np.full(len(angles), 180.0), abs=1e-6)


def test_proline_rings_close_best_where_prolines_are():
    proline = amino_acids()["P"]
    theirs = ccd_residue("PRO")
    at = dict(zip(theirs.atom_name.tolist(), theirs.coord.astype(float), strict=True))
    backbone = np.stack([at[name] for name in ("N", "CA", "C", "O", "CB")])[None]
    rotamers = np.array([rotamer.chi for rotamer in proline.rotamers[:2]])
    straight = np.array([[180.0, 180.0]])
    closed, opened = (
        ring_energy(
            proline, np.repeat(backbone, len(chi), axis=0), build(proline, np.repeat(backbone, len(chi), 0), chi)
        )
        for chi in (rotamers, straight)
    )
    assert closed.max() < 30 < 200 < opened.min()
    serine = amino_acids()["S"]
    assert ring_energy(serine, backbone, build(serine, backbone, np.array([[60.0]]))) == 0


@pytest.mark.parametrize("letter", WITH_SIDE_CHAIN)
def test_torsion_energy_is_least_at_the_most_frequent_rotamer_and_periodic(letter):
    amino_acid = amino_acids()[letter]
    trials = trial_torsions(amino_acid)
    flat = trials.reshape(-1, trials.shape[2])
    for region in range(3):
        where = np.full(len(flat), region)
        energy = torsion_energy(amino_acid, flat, where)
        frequency = [rotamer.frequency[region] for rotamer in amino_acid.rotamers]
        best = amino_acid.rotamers[int(np.argmax(frequency))]
        off = np.abs((flat[energy.argmin()] - best.chi + 180) % 360 - 180)
        assert off == pytest.approx(0, abs=1e-9)
        assert energy.min() == pytest.approx(-np.log(max(frequency)))
        turned = flat + 360 * (np.arange(flat.shape[1]) - 1)
        assert torsion_energy(amino_acid, turned, where) == pytest.approx(energy)
    if amino_acid.symmetric:
        half = flat.copy()
        half[:, -1] += 180
        assert torsion_energy(amino_acid, half, where) == pytest.approx(energy)


def slow_terms(points, weights, radii, owner, atoms, width, size, closed, before):
    """Overlap and bumps of one side chain, written down plainly."""
    overlap = sum(
        a * b * np.exp(-((p - q) ** 2).sum() / width)
        for a, p in zip(weights, points, strict=True)
        for b, q in zip(weights, points, strict=True)
    )
    bumps = 0.0
    for weight, radius, point in zip(weights, radii, points, strict=True):
        for e in range(len(atoms.xyz)):
            distance = np.linalg.norm(atoms.xyz[e] - point)
            mine = atoms.residue[e] == owner
            if distance > size or (mine and atoms.part[e] == 5):
                continue
            overlap += 2 * weight * atoms.weight[e] * np.exp(-(distance**2) / width)
            bonded = (mine and (closed or atoms.part[e] != 3)) or (closed and atoms.residue[e] == before)
            contact = radius + atoms.radius[e]
            if distance < contact and not bonded:
                bumps += min(((contact - distance) / 0.4) ** 2, 6)
    return overlap, bumps


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_surroundings_are_what_all_pairs_give(seed, closed):
    rng = np.random.default_rng(seed)
    count, width = 60, rng.uniform(1, 6)
    atoms = Atoms(
        rng.uniform(0, 12, (count, 3)), rng.uniform(0.5, 1, count), rng.uniform(1.3, 1.8, count),
        rng.integers(-1, 4, count), rng.integers(0, 6, count),
    )  # fmt: skip
    points, weights = rng.uniform(-3, 15, (5, 3, 3)), rng.uniform(0.5, 1, (5, 3))
    radii, owner, before = rng.uniform(1.3, 1.8, 3), rng.integers(0, 4, 5), np.array([-1, 0, 1, 2])
    found = Surroundings(atoms, width).terms(points, weights, radii, owner, before, closed)
    size = max(3.6, 2.5 * np.sqrt(width / 2))
    for m in range(5):
        expected = slow_terms(
            points[m], weights[m], radii, owner[m], atoms, width, size, closed, before[owner[m]] if owner[m] else -9
        )
        assert (found[0][m], found[1][m]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_pair_energies_are_what_all_pairs_give():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 4, (3, 2, 4, 3))
    weights, radii = rng.uniform(0.5, 1, (3, 4)), rng.uniform(1.3, 1.8, (3, 4))
    atoms, kept, pairs = np.array([4, 2, 3]), np.array([2, 1, 2]), np.array([[0, 1], [0, 2]])
    found = pair_energies(pairs, points, weights, radii, atoms, kept, 2.0, 3.0, 0.5)
    for (i, j), table in zip(pairs, found, strict=True):
        for k, n in product(range(2), range(2)):
            total = 0.0
            for a, b in product(range(atoms[i]), range(atoms[j])):
                square = ((points[i, k, a] - points[j, n, b]) ** 2).sum()
                total += 6.0 * weights[i, a] * weights[j, b] * np.exp(-square / 2) * (square < 10)
                total += 0.5 * bump(square, radii[i, a] + radii[j, b])
            assert table[k, n] == pytest.approx(total if k < kept[i] and n < kept[j] else 0, rel=1e-5)


def test_settled_choice_is_the_best_of_all_in_most_cases_and_never_improved_by_one_change():
    optimal = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        kept = rng.integers(1, 4, 6)
        kept[rng.integers(6)] = 0
        single = rng.normal(0, 2, (6, 3))
        pairs = np.array([(i, j) for i in range(6) for j in range(i) if kept[i] and kept[j] and rng.random() < 0.6])
        energy = rng.exponential(2, (len(pairs), 3, 3)).astype(np.float32)
        ends = pairs.ravel()
        order = np.argsort(ends, kind="stable")
        start = np.searchsorted(ends[order], np.arange(7))
        chosen = settle(single, kept, pairs, energy, start, order // 2, np.geomspace(6, 1, 10))

        def total(choice, single=single, kept=kept, pairs=pairs, energy=energy):
            alone = sum(single[i, k] for i, k in enumerate(choice) if kept[i])
            return alone + sum(energy[p, choice[i], choice[j]] for p, (i, j) in enumerate(pairs))

        every = [total(choice) for choice in product(*(range(max(n, 1)) for n in kept))]
        found = total(chosen)
        optimal += found <= min(every) + 1e-5
        for i, n in enumerate(kept):
            for k in range(n):
                assert found <= total([*chosen[:i], k, *chosen[i + 1 :]]) + 1e-5
    assert optimal >= 32


def test_side_chains_follow_the_density_and_are_complete(truth):
    bare = stripped(truth)
    before = bare.make_pdb_string()
    done = place_side_chains(bare, density_of(truth, 3.0), 3.0)
    assert bare.make_pdb_string() == before
    assert (done.residues, done.notes) == (70, ())
    for residue in done.structure[0][0]:
        assert [atom.name for atom in residue] == list(BY_NAME[residue.name].atoms)
        assert all(atom.element.name == atom.name[0] and atom.occ == 1 for atom in residue)
        assert {atom.b_iso for atom in residue} == {40.0}
    share = np.mean(off_chi1(truth, done.structure) < 40)
    assert share > 0.9
    assert share > np.mean(off_chi1(truth, place_side_chains(bare, empty(truth), 3.0).structure) < 40) + 0.2


def test_side_chains_keep_clear_of_each_other(truth):
    done = place_side_chains(stripped(truth), empty(truth), 3.0).structure
    search = gemmi.NeighborSearch(done[0], gemmi.UnitCell(500, 500, 500, 90, 90, 90), 3).populate()
    close = 0
    for number, residue in enumerate(done[0][0]):
        for atom in residue:
            if atom.name in ("N", "CA", "C", "O", "CB"):
                continue
            for mark in search.find_atoms(atom.pos, radius=2.4):
                ring = residue.name == "PRO" and mark.residue_idx == number - 1
                close += mark.residue_idx != number and not ring
    assert close <= 2


def test_without_density_the_most_frequent_rotamer_is_taken(truth):
    alone = stripped(truth)
    lone = next(n for n, residue in enumerate(alone[0][0]) if residue.name in ("LEU", "ILE", "VAL"))
    chain = alone[0][0]
    for index in reversed(range(len(chain))):
        if index != lone:
            del chain[index]
    done = place_side_chains(alone, empty(truth), 3.0).structure[0][0][0]
    amino_acid = BY_NAME[done.name]
    best = max(amino_acid.rotamers, key=lambda rotamer: rotamer.frequency[1])  # no phi and psi: extended
    off = np.abs((chi_of(amino_acid, positions(done)) - best.chi + 180) % 360 - 180)
    assert off.max() < 15


def test_a_map_elsewhere_is_no_density(truth):
    bare, there = stripped(truth), empty(truth)
    far = DensityMap(there.values, type(there.frame)(there.frame.shape, there.frame.voxel, there.frame.origin + 1000))
    assert (
        place_side_chains(bare, far, 3.0).structure.make_pdb_string()
        == place_side_chains(bare, there, 3.0).structure.make_pdb_string()
    )


def test_poor_maps_get_no_side_chains_beyond_beta(truth):
    done = place_side_chains(stripped(truth), empty(truth), 6.0)
    assert done.notes == ("map: 6.0 A is worse than 5.5 A: side chains are placed up to CB",)
    names = {residue.name: [atom.name for atom in residue] for residue in done.structure[0][0]}
    assert names["LEU"] == ["N", "CA", "C", "O", "CB"]
    assert done.residues == sum(residue.name in ("ALA", "GLY") for residue in done.structure[0][0]) < 70


def test_what_is_no_standard_residue_with_backbone_stays(truth):
    bare = stripped(truth)
    chain = bare[0][0]
    chain[3].name = "UNK"
    del chain[5][0]
    done = place_side_chains(bare, empty(truth), 3.0)
    assert done.residues == 68
    assert [len(done.structure[0][0][row]) for row in (3, 5)] == [4, 3]
    for residue in chain:
        residue.name = "UNK"
    nothing = place_side_chains(bare, empty(truth), 3.0)
    assert (nothing.residues, nothing.notes) == (
        0, ("model: no residue has N, CA, C and O: no side chains are placed",)
    )  # fmt: skip


def test_second_oxygen_only_where_it_is_asked_for(truth):
    chain = truth[0][0]
    done = place_side_chains(stripped(truth), empty(truth), 3.0, {(chain.name, chain[-1].seqid.num)}).structure
    assert [residue.find_atom("OXT", "*") is not None for residue in done[0][0]] == [False] * 69 + [True]
    at = positions(done[0][0][-1])
    assert np.linalg.norm(at["OXT"] - at["C"]) == pytest.approx(1.25, abs=0.01)
    u, v = at["OXT"] - at["C"], at["O"] - at["C"]
    assert np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))) == pytest.approx(120, abs=3)
    w = at["CA"] - at["C"]
    assert abs(np.cross(u, v) @ w) < 1e-6
