"""The folder of a data set: runs that are stopped, run again, and run with something else."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import RESOLUTION, moved, piece, write_inputs, write_structure

from cryo2struct.dataset import folder as folders
from cryo2struct.dataset.entry import Limits, Options
from cryo2struct.dataset.folder import Task, build, duplicates, read_entry, remove_unfinished, write_tables
from cryo2struct.dataset.validate import check_entry
from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.manifest import DatasetEntry, Rejected, hashes_of
from cryo2struct.io.maps import read_grid, write_by_origin


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    write_structure(moved(piece(), (9, -8, 9)), folder / "wrong.cif")
    return folder


def a_task(inputs, root, name="one", **changes):
    given = {"map": inputs / "map.mrc", "model": inputs / "model.cif", "fasta": inputs / "seq.fasta"}
    given |= {"context": None, "resolution": RESOLUTION, "contour": None}
    entry = DatasetEntry(**{"name": name, **given, **changes})
    root.mkdir(exist_ok=True)
    return Task(root, entry, hashes_of(entry), Options(), Limits())


def run(tasks):
    """What the command does with its tasks, in this process."""
    root = tasks[0].root
    remove_unfinished(root)
    records, rejected = [], []
    for task in tasks:
        found = task.earlier()
        if found is None:
            try:
                found = build(task)
            except InputError as fault:
                found = Rejected(task.entry.name, str(fault))
        (rejected if isinstance(found, Rejected) else records).append(found)
    write_tables(root, records, rejected)
    remove_unfinished(root)


def content(root):
    """Hash of every file, of a record without its seconds."""
    hashes = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "entry.json":
                record = json.loads(data)
                record["steps"] = [step["name"] for step in record["steps"]]
                data = json.dumps(record).encode()
            hashes[str(path.relative_to(root))] = hashlib.sha256(data).hexdigest()
    return hashes


def killed_at(tasks, number):
    """Run in a process that ends without any cleaning up before a file is renamed for the nth time; whether it did."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = [number]

    def counted(rename):
        def rename_or_die(*names):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            rename(*names)

        return rename_or_die

    os.replace, os.rename = counted(os.replace), counted(os.rename)
    try:
        run(tasks)
    finally:
        os._exit(0)


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "undisturbed"
    run(two_and_a_wrong_one(inputs, root))
    return root


def two_and_a_wrong_one(inputs, root):
    return [
        a_task(inputs, root, "one"),
        a_task(inputs, root, "bad", model=inputs / "wrong.cif"),
        a_task(inputs, root, "two", fasta=None),
    ]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 36), min_size=1, max_size=3))
def test_killed_and_run_again(inputs, undisturbed, tmp_path_factory, moments):
    """Stopped anywhere, as often as you like, the run that ends leaves the files of one that nothing disturbed."""
    root = tmp_path_factory.mktemp("killed") / "set"
    tasks = two_and_a_wrong_one(inputs, root)
    for moment in moments:
        killed_at(tasks, moment)
    run(tasks)
    assert content(root) == content(undisturbed)


def test_the_moments_above_are_within_a_run(inputs, tmp_path):
    assert killed_at(two_and_a_wrong_one(inputs, tmp_path / "set"), 25)
    assert not (tmp_path / "set" / "rejected.csv").exists()
    assert not killed_at(two_and_a_wrong_one(inputs, tmp_path / "other"), 100)


def test_what_is_there_is_not_made_again(inputs, undisturbed, tmp_path, monkeypatch):
    shutil.copytree(undisturbed, tmp_path / "set")
    monkeypatch.setattr(folders, "write_entry", None)
    run(two_and_a_wrong_one(inputs, tmp_path / "set"))
    assert content(tmp_path / "set") == content(undisturbed)


def test_a_missing_file_is_made_again(inputs, undisturbed, tmp_path):
    """An entry without one of its files is none; it is in the way, and said to be."""
    shutil.copytree(undisturbed, tmp_path / "set")
    (tmp_path / "set" / "one" / "alignment.txt").unlink()
    task = a_task(inputs, tmp_path / "set")
    with pytest.raises(OutputError, match="one: lacks a file that its record lists; --force makes it again"):
        task.earlier()
    assert task.earlier(force=True) is None
    build(task)
    assert content(tmp_path / "set") == content(undisturbed)


CHANGES = {
    "options": ({"options": Options(published_labels=True)}, "was made with another options; --force"),
    "limits": ({"limits": Limits(cc_mask=0.99)}, r"was made with other limits \(one: CC_mask .*\); --force removes it"),
    "range": ({"limits": Limits(coarsest=2)}, r"was made with other limits \(one: resolution .*\); --force removes it"),
    "inputs": ({"inputs": {}}, "was made with another inputs; --force"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_entry_of_something_else_stays(inputs, undisturbed, change):
    changes, said = CHANGES[change]
    before = content(undisturbed)
    with pytest.raises(OutputError, match=said):
        replace(a_task(inputs, undisturbed), **changes).earlier()
    assert content(undisturbed) == before


def test_lower_limits_keep_what_is_there_and_try_the_rejected_again(inputs, undisturbed):
    low = Limits(cc_mask=-1, cc_box=-1)
    one, bad, _ = two_and_a_wrong_one(inputs, undisturbed)
    assert isinstance(bad.earlier(), Rejected)
    assert replace(one, limits=low).earlier()["name"] == "one"
    assert replace(bad, limits=low).earlier() is None


def test_rejected_now_an_entry_is_gone(inputs, undisturbed, tmp_path):
    """As with --force, which does not look at what is there."""
    shutil.copytree(undisturbed, tmp_path / "set")
    with pytest.raises(InputError):
        build(replace(a_task(inputs, tmp_path / "set"), limits=Limits(cc_mask=0.99)))
    assert not (tmp_path / "set" / "one").exists()


@pytest.mark.parametrize("force", [False, True])
def test_folder_of_something_else(inputs, tmp_path, force):
    (tmp_path / "set" / "one").mkdir(parents=True)
    (tmp_path / "set" / "one" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="one: exists and is no entry of a data set"):
        a_task(inputs, tmp_path / "set").earlier(force)


def test_duplicates(inputs, tmp_path):
    """The first row of a map or of a model counts."""
    (tmp_path / "copy.cif").write_bytes((inputs / "model.cif").read_bytes())
    (tmp_path / "other.mrc").write_bytes((inputs / "map.mrc").read_bytes() + b"0")
    tasks = [
        a_task(inputs, tmp_path / "set", "one"),
        a_task(inputs, tmp_path / "set", "two", model=inputs / "wrong.cif"),
        a_task(inputs, tmp_path / "set", "three", map=tmp_path / "other.mrc", model=tmp_path / "copy.cif"),
        a_task(inputs, tmp_path / "set", "four", map=tmp_path / "other.mrc", model=inputs / "wrong.cif"),
    ]
    assert duplicates([(task.entry, task.inputs) for task in tasks]) == {
        "two": "two: its map is that of one; one model for each map",
        "three": "three: its model is that of one; one model for each map",
    }


# Validation: a good entry has no fault, and each damage is found.


def altered(name, change):
    def damage(folder):
        grid = read_grid(folder / name)
        values = grid.values.copy()
        change(values)
        write_by_origin(folder / name, values, grid.frame, "")

    return damage


def shifted(folder):
    name = "atom_emd_normalized_map.mrc"
    grid = read_grid(folder / name)
    write_by_origin(folder / name, grid.values, replace(grid.frame, origin=grid.frame.origin + 1), "")


def moved_label(values):
    z, y, x = (values == 1).nonzero()
    values[z[0], y[0], x[0]] = 0
    values[0, 0, 0] = 1


def lost_label(values):
    z, y, x = (values == 1).nonzero()
    values[z[0], y[0], x[0]] = 0


def wrong_code(values):
    values[values == 3] = 9


def too_high(values):
    values *= 2


def cut(folder):
    path = folder / "amino_emd_normalized_map.mrc"
    path.write_bytes(path.read_bytes()[:-100])


def without(name):
    return lambda folder: (folder / name).unlink()


def short_sequence(folder):
    path = folder / "modelled_sequence.fasta"
    path.write_text(path.read_text().rstrip()[:-1] + "\n")


def bad_header(folder):
    path = folder / "atom_ca_emd_normalized_map.mrc"
    data = bytearray(path.read_bytes())
    data[208:212] = b"XXXX"  # the word that says MAP
    path.write_bytes(data)


def other_training(folder):
    (folder / "training.npz").write_bytes(b"no npz")


DAMAGES = {
    "moved label": (altered("atom_ca_emd_normalized_map.mrc", moved_label), r"a label 1 is \d+\.\d\d A from the next"),
    "lost label": (altered("atom_emd_normalized_map.mrc", lost_label), r"1 of 135 atoms have no label"),
    "wrong code": (altered("atom_emd_normalized_map.mrc", wrong_code), "has values that are no codes 0 to 3"),
    "too high": (altered("emd_normalized_map.mrc", too_high), r"values are 0 to 2, not 0 to 1"),
    "shifted": (shifted, "lies elsewhere than the record says"),
    "cut": (cut, "truncated"),
    "missing": (without("training.npz"), "a file that it lists is missing"),
    "short sequence": (short_sequence, "has 44 letters for 45 residues"),
    "bad header": (bad_header, "atom_ca_emd_normalized_map.mrc"),
    "other training": (other_training, "no training record, or damaged"),
}


def test_good_entries(undisturbed, tmp_path):
    check = check_entry(undisturbed / "one")
    assert check.faults == []
    assert check.labels + check.shared == 3 * check.residues == 135
    assert 0.3 < check.farthest <= 0.87


def test_published_labels_are_good(inputs, tmp_path):
    task = replace(a_task(inputs, tmp_path / "set"), options=Options(published_labels=True))
    build(task)
    assert check_entry(task.folder).faults == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(undisturbed, tmp_path, damage):
    shutil.copytree(undisturbed / "one", tmp_path / "one")
    change, said = DAMAGES[damage]
    change(tmp_path / "one")
    faults = check_entry(tmp_path / "one").faults
    assert any(re.search(said, fault) for fault in faults), faults


def test_records_are_read_whole_or_not_at_all(tmp_path):
    for text in ("", "[]", "{}", '{"files": 3}', '{"files": ["missing.mrc"]}'):
        (tmp_path / "entry.json").write_text(text)
        assert read_entry(tmp_path) is None
