"""`cryo2struct handover`: the folder for refinement again, from a finished run."""

import csv
import json

import numpy as np
import pytest
from run_folders import make_run

from cryo2struct.cli.handover import handover
from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.models import read_structure


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path, unassigned=20)[0]


def positions(path):
    return np.array([site.atom.pos.tolist() for site in read_structure(path)[0].all()])


def test_the_folder_is_written_again_as_it_was(folder, capsys):
    listed = [name for name in json.loads((folder / "run.json").read_text())["files"] if name.startswith("handover/")]
    assert "handover/model_for_refinement.cif" in listed
    before = {name: (folder / name).read_bytes() for name in listed}
    atoms = positions(folder / "handover" / "model_for_refinement.cif")
    for name in listed:
        (folder / name).unlink()
    handover(folder)
    assert capsys.readouterr().out == f"{folder / 'handover'}\n"
    np.testing.assert_allclose(positions(folder / "handover" / "model_for_refinement.cif"), atoms, atol=1e-3)
    for name in ("map.mrc", "phenix_refine.eff", "unbuilt.csv", "commands.sh"):
        assert (folder / "handover" / name).read_bytes() == before[f"handover/{name}"]


def test_residues_of_unknown_type_are_not_missed_in_a_sequence(folder):
    chains = [chain.name for chain in read_structure(folder / "handover" / "model.cif")[0]]
    with (folder / "handover" / "unbuilt.csv").open() as handle:
        assert {row["chain"] for row in csv.DictReader(handle)} == set(chains[:-1])


def test_a_folder_of_someone_else_is_kept(folder):
    record = json.loads((folder / "run.json").read_text())
    record["files"] = [name for name in record["files"] if not name.startswith("handover/")]
    (folder / "run.json").write_text(json.dumps(record))
    mine = folder / "handover" / "unbuilt.csv"
    mine.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        handover(folder)
    assert mine.read_text() == "mine"
    handover(folder, force=True)
    assert mine.read_text() != "mine"
    assert "handover/unbuilt.csv" in json.loads((folder / "run.json").read_text())["files"]


def test_without_its_map_there_is_none(folder):
    before = (folder / "handover" / "map.mrc").read_bytes()
    (folder.parent / "map.mrc").unlink()
    with pytest.raises(InputError, match=r"map\.mrc"):
        handover(folder)
    assert (folder / "handover" / "map.mrc").read_bytes() == before
