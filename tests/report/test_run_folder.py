"""Folders of finished runs: what is read back from them, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from run_folders import make_run

from cryo2struct.density.resample import mirrored
from cryo2struct.errors import InputError
from cryo2struct.io.maps import write_map
from cryo2struct.io.run_folder import list_file, read_map_of, read_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(made, tmp_path):
    return Path(shutil.copytree(made[0], tmp_path / "out"))


def test_what_was_written_is_read_back(made):
    folder, sequences, trace, backbone, density = made
    run = read_run(folder)
    assert [chain.name for chain in run.chains] == ["A", "B"]
    for index, chain in enumerate(run.chains):
        rows = trace.entity == index
        assert chain.sequence == sequences.entities[index].name
        assert chain.letters == sequences.entities[index].letters
        assert np.array_equal(chain.position, trace.position[rows] + 1)
        assert np.allclose(chain.confidence, 100 * trace.confidence[rows], atol=0.006)
        assert np.array_equal(chain.interpolated, trace.candidate[rows] < 0)
        assert np.allclose(chain.backbone, backbone.xyz[rows, :4], atol=0.0006, equal_nan=True)
    found, reason = read_map_of(run)
    assert not reason
    assert np.array_equal(found.values, density.values)
    assert np.allclose(found.frame.origin, density.frame.origin, atol=1e-3)


def test_a_mirrored_map_is_that_of_the_folder(tmp_path):
    folder, _, _, _, density = make_run(tmp_path, mirrored=True)
    found, reason = read_map_of(read_run(folder))
    assert not reason
    assert np.array_equal(found.values, mirrored(density, density.frame).values)


def test_another_map_is_not_taken_for_that_of_the_run(tmp_path):
    folder, _, _, _, density = make_run(tmp_path)
    run = read_run(folder)
    write_map(tmp_path / "map.mrc", mirrored(density, density.frame))
    found, reason = read_map_of(run)
    assert found is None
    assert "no longer the map" in reason
    (tmp_path / "map.mrc").unlink()
    found, reason = read_map_of(run)
    assert found is None
    assert "no such file" in reason


def change(key, value):
    def damage(folder):
        content = json.loads((folder / "run.json").read_text())
        content[key] = value
        (folder / "run.json").write_text(json.dumps(content))

    return damage


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def edit(name, old, new):
    def damage(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return damage


DAMAGES = [
    (lambda folder: (folder / "run.json").unlink(), "holds no run.json"),
    (write("run.json", ""), "empty"),
    (write("run.json", '{"files": ["model.cif"'), "run.json: damaged"),
    (write("run.json", "[1, 2]"), "run.json: damaged"),
    (write("run.json", '{"program": "cryo2struct", "files": ["model.cif"]}'), "inputs"),
    (change("steps", [{"name": "trace"}]), "steps.0.seconds"),
    (change("settings", {"map": {"voxel_size": "wide"}}), "settings.map.voxel_size"),
    (change("files", ["run.json"]), "built no model"),
    (lambda folder: (folder / "model.cif").unlink(), "model.cif"),
    (write("model.cif", "no model"), "model.cif"),
    (lambda folder: (folder / "confidence.csv").unlink(), "confidence.csv"),
    (write("confidence.csv", "chain,position\nA,1\n"), "confidence.csv"),
    (edit("confidence.csv", "\nA,", "\nZ,"), "other residues"),
    (edit("confidence.csv", "atoms\n", "atoms\nZ,1,1,1,A,50,1,1,0,CA\n"), "other chains"),
    (edit("confidence.csv", "atoms\n", "atoms\nA,1,1,1,A,nan,1,1,0,CA\n"), "damaged"),
    (edit("confidence.csv", "atoms\n", "atoms\nA,1,1,1,A,101,1,1,0,CA\n"), "damaged"),
    (lambda folder: (folder / "confidence.csv").write_bytes(b"\xff\xfe\x00"), "confidence.csv"),
    (edit("model.cif", "_entity_poly_seq.", "_entity_poly_sex."), "confidence.csv"),
]


@pytest.mark.parametrize(("damage", "word"), DAMAGES)
def test_damaged_folders_are_refused_in_one_line(damage, word, copy):
    damage(copy)
    with pytest.raises(InputError) as refusal:
        read_run(copy)
    assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["none", "file"])
def test_no_folder(name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is no folder"):
        read_run(tmp_path / name)


def test_a_file_is_listed_once_and_all_else_stays(copy):
    before = json.loads((copy / "run.json").read_text())
    list_file(copy, "report.html")
    list_file(copy, "report.html")
    after = json.loads((copy / "run.json").read_text())
    assert after.pop("files") == [*before.pop("files"), "report.html"]
    assert after == before
