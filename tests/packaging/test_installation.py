"""Data files and modules are found from a wheel, an editable install and a checkout, whatever the current folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = """
import json, hmm, cryo2struct
from cryo2struct.networks.store import load_entry
from cryo2struct.settings import data_path, load_settings
from cryo2struct.stereochemistry import amino_acids
load_settings(); load_entry(data_path("weights"), "classifier"); amino_acids()
data = [str(data_path(name)) for name in ("weights", "configs", "examples")]
print(json.dumps([*data, cryo2struct.__file__, hmm.__file__]))
"""


def probe(paths, folder) -> list[Path]:
    """Run the probe in an empty folder with only `paths` added to the modules' path; what it found."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-P", "-c", PROBE]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Path(name) for name in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_checkout(tmp_path):
    assert all(path.is_relative_to(ROOT) for path in probe([ROOT], tmp_path))


def test_wheel(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    found = probe([site], empty)
    assert all(path.is_relative_to(site) for path in found)
    assert found[0] == site / "cryo2struct" / "_data" / "weights"
    report = site / "cryo2struct" / "report" / "data"
    assert {path.name for path in report.iterdir()} >= {"3Dmol-min.js", "3Dmol-LICENSE.txt", "viewer.js", "page.css"}
    metadata = next(site.glob("*.dist-info"))
    assert "cryo2struct = cryo2struct.cli.main:main" in (metadata / "entry_points.txt").read_text()
    assert not (site / "tests").exists()


def test_editable(tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    site.mkdir()
    empty.mkdir()
    code = "import hatchling.build, sys; print(hatchling.build.build_editable(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        archive.extractall(site)
    # A .pth file is only read in a site folder: add what it says by hand.
    added = [line for pth in site.glob("*.pth") for line in pth.read_text().splitlines()]
    assert added == [str(ROOT)]
    assert all(path.is_relative_to(ROOT) for path in probe(added, empty))


def test_pinned_versions_are_exact_and_torch_is_among_them():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and "+" not in line for line in lines)
    assert any(line.startswith("torch==") for line in lines)


@pytest.mark.parametrize(
    ("folder", "largest", "total"), [("weights", 16, 64), ("examples", 8, 16), ("tests/data", 8, 8)]
)
def test_data_stay_small(folder, largest, total):
    sizes = [path.stat().st_size / 2**20 for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert 0 < max(sizes) <= largest
    assert sum(sizes) <= total


def test_the_readme_and_the_check_run_the_same_commands():
    readme, check = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    install, test = "pip install -c constraints.txt .", "pip install -c constraints.txt '.[test]'"
    assert f"python -m {install} && cryo2struct demo" in readme
    assert f"python -m {test} && pytest" in readme
    assert all(command.removeprefix("pip install ") in check for command in (install, test))
