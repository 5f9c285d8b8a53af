"""Golden cases: tests/data/chain_comparison/README.md says where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryo2struct.evaluation.chain_comparison import (
    COLUMNS,
    Mode,
    Pair,
    bad_connections,
    chain_comparison,
    chain_directions,
    format_column,
    pair_residues,
)
from cryo2struct.evaluation.unique_part import similarity, unique_chains

DATA = Path(__file__).parents[1] / "data" / "chain_comparison"
CASES = sorted(folder.name for folder in DATA.iterdir() if folder.is_dir())
SYMMETRY = "29_crystal_symmetry"


def read(case: str, kind: str) -> gemmi.Structure:
    (path,) = (DATA / case).glob(f"{kind}.*.gz")
    return gemmi.read_structure(str(path))


def expected(case: str, mode: str) -> dict[str, float | int | str | None]:
    scores = json.loads((DATA / case / "scores.json").read_text())
    return scores[f"chain_comparison.{mode}"]["exact"]


def check(found: dict[str, float | int | str | None], wanted: dict[str, float | int | str | None]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, float):
            assert found[name] == pytest.approx(value, abs=1e-6), name
        else:
            assert found[name] == value, name


@pytest.mark.parametrize("case", [case for case in CASES if case != SYMMETRY])
def test_golden(case: str) -> None:
    scores = chain_comparison(read(case, "target"), read(case, "model"))
    for mode, score in scores.items():
        check(score.as_dict(), expected(case, mode))


def test_golden_without_crystal_symmetry() -> None:
    scores = chain_comparison(read(SYMMETRY, "target"), read(SYMMETRY, "model"))
    check(scores["default"].as_dict(), expected(SYMMETRY, "default_no_symmetry"))


@pytest.mark.parametrize("case", ["04_hetero_noise20", "19_no_overlap", "24_no_ca_in_model", "26_coordinate_slide"])
def test_table_prints_what_the_program_prints(case: str) -> None:
    scores = json.loads((DATA / case / "scores.json").read_text())
    for mode, score in chain_comparison(read(case, "target"), read(case, "model")).items():
        columns = score.as_dict()
        for _, key in COLUMNS[1:]:
            printed = scores[f"chain_comparison.{mode}"]["printed"][key]
            text = format_column(columns[key])
            if text != "-":
                decimals = 1 if key in ("found_percent", "seq_match_percent", "mean_length") else 2
                assert round(float(text), decimals) == pytest.approx(printed, abs=0.11 if decimals == 1 else 1e-9), key
            else:
                assert printed in (None, 0), key


points = arrays(np.float64, st.tuples(st.integers(1, 25), st.just(3)), elements=st.floats(0, 12))


@settings(max_examples=60, deadline=None)
@given(points, points, st.floats(0.5, 6))
def test_pairs_are_those_of_moving_taken_residues_away(target: np.ndarray, model: np.ndarray, max_dist: float) -> None:
    rng = np.random.default_rng(0)
    target, model = target + rng.normal(0, 1e-3, target.shape), model + rng.normal(0, 1e-3, model.shape)
    wanted, used = [], set()
    for i, point in enumerate(model):
        moved = target.copy()
        j = int(np.linalg.norm(moved - point, axis=1).argmin())
        if j in used:
            moved[j] += 1000
            j = int(np.linalg.norm(moved - point, axis=1).argmin())
        distance = float(np.linalg.norm(moved[j] - point))
        if j not in used and distance <= max_dist:
            used.add(j)
            wanted.append((i, j, pytest.approx(distance)))
    assert [(pair.i, pair.j, pair.distance) for pair in pair_residues(target, model, max_dist)] == wanted


def test_directions_around_a_break() -> None:
    steps = [(0, 5), (1, 6), (2, 7), (3, 20), (4, 21), (5, 22), (6, 21), (8, 20), (9, 19)]
    directions = chain_directions([Pair(i, j, 0.0) for i, j in steps])
    assert [direction[0] for direction in directions] == list("fffmffrmm")


@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        ([], 0),
        ([4], 0),
        ([0, 1, 2, 10, 11], 0),
        ([10, 11, 0, 1], 1),
        ([5, 4, 3, 1, 0], 0),
        ([1, 0, 5, 4], 1),
        ([0, 1, 2, 9, 8], 1),
        ([0, 1, 7, 2, 3], 0),
    ],
)
def test_bad_connections(order: list[int], wrong: int) -> None:
    assert bad_connections(order) == wrong


def chains(**copies: int) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    kinds = {"a": ["ALA", "GLY"] * 20, "b": ["TRP", "SER"] * 20, "u": ["UNK"] * 9}
    names = {f"{kind}{copy}": kinds[kind] for kind, number in copies.items() for copy in range(number)}
    return names, {name: np.array([float(name[1:]), 0.0, 0.0]) for name in names}


@pytest.mark.parametrize(
    ("copies", "wanted"),
    [
        ({"b": 2, "a": 2}, ["a1", "b1"]),
        ({"a": 2, "b": 1}, ["a1", "a0", "b0"]),
        ({"a": 4, "b": 2}, ["a1", "a2", "b1"]),
        ({"a": 3, "b": 2}, ["a0", "a1", "a2", "b0", "b1"]),
        ({"a": 2, "u": 1}, ["a1"]),
        ({"u": 2}, []),
    ],
)
def test_unique_part(copies: dict[str, int], wanted: list[str]) -> None:
    assert unique_chains(*chains(**copies), np.array([1.2, 0.0, 0.0])) == wanted


def test_similarity() -> None:
    sequence = "ACDEFGHIKLMNPQRSTVWY" * 10
    assert similarity(sequence, sequence) == 1
    assert similarity(sequence, sequence[1:]) == pytest.approx(199 / 200)
    assert similarity(sequence, "A" + sequence[2:]) == pytest.approx(199 / 200)
    assert similarity(sequence, "W" + sequence[1:]) == pytest.approx(199 / 200)
    assert similarity(sequence, sequence[::-1]) < 0.6
    assert similarity(sequence, sequence[:150]) < 0.99


@pytest.mark.parametrize("mode", ["default", "entire_target", "unique_target"])
def test_moving_both_changes_nothing(mode: Mode) -> None:
    case = "27_realistic_mixture"
    target, model = read(case, "target"), read(case, "model")
    shift = gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(101.0, -7.5, 33.25))
    for structure in (target, model):
        structure[0].transform_pos_and_adp(shift)
    check(chain_comparison(target, model)[mode].as_dict(), expected(case, mode))
