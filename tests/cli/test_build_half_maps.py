"""`cryo2struct build --half1 --half2`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from calling import run_last as run

from cryo2struct.cli.build import map_and_fasta
from cryo2struct.density import noise
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.errors import UsageError
from cryo2struct.io.maps import MAX_VOXELS, read_map, write_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, GridFrame

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "emd_6272"


@pytest.fixture
def pair(tmp_path):
    """Half maps of a part of the example, 0.143 at 3 A; the first one's map is on a grid of its own as well."""
    structure = read_structure(EXAMPLE / "reference.cif")
    chain = structure[0][0]
    del chain[90:]
    frame = box_around(structure, 3.0, None, 10.0, MAX_VOXELS)
    halves = noise.half_maps(simulate(structure, frame, 3.0), 3.0, np.random.default_rng(1))
    paths = tmp_path / "half1.mrc", tmp_path / "half2.mrc"
    for path, half in zip(paths, halves, strict=True):
        write_map(path, half)
    return paths


def test_one_file_is_the_sequences_where_half_maps_are_given():
    assert map_and_fasta(Path("m"), Path("f"), half_maps=True) == (Path("m"), Path("f"))
    assert map_and_fasta(Path("f"), None, half_maps=True) == (None, Path("f"))
    with pytest.raises(UsageError, match="FASTA: is missing"):
        map_and_fasta(Path("m"), None, half_maps=False)


def test_refusals(monkeypatch, capsys, pair, tmp_path):
    first, second = pair
    fasta, out = EXAMPLE / "seq.fasta", tmp_path / "out"
    half = read_map(first)[0]
    moved = tmp_path / "moved.mrc"
    write_map(moved, DensityMap(half.values, GridFrame(half.frame.shape, half.frame.voxel, half.frame.origin + 7.7)))
    both = ["--half1", first, "--half2", second]
    for arguments, code, words in [
        ([first], 2, "FASTA: is missing"),
        ([fasta, "--half1", first], 2, "give --half2 as well"),
        ([fasta, "--half2", first], 2, "give --half1 as well"),
        ([fasta, "--half1", first, "--half2", first], 3, "is the file of --half1"),
        ([fasta, "--half1", first, "--half2", moved], 3, "--half2: its grid is not that of --half1"),
        ([moved, fasta, *both], 3, "--half1: its grid is not that of MAP"),
    ]:
        found, printed, line = run(monkeypatch, capsys, "build", *arguments, "-o", out)
        assert (found, printed) == (code, "")
        assert words in line
    assert not out.exists()


@pytest.mark.slow
def test_a_build_from_half_maps_alone(monkeypatch, capsys, pair, tmp_path):
    """The mean map is kept with the model, and says the same as when it is given as MAP."""
    first, second = pair
    fasta, options = EXAMPLE / "seq.fasta", ["--device", "cpu", "--refine", "none", "--set", "prediction.rotations=1"]
    options += ["--half1", first, "--half2", second]
    folder, again = tmp_path / "out", tmp_path / "again"
    code, printed, line = run(monkeypatch, capsys, "build", fasta, "-o", folder, *options)
    assert (code, printed) == (0, f"{folder / 'model.cif'}\n"), line
    record = json.loads((folder / "run.json").read_text())
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == set(record["files"])
    assert set(record["inputs"]) == {"map", "half1", "half2", "fasta"}
    assert record["counts"]["resolution_source"] == "FSC 0.143 of the half maps"
    assert record["counts"]["half_maps"]["resolution"] == pytest.approx(3.0, rel=0.1)
    mean = (read_map(first)[0].values + read_map(second)[0].values) / 2
    np.testing.assert_allclose(read_map(folder / "map_mean.mrc")[0].values, mean, atol=1e-6)
    difference = read_map(first)[0].values - read_map(second)[0].values
    assert record["counts"]["half_maps"]["noise"] == pytest.approx(difference.std() / 2, rel=1e-4)
    with (folder / "confidence.csv").open() as stream:
        local = [float(row["local_resolution"]) for row in csv.DictReader(stream)]
    assert len(local) > 30
    assert 2.5 < np.median(local) < 4.5
    assert "map_mean.mrc" in (folder / "view.cxc").read_text()
    code, *_ = run(monkeypatch, capsys, "build", folder / "map_mean.mrc", fasta, "-o", again, *options)
    assert code == 0
    assert (again / "confidence.csv").read_bytes() == (folder / "confidence.csv").read_bytes()
    assert not (again / "map_mean.mrc").exists()
