"""`check` says what `build` would do; `doctor` finds what is wrong with an installation."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_commands import FASTA, MAP, REFUSALS, ROOT, run

from cryo2struct.cli.main import main
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.objects import DensityMap, GridFrame

LINES = ["box", "origin", "contrast", "mask", "resolution", "molecule", "sequence", "copies", "device", "network"]


def values(done) -> dict[str, str]:
    return dict(line.split(None, 1) for line in done.stdout.splitlines())


def python(code, paths=(ROOT,), **variables) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), **variables}
    return subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_check_of_the_example_without_torch(tmp_path):
    code = f"""
import sys
from cryo2struct.cli.main import app
try: app(["check", {MAP!r}, {FASTA!r}, "--copies", "emd_6272_VP6=1"])
except SystemExit as done: assert not done.code
assert not {{"torch", "numba"}} & set(sys.modules)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    said = values(done)
    assert list(said)[: len(LINES)] == LINES
    assert said["build"] == "starts"
    assert "397 residues, 44.9 kDa" in said["sequence"]
    # The map holds one chain, cut out.
    assert 70 < float(said["copies"].split(" %")[0].split()[-1]) < 130
    assert said["mask"].startswith("masked")
    assert not done.stderr


def test_unknown_copies_are_counted_by_volume():
    said = values(run("check", MAP, FASTA, "--resolution", "2.6", cwd=ROOT))
    assert 0.7 < float(said["copies"].split("about ")[1].split()[0]) < 1.4
    assert said["resolution"].startswith("2.6 A, given")


def test_masks_on_a_coarser_grid_part_the_molecule(tmp_path, monkeypatch, capsys):
    """Two halves of the box, in voxels of 5 A that reach beyond it: the volumes add up to that of the whole."""
    frame = read_map(MAP)[0].frame
    grid = GridFrame((40, 40, 40), np.full(3, 5.0), frame.origin - 12)
    middle = np.arange(40) * 5.0 + grid.origin[2] < frame.origin[2] + frame.shape[0] * frame.voxel[2] / 2
    volumes = []
    for number, chosen in enumerate([np.ones(40, dtype=bool), middle, ~middle]):
        mask = tmp_path / f"{number}.mrc"
        write_map(mask, DensityMap(np.broadcast_to(chosen[:, None, None], grid.shape).astype(np.float32), grid))
        monkeypatch.setattr(
            sys, "argv", ["cryo2struct", "check", MAP, FASTA, "--resolution", "2.6", "--mask", str(mask)]
        )
        with pytest.raises(SystemExit) as done:
            main()
        assert not done.value.code
        said = capsys.readouterr().out
        assert "resampled onto the map's grid: mask (40x40x40 voxels of 5 5 5 A" in said
        volumes.append(float(said.split("molecule    about ")[1].split()[0].replace(",", "")))
    assert sum(volumes[1:]) == pytest.approx(volumes[0], rel=0.1)
    assert min(volumes) > 0.2 * volumes[0]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    # `check` looks at map and sequences; sequence features need torch, which it does not load
    [case for case in REFUSALS if case[0][0] == "build" and "--sequence-features" not in case[0]],
)
def test_check_refuses_what_build_refuses(arguments, code, word, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cryo2struct", "check", *arguments[1:]])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == code
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert word in said.err
    assert code == 2 or f"exit code {code}" in said.out.splitlines()[-1]


@pytest.fixture
def installation(tmp_path) -> Path:
    """A copy of the program, its data linked."""
    site = tmp_path / "site"
    for name in ("cryo2struct", "hmm"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("configs", "weights", "examples"):
        (site / name).symlink_to(ROOT / name)
    return site


def doctor(paths, **variables) -> subprocess.CompletedProcess[str]:
    return python(
        "from cryo2struct.cli.main import main; import sys; sys.argv[1:] = ['doctor']; main()", paths, **variables
    )


def test_doctor_finds_nothing_wrong(installation):
    done = doctor([installation])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"hmm         {installation / 'hmm'}" in done.stdout
    assert "sha256 as in the manifest" in done.stdout
    assert "FAULT" not in done.stdout


@pytest.mark.parametrize(("name", "said"), [("model/esm2.py", "fair-esm"), ("models/esmc.py", "not fair-esm")])
def test_doctor_tells_packages_called_esm_apart(tmp_path, name, said):
    package = tmp_path / "esm"
    (package / name).parent.mkdir(parents=True)
    (package / name).touch()
    (package / "__init__.py").touch()
    done = python("from cryo2struct.cli.doctor import _packages; print(*_packages(), sep='\\n')", [ROOT, tmp_path])
    line = next(line for line in done.stdout.splitlines() if line.startswith("esm"))
    assert str(package) in line
    assert said in line
    assert ("not fair-esm" in line) == ("pip uninstall" in line)


def test_doctor_finds_a_foreign_hmm_and_damaged_weights(installation, tmp_path):
    (tmp_path / "other" / "hmm").mkdir(parents=True)
    (tmp_path / "other" / "hmm" / "__init__.py").touch()
    (installation / "weights").unlink()
    shutil.copytree(ROOT / "weights", installation / "weights")
    entry = json.loads((installation / "weights" / "manifest.json").read_text())["classifier"]
    with (installation / "weights" / entry["file"]).open("r+b") as weights:
        weights.seek(1000)
        weights.write(b"\x55" * 8)
    done = doctor([tmp_path / "other", installation])
    assert done.returncode == 6
    for topic, cure in (("hmm", "PYTHONPATH"), ("weights", "reinstall")):
        line = next(line for line in done.stdout.splitlines() if line.startswith(topic))
        assert "FAULT" in line
        assert cure in line
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("command", "fault"), [("check", "missing"), ("check", "damaged"), ("build", "damaged")])
def test_unusable_weights_are_refused(installation, tmp_path, command, fault):
    (installation / "weights").unlink()
    (installation / "weights").mkdir()
    manifest = (ROOT / "weights" / "manifest.json").read_text()
    (installation / "weights" / "manifest.json").write_text(manifest)
    name = json.loads(manifest)["classifier"]["file"]
    if fault == "damaged":
        (installation / "weights" / name).write_bytes(b"nonsense")
    arguments = [command, MAP, FASTA, "--resolution", "2.6"]
    arguments += ["-o", str(tmp_path / "out")] if command == "build" else []
    code = f"from cryo2struct.cli.main import main; import sys; sys.argv[1:] = {arguments!r}; main()"
    done = python(code, [installation])
    assert done.returncode == 6, done.stderr
    assert name in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_gpu_is_known_by_its_driver(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 80 GB, 81920, 40960'\necho 'NVIDIA T4, [N/A], [N/A]'\n")
    tool.chmod(0o755)
    code = """
from cryo2struct import hardware
from cryo2struct.errors import ResourceError
gpus = hardware.list_gpus()
assert gpus == [hardware.Gpu("NVIDIA H100, 80 GB", 80.0, 40.0)]
assert hardware.gpu_for("auto", gpus) == hardware.gpu_for("cuda:0", gpus) == gpus[0]
assert hardware.gpu_for("cpu", gpus) is None is hardware.gpu_for("auto", [])
for name in ("cuda:1", "mps"):
    try: hardware.gpu_for(name, gpus)
    except ResourceError as error: assert name in str(error)
    else: raise AssertionError(name)
assert hardware.cores() >= 1
"""
    done = python(code, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
