"""Configurations of trainings: those that come with the program are taken, any other mistake is one line."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cryo2struct.errors import InputError, UsageError
from cryo2struct.training.configuration import SCHEMAS, fault_of, read_config
from cryo2struct.training.run import main
from cryo2struct.training.tasks import TASKS

CONFIGS = Path(__file__).parents[2] / "configs"


SHIPPED = {task: yaml.safe_load((CONFIGS / f"train-{task}.yaml").read_text()) for task in TASKS}


def shipped(task):
    return copy.deepcopy(SHIPPED[task])


def leaves(values, *parents):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, *parents, key)
        else:
            yield (*parents, key)


def write(folder, content):
    path = folder / "train.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("task", TASKS)
def test_shipped_configurations_are_taken_as_they_are(task):
    assert set(SCHEMAS) == set(TASKS)
    assert read_config(CONFIGS / f"train-{task}.yaml", []) == shipped(task)


@pytest.mark.parametrize("task", TASKS)
def test_every_key_is_needed_and_every_value_is_looked_at(task):
    for *parents, last in leaves(shipped(task)):
        name = ".".join([*parents, last])
        for fault, said in ((None, "missing"), ({"a": 1}, "needed"), (float("nan"), "needed"), ("", "needed")):
            values = shipped(task)
            place = values
            for parent in parents:
                place = place[parent]
            if fault is None:
                del place[last]
            else:
                place[last] = fault
            assert re.fullmatch(f"{name} is .*{said}.*|task is .* is needed", fault_of(values))
    for section in ("network", "data", "optimiser", "loss", "validate"):
        for fault in ([1, 2], None, 3):
            assert re.match(f"{section} is .*: a mapping", fault_of(shipped(task) | {section: fault}))
        more = shipped(task)
        more[section]["nonsense"] = 1
        assert fault_of(more).startswith(f"{section}.nonsense is not known")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seed: 2001-99-99", "configuration is no YAML"),
        ("", "the configuration is empty: a mapping"),
        ("- task: classifier", "the configuration is [{'task': 'classifier'}]: a mapping"),
        ("text", "the configuration is 'text': a mapping"),
        ("task: nonsense", "task is 'nonsense': one of classifier, residues, enhancer, sequence is needed"),
        ("task: [classifier]", "task is ['classifier']: one of"),
        ("seed: 1", "task is empty: one of"),
        ("a: [", "configuration is no YAML"),
        ("task: classifier\nmore: 1", "more is not known: remove it (known are task, seed, "),
    ],
)
def test_a_file_that_is_no_configuration_ends_the_command_in_one_line(tmp_path, capsys, content, said):
    path = write(tmp_path, content)
    assert main(["--config", str(path), "--run", str(tmp_path / "run")]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"cryo2struct: {path}: {said}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimiser.steps=abc", "optimiser.steps is 'abc': a whole number of 1 or more is needed"),
        ("optimiser.steps=true", "optimiser.steps is True: a whole number"),
        ("optimiser.steps=1.5", "optimiser.steps is 1.5: a whole number"),
        ("optimiser.learning_rate=1e-3", "is '1e-3': a number above 0, like 0.001 or 1.0e-3, is needed"),
        ("optimiser=[1]", "optimiser is [1]: a mapping"),
        ("optimiser.steps.more=1", "the configuration has no optimiser.steps.more"),
        ("nowhere.steps=1", "the configuration has no nowhere.steps"),
        ("optimiser.steps", "the configuration has no optimiser.steps"),
        ("network.widths=[48, 96, 200]", "a list of 3 whole numbers, multiples of 8, 8, 32, is needed"),
        ("network.widths=[48, 96]", "a list of 3 whole numbers"),
        ("data.resolutions=[4, 2]", "a list of two rising numbers above 0 is needed"),
        ("data.real_share=2", "a number from 0 to 1 is needed"),
        ("task=residues", "network.blocks is not known"),
    ],
)
def test_a_change_that_cannot_be_is_a_fault_of_the_command_line(change, said):
    with pytest.raises(UsageError) as refusal:
        read_config(CONFIGS / "train-classifier.yaml", [change])
    assert str(refusal.value).startswith(f"--set {change}: ")
    assert said in str(refusal.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=4,
)


@given(value=VALUES, number=st.integers(0, 40))
def test_no_value_anywhere_is_a_fault_of_the_program(value, number):
    values = shipped("sequence")
    *parents, last = sorted(leaves(values))[number % 22]
    place = values
    for parent in parents:
        place = place[parent]
    place[last] = value
    found = fault_of(values)
    assert found is None or (("\n" not in found and "needed" in found) or "known" in found)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, shipped("classifier"))

    def refused(self, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(InputError, match=r"train.yaml: cannot be read \(Permission denied\)"):
        read_config(path, [])


def test_too_few_threads(tmp_path, capsys):
    command = ["--config", str(CONFIGS / "train-classifier.yaml"), "--run", str(tmp_path / "run"), "--threads", "0"]
    assert main(command) == 2
    assert "--threads 0: is below 1" in capsys.readouterr().err
