"""`evaluate-set`: the scores of many models, with the field's program as the oracle of single ones."""

import csv
import json
import statistics
import sys
from pathlib import Path

import pytest

from cryo2struct.cli.main import main

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "data" / "chain_comparison"
FOUND = "chain_comparison.default.found_percent"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The command in an empty folder: exit code, standard output, lines of standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cryo2struct", "evaluate-set", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        said = capsys.readouterr()
        return done.value.code or 0, said.out, said.err.splitlines()

    return run


def write_list(path, names, swap=()):
    """A list of cases; in those of `swap`, the target is the model as well."""
    rows = ["name,model,target,near_model"]
    for name in names:
        target = next((CASES / name).glob("target.*"))
        rows.append(f"{name},{target if name in swap else CASES / name / 'model.pdb.gz'},{target},")
    path.write_text("\n".join(rows) + "\n")


def golden(name):
    return json.loads((CASES / name / "scores.json").read_text())["chain_comparison.default"]["exact"]["found_percent"]


NAMES = ["05_fragments_shuffled", "02_ca_only_noise05", "30_noise30", "09_missing_copy"]


def test_two_workers_as_one(run, tmp_path):
    write_list(tmp_path / "list.csv", NAMES)
    code, out, lines = run("list.csv", "-o", "one")
    assert code == 0
    assert lines == [*(f"{name}: evaluated" for name in NAMES), "4 of 4 evaluated, 0 failed"]
    code, _, _ = run("list.csv", "-o", "two", "--workers", "2")
    assert code == 0
    for name in ("scores.csv", "scores.md", "scores.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    content = json.loads((tmp_path / "one" / "scores.json").read_text())
    expected = [golden(name) for name in NAMES]
    assert [model["name"] for model in content["models"]] == NAMES
    assert [model["scores"][FOUND] for model in content["models"]] == pytest.approx(expected, abs=1e-6)
    summary = content["summary"][FOUND]
    assert summary["n"] == 4
    assert summary["mean"] == pytest.approx(statistics.mean(expected))
    assert summary["median"] == pytest.approx(statistics.median(expected))
    assert min(expected) <= summary["low"] < summary["mean"] < summary["high"] <= max(expected)

    with (tmp_path / "one" / "scores.csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert [float(row[FOUND]) for row in table] == pytest.approx(expected, abs=1e-6)
    text = (tmp_path / "one" / "scores.md").read_text()
    assert out.strip() in text
    (line,) = [line for line in text.splitlines() if FOUND in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [FOUND, "4", *(f"{summary[key]:.3f}" for key in ("mean", "median", "low", "high"))]


def test_against_another_set(run, tmp_path):
    """The same models, but for one that is perfect now, and one that the other set lacks."""
    write_list(tmp_path / "a.csv", NAMES[:3])
    write_list(tmp_path / "b.csv", [NAMES[3], *NAMES[:3]], swap=[NAMES[2]])
    assert run("a.csv", "-o", "a")[0] == 0
    code, out, _ = run("b.csv", "-o", "b", "--against", "a/scores.json")
    assert code == 0
    assert "3 models in both" in out
    content = json.loads((tmp_path / "b" / "scores.json").read_text())
    gain = 100 - golden(NAMES[2])
    assert gain > 10
    assert content["differences"][FOUND]["n"] == 3
    assert content["differences"][FOUND]["mean"] == pytest.approx(gain / 3)
    assert content["differences"][FOUND]["median"] == 0
    # Two sets of scores that are there are compared without evaluating again.
    code, again, _ = run("b/scores.json", "--against", "a/scores.json")
    assert code == 0
    assert again.split("\n\n")[1::2] == out.split("\n\n")[1::2]
    other = {"models": [{"name": "another", "error": None, "scores": {FOUND: 1.0}}]}
    (tmp_path / "other.json").write_text(json.dumps(other))
    code, out, lines = run("b/scores.json", "--against", "other.json")
    assert code == 0
    assert "0 models in both" in out
    assert lines[-1] == "warning: other.json: has none of these models: no differences"


def test_failing_models_are_listed(run, tmp_path):
    write_list(tmp_path / "list.csv", NAMES[:1])
    (tmp_path / "broken.cif").write_text("nothing")
    target = next((CASES / NAMES[0]).glob("target.*"))
    with (tmp_path / "list.csv").open("a") as handle:
        handle.write(f"bad,broken.cif,{target},\nunbuilt,,{target},\nunknown,{target},,\n")
    code, out, lines = run("list.csv", "-o", "scores", "--workers", "2")
    assert code == 0
    assert lines[-1] == "2 of 4 evaluated, 2 failed"
    assert "- unbuilt: model: is empty; nothing was built" in out
    content = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert [model["error"] is None for model in content["models"]] == [True, False, False, True]
    assert "broken.cif" in content["models"][1]["error"]
    assert content["summary"][FOUND]["n"] == 1
    assert content["summary"][FOUND]["low"] is None

    (tmp_path / "list.csv").write_text(f"name,model,target\nunbuilt,,{target}\nbad,broken.cif,{target}\n")
    code, out, lines = run("list.csv")
    assert code == 3
    assert not out
    reason = "none of its 2 models can be evaluated; the first: model: is empty; nothing was built"
    assert lines[-1] == f"cryo2struct: list.csv: {reason}"


def test_nothing_is_overwritten(run, tmp_path):
    write_list(tmp_path / "list.csv", NAMES[:1])
    (tmp_path / "scores.json").write_text("mine")
    code, _, lines = run("list.csv", "-o", ".")
    assert (code, len(lines)) == (4, 1)
    assert "scores.json: exists; choose another folder" in lines[0]
    assert (tmp_path / "scores.json").read_text() == "mine"
    assert run("list.csv", "-o", ".", "--force")[0] == 0
    code, _, lines = run("list.csv", "-o", ".", "--force", "--against", "scores.json")
    assert code == 4
    assert "is the input" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.csv"], 3, "none.csv: no such file"),
        (["list.csv", "--against", "none.json"], 3, "none.json: no such file"),
        (["list.csv", "--against", "list.csv"], 3, "list.csv: holds no scores of models"),
        (["other.json"], 3, "other.json: holds no scores of models"),
        (["words.json"], 3, "words.json: holds no scores of models"),
        (["nan.json"], 3, "nan.json: holds no scores of models"),
        (["list.csv", "-o", "list.csv"], 4, "list.csv"),
        (["list.csv", "--scheduler", "tcp://127.0.0.1:9"], 6, "pip install 'cryo2struct[cluster]'"),
    ],
)
def test_refusals(run, tmp_path, monkeypatch, arguments, code, said):
    write_list(tmp_path / "list.csv", NAMES[:1])
    (tmp_path / "other.json").write_text('{"models": []}')
    (tmp_path / "words.json").write_text('{"models": [{"name": "a", "error": null, "scores": {"x": "high"}}]}')
    (tmp_path / "nan.json").write_text('{"models": [{"name": "a", "error": null, "scores": {"x": NaN}}]}')
    monkeypatch.setitem(sys.modules, "distributed", None)
    before = {path.name for path in tmp_path.iterdir()}
    found, out, lines = run(*arguments)
    assert (found, out, len(lines)) == (code, "", 1)
    assert said in lines[0]
    assert {path.name for path in tmp_path.iterdir()} == before
