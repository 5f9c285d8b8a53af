"""`cryo2struct report`: where the page goes, what it does not replace, what it is compared with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_folders import make_run

from cryo2struct.cli.report import report
from cryo2struct.errors import InputError, OutputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path)[0]


def test_the_page_is_written_listed_and_written_again(folder, capsys):
    report(folder)
    page = folder / "report.html"
    assert capsys.readouterr().out == f"{page}\n"
    record = json.loads((folder / "run.json").read_text())
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written | {"run.log"} == set(record["files"])
    assert "scores" not in ids(page)
    first = page.read_text()
    page.write_text("damaged")
    report(folder)
    assert page.read_text() == first


def test_a_page_of_someone_else_is_kept(folder):
    page = folder / "report.html"
    page.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        report(folder)
    assert page.read_text() == "mine"
    report(folder, force=True)
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_comparison_with_a_known_structure(folder, tmp_path):
    report(folder, target=folder / "model.cif")
    text = (folder / "report.html").read_text()
    assert "scores" in ids(folder / "report.html")
    assert '<tr><th scope="row">recall</th><td>1.000</td><td>1.000</td><td>1.000</td><td>1.000</td></tr>' in text
    with pytest.raises(InputError, match="no such file"):
        report(folder, target=tmp_path / "none.cif")
    assert (folder / "report.html").read_text() == text
    (tmp_path / "link.cif").symlink_to(folder / "report.html")
    with pytest.raises(OutputError, match="is the input"):
        report(folder, target=tmp_path / "link.cif")


def test_scores_against_the_map(folder):
    report(folder, map_scores=True)
    text = (folder / "report.html").read_text()
    assert 'aria-label="map-model FSC"' in text
    assert text.count("Q-score (dashed)") == 2
    assert "B factors of the model are confidences" in text
    assert "Chain comparison" not in text
    (folder.parent / "map.mrc").unlink()
    with pytest.raises(InputError, match="--map-scores"):
        report(folder, map_scores=True)


def test_without_its_map_the_page_says_so(folder):
    (folder.parent / "map.mrc").unlink()
    report(folder)
    assert "the model is shown alone" in (folder / "report.html").read_text()


def test_a_folder_without_run_is_refused(tmp_path):
    command = [sys.executable, "-m", "cryo2struct.cli.main", "report", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == f"cryo2struct: {tmp_path}: holds no run.json; name the output folder of build\n"
    assert not list(tmp_path.iterdir())


def ids(page):
    return {part.split('"')[0] for part in page.read_text().split('<section id="')[1:]}
