"""Atomic writes and the output folder."""

import hashlib
import json
import os

import pytest
from map_bytes import refusal

from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.outputs import atomic_path, prepare_folder, refuse_inputs, sha256, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_renames_on_success(tmp_path):
    with atomic_path(tmp_path / "a.txt") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError, InputError, SystemExit])
def test_atomic_path_leaves_the_old_file_on_any_exception(tmp_path, fault):
    write_text(tmp_path / "a.txt", "old")

    def stop_in_the_middle():
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise fault

    with pytest.raises(fault):
        stop_in_the_middle()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_faults_of_the_file_system_are_refusals(tmp_path):
    with pytest.raises(OutputError) as error, atomic_path(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert "No space left" in refusal(error)
    assert error.value.exit_code == 4
    for path in (tmp_path, tmp_path / "none" / "a.txt"):
        with pytest.raises(OutputError) as error, atomic_path(path):
            pass
        assert "folder" in refusal(error)


def test_file_mode_is_the_usual_one(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_outputs_that_are_inputs(tmp_path):
    (tmp_path / "map.mrc").write_text("x")
    os.link(tmp_path / "map.mrc", tmp_path / "linked.mrc")
    (tmp_path / "soft.mrc").symlink_to(tmp_path / "map.mrc")
    refuse_inputs([tmp_path / "new.mrc"], [tmp_path / "map.mrc"])
    for output in ("map.mrc", "linked.mrc", "soft.mrc", "sub/../map.mrc"):
        with pytest.raises(OutputError) as error:
            refuse_inputs([tmp_path / output], [tmp_path / "map.mrc"])
        assert "is the input" in refusal(error)


def test_folder_is_made(tmp_path):
    assert prepare_folder(tmp_path / "a" / "b", force=False).is_dir()
    prepare_folder(tmp_path / "a" / "b", force=False)


def test_full_folder_is_refused_without_force(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError) as error:
        prepare_folder(tmp_path, force=False)
    assert "--force" in refusal(error)
    prepare_folder(tmp_path, force=True)
    assert names(tmp_path) == ["notes.txt"]
    with pytest.raises(OutputError) as error:
        prepare_folder(tmp_path / "notes.txt", force=True)
    assert "not a folder" in refusal(error)


def earlier_run(folder, files):
    (folder / "run.json").write_text(json.dumps({"files": files}))
    for name in ("model.cif", "trace.npz", "notes.txt"):
        (folder / name).write_text(name)
    (folder / "handover").mkdir()
    (folder / "handover" / "model.cif").write_text("mine")


def test_force_removes_what_the_earlier_run_lists_and_nothing_else(tmp_path):
    earlier_run(tmp_path, ["model.cif", "trace.npz", "gone.txt", "handover"])
    prepare_folder(tmp_path, force=True)
    assert names(tmp_path) == ["handover", "notes.txt"]
    assert names(tmp_path / "handover") == ["model.cif"]


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/passwd", "a/../b", "a/b/c", "a/..", "link/b", "..", ".", "", 7, None, "a\0b"]
)
def test_names_outside_the_folder_are_refused_before_anything_is_removed(tmp_path, name):
    earlier_run(tmp_path, ["model.cif", name])
    (tmp_path / "link").symlink_to(tmp_path.parent)
    with pytest.raises(OutputError) as error:
        prepare_folder(tmp_path, force=True)
    assert "no file of this folder" in refusal(error)
    assert (tmp_path / "model.cif").exists()


def test_a_folder_of_the_earlier_run_goes_when_nothing_else_is_in_it(tmp_path):
    earlier_run(tmp_path, ["model.cif", "handover/model.cif"])
    (tmp_path / "handover" / "mine.txt").write_text("mine")
    prepare_folder(tmp_path, force=True)
    assert names(tmp_path / "handover") == ["mine.txt"]
    (tmp_path / "handover" / "mine.txt").unlink()
    (tmp_path / "handover" / "model.cif").write_text("again")
    (tmp_path / "run.json").write_text('{"files": ["handover/model.cif"]}')
    prepare_folder(tmp_path, force=True)
    assert names(tmp_path) == ["notes.txt", "trace.npz"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": "model.cif"}', '{"files": null}'])
def test_damaged_run_file_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(OutputError) as error:
        prepare_folder(tmp_path, force=True)
    assert '"files"' in refusal(error)
    assert names(tmp_path) == ["run.json"]


def test_an_input_in_the_folder_is_never_removed(tmp_path):
    earlier_run(tmp_path, ["model.cif", "trace.npz"])
    with pytest.raises(OutputError) as error:
        prepare_folder(tmp_path, force=True, inputs=[tmp_path / "trace.npz"])
    assert "is the input" in refusal(error)
    assert (tmp_path / "model.cif").exists()


def test_links_are_removed_not_what_they_point_to(tmp_path):
    (tmp_path / "elsewhere.cif").write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.cif").symlink_to(tmp_path / "elsewhere.cif")
    (folder / "run.json").write_text('{"files": ["model.cif"]}')
    prepare_folder(folder, force=True)
    assert names(folder) == []
    assert (tmp_path / "elsewhere.cif").exists()
