"""`build-set`: many maps; those that fail are listed, those that are there stay as they are."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cryo2struct.cli.main import main
from cryo2struct.io.manifest import read_evaluation_manifest
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.settings import load_settings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "emd_6272"
QUICK = "prediction: {rotations: 1}\nresidues: {rounds: 0, pairs: 1, sharpening: [0.0]}\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The command in an empty folder: exit code, standard output, lines of standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cryo2struct", "build-set", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        said = capsys.readouterr()
        return done.value.code or 0, said.out, said.err.splitlines()

    return run


@pytest.fixture
def inputs(tmp_path):
    """A list of two maps that are no maps, with a known structure for the second."""
    for name in ("a.mrc", "b.mrc"):
        (tmp_path / name).write_text("no map " * 300)
    shutil.copy(EXAMPLE / "seq.fasta", tmp_path / "s.fasta")
    (tmp_path / "t.cif").write_text("-")
    (tmp_path / "list.csv").write_text(
        "name,map,fasta,resolution,target\none,a.mrc,s.fasta,,\ntwo,b.mrc,s.fasta,3,t.cif\n"
    )
    return tmp_path


def table(folder):
    with (folder / "builds.csv").open() as handle:
        return list(csv.DictReader(handle))


def content(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def earlier_run(folder, files=("model.cif",), **changes):
    """What a run leaves that decides whether it is done."""
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("a model")
    run = {
        "files": [*files, "run.json"],
        "settings": load_settings(None, changes).model_dump(mode="json"),
        "steps": [{"seconds": 1.25}, {"seconds": 2.5}],
        "coverage": {"A": {"built": 7, "residues": 9}, "B": {"built": 5, "residues": 9}},
    }
    (folder / "run.json").write_text(json.dumps(run))


def test_nothing_is_built(run, inputs):
    """Nor is anything lost that lies where a model would go."""
    (inputs / "models" / "two").mkdir(parents=True)
    (inputs / "models" / "two" / "mine.txt").write_text("not to be lost")
    code, out, lines = run("list.csv", "-o", "models", "--workers", "2")
    assert code == 5
    assert lines[-2].startswith("0 of 2 built, 0 of them earlier; 2 failed: ")
    assert lines[-1].startswith("cryo2struct: list.csv: nothing was built: ")
    assert {path.name for path in (inputs / "models").rglob("*")} == {"builds.csv", "two", "mine.txt"}
    one, two = table(inputs / "models")
    assert (one["name"], one["state"], one["model"], one["target"]) == ("one", "failed", "", "")
    assert one["reason"].startswith(f"{inputs / 'a.mrc'}: is text")
    assert f"one: failed: {one['reason']}" in lines
    assert one["reason"] in out
    assert (two["resolution"], two["target"]) == ("3.0", str(inputs / "t.cif"))
    assert two["reason"].startswith(f"{inputs / 'models' / 'two'}: is not empty; choose another folder")


def test_what_is_built_stays(run, inputs):
    """And what found nothing is tried again; the table is a list for evaluate-set."""
    earlier_run(inputs / "models" / "one", **{"device": "cpu", "picking.threshold": 0.5})
    earlier_run(inputs / "models" / "two", files=())
    before = content(inputs / "models")
    code, out, lines = run("list.csv", "-o", "models", "--threads", "1")
    assert code == 0
    assert lines[:2] == [
        "one: built earlier",
        "warning: one: built with another picking.threshold; --force builds it again",
    ]
    assert lines[2].startswith(f"two: failed: {inputs / 'b.mrc'}: is text")
    assert lines[3].startswith("1 of 2 built, 1 of them earlier; 1 failed: ")
    after = content(inputs / "models")
    assert after.pop(inputs / "models" / "builds.csv")
    assert after == before
    one, two = table(inputs / "models")
    figures = ("state", "residues_built", "residues", "chains", "seconds", "reason")
    assert [one[name] for name in figures] == ["built earlier", "12", "18", "2", "4", ""]
    assert [two[name] for name in figures[:-1]] == ["failed", "", "", "", ""]
    assert "| one  | built earlier |             12 |       18 |" in out
    first, second = read_evaluation_manifest(inputs / "models" / "builds.csv")
    assert (first.model, first.target) == (inputs / "models" / "one" / "model.cif", None)
    assert (second.model, second.target, second.resolution) == (None, inputs / "t.cif", 3)


def test_force_builds_again(run, inputs):
    """One that fails then leaves the earlier model, as `build` does."""
    earlier_run(inputs / "models" / "one")
    code, _, lines = run("list.csv", "-o", "models", "--force")
    assert code == 5
    assert any(line.startswith("one: failed: ") for line in lines)
    assert (inputs / "models" / "one" / "model.cif").read_text() == "a model"
    assert table(inputs / "models")[0]["model"] == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.csv", "-o", "x"], 3, "none.csv: no such file"),
        (["t.cif", "-o", "x"], 3, "t.cif: has no column 'name'"),
        (["list.csv", "-o", "t.cif"], 4, "t.cif"),
        (["list.csv", "-o", "x", "--set", "picking.threshold=7"], 2, "picking.threshold"),
        (["builds.csv", "-o", "."], 4, "is the input"),
    ],
)
def test_refusals(run, inputs, arguments, code, said):
    shutil.copy(inputs / "list.csv", inputs / "builds.csv")
    before = content(inputs)
    found, out, lines = run(*arguments)
    assert (found, out, len(lines)) == (code, "", 1)
    assert said in lines[0]
    assert content(inputs) == before


def test_dask_is_not_there(run, inputs, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, lines = run("list.csv", "-o", "x", "--scheduler", "tcp://127.0.0.1:9")
    assert (code, len(lines)) == (6, 1)
    assert "pip install 'cryo2struct[cluster]'" in lines[0]


@pytest.mark.slow
def test_two_workers_as_one(run, tmp_path):
    """Models and candidates to the last bit; the map of a part of the example."""
    whole, _ = read_map(EXAMPLE / "map.mrc.gz")
    middle = np.array(whole.frame.shape) // 2
    for name, shift in {"a": 0, "b": 6}.items():
        start = middle - 20 + shift
        values = whole.values[tuple(slice(first, first + 40) for first in start)]
        frame = GridFrame((40, 40, 40), whole.frame.voxel, whole.frame.to_xyz(start))
        write_map(tmp_path / f"{name}.mrc", DensityMap(values, frame, whole.header), "part of the example")
    (tmp_path / "quick.yaml").write_text(QUICK)
    fasta = EXAMPLE / "seq.fasta"
    (tmp_path / "list.csv").write_text(
        "name,map,fasta,resolution,contour\n"
        f"a,a.mrc,{fasta},2.6,\nnothing,a.mrc,{fasta},2.6,1e9\nb,b.mrc,{fasta},2.6,\n"
    )
    for workers in ("1", "2"):
        command = ["list.csv", "-o", workers, "--workers", workers, "--threads", "1", "--config", "quick.yaml"]
        code, _, lines = run(*command, "--device", "cpu")
        assert code == 0, lines
        states = [row["state"] for row in table(tmp_path / workers)]
        assert states == ["built", "failed", "built"]
        assert "contour" in table(tmp_path / workers)[1]["reason"]
    for name in ("a", "b"):
        for file in ("model.cif", "confidence.csv"):
            one, two = ((tmp_path / workers / name / file).read_bytes() for workers in "12")
            assert one == two
        with (
            np.load(tmp_path / "1" / name / "candidates.npz") as one,
            np.load(tmp_path / "2" / name / "candidates.npz") as two,
        ):
            assert all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)
    models = [content(tmp_path / "1" / name)[tmp_path / "1" / name / "model.cif"] for name in ("a", "b")]
    assert models[0] != models[1]


@pytest.mark.slow
def test_interrupted(tmp_path):
    lines = [f"{name},{EXAMPLE / 'map.mrc.gz'},{EXAMPLE / 'seq.fasta'}" for name in ("one", "two")]
    (tmp_path / "list.csv").write_text("\n".join(["name,map,fasta", *lines]))
    command = [sys.executable, "-m", "cryo2struct.cli.main", "build-set", "list.csv", "-o", "x", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "x").exists() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(4)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.rglob("*")} == {"list.csv", "x"}
