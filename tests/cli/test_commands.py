"""The command line as a user meets it: files, refusals, exit codes, interruption."""

import functools
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

from cryo2struct.cli.build import plain_name
from cryo2struct.io.candidates import read_trace
from cryo2struct.io.views import PREDICTION_MAPS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "emd_6272"
MAP, FASTA = str(EXAMPLE / "map.mrc.gz"), str(EXAMPLE / "seq.fasta")
CASES = ROOT / "tests" / "data" / "hmm_cases"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*arguments, cwd) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cryo2struct.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def refused(done, code) -> str:
    """The one line that a refusal prints, after the lines of the steps before it."""
    assert done.returncode == code, done.stderr
    *steps, line = done.stderr.splitlines()
    assert line.startswith("cryo2struct: ")
    assert not any(step.startswith(("cryo2struct: ", "Traceback")) for step in steps)
    assert not done.stdout
    return line


def test_demo_and_force(tmp_path):
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "found %" in done.stdout
    folder = tmp_path / "emd_6272_cryo2struct"
    record = json.loads((folder / "run.json").read_text())
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == set(record["files"])
    assert "handover/model_for_refinement.cif" in written
    assert "residues built" in (folder / "run.log").read_text()
    (folder / "mine.txt").write_text("not to be lost")
    assert "not empty" in refused(run("build", MAP, FASTA, "-o", folder, cwd=tmp_path), 4)
    # A forced run that fails leaves the earlier one as it was.
    before = (folder / "model.cif").read_bytes()
    assert refused(run("build", MAP, FASTA, "-o", folder, "--force", "--contour", "1e9", cwd=tmp_path), 5)
    assert (folder / "model.cif").read_bytes() == before
    again = ["build", MAP, FASTA, "-o", folder, "--force", "--resolution", "2.6", "--no-report"]
    assert run(*again, cwd=tmp_path).returncode == 0
    assert not (folder / "report.html").exists()
    assert (folder / "mine.txt").read_text() == "not to be lost"


def test_classify_trace_evaluate(tmp_path):
    done = run("classify", MAP, "-o", "c.npz", "--resolution", "2.6", "--maps", "maps", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "maps").iterdir()} == set(PREDICTION_MAPS)
    assert "maps" in refused(run("classify", MAP, "-o", "c.npz", "--maps", "maps", cwd=tmp_path), 4)
    done = run("trace", "c.npz", FASTA, "-o", "t.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "number of copies unknown, 1 built; --copies emd_6272_VP6=M overrides" in done.stderr
    trace = read_trace(tmp_path / "t.npz")
    assert (np.diff(trace.position) > 0).all()
    reference = EXAMPLE / "reference.cif"
    done = run("evaluate", "c.npz", reference, "--near-model", "4", "--json", "s.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "s.json").read_text())
    assert set(scores) == {"ca", "chamfer", "notes"}
    assert scores["ca"]["at_2.0"]["recall"] > 0.9
    done = run("evaluate", reference, reference, "--exclude", EXAMPLE / "exclude.txt", "--json", "s.json", cwd=tmp_path)
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["chain_comparison"]["default"]["found_percent"] == 100
    assert scores["ca"]["at_1.0"]["f1"] == 1


def test_reference_mode(tmp_path):
    case = CASES / "easy_1"
    done = run("trace", f"{case}.candidates.npz", f"{case}.fasta", "-o", "t.npz", "--mode", "reference", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(f"{case}.original_path.npz") as original:
        assert np.array_equal(read_trace(tmp_path / "t.npz").candidate, original["state"])
    case = CASES / "absent_1"
    done = run("trace", f"{case}.candidates.npz", f"{case}.fasta", "-o", "t2.npz", "--mode", "reference", cwd=tmp_path)
    refused(done, 3)
    assert not (tmp_path / "t2.npz").exists()


REFUSALS = [
    (["build", "none.mrc", FASTA], 3, "none.mrc"),
    (["build", MAP, "none.fasta"], 3, "none.fasta"),
    (["build", MAP, FASTA, "--device", "cuda:99"], 6, "--device"),
    (["build", MAP, FASTA, "--device", "abacus"], 6, "abacus"),
    (["build", MAP, FASTA, "--sequence-features", "blosum"], 2, "sequence.features"),
    (["build", MAP, FASTA, "--sequence-features", "esm2_t6_8M", "--esm-weights", "none.pt"], 6, "made for builtin"),
    (["build", MAP, FASTA, "--sequence-features", "esm2_t6_8M", "--esm-weights", "download"], 6, "made for builtin"),
    (["build", MAP, FASTA, "--sequence-features", "esm2_t36_3B", "--esm-weights", "download"], 6, "is none of"),
    (["build", MAP, FASTA, "--set", "nonsense"], 2, "--set"),
    (["build", MAP, FASTA, "--set", "picking.threshold=7"], 2, "picking.threshold"),
    (["build", MAP, FASTA, "--set", "picking.colour=1"], 2, "picking.colour"),
    (["build", MAP, FASTA, "--copies", "three"], 2, "--copies"),
    (["build", MAP, FASTA, "--copies", "nobody=3"], 2, "nobody"),
    (["build", MAP, FASTA, "--origin", "left"], 2, "origin"),
    (["classify", MAP, "-o", "c.npz", "--mirror", "left"], 2, "mirror"),
    (["build", MAP, FASTA, "--max-voxels", "1000"], 3, "1000"),
    (["build", MAP, FASTA, "--mask", FASTA], 3, "seq.fasta"),
    (["build", MAP, FASTA, "--resolution", "20"], 3, "8 A"),
    (["build", MAP, FASTA, "--set", "prediction.weights=other"], 6, "other"),
    (["classify", MAP, "-o", MAP], 4, "input"),
    (["trace", FASTA, FASTA, "-o", "t.npz"], 3, "seq.fasta"),
    (["trace", str(CASES / "easy_1.candidates.npz"), FASTA, "-o", "t.npz", "--mode", "best"], 2, "--mode"),
    (["evaluate", "none.cif", "none.cif"], 3, "none.cif"),
]


@pytest.mark.parametrize(("arguments", "code", "word"), REFUSALS)
def test_refusals(arguments, code, word, tmp_path):
    assert word in refused(run(*arguments, cwd=tmp_path), code)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["build", MAP, FASTA, "--nonsense"], ["build"], ["nonsense"], ["train", "nonsense"]]
)
def test_usage_errors(arguments, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "--help" in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "mine.txt").touch()
    done = run("build", "none.mrc", FASTA, "-o", ".", cwd=tmp_path)
    assert done.stderr.count("\n") == 1
    assert "not empty" in refused(done, 4)


def test_interrupted(tmp_path):
    command = [sys.executable, "-m", "cryo2struct.cli.main", "build", MAP, FASTA, "--set", "prediction.overlap=62"]
    # a shell's background jobs ignore interrupts, and so would the child
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, preexec_fn=listen
    ) as process:
        for line in process.stderr:
            if "for the network" in line:
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(30) == 130
    assert not list(tmp_path.iterdir())


def test_default_folder_is_named_after_the_map(tmp_path):
    assert plain_name(Path("/x/emd_1234.mrc.gz")) == "emd_1234"
    assert plain_name(Path("half.1.map")) == "half.1"
    shutil.copy(MAP, tmp_path / "small.mrc.gz")
    done = run("build", "small.mrc.gz", FASTA, "--contour", "1e9", cwd=tmp_path)
    refused(done, 5)
    assert {path.name for path in tmp_path.iterdir()} == {"small.mrc.gz"}


def test_train_passes_its_options_on(tmp_path):
    done = run("train", "classifier", "--config", "none.yaml", cwd=tmp_path)
    assert "none.yaml" in refused(done, 3)
    assert "--weights-only-restart" in run("train", "classifier", "--help", cwd=tmp_path).stdout
