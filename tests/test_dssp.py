"""Secondary structure: ideal geometry, and experimental structures labelled by another implementation of the rules."""

import os
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.dssp import (
    BACKBONE,
    CA,
    COIL,
    HELIX,
    STRAND,
    UNKNOWN,
    Backbone,
    backbone_of,
    secondary_structure,
)
from cryo2struct.evaluation.ca import ca_points
from cryo2struct.io.models import read_structure

ROOT = Path(__file__).parents[1]
SMALL_PACK = ROOT / "tests" / "data" / "small_pack.npz"
PACK = Path(os.environ.get("CRYO2STRUCT_DATA", "nowhere")) / "structures" / "pack.npz"
PROLINE = 12


def placed(a, b, c, length, angle, torsion):
    """An atom bonded to c, by bond length, bond angle and torsion angle (degrees)."""
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    angle, torsion = np.deg2rad([angle, torsion])
    aside = np.cos(torsion) * np.cross(normal, along) + np.sin(torsion) * normal
    return c + length * (np.sin(angle) * aside - np.cos(angle) * along)


def chain(angles) -> Backbone:
    """A main chain of standard bond lengths and angles, by phi and psi of each residue (degrees)."""
    n, ca = np.zeros(3), np.array([1.46, 0, 0])
    c = placed(np.array([0, 1.0, 0]), n, ca, 1.525, 111, -60)
    rows = []
    for number, (_, psi) in enumerate(angles):
        rows.append([n, ca, c, placed(n, ca, c, 1.23, 120.5, psi + 180)])
        if number + 1 < len(angles):
            next_n = placed(n, ca, c, 1.33, 116.5, psi)
            next_ca = placed(ca, c, next_n, 1.46, 121.7, 180)
            n, ca, c = next_n, next_ca, placed(c, next_n, next_ca, 1.525, 111, angles[number + 1][0])
    linked = np.arange(len(rows)) > 0
    return Backbone(np.array(rows), linked, np.zeros(len(rows), dtype=bool))


def text(backbone) -> str:
    return "".join({COIL: "-", HELIX: "H", STRAND: "E", UNKNOWN: "?"}[k] for k in secondary_structure(backbone))


@pytest.mark.parametrize("angles", [(-57, -47), (-49, -26), (-57, -70)], ids=["alpha", "3-10", "pi"])
def test_ideal_helix(angles):
    assert text(chain([angles] * 14)) == "-HHHHHHHHHHHH-"


def test_extended_strand_alone_is_coil():
    assert text(chain([(-139, 135)] * 14)) == "-" * 14


HAIRPIN = [(-130, 125)] * 7 + [(60, -120), (-80, 0)] + [(-130, 125)] * 7


def test_hairpin():
    assert text(chain(HAIRPIN)) == "-EEEEEE--EEEEEE-"


def test_a_break_ends_a_helix():
    whole = chain([(-57, -47)] * 20)
    linked = whole.linked.copy()
    linked[10] = False
    assert text(replace(whole, linked=linked)) == "-HHHHHHHH--HHHHHHHH-"


def test_proline_gives_no_bond():
    """A row of prolines leaves the turns whose N-H would be theirs undone."""
    helix = chain([(-57, -47)] * 12)
    assert text(replace(helix, proline=np.arange(12) >= 7)) == "-HHHHH------"


def test_missing_atoms_are_unknown():
    helix = chain([(-57, -47)] * 14)
    xyz = helix.xyz.copy()
    xyz[5, 3] = np.nan
    assert text(replace(helix, xyz=xyz)) == "-HHHH?HHHHHHH-"
    xyz[:, [0, 2, 3]] = np.nan
    assert text(Backbone(xyz, np.zeros(14, dtype=bool), helix.proline)) == "?" * 14
    assert text(Backbone(np.empty((0, 4, 3)), np.empty(0, dtype=bool), np.empty(0, dtype=bool))) == ""


def agreement(pack, indices) -> float:
    """Share of residues with the label that the pack has for them."""
    same = known = 0
    for index in indices:
        s = pack[index]
        names = np.array(pack.atom_names)[s.name]
        xyz = np.full((len(s.aa), 4, 3), np.nan)
        for column, name in enumerate(BACKBONE):
            atoms = np.flatnonzero((names == name) & (s.aa <= 20)[s.residue])
            xyz[s.residue[atoms], column] = s.xyz[atoms]
        rows = np.flatnonzero(~np.isnan(xyz[:, CA, 0]))
        linked = s.linked[rows] & (np.diff(rows, prepend=-2) == 1)
        found = secondary_structure(Backbone(xyz[rows].astype(np.float64), linked, s.aa[rows] == PROLINE))
        same += int((found == s.ss[rows])[found != UNKNOWN].sum())
        known += int((found != UNKNOWN).sum())
    return same / known


def test_labels_of_a_small_pack():
    pack = StructurePack(SMALL_PACK)
    assert agreement(pack, range(len(pack))) > 0.99


@pytest.mark.slow
@pytest.mark.skipif(not PACK.is_file(), reason="CRYO2STRUCT_DATA names no data")
def test_labels_of_the_pack():
    pack = StructurePack(PACK)
    assert agreement(pack, range(0, len(pack), 10)) > 0.99


def test_backbone_of_a_model():
    structure = read_structure(ROOT / "examples" / "emd_6272" / "reference.cif")
    backbone = backbone_of(structure)
    assert np.allclose(backbone.xyz[:, CA], ca_points(structure).xyz)
    c_n = np.linalg.norm(backbone.xyz[1:, 0] - backbone.xyz[:-1, 2], axis=1)
    assert np.array_equal(backbone.linked, np.append(False, c_n < 2))  # nothing between a bond and a break in it
    assert backbone.proline.sum() == sum(residue.name == "PRO" for residue in structure[0][0])
    # VP6: a domain of helices and one of strands.
    kinds = np.bincount(secondary_structure(backbone), minlength=3) / len(backbone)
    assert (kinds > 0.2).all()


def test_conformers_are_not_mixed():
    lines = [
        "ATOM      1  N  AALA A   1       0.000   0.000   0.000  0.50 10.00           N",
        "ATOM      2  N  BALA A   1       5.000   0.000   0.000  0.50 10.00           N",
        "ATOM      3  CA AALA A   1       1.460   0.000   0.000  0.50 10.00           C",
        "ATOM      4  CA BALA A   1       6.460   0.000   0.000  0.50 10.00           C",
        "ATOM      5  C   ALA A   1       2.000   1.400   0.000  1.00 10.00           C",
    ]
    (row,) = backbone_of(gemmi.read_pdb_string("\n".join(lines))).xyz
    assert row[:3, 0].tolist() == [0, 1.46, 2]
    assert np.isnan(row[3]).all()
