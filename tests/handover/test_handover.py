"""The folder for refinement: everything in one frame, nothing handed over that has faults."""

import csv
import io
import re
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from cryo2struct.density.sampling import values_at
from cryo2struct.density.simulate import simulate
from cryo2struct.handover import write_handover
from cryo2struct.handover.checks import find_faults
from cryo2struct.handover.displacement import residue_b_factors
from cryo2struct.handover.folder import unbuilt_table, with_main_chain
from cryo2struct.handover.placing import on_whole_steps
from cryo2struct.io.models import holds_confidence, read_structure
from cryo2struct.objects import DensityMap, Entity, GridFrame, Model, Sequences

REFERENCE = Path(__file__).parents[2] / "examples" / "emd_6272" / "reference.cif"
FIRST, LAST = 31, 70  # residues of the reference that the model has
GAP = range(50, 54)


def part_of_reference() -> gemmi.Structure:
    whole = read_structure(REFERENCE)
    structure = gemmi.Structure()
    structure.name = "model"
    structure.add_model(gemmi.Model(1))
    chain = gemmi.Chain("A")
    for residue in list(whole[0][0])[FIRST - 1 : LAST]:
        copy = residue.clone()
        number = len(chain) + FIRST + (len(GAP) if len(chain) + FIRST >= GAP[0] else 0)
        if number > LAST:
            break
        copy.seqid, copy.label_seq, copy.subchain, copy.entity_id = gemmi.SeqId(number, " "), number, "A", "1"
        chain.add_residue(copy)
    structure[0].add_chain(chain)
    return structure


@pytest.fixture(scope="module")
def case() -> tuple[Model, Sequences, DensityMap]:
    """A model with a gap in its numbers, and its map, whose ORIGIN is no whole number of voxels."""
    structure = part_of_reference()
    xyz = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    voxel = np.array([0.9, 0.95, 1.0])
    origin = xyz.min(axis=0) - 10.123
    shape = tuple(int(n) for n in np.ceil((xyz.max(axis=0) + 10 - origin) / voxel)[::-1])
    density = simulate(structure, GridFrame(shape, voxel, origin), 3.0)
    letters = ["A"] * 80
    for residue in structure[0][0]:
        letters[residue.seqid.num - 1] = gemmi.find_tabulated_residue(residue.name).one_letter_code
    sequences = Sequences((Entity("protein", "".join(letters), 1, "protein"),))
    return Model(structure, np.linspace(0.2, 1, len(structure[0][0]))), sequences, density


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    path = tmp_path_factory.mktemp("handover")
    return path, write_handover(path, *case, 3.0, title="A model")


def positions(structure):
    return np.array([site.atom.pos.tolist() for site in structure[0].all()])


def test_whole_steps_keep_map_and_model_together(case):
    model, _, density = case
    placed, shift = on_whole_steps(density)
    steps = placed.frame.origin / placed.frame.voxel
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert 0 < np.abs(shift).max() <= density.frame.voxel.max() / 2
    xyz = positions(model.structure)
    np.testing.assert_allclose(values_at(placed, xyz + shift), values_at(density, xyz), rtol=1e-5, atol=1e-7)
    again, none = on_whole_steps(placed)
    assert not none.any()
    np.testing.assert_allclose(again.frame.origin, placed.frame.origin)


def test_files_agree_with_each_other_and_with_the_map(case, folder):
    model, _, density = case
    path, made = folder
    assert made.faults == []
    assert made.pdb_missing is None
    assert {p.name for p in path.iterdir()} == set(made.files)
    with mrcfile.open(path / "map.mrc") as mrc:
        header = mrc.header
        assert header.origin.tolist() == (0, 0, 0)
        start = np.array([header.nxstart, header.nystart, header.nzstart]) * density.frame.voxel
        values = mrc.data.copy()
    np.testing.assert_array_equal(values, density.values)
    frame = GridFrame(density.frame.shape, density.frame.voxel, start)
    cif, pdb = (read_structure(path / f"model_for_refinement.{kind}") for kind in ("cif", "pdb"))
    np.testing.assert_allclose(positions(cif), positions(pdb), atol=1e-3)
    at_atoms = values_at(DensityMap(values, frame), positions(cif))
    np.testing.assert_allclose(at_atoms, values_at(density, positions(model.structure)), atol=0.01 * at_atoms.max())
    cell = np.array(frame.shape[::-1]) * frame.voxel
    for structure in (cif, pdb):
        np.testing.assert_allclose(structure.cell.parameters, [*cell, 90, 90, 90], atol=1e-2)
        assert structure.spacegroup_hm == "P 1"
        sites = list(structure[0].all())
        assert len(sites) == len(positions(model.structure))
        assert all(20 <= site.atom.b_iso <= 150 and site.atom.occ == 1 for site in sites)
    shown = read_structure(path / "model.cif")
    confidence = [residue[0].b_iso for residue in shown[0][0]]
    np.testing.assert_allclose(confidence, 100 * model.confidence, atol=0.01)


def test_texts_name_files_that_exist_and_the_shift(folder):
    path, made = folder
    for name in ("phenix_refine.eff", "commands.sh", "view.cxc"):
        named = re.findall(r"[\w.]+\.(?:mrc|cif|eff)\b", (path / name).read_text())
        assert named
        assert {n for n in named if not n.startswith("half")} <= set(made.files)
    text = (path / "phenix_refine.eff").read_text()
    assert text.count("{") == text.count("}")
    assert "resolution = 3.00" in text
    assert f"{made.shift[0]:.4f}" in (path / "README.txt").read_text()
    rows = list(csv.reader(io.StringIO((path / "unbuilt.csv").read_text())))
    assert rows[1:] == [["A", "1", "30", "30"], ["A", "50", "53", "4"], ["A", "71", "80", "10"]]


def test_unbuilt_ranges_and_built_residues_make_up_the_sequence(case):
    model, sequences, _ = case
    rows = list(csv.DictReader(io.StringIO(unbuilt_table(model.structure, sequences))))
    unbuilt = {n for row in rows for n in range(int(row["first"]), int(row["last"]) + 1)}
    built = {residue.seqid.num for residue in model.structure[0][0]}
    assert not unbuilt & built
    assert unbuilt | built == set(range(1, 81))


def test_weaker_density_gets_larger_b_factors(case):
    model, _, density = case
    structure = model.structure.clone()
    residues = list(structure[0][0])
    for number, residue in enumerate(residues):
        for atom in residue:
            atom.b_iso = 30.0 if number < 20 else 90.0
    b = residue_b_factors(structure, simulate(structure, density.frame, 3.0), 3.0)
    assert b.min() >= 20
    assert b.max() <= 150
    assert np.median(b[22:]) > np.median(b[:18]) + 20


def test_residues_without_main_chain_stay_behind(case):
    model, _, _ = case
    structure = model.structure.clone()
    del structure[0][0][3][2:]  # N and CA are left
    complete, lost = with_main_chain(Model(structure, model.confidence))
    assert lost == 1
    np.testing.assert_array_equal(complete.confidence, np.delete(model.confidence, 3))
    assert len(complete.structure[0][0]) == len(structure[0][0]) - 1


def shifted(residue, by):
    for atom in residue:
        atom.pos = gemmi.Position(*(np.array(atom.pos.tolist()) + by))


def break_numbers(chain):
    chain[5][1].pos = gemmi.Position(np.nan, 0, 0)


def break_labels(chain):
    chain[7].seqid = chain[6].seqid


def break_bond(chain):
    chain[4].find_atom("C", "*").pos += gemmi.Position(0.9, 0, 0)


def break_peptide(chain):
    for residue in list(chain)[:9]:
        direction = np.array(chain[9]["N"][0].pos.tolist()) - np.array(chain[8]["C"][0].pos.tolist())
        shifted(residue, -0.6 * direction)


def double_atom(chain):
    chain[2].add_atom(chain[2][0])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (break_numbers, "no numbers: [A-Z]{3} 36"),
        (break_labels, "occur twice: 37"),
        (break_bond, "inside a residue: [A-Z]{3} 35"),
        (break_peptide, r"inside a segment: [A-Z]{3} 39 - [A-Z]{3} 40 \(2.1\d A\)"),
        (double_atom, "occur twice: [A-Z]{3} 33"),
    ],
)
def test_faults_are_named_and_nothing_is_written(case, tmp_path, spoil, said):
    model, sequences, density = case
    structure = model.structure.clone()
    assert find_faults(structure, density) == []
    spoil(structure[0][0])
    made = write_handover(tmp_path, Model(structure, model.confidence), sequences, density, 3.0, title="A model")
    assert any(re.search(f"chain A: .*{said}", line) for line in made.faults), made.faults
    assert made.files == []
    assert not list(tmp_path.iterdir())


def test_chains_in_one_place_and_a_wrong_frame_are_faults(case):
    model, _, density = case
    doubled = model.structure.clone()
    copy = doubled[0][0].clone()
    copy.name = "B"
    doubled[0].add_chain(copy)
    assert any("chains A and B" in line for line in find_faults(doubled, density))
    away = model.structure.clone()
    for chain in away[0]:
        for residue in chain:
            shifted(residue, np.array([200.0, 0, 0]))
    assert any("not above" in line for line in find_faults(away, density))


def test_a_model_without_main_chain_is_a_fault(case, tmp_path):
    model, sequences, density = case
    structure = model.structure.clone()
    for residue in structure[0][0]:
        for name in [atom.name for atom in residue if atom.name != "CA"]:
            residue.remove_atom(name, "\0")
    made = write_handover(tmp_path, Model(structure, model.confidence), sequences, density, 3.0, title="A model")
    assert made.faults == ["no residue has a main chain"]


def test_only_the_viewers_model_has_confidence_in_its_b_column(folder):
    path, _ = folder
    assert holds_confidence(path / "model.cif")
    assert not holds_confidence(path / "model_for_refinement.cif")
    assert not holds_confidence(path / "model_for_refinement.pdb")
