"""Labels of voxels: places, codes, and atoms that share a voxel."""

import itertools
import math

import gemmi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo2struct.dataset.labels import (
    AMINO_ACID_CODES,
    KINDS,
    LabelledAtoms,
    label,
    labelled_atoms,
    nearest_voxels,
    published_voxels,
)
from cryo2struct.objects import GridFrame

FRAME = GridFrame((6, 7, 8), np.array([1.001, 0.999, 1.0]), np.array([-3.25, 10.5, 0.125]))


def published(coordinate, origin, voxel):
    """The formula as it is printed, for one axis."""
    return math.ceil(math.floor(coordinate - origin) / voxel)


def test_published_formula_by_hand():
    """Of 4.0 A from voxel 0 the floor keeps 4, a voxel of 1.25 A makes 3.2 of it, the ceiling 4; and so on."""
    frame = GridFrame((20, 20, 20), np.array([1.25, 1.0, 2.0]), np.array([10.0, -2.0, 0.0]))
    xyz = np.array([[14.0, -2.0, 3.9], [14.9, -1.01, 4.0], [15.0, -1.0, 0.999], [9.9, -2.5, -0.1]])
    expected = [[4, 0, 2], [4, 0, 2], [4, 1, 0], [0, -1, 0]]  # x, y, z
    assert published_voxels(xyz, frame)[:, ::-1].tolist() == expected


# Sixteenths are exact in single precision, in which the published data set was computed.
SIXTEENTHS = st.integers(-800, 800).map(lambda number: number / 16)


@given(
    st.lists(st.tuples(SIXTEENTHS, SIXTEENTHS, SIXTEENTHS), min_size=1, max_size=5),
    st.tuples(SIXTEENTHS, SIXTEENTHS, SIXTEENTHS),
    st.sampled_from([(1.0, 1.0, 1.0), (0.5, 1.25, 2.0)]),
)
def test_published_formula(points, origin, voxel):
    frame = GridFrame((2, 2, 2), np.array(voxel), np.array(origin))
    expected = [[published(*place) for place in zip(point, origin, voxel, strict=True)] for point in points]
    assert published_voxels(np.array(points), frame)[:, ::-1].tolist() == expected


COORDINATES = st.tuples(*(st.floats(start - 2, start + 9) for start in FRAME.origin))


@given(st.lists(COORDINATES, min_size=1, max_size=4))
def test_nearest_voxel_by_search(points):
    """No voxel centre of the map is nearer."""
    centres = FRAME.to_xyz(np.array(list(itertools.product(*map(range, FRAME.shape)))))
    for point, index in zip(np.array(points), nearest_voxels(np.array(points), FRAME), strict=True):
        distance = np.linalg.norm(FRAME.to_xyz(index) - point)
        assert distance <= np.linalg.norm(FRAME.voxel) / 2 + 1e-9
        assert distance <= np.linalg.norm(centres - point, axis=1).min() + 1e-9


def atoms_at(points, atoms):
    number = len(points)
    return LabelledAtoms(np.array(points), np.array(atoms), np.full(number, 7), np.full(number, 2))


@given(
    st.lists(st.tuples(COORDINATES, st.sampled_from([1, 2, 3])), min_size=1, max_size=30),
    st.booleans(),
)
def test_every_atom_has_its_label_or_is_counted(members, by_formula):
    """Against a loop over the atoms in which the last writer stays; C-alphas write last unless by the formula."""
    points, atoms = [point for point, _ in members], [atom for _, atom in members]
    labels = label(atoms_at(points, atoms), FRAME, published=by_formula)
    place = published_voxels if by_formula else nearest_voxels
    order = sorted(members, key=lambda member: 0 if by_formula else member[1] == 1)
    for kind, grid in labels.grids():
        expected = np.zeros(FRAME.shape, dtype=int)
        outside = written = 0
        for point, atom in order:
            if kind != "atom" and atom != 1:
                continue
            index = place(np.array([point]), FRAME)[0]
            if ((index < 0) | (index >= FRAME.shape)).any():
                outside += 1
                continue
            written += 1
            expected[tuple(index)] = {"atom": atom, "atom_ca": 1, "amino": 7, "sec_struc": 2}[kind]
        assert np.array_equal(grid, expected)
        there = np.count_nonzero(expected)
        assert labels.counts[kind] == {"labels": there, "outside": outside, "shared": written - there}


def test_alpha_stays_by_the_formula_only_if_it_is_last():
    points = [[0.0, 12.0, 1.0], [0.1, 12.0, 1.0]]
    nearest = label(atoms_at(points, [1, 3]), FRAME, published=False)
    formula = label(atoms_at(points, [1, 3]), FRAME, published=True)
    assert nearest.codes["atom"].tolist() == [1]
    assert formula.codes["atom"].tolist() == [3]
    assert nearest.counts["atom"]["shared"] == formula.counts["atom"]["shared"] == 1
    assert nearest.counts["atom_ca"] == {"labels": 1, "outside": 0, "shared": 0}


def test_amino_acids_in_the_order_of_their_names():
    """ALA 1, ARG 2, ... VAL 20: the order of the published data set."""
    names = {gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA): code for letter, code in AMINO_ACID_CODES.items()}
    assert [names[name] for name in sorted(names)] == list(range(1, 21))


def residue(name, number, atoms, chain):
    made = gemmi.Residue()
    made.name, made.seqid = name, gemmi.SeqId(number, " ")
    for atom_name, element, xyz in atoms:
        atom = gemmi.Atom()
        atom.name, atom.element, atom.pos = atom_name, gemmi.Element(element), gemmi.Position(*xyz)
        made.add_atom(atom)
    chain.add_residue(made)


def test_what_is_labelled():
    """Modified residues are what they are made from; calcium, nucleotides and unknown types have no amino acid."""
    structure, model, chain = gemmi.Structure(), gemmi.Model(1), gemmi.Chain("A")
    backbone = [("N", "N", (0, 0, 0)), ("CA", "C", (1.4, 0, 0)), ("C", "C", (2, 1.4, 0))]
    residue("MSE", 1, backbone, chain)
    residue("UNK", 2, [(name, element, (x + 20, y, z)) for name, element, (x, y, z) in backbone], chain)
    residue("GLY", 3, [("CA", "C", (40, 0, 0))], chain)
    residue("CA", 4, [("CA", "Ca", (9, 9, 9))], chain)
    residue("DA", 5, [("P", "P", (5, 5, 5)), ("N1", "N", (6, 6, 6))], chain)
    model.add_chain(chain)
    structure.add_model(model)
    atoms = labelled_atoms(structure)
    assert atoms.atom.tolist() == [2, 1, 3, 2, 1, 3, 1]
    assert atoms.xyz[:3].tolist() == [list(xyz) for _, _, xyz in backbone]
    assert [int(code) for code in atoms.codes("amino")[1]] == [13, 0, 8]
    assert atoms.codes("sec_struc")[1].tolist() == [1, 1, 1]
    frame = GridFrame((20, 20, 60), np.ones(3), np.array([-5.0, -5.0, -5.0]))
    counts = label(atoms, frame, published=False).counts
    assert {kind: counts[kind]["labels"] for kind in KINDS} == {"atom": 7, "atom_ca": 3, "amino": 2, "sec_struc": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_outside_everything(kind):
    labels = label(atoms_at([[500.0, 0, 0]], [1]), FRAME, published=False)
    assert labels.counts[kind] == {"labels": 0, "outside": 1, "shared": 0}
