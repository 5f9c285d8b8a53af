"""What must not matter: how much runs at once, where the program may write, and when it is killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch

import cryo2struct
from cryo2struct.io.candidates import read_candidates
from cryo2struct.io.maps import read_map
from cryo2struct.networks.classifier import CELL_HEADS, Classifier, ClassifierConfig
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.prediction import inference
from cryo2struct.settings import load_settings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "emd_6272"
CASES = ROOT / "tests" / "data" / "hmm_cases"


@pytest.fixture
def threads():
    """Sets the number of threads; it is as before afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_batches_and_threads_do_not_matter(threads, monkeypatch):
    monkeypatch.setattr(inference, "arithmetic_type", lambda device: torch.float32)
    torch.manual_seed(0)
    network = Classifier(ClassifierConfig((16, 16, 32), 1, 1)).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    values = np.random.default_rng(0).normal(size=(16, 16, 40)).astype(np.float32)
    density = DensityMap(values, GridFrame(values.shape, np.ones(3), np.zeros(3)))
    results = []
    for number, batch in [(1, 1), (2, 1), (2, 3)]:
        threads(number)
        options = {"tile": 16, "overlap": 4, "batch": batch, "rotations": 1, "device": torch.device("cpu")}
        results.append(inference.predict(density, np.ones(values.shape, dtype=bool), network, **options))
    assert results[0].heads["next"].astype(float).std() > 0.05
    for result in results[1:]:
        np.testing.assert_allclose(result.atoms, results[0].atoms, atol=1e-3)
        for name in CELL_HEADS:
            np.testing.assert_allclose(result.heads[name], results[0].heads[name], atol=4e-3)


@pytest.mark.slow
def test_the_model_is_the_same_for_any_batch_and_threads(threads):
    """In bfloat16 the order of sums is seen: positions within the network's rounding, the same residues."""
    density, _ = cryo2struct.read_map(EXAMPLE / "map.mrc.gz")
    sequences, _ = cryo2struct.read_sequences(EXAMPLE / "seq.fasta", {"emd_6272_VP6": 1})
    traces = []
    for number, batch in [(2, 4), (1, 1), (2, 3)]:
        changes = {"map.resolution": 2.6, "device": "cpu", "threads": number, "prediction.batch": batch}
        traces.append(cryo2struct.build(density, sequences, load_settings(None, changes)).trace)
    for trace in traces[1:]:
        common, one, other = np.intersect1d(traces[0].position, trace.position, return_indices=True)
        assert len(common) >= 0.99 * max(len(trace), len(traces[0]))
        distance = np.linalg.norm(traces[0].xyz[one] - trace.xyz[other], axis=1)
        assert distance.max() < 0.3
        assert distance.mean() < 0.03


def test_nothing_can_be_written_but_the_output(tmp_path):
    """No folder of the installation and no home takes compiled kernels: one warning, and the work is done."""
    site = tmp_path / "site"
    for name in ("cryo2struct", "hmm"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "configs").symlink_to(ROOT / "configs")
    for folder in [path.parent for path in site.rglob("__init__.py")]:
        (folder / "__pycache__").touch()  # a file in its place stops the superuser, too
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment |= {"HOME": "/dev/null", "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    case = CASES / "easy_1"
    command = [sys.executable, "-m", "cryo2struct.cli.main", "trace", f"{case}.candidates.npz", f"{case}.fasta"]
    command += ["-o", "t.npz", "--mode", "reference"]  # one kernel to compile
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    warning, *steps = done.stderr.splitlines()
    assert warning.startswith("warning: ")
    assert "NUMBA_CACHE_DIR" in warning
    assert not any("warning" in step.lower() for step in steps)
    assert (tmp_path / "t.npz").exists()
    assert not list(site.rglob("*.nbi"))


def complete(folder) -> set[str]:
    """Names of the files in a folder, each of which can be read to its end; those under way are hidden."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    names = {str(path.relative_to(folder)) for path in files}
    for name in names:
        path = folder / name
        if path.suffix == ".cif":
            assert path.read_text().endswith("\n")
            assert gemmi.read_structure(str(path))[0].count_atom_sites() > 0
        elif path.suffix == ".pdb":
            assert path.read_text().rstrip().endswith("END")
        elif path.suffix == ".npz":
            assert len(read_candidates(path)) > 0
        elif path.suffix == ".mrc":
            assert read_map(path)[0].values.size > 0
        elif path.suffix == ".json":
            assert names >= set(json.loads(path.read_text())["files"]) - {"run.log"}
        else:
            assert path.read_text().endswith("\n")
    return names


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    command = [sys.executable, "-m", "cryo2struct.cli.main", "build", EXAMPLE / "map.mrc.gz", EXAMPLE / "seq.fasta"]
    command += ["--resolution", "2.6", "--set", "prediction.rotations=1", "-o"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(folder, *more) -> subprocess.Popen:
        return subprocess.Popen([*command, folder, *more], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - began
    expected = complete(tmp_path / "whole")
    dice = random.Random(0)
    for number in range(8):
        folder = tmp_path / f"killed{number}"
        process = start(folder)
        if number % 2:  # while the files are written
            while process.poll() is None and not folder.exists():
                time.sleep(0.0005)
            time.sleep(0.03 * dice.random())
        else:
            time.sleep(seconds * dice.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert complete(folder) <= expected
    for folder in (tmp_path / "killed0", tmp_path / "killed1"):
        assert start(folder, "--force").wait() == 0
        assert complete(folder) == expected
        assert (folder / "model.cif").read_bytes() == (tmp_path / "whole" / "model.cif").read_bytes()
