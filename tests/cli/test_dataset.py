"""`dataset build` and `dataset validate`: lists with bad rows, runs that are killed, exit codes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cryo2struct import parallel
from cryo2struct.cli.main import main

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "dataset"))
from simulated import RESIDUES, write_inputs  # noqa: E402
from test_dataset_folder import content  # noqa: E402

HEADER = "name,map,model,fasta,resolution,contour,note\n"
GOOD = "{name},map.mrc,model.cif,seq.fasta,3.0,,\n"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A command of `dataset`: exit code, standard output, lines of standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cryo2struct", "dataset", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        said = capsys.readouterr()
        return done.value.code or 0, said.out, said.err.splitlines()

    return run


@pytest.fixture
def in_this_process(monkeypatch):
    """Tasks one after the other: starting processes is tested elsewhere and takes seconds."""

    def run_tasks(function, tasks, *, workers, scheduler, ended=lambda number, outcome: None):
        outcomes = [parallel._outcome(function, task) for task in tasks]
        for number, outcome in enumerate(outcomes):
            ended(number, outcome)
        return outcomes

    monkeypatch.setattr(parallel, "run_tasks", run_tasks)


def a_list(folder, *rows, name="list.csv"):
    path = folder / name
    path.write_text(HEADER + "".join(rows))
    return path


def table(path):
    with path.open() as handle:
        return list(csv.DictReader(handle))


ROWS = {
    "lost": ("lost,none.mrc,model.cif,,3,,\n", "row 3, map: there is no file"),
    "modelless": ("modelless,map.mrc,,,3,,\n", "row 4, model: is empty"),
    "GOOD": ("GOOD,map.mrc,model.cif,,3,,\n", "row 5, name: 'GOOD' is the name of row 2 as well"),
    "a/b": ("a/b,map.mrc,model.cif,,3,,\n", "row 6, name: 'a/b' is no plain name"),
    "row 7": (",map.mrc,model.cif,,3,,\n", "row 7, name: is empty"),
    "fine": ("fine,map.mrc,model.cif,,fine,,\n", "row 8, resolution: 'fine' is not a number above 0"),
    "short": ("short,map.mrc\n", "row 9: has 2 values for 7 columns"),
    "again": ("again,map.mrc,model.cif,,3,,\n", "again: its map is that of good; one model for each map"),
    "text": ("text,seq.fasta,seq.fasta,,3,,\n", "seq.fasta: "),
}


def test_bad_rows_do_not_stop_the_others(inputs, run, in_this_process, tmp_path):
    manifest = a_list(inputs, GOOD.format(name="good"), *(row for row, _ in ROWS.values()))
    code, _, said = run("build", manifest, "-o", "set")
    assert code == 0
    assert said[-1] == f"1 of 10 entries made, 9 rejected: {tmp_path / 'set' / 'rejected.csv'}"
    (good,) = table(tmp_path / "set" / "entries.csv")
    assert (good["name"], good["residues"], good["labels_ca"]) == ("good", str(RESIDUES), str(RESIDUES))
    rejected = {row["name"]: row["reason"] for row in table(tmp_path / "set" / "rejected.csv")}
    assert list(rejected) == list(ROWS)
    for name, (_, reason) in ROWS.items():
        assert reason in rejected[name], name
        assert any(line.startswith(f"{name}: rejected: ") for line in said), name
    # What is there stays; the page says that it is good.
    record = (tmp_path / "set" / "good" / "entry.json").read_bytes()
    code, _, said = run("build", manifest, "-o", "set")
    assert (code, said[-1][:19]) == (0, "1 of 10 entries mad")
    assert "good: made earlier" in said
    assert (tmp_path / "set" / "good" / "entry.json").read_bytes() == record
    code, out, said = run("validate", "set")
    assert (code, said) == (0, [])
    assert f"| good  |       {RESIDUES} |" in out
    page = (tmp_path / "set" / "validation.html").read_text()
    assert "1 entries, 0 with faults" in page
    assert page.count("<svg") == 1
    # A fault is listed, is the exit code, and is on the page.
    (tmp_path / "set" / "good" / "alignment.txt").unlink()
    code, _, said = run("validate", "set", "-o", "page.html", "--sections", "0")
    assert code == 3
    assert said[0].startswith("good: entry.json: is damaged, or a file that it lists is missing")
    assert said[1].startswith(f"cryo2struct: {tmp_path / 'set'}: 1 of 1 entries have faults, the first good")
    assert "1 with faults" in (tmp_path / "page.html").read_text()


def test_nothing_buildable(inputs, run, in_this_process, tmp_path):
    code, _, said = run("build", a_list(inputs, ROWS["text"][0], ROWS["short"][0], name="b.csv"), "-o", "set")
    assert code == 5
    rejected = tmp_path / "set" / "rejected.csv"
    assert said[-1] == f"cryo2struct: {inputs / 'b.csv'}: no entry was made: {rejected} says why"
    assert table(tmp_path / "set" / "entries.csv") == []
    assert len(table(rejected)) == 2


def test_refusals(inputs, run, in_this_process, tmp_path):
    (tmp_path / "list.csv").write_text("name,map\none,a.mrc\n")
    assert run("build", "list.csv", "-o", "set")[::2] == (
        3,
        [f"cryo2struct: {tmp_path / 'list.csv'}: has no column 'model'; needed are name, map, model"],
    )
    code, _, (said,) = run("validate", "nowhere")
    assert (code, said) == (
        3,
        f"cryo2struct: {tmp_path / 'nowhere'}: holds no entry; name a folder that dataset build wrote",
    )
    manifest = a_list(inputs, GOOD.format(name=inputs.name), name="c.csv")
    code, _, (said,) = run("build", manifest, "-o", inputs.parent)
    assert (code, said) == (
        4,
        f"cryo2struct: {inputs.parent}: the input {inputs / 'map.mrc'} lies where an entry goes; choose another folder",
    )
    os.link(manifest, tmp_path / "entries.csv")
    code, _, (said,) = run("build", manifest, "-o", ".")
    assert (code, "is the input" in said) == (4, True)
    (tmp_path / "set" / "mine").mkdir(parents=True)
    code, _, (said,) = run("build", a_list(inputs, GOOD.format(name="mine"), name="d.csv"), "-o", "set", "--force")
    assert (code, "mine: exists and is no entry of a data set" in said) == (4, True)


@pytest.mark.slow
def test_killed_at_random(inputs, tmp_path):
    """Five times, with all of its processes; then it finishes with the files of a run that nothing disturbed."""
    for number in range(8):  # maps of their own: none is a duplicate of another
        for name in ("map.mrc", "model.cif"):
            data = (inputs / name).read_bytes()
            (tmp_path / f"{number}_{name}").write_bytes(data + b"#\n" * (number + 1))
    rows = [f"e{number},{number}_map.mrc,{number}_model.cif,,3,,\n" for number in range(8)]
    manifest = a_list(tmp_path, *rows)

    def start(folder):
        command = ["-m", "cryo2struct.cli.main", "dataset", "build", str(manifest), "-o", str(folder), "--workers", "2"]
        return subprocess.Popen([sys.executable, *command], cwd=ROOT, start_new_session=True)

    begun = time.perf_counter()
    assert start(tmp_path / "whole").wait() == 0
    lasts = time.perf_counter() - begun
    generator = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    for _ in range(5):
        process = start(tmp_path / "killed")
        time.sleep(lasts * generator.uniform(0.2, 0.9))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(tmp_path / "killed").wait() == 0
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert len(table(tmp_path / "killed" / "entries.csv")) == 8


@pytest.mark.slow
@pytest.mark.skipif("CRYO2STRUCT_DATA" not in os.environ, reason="needs the data folder")
def test_real_maps(run, tmp_path):
    """All 15 build, whatever their quality, and are valid."""
    real = Path(os.environ["CRYO2STRUCT_DATA"]) / "real"
    rows = []
    for row in table(real / "index.csv"):
        folder = real / row["name"]
        files = [str(folder / name) for name in ("map.mrc.gz", "model.cif", "seq.fasta")]
        rows.append(",".join([row["name"], *files, row["resolution"], "", "\n"]))
    low = ("--min-cc-mask", "0", "--min-cc-box", "0", "--coarsest", "5")
    code, _, said = run("build", a_list(tmp_path, *rows), "-o", "set", *low)
    assert (code, said[-1][:21]) == (0, "15 of 15 entries made")
    assert run("validate", "set")[0] == 0
    for record in (tmp_path / "set").glob("*/entry.json"):
        labels = json.loads(record.read_text())["labels"]["atom"]
        assert labels["shared"] < 0.01 * labels["labels"]
