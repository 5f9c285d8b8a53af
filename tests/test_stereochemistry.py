"""Ideal stereochemistry against the ideal coordinates of the Chemical Component Dictionary (by biotite)."""

import numpy as np
import pytest
from biotite.structure.info import residue as ccd_residue

from cryo2struct.objects import AMINO_ACIDS
from cryo2struct.stereochemistry import amino_acids, backbone_region

ENGH_HUBER = {
    "D": {("CG", "OD1"): 1.249, ("CG", "OD2"): 1.249, ("CB", "CG", "OD1"): 118.4, ("CB", "CG", "OD2"): 118.4},
    "E": {("CD", "OE1"): 1.249, ("CD", "OE2"): 1.249, ("CG", "CD", "OE1"): 118.4, ("CG", "CD", "OE2"): 118.4},
    "L": {("CA", "CB", "CG"): 116.3},
    "P": {("CA", "N", "CD"): 112.0},
    "R": {("NE", "CZ"): 1.326, ("CZ", "NH1"): 1.326, ("CZ", "NH2"): 1.326},
}
"""Engh and Huber (1991), where the dictionary has another protonation (D, E, R, P) or no strain (L)."""


@pytest.fixture(params=AMINO_ACIDS)
def both(request):
    """An amino acid, its heavy atoms in the CCD (name to xyz), and their bonds there."""
    ours = amino_acids()[request.param]
    theirs = ccd_residue(ours.name)
    heavy = theirs[(theirs.element != "H") & (theirs.atom_name != "OXT")]
    pairs = heavy.bonds.as_array()[:, :2]
    bonds = {frozenset(heavy.atom_name[pair]) for pair in pairs}
    return ours, dict(zip(heavy.atom_name.tolist(), heavy.coord.astype(float), strict=True)), bonds


def test_atoms_and_bonds_are_those_of_the_dictionary(both):
    ours, theirs, bonds = both
    assert list(ours.atoms) == list(theirs)
    assert {frozenset(bond.atoms) for bond in ours.bonds} == bonds
    assert len(ours.bonds) == len(bonds)


def test_lengths_and_angles_agree_with_the_dictionary(both):
    ours, theirs, _ = both
    instead = ENGH_HUBER.get(ours.letter, {})
    for bond in ours.bonds:
        first, second = (theirs[name] for name in bond.atoms)
        expected = instead.get(bond.atoms, np.linalg.norm(first - second))
        assert bond.length == pytest.approx(expected, abs=0.05), bond
        assert 0.01 < bond.sd < 0.05
    for angle in ours.angles:
        first, middle, last = (theirs[name] for name in angle.atoms)
        u, v = first - middle, last - middle
        found = np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        assert angle.value == pytest.approx(instead.get(angle.atoms, found), abs=5), angle
        assert 1 < angle.sd < 5
    neighbours = {name: sum(name in bond.atoms for bond in ours.bonds) for name in ours.atoms}
    assert len(ours.angles) == sum(n * (n - 1) // 2 for n in neighbours.values())


def test_planes_hold_all_atoms_about_flat_ones_and_no_more(both):
    ours, theirs, _ = both
    for names in ours.planes:
        points = np.array([theirs[name] for name in names])
        assert np.linalg.svd(points - points.mean(axis=0))[1][2] < 0.1
        outside = [name for name in ours.atoms[4:] if name not in names]
        distance = [np.linalg.norm(points - theirs[name], axis=1).min() for name in outside]
        assert len(names) >= 4
        assert not distance or min(distance) > 1.4


def test_chiral_volumes_have_the_hand_of_the_dictionary(both):
    ours, theirs, bonds = both
    for centre in ours.chiral_centres:
        middle = theirs[centre.atoms[0]]
        a, b, c = (theirs[name] - middle for name in centre.atoms[1:])
        assert a @ np.cross(b, c) == pytest.approx(centre.volume, abs=0.25), centre
        assert all(frozenset((centre.atoms[0], name)) in bonds for name in centre.atoms[1:])
    assert {c.atoms[0] for c in ours.chiral_centres} == {
        "G": set(), "I": {"CA", "CB"}, "T": {"CA", "CB"}, "V": {"CA", "CB"}, "L": {"CA", "CG"}
    }.get(ours.letter, {"CA"})  # fmt: skip


def test_each_side_chain_atom_is_placed_once_after_its_parents(both):
    ours, _, bonds = both
    known = ["N", "CA", "C", "O", "CB"]
    for placement in ours.placements:
        assert set(placement.parents) <= set(known)
        assert frozenset((placement.atom, placement.parents[0])) in bonds
        assert frozenset(placement.parents[:2]) in bonds
        known.append(placement.atom)
        if placement.chi >= 0:
            assert ours.chi[placement.chi][:3] == placement.parents[::-1]
    assert set(known) == {*ours.atoms, "CB"}
    assert len(known) == len(set(known))


def test_flips_map_bonds_onto_bonds(both):
    ours, _, bonds = both
    swap = dict(ours.flips) | {b: a for a, b in ours.flips}
    assert {frozenset(swap.get(name, name) for name in bond) for bond in bonds} == bonds
    assert ours.symmetric == (ours.letter in "DEFY")


def test_rotamers_are_probabilities_of_distinct_modes(both):
    ours, _, _ = both
    assert bool(ours.rotamers) == bool(ours.chi) == (ours.letter not in "AG")
    total = np.zeros(3)
    for rotamer in ours.rotamers:
        assert len(rotamer.chi) == len(rotamer.sd) == len(ours.chi)
        assert all(-180 <= chi <= 180 for chi in rotamer.chi)
        assert all(2 < sd < 40 for sd in rotamer.sd), rotamer
        total += rotamer.frequency
    assert total == pytest.approx(np.ones(3) if ours.rotamers else 0, abs=1e-3)


@pytest.mark.parametrize(
    ("letter", "chi", "share"),
    # Lovell et al. (2000), Proteins 40, 389-408, table I: all backbones together
    [("V", [175], 0.73), ("L", [-65, 175], 0.59), ("I", [-65, 170], 0.60), ("F", [-65, -85], 0.44)],
)
def test_most_frequent_rotamer_is_the_one_of_the_penultimate_library(letter, chi, share):
    first = amino_acids()[letter].rotamers[0]
    period = np.array([360] * (len(chi) - 1) + [180 if amino_acids()[letter].symmetric else 360])
    off = (np.array(first.chi) - chi + period / 2) % period - period / 2
    assert np.abs(off).max() < 15
    assert np.mean(first.frequency[:2]) == pytest.approx(share, abs=0.2)


def test_backbone_regions():
    phi, psi = np.array([-60.0, -120, 60, -60, np.nan, -60]), np.array([-45.0, 130, 40, -170, 0, np.nan])
    assert backbone_region(phi, psi).tolist() == [0, 1, 2, 1, 1, 1]
