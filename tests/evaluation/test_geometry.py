from __future__ import annotations

import json
import os
import time
from pathlib import Path

import biotite.structure
import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ideal, moved, structure

from cryo2struct.evaluation.geometry import Geometry, geometry
from cryo2struct.evaluation.main_chain import torsion
from cryo2struct.evaluation.ramachandran import ALLOWED, CLASSES, FAVORED, REGIONS, contour, ramachandran_regions
from cryo2struct.io.models import read_structure
from cryo2struct.objects import BACKBONE_ATOMS

SMALL = Path(__file__).parents[1] / "data" / "ramachandran"
DATA = Path(os.environ.get("CRYO2STRUCT_DATA", "nowhere"))
CASES = DATA / "ramachandran"
needs_data = pytest.mark.skipif(not CASES.is_dir(), reason="CRYO2STRUCT_DATA names no data")

GOLDEN_CLASSES = {
    "General": "general",
    "Gly": "glycine",
    "cis-Pro": "cis-proline",
    "trans-Pro": "trans-proline",
    "pre-Pro": "pre-proline",
    "Ile/Val": "isoleucine or valine",
}


def by_residue(found: Geometry) -> dict[tuple[object, ...], dict[str, object]]:
    return {(row["chain"], row["number"], row["insertion_code"]): row for row in found.per_residue()}


def golden(rows: list[dict[str, object]]) -> dict[tuple[object, ...], dict[str, object]]:
    """Rows of the first of alternate conformers."""
    first = (row for row in rows if row.get("altloc", "") in ("", "A"))
    return {(str(row["chain"]).strip(), int(str(row["resseq"])), row["icode"]): row for row in first}


def compare(folder: Path, name: str) -> tuple[int, int]:
    """Check everything but the regions against the golden values; number of residues of the same region, and of all."""
    wanted = json.loads((folder / f"{name}.golden.json").read_text())
    found = geometry(read_structure(folder / f"{name}.pdb.gz"))
    rows = by_residue(found)
    regions = golden(wanted["residues"])
    assert {key for key, row in rows.items() if row["ramachandran"]} == set(regions)
    for key, row in regions.items():
        assert rows[key]["ramachandran_class"] == GOLDEN_CLASSES[row["type"]]
        assert rows[key]["phi"] == pytest.approx(row["phi"], abs=0.001)
        assert rows[key]["psi"] == pytest.approx(row["psi"], abs=0.001)
    omega = {key: row["omega"] for key, row in golden(wanted["omegalyze"]).items()}
    assert {
        key: row["omega"] for key, row in rows.items() if row["omega"] and abs(row["omega"]) <= 150
    } == pytest.approx(omega, abs=0.001)
    beta = {key: row["deviation"] for key, row in golden(wanted["cbetadev"]).items()}
    assert {key: row["cb_deviation"] for key, row in rows.items() if row["cb_deviation"]} == pytest.approx(
        beta, abs=1e-4
    )
    summary = found.as_dict()
    kinds = [row["type"] for row in golden(wanted["omegalyze"]).values()]
    assert summary["omega"]["cis_proline"] + summary["omega"]["cis_other"] == kinds.count("Cis")
    assert summary["omega"]["twisted"] == kinds.count("Twisted")
    assert summary["cb_deviation"]["outliers"] == sum(value >= 0.25 for value in beta.values())
    assert summary["ramachandran"]["n"] == len(regions)
    return sum(rows[key]["ramachandran"] == row["region"].lower() for key, row in regions.items()), len(regions)


@pytest.mark.parametrize("name", ["1dix_noise", "3o5r_altloc"])
def test_small_cases_equal_the_golden_values(name: str) -> None:
    same, number = compare(SMALL, name)
    assert same >= 0.97 * number


@pytest.mark.slow
@needs_data
def test_golden_cases() -> None:
    counts = [compare(CASES, name) for name in ("1dix_noise", "1igy_AB", "3lsj_A", "3o5r_altloc")]
    same, number = (sum(column) for column in zip(*counts, strict=True))
    assert number == 1176
    assert same >= 0.97 * number


@pytest.mark.slow
@needs_data
def test_the_contours_are_those_of_the_golden_points() -> None:
    """The table of the package holds the golden points, class by class, and the interpolation goes through them."""
    points = json.loads((CASES / "golden_points.json").read_text())["classes"]
    assert tuple(points) == CLASSES
    for kind, rows in enumerate(points.values()):
        phi, psi, values = np.array([row[:3] for row in rows]).T
        # A value at the limit of a region may fall on its other side.
        np.testing.assert_allclose(contour(kind, phi, psi), np.maximum(values, 1e-5), rtol=0.002)
        regions = ramachandran_regions(np.full(len(rows), kind), phi, psi)
        clear = np.abs(values[:, None] / [FAVORED, ALLOWED[kind]] - 1).min(axis=1) > 0.01
        wanted = [row[3].lower() for row in rows]
        assert all(REGIONS[a] == b for a, b, sure in zip(regions, wanted, clear, strict=True) if sure)


@pytest.mark.parametrize(
    ("kind", "phi", "psi", "region"),
    [
        ("general", -63, -43, "favored"),
        ("general", -120, 130, "favored"),
        ("general", 0, 0, "outlier"),
        ("glycine", 85, 5, "favored"),
        ("glycine", -180, 180, "favored"),
        ("trans-proline", -63, 145, "favored"),
        ("trans-proline", 60, 40, "outlier"),
        ("cis-proline", -80, 160, "favored"),
        ("pre-proline", -65, 140, "favored"),
        ("isoleucine or valine", -63, -43, "favored"),
        # golden points whose values, 0.00076, 0.0016 and 0.0015, are between the limits of different classes
        ("general", -78.6, -85.1, "allowed"),
        ("cis-proline", -48.9, -12.6, "outlier"),
        ("glycine", -45.0, 159.7, "allowed"),
        ("isoleucine or valine", 0, 0, "outlier"),
    ],
)
def test_well_known_places(kind: str, phi: float, psi: float, region: str) -> None:
    classes = np.array([CLASSES.index(kind)])
    assert REGIONS[ramachandran_regions(classes, np.array([phi]), np.array([psi]))[0]] == region


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 5), st.floats(-180, 180), st.floats(-180, 180))
def test_contours_are_periodic_and_positive(kind: int, phi: float, psi: float) -> None:
    value, same = contour(kind, np.array([phi, phi + 360]), np.array([psi, psi - 720]))
    assert value == pytest.approx(same)
    assert 0 < value < 1.5


def test_torsion_equals_biotites() -> None:
    places = np.random.default_rng(4).normal(size=(4, 200, 3))  # biotite computes in single precision
    np.testing.assert_allclose(torsion(*places), np.degrees(biotite.structure.dihedral(*places)), atol=1e-3)


def test_ideal_strand() -> None:
    summary = geometry(ideal(["ALA", "LYS", "SER", "VAL", "TRP"])).as_dict()
    assert summary["bonds"] == {"n": 24, "rmsd": pytest.approx(0, abs=1e-6), "outliers": 0}
    assert summary["angles"] == {"n": 32, "rmsd": pytest.approx(0, abs=0.1), "outliers": 0}
    assert summary["ca_ca"] == {
        "n": 4,
        "mean": pytest.approx(3.81, abs=0.02),
        "sd": pytest.approx(0, abs=1e-6),
        "outliers": 0,
    }
    assert summary["ramachandran"] == {
        "n": 3,
        "percent_favored": 100,
        "percent_allowed": 0,
        "percent_outliers": 0,
    }
    assert summary["chirality"] == {"n": 5, "wrong": 0}
    assert summary["omega"] == {"n": 4, "cis_proline": 0, "cis_other": 0, "twisted": 0}
    assert summary["clashes"] == {"n_atoms": 25, "n": 0, "per_1000_atoms": 0}
    assert summary["notes"] == []


@pytest.mark.parametrize(
    ("kind", "omega", "bonds", "angles", "outliers"),
    [
        # N-CA, CA-C, C-O, CA-CB, peptide; angles in the order of the table. 110.6 degrees at N-CA-CB of proline is off.
        ("PRO", 180, [9, 1, 1, 1, 2], [1.1, 7.5, 1.2, 0.1, 0.1, 1.6, 2.4], 1),
        ("PRO", 0, [9, 1, 1, 1, 2], [1.1, 7.5, 1.2, 0.1, 0.1, 1.6, 5.3], 1),
        ("GLY", 180, [3, 11, 3, 10], [2.1, 0.5, 1.0, 0.5, 0.6], 0),
    ],
)
def test_ideal_values_of_proline_and_glycine(
    kind: str, omega: float, bonds: list[float], angles: list[float], outliers: int
) -> None:
    """General values in their place deviate by the difference of the two."""
    found = geometry(ideal(["ALA", kind, "ALA"], omega))
    assert found.bonds.rmsd == pytest.approx(0.001 * np.linalg.norm(bonds) / np.sqrt(found.bonds.n), abs=1e-6)
    assert found.angles.rmsd == pytest.approx(np.linalg.norm(angles) / np.sqrt(found.angles.n), abs=1e-5)
    assert (found.bonds.outliers, found.angles.outliers) == (0, outliers)


def test_stretched_bonds_are_outliers() -> None:
    model = ideal(["ALA"] * 4)
    oxygen = model[0][0][1]["O"][0]
    oxygen.pos = oxygen.pos + (oxygen.pos - model[0][0][1]["C"][0].pos) * 0.1
    summary = geometry(model).as_dict()
    assert summary["bonds"]["outliers"] == 1
    assert summary["bonds"]["rmsd"] == pytest.approx(0.1229 / np.sqrt(19), abs=1e-5)
    assert summary["angles"]["outliers"] == 0


def test_mirror_images_have_the_wrong_hand() -> None:
    mirror = moved(ideal(["ALA", "GLY", "SER"]), lambda place: place * [1, 1, -1])
    found = geometry(mirror)
    assert found.as_dict()["chirality"] == {"n": 2, "wrong": 2}
    assert [row["wrong_hand"] for row in found.per_residue()] == [True, None, True]
    named = geometry(moved(ideal(["DAL", "GLY", "DSN"]), lambda place: place * [1, 1, -1]))
    assert named.as_dict()["chirality"] == {"n": 2, "wrong": 0}
    np.testing.assert_allclose(
        named.beta_deviation, geometry(ideal(["SER", "GLY", "SER"])).beta_deviation, atol=1e-6, equal_nan=True
    )


@pytest.mark.parametrize(
    ("omega", "names", "wanted"),
    [
        (0, ["ALA", "PRO", "ALA"], {"cis_proline": 1, "cis_other": 1, "twisted": 0}),
        (100, ["ALA", "PRO", "ALA"], {"cis_proline": 0, "cis_other": 0, "twisted": 2}),
        (-160, ["ALA", "PRO", "ALA"], {"cis_proline": 0, "cis_other": 0, "twisted": 0}),
    ],
)
def test_peptides(omega: float, names: list[str], wanted: dict[str, int]) -> None:
    found = geometry(ideal(names, omega))
    assert found.as_dict()["omega"] == {"n": 2, **wanted}
    # 2.9 A in cis peptides, too short for trans ones; a peptide half way has neither distance.
    assert found.as_dict()["ca_ca"]["outliers"] == (2 if omega == 100 else 0)


def test_alpha_carbons_alone() -> None:
    x = np.array([1.0, 0, 0])
    rows = [(1, "ALA", 0.0), (2, "ALA", 3.8), (3, "PRO", 6.7), (4, "ALA", 9.6), (5, "ALA", 13.4), (9, "ALA", 40.0)]
    found = geometry(structure(*[("A", number, name, {"CA": place * x}) for number, name, place in rows]))
    summary = found.as_dict()
    # 2.9 A is a distance before proline, where omega is not known, and not elsewhere; 5 and 9 do not follow.
    assert found.ca_outlier.tolist() == [False, False, False, True, False, False]
    assert summary["ca_ca"]["n"] == 4
    assert summary["ca_ca"]["mean"] == pytest.approx((3.8 + 2.9 + 2.9 + 3.8) / 4)
    for block in ("bonds", "angles"):
        assert summary[block] == {"n": 0, "rmsd": None, "outliers": 0}
    assert summary["ramachandran"]["percent_outliers"] is None
    assert summary["chirality"]["n"] == summary["cb_deviation"]["n"] == summary["omega"]["n"] == 0
    assert summary["notes"] == ["6 of 6 residues lack N or C: they have no torsion angles"]
    json.dumps([summary, found.per_residue()], allow_nan=False)


def test_insertion_codes_follow() -> None:
    model = structure(*[("A", 52, "ALA", {"CA": np.array([3.8 * row, 0, 0])}) for row in range(3)])
    for residue, code in zip(model[0][0], " AB", strict=True):
        residue.seqid = gemmi.SeqId(52, code)
    found = geometry(model)
    assert found.as_dict()["ca_ca"]["n"] == 2
    assert [row["insertion_code"] for row in found.per_residue()] == ["", "A", "B"]


def test_a_broken_link_between_neighbours_is_an_outlier() -> None:
    apart = ideal(["ALA"] * 4)
    for residue in list(apart[0][0])[2:]:
        for atom in residue:
            atom.pos = atom.pos + gemmi.Position(0, 0, 9)
    found = geometry(apart)
    assert found.ca_outlier.tolist() == [False, False, True, False]
    # No torsion angle and no peptide bond is taken over the break.
    assert found.as_dict()["ramachandran"]["n"] == 0
    assert found.as_dict()["bonds"]["rmsd"] == pytest.approx(0, abs=1e-6)


def test_nothing_to_judge() -> None:
    water = structure(("W", 1, "HOH", {"O": np.zeros(3)}))
    single = structure(*[(name, 1, "GLY", {"CA": np.full(3, 9.0 * row)}) for row, name in enumerate("ABC")])
    for model, residues, atoms in ((gemmi.Structure(), 0, 0), (water, 0, 1), (single, 3, 3)):
        found = geometry(model)
        summary = found.as_dict()
        assert summary["ca_ca"] == {"n": 0, "mean": None, "sd": None, "outliers": 0}
        assert summary["ramachandran"]["percent_favored"] is None
        assert summary["clashes"] == {"n_atoms": atoms, "n": 0, "per_1000_atoms": 0 if atoms else None}
        assert len(found.per_residue()) == residues
        assert bool(summary["notes"])
        json.dumps(summary, allow_nan=False)


def test_missing_atoms_are_left_out() -> None:
    model = ideal(["ALA"] * 5)
    model[0][0][2].remove_atom("CB", "\0", gemmi.Element("C"))
    model[0][0][1].remove_atom("C", "\0", gemmi.Element("C"))
    found = geometry(model)
    assert np.isfinite(found.chain.omega).tolist() == [False, True, False, True, True]
    assert np.isfinite(found.chain.phi).tolist() == [False, False, False, True, True]
    assert found.as_dict()["chirality"] == {"n": 3, "wrong": 0}
    assert found.as_dict()["ca_ca"]["n"] == 4
    json.dumps([found.as_dict(), found.per_residue()], allow_nan=False)


def test_hydrogens_and_other_conformers_do_not_count() -> None:
    model = ideal(["ALA"] * 3)
    plain = geometry(model).as_dict()
    for residue in model[0][0]:
        for name, element, altloc in (("HA", "H", "\0"), ("CB", "C", "B")):
            atom = residue["CA"][0].clone()
            atom.name, atom.element, atom.altloc = name, gemmi.Element(element), altloc
            residue.add_atom(atom)
    assert geometry(model).as_dict() == plain
    assert plain["clashes"]["n_atoms"] == 3 * len(BACKBONE_ATOMS)


@pytest.mark.slow
@needs_data
def test_two_thousand_residues_take_seconds() -> None:
    model = read_structure(DATA / "real" / "hcn4_6gyn" / "model.cif")
    start = time.process_time()
    summary = geometry(model).as_dict()
    assert time.process_time() - start < 5
    assert summary["clashes"]["n_atoms"] > 16_000
