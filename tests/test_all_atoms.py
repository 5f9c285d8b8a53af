"""From a trace to what is handed over, with input that leaves something undone: it is said, and nothing is lost."""

from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryo2struct.all_atoms import all_atoms
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, Entity, GridFrame, Prediction, Sequences, Trace
from cryo2struct.record import Recorder
from cryo2struct.saving import hand_over
from cryo2struct.settings import load_settings

REFERENCE = Path(__file__).parents[1] / "examples" / "emd_6272" / "reference.cif"
SIZE = 24


@pytest.fixture(scope="module")
def part() -> tuple[gemmi.Structure, DensityMap, str]:
    """The first residues of the reference, their map and their letters."""
    structure = read_structure(REFERENCE)
    structure.remove_alternative_conformations()
    del structure[0]["A"][SIZE:]
    density = simulate(structure, box_around(structure, 3.0, 1.0, 8.0, 10**7), 3.0)
    return structure, density, gemmi.one_letter_code([residue.name for residue in structure[0]["A"]])


def traced(structure, positions, copies=1):
    xyz = np.array([structure[0]["A"][position]["CA"][0].pos.tolist() for position in positions])
    size = copies * len(positions)
    ones = np.ones(size)
    copy = np.repeat(np.arange(copies), len(positions))
    everywhere = np.tile(positions, copies)
    return Trace(
        0 * copy,
        copy,
        everywhere,
        np.arange(size),
        np.tile(xyz, (copies, 1)),
        ones,
        place_prob=ones,
        register_prob=ones,
    )


def step(part, tmp_path, positions, *, letters=None, density=None, resolution=3.0, copies=1):
    """The model, what was recorded, and the files handed over."""
    structure, own, known = part
    density = density or own
    record = Recorder()
    record.counts["resolution"] = resolution
    # a network that saw nothing: the one voxel that it looked at has no atom
    unseen = Prediction(
        own.frame, np.zeros((1, 3), int), np.array([[1, 0, 0, 0]], np.float16), np.zeros((0, 3), int), {}
    )
    sequences = Sequences((Entity("protein", letters or known, copies, "protein"),))
    trace = traced(structure, positions, copies)
    model, _, coverage = all_atoms(trace, sequences, unseen, density, load_settings(), record)
    assert sum(chain["built"] for chain in coverage.values()) == len(trace) == len(model.confidence)
    files = hand_over(tmp_path / "handover", model, density, sequences, "A model", record)
    return model, record, files


def names(model):
    return [{atom.name for atom in residue} for chain in model.structure[0] for residue in chain]


def warned(record, text):
    return [line for line in record.warnings if text in line]


def test_a_whole_chain_is_handed_over_without_a_warning(part, tmp_path):
    model, record, files = step(part, tmp_path, range(SIZE))
    assert record.warnings == []
    assert record.counts["refinement"]["refined"]
    assert {path.name for path in (tmp_path / "handover").iterdir()} == set(files)
    assert record.counts["residues_with_side_chain"] == SIZE
    assert "OXT" in names(model)[-1]


@pytest.mark.parametrize("positions", [[5], [1, 7, 13, 20]], ids=["one residue", "isolated residues"])
def test_residues_without_neighbours_keep_their_c_alpha(part, tmp_path, positions):
    model, record, files = step(part, tmp_path, positions)
    assert names(model) == [{"CA"}] * len(positions)
    assert warned(record, "no side chains are placed")
    assert warned(record, "the model is kept as it was")
    assert warned(record, "handover is not written: no residue has a main chain")
    assert files == []
    assert not (tmp_path / "handover").exists()


def test_isolated_residues_stay_out_of_the_hand_over(part, tmp_path):
    model, record, _ = step(part, tmp_path, [*range(12), 18])
    assert names(model)[-1] == {"CA"}
    assert record.warnings == []
    handed = read_structure(tmp_path / "handover" / "model_for_refinement.cif")
    assert [residue.seqid.num for residue in handed[0]["A"]] == list(range(1, 13))
    assert "1 residues with a\nC-alpha alone" in (tmp_path / "handover" / "README.txt").read_text()


def test_chains_in_one_place_are_not_handed_over(part, tmp_path):
    model, record, files = step(part, tmp_path, range(SIZE), copies=2)
    assert len(model.structure[0]) == 2
    assert warned(record, f"handover is not written: chains A and B: {SIZE} residues lie in one place")
    assert files == []


def test_modified_residues_have_a_main_chain(part, tmp_path):
    letters = part[2][:9] + "X" + part[2][10:]
    model, record, files = step(part, tmp_path, range(SIZE), letters=letters)
    assert names(model)[9] <= {"N", "CA", "C", "O", "CB"}
    assert model.structure[0]["A"][9].name == "UNK"
    assert record.counts["residues_with_side_chain"] == SIZE - 1
    assert "model_for_refinement.cif" in files


def test_a_map_that_does_not_cover_the_model(part, tmp_path):
    density = part[1]
    low = density.frame.to_xyz([0, 0, 0])
    shape = tuple(size // 2 for size in density.frame.shape)
    cut = DensityMap(density.values[: shape[0], : shape[1], : shape[2]], GridFrame(shape, density.frame.voxel, low))
    model, record, _ = step(part, tmp_path, range(SIZE), density=cut)
    assert warned(record, "refinement: map: does not cover the model")
    assert not record.counts["refinement"]["refined"]
    assert {"N", "CA", "C", "O"} <= set.intersection(*names(model))


def test_no_side_chains_at_six_angstrom(part, tmp_path):
    model, record, files = step(part, tmp_path, range(SIZE), resolution=6.0)
    assert set.union(*names(model)) == {"N", "CA", "C", "O", "CB", "OXT"}
    assert warned(record, "6.0 A is worse than 5.5 A: side chains are placed up to CB")
    assert "model_for_refinement.pdb" in files


def test_a_failed_refinement_keeps_the_model(part, tmp_path):
    density = part[1]
    model, record, files = step(part, tmp_path, range(SIZE), density=DensityMap(0 * density.values, density.frame))
    assert warned(record, "is constant around the model")
    assert not record.counts["refinement"]["refined"]
    assert {"N", "CA", "C", "O"} <= set.intersection(*names(model))
    assert warned(record, "the mean density at the atoms (0) is not above that of the box (0)")
    assert files == []
