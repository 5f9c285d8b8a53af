"""What `cryo2struct enhance` shows of what it did, and `build --enhance`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calling import run_last as run

from cryo2struct.density import noise
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.enhancement import built_residues, guard
from cryo2struct.evaluation.by_class import q_by_class
from cryo2struct.io.maps import MAX_VOXELS, read_map, write_map
from cryo2struct.io.models import read_structure
from cryo2struct.io.run_folder import read_run
from cryo2struct.networks.enhancer import Enhancer, EnhancerConfig
from cryo2struct.networks.store import save_weights
from cryo2struct.objects import DensityMap

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_6272"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A map at 3 A of a part of the example, its model, and a network that has learnt nothing."""
    folder = tmp_path_factory.mktemp("files")
    structure = read_structure(EXAMPLE / "reference.cif")
    del structure[0][0][90:]
    structure.make_mmcif_document().write_file(str(folder / "model.cif"))
    frame = box_around(structure, 3.0, None, 10.0, MAX_VOXELS)
    halves = noise.half_maps(simulate(structure, frame, 3.0), 3.0, np.random.default_rng(1))
    write_map(folder / "map.mrc", DensityMap((halves[0].values + halves[1].values) / 2, frame))
    torch.manual_seed(0)
    config = EnhancerConfig("plain", (16, 16, 32), 1)
    save_weights(folder / "weights", "enhancer", Enhancer(config).state_dict(), {"config": config.as_dict()})
    return folder


@pytest.fixture
def by_slope(files, tmp_path):
    return ["enhance", files / "map.mrc", "-o", tmp_path / "out.mrc", "--method", "bfactor", "--resolution", 3]


def test_the_report_is_that_of_the_guard(monkeypatch, capsys, files, by_slope, tmp_path):
    original, structure = read_map(files / "map.mrc")[0], read_structure(files / "model.cif")
    code, printed, _ = run(
        monkeypatch, capsys, *by_slope, "--report", tmp_path / "report", "--compare", files / "model.cif"
    )
    assert code == 0
    enhanced = read_map(tmp_path / "out.mrc")[0]
    wanted = guard(original, enhanced, built_residues(structure))
    assert f"removed or weakened by half: {len(wanted.removed)}, invented: {len(wanted.invented)}" in printed
    written = json.loads((tmp_path / "report" / "guard.json").read_text())
    assert len(written["removed"]) == len(wanted.removed)
    with (tmp_path / "report" / "guard.csv").open() as table:
        assert len(list(csv.DictReader(table))) == len(wanted.removed) + len(wanted.invented)
    difference = read_map(tmp_path / "report" / "difference.mrc")[0]
    np.testing.assert_allclose(difference.values, wanted.difference.values, atol=1e-5)
    scores = q_by_class(structure, {"original": original, "out.mrc": enhanced})
    for cells in scores.table():
        assert all(cell in printed for cell in cells)


def test_the_original_is_kept_in_a_mask(monkeypatch, capsys, files, by_slope, tmp_path):
    original = read_map(files / "map.mrc")[0]
    z, y, x = np.indices(original.values.shape)
    ball = (z - 30) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 < 36
    write_map(tmp_path / "mask.mrc", DensityMap(ball.astype(np.float32), original.frame))
    assert run(monkeypatch, capsys, *by_slope)[0] == 0
    without = read_map(tmp_path / "out.mrc")[0].values
    assert run(monkeypatch, capsys, *by_slope, "--keep", tmp_path / "mask.mrc")[0] == 0
    kept = read_map(tmp_path / "out.mrc")[0].values
    far = (z - 30) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 > 14**2
    np.testing.assert_array_equal(kept[far], without[far])
    assert (kept[ball] != without[ball]).mean() > 0.99


def test_other_maps_stand_beside(monkeypatch, capsys, files, by_slope):
    code, printed, _ = run(
        monkeypatch, capsys, *by_slope, "--compare", files / "model.cif", "--beside", files / "map.mrc"
    )
    assert code == 0
    row = next(line.split("│") for line in printed.splitlines() if "backbone" in line)
    assert row[3].strip() == row[5].strip() != ""


def test_refusals(monkeypatch, capsys, files, by_slope, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    for more, code, words in [
        (["--beside", files / "map.mrc"], 2, "--beside: is compared by a model; give --compare MODEL"),
        (["--report", taken], 4, "taken"),
        (["--compare", tmp_path / "none.cif"], 3, "none.cif"),
        (["--keep", tmp_path / "none.mrc"], 3, "none.mrc"),
    ]:
        found, printed, said = run(monkeypatch, capsys, *by_slope, *more)
        assert (found, printed) == (code, "")
        assert words in said
    assert not (tmp_path / "out.mrc").exists()
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]


def test_a_build_lists_what_the_network_removed_and_keeps_what_the_original_shows(monkeypatch, capsys, files, tmp_path):
    given = ["build", files / "map.mrc", EXAMPLE / "seq.fasta", "--refine", "none", "--no-report"]
    given += ["--set", "prediction.rotations=1"]
    weights = ["--set", f"enhancement.weights={files / 'weights'}"]
    known, built = ["--resolution", 3], {}
    for use, options in (("none", known), ("auto", [*known, *weights]), ("bfactor", [])):
        code, _, said = run(monkeypatch, capsys, *given, "-o", tmp_path / use, "--enhance", use, *options)
        assert code == 0, said
        built[use] = read_structure(tmp_path / use / "model.cif")
    counts = {use: json.loads((tmp_path / use / "run.json").read_text())["counts"] for use in built}
    assert "enhancement" not in counts["none"]
    assert counts["auto"]["enhancement"]["method"] == "neural"
    assert set(counts["auto"]["enhancement"]["guard"]) == {"removed", "invented", "notes"}
    assert counts["auto"]["enhancement"]["residues_taken"] == 0
    assert counts["bfactor"]["enhancement"]["b_factor"] != 0
    assert [counts[use]["resolution_source"] for use in built] == ["given", "given", "estimated from the map"]
    atoms = [[atom.pos.tolist() for residue in model[0][0] for atom in residue] for model in built.values()]
    assert atoms[0] == atoms[1] != atoms[2]
    assert counts["bfactor"]["residues_built"] > 60
    assert read_run(tmp_path / "auto")
