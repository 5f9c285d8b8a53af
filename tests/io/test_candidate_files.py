"""Candidates and traces as files: round trips and refusals."""

import dataclasses

import numpy as np
import pytest
from map_bytes import refusal

from cryo2struct.errors import InputError
from cryo2struct.io.candidates import read_candidates, read_trace, write_candidates, write_trace
from cryo2struct.objects import Candidates, Trace


def some_candidates(n=7, every=True):
    rng = np.random.default_rng(0)
    arrays = {"xyz": rng.normal(size=(n, 3)), "ca_prob": rng.random(n), "aa_prob": rng.dirichlet(np.ones(20), n)}
    if every:
        arrays |= {field: rng.normal(size=(n, 3)) for field in ("next_vec", "prev_vec", "n_xyz", "c_xyz")}
        arrays |= {"ss_prob": rng.random((n, 3)), "nonprotein_prob": rng.random(n)}
        arrays["attention"] = rng.normal(size=(n, 31)).astype(np.float16)
        arrays["n_xyz"][2] = np.nan
    return arrays


def some_trace(n=5):
    rng = np.random.default_rng(0)
    counts = {field: np.arange(n) for field in ("entity", "copy", "position")}
    values = {field: rng.random(n) for field in ("confidence", "place_prob", "register_prob")}
    return {**counts, "candidate": np.arange(n) - 1, "xyz": rng.normal(size=(n, 3)), **values}


def assert_same(found, arrays):
    for field in dataclasses.fields(found):
        values = getattr(found, field.name)
        if field.name in arrays:
            np.testing.assert_array_equal(values, arrays[field.name])
            assert values.dtype == arrays[field.name].dtype
        else:
            assert values is None


@pytest.mark.parametrize(("n", "every"), [(7, True), (7, False), (0, True)])
def test_candidates_come_back(tmp_path, n, every):
    arrays = some_candidates(n, every) if n else {k: v[:0] for k, v in some_candidates().items()}
    write_candidates(tmp_path / "candidates.npz", Candidates(**arrays))
    assert_same(read_candidates(tmp_path / "candidates.npz"), arrays)


def test_trace_comes_back(tmp_path):
    write_trace(tmp_path / "trace", Trace(**some_trace()))  # no .npz is added to the name
    assert_same(read_trace(tmp_path / "trace"), some_trace())
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


def test_files_of_other_programs(tmp_path):
    arrays = some_candidates(every=False)
    arrays |= {"xyz": np.arange(21).reshape(7, 3), "comment": np.array("unknown arrays are ignored")}
    np.savez(tmp_path / "c.npz", **arrays)
    assert read_candidates(tmp_path / "c.npz").xyz.dtype == np.float64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aa_prob": None}, "aa_prob is missing"),
        ({"xyz": None}, "xyz is missing"),
        ({"xyz": np.zeros((7, 2))}, "xyz has shape (7, 2)"),
        ({"xyz": np.array(1.0)}, "shape ()"),
        ({"ca_prob": np.zeros(6)}, "ca_prob has shape (6,)"),
        ({"ca_prob": np.zeros((7, 1))}, "ca_prob has shape (7, 1)"),
        ({"aa_prob": np.zeros((7, 21))}, "(N, 20)"),
        ({"attention": np.zeros(7)}, "attention has shape (7,)"),
        ({"xyz": np.full((7, 3), np.nan)}, "xyz has 21 values that are NaN"),
        ({"n_xyz": np.full((7, 3), np.inf)}, "n_xyz has 21"),
        ({"ca_prob": np.full(7, 1.5)}, "ca_prob runs from 1.5 to 1.5"),
        ({"ss_prob": np.full((7, 3), -0.5)}, "ss_prob runs from -0.5"),
        ({"ca_prob": np.array(["a"] * 7)}, "type <U1"),
        ({"ca_prob": np.array([object()] * 7)}, "no .npz of plain arrays"),
    ],
)
def test_candidates_refused(tmp_path, change, words):
    arrays = {field: values for field, values in (some_candidates() | change).items() if values is not None}
    path = tmp_path / "c.npz"
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(InputError) as error:
        read_candidates(path)
    line = refusal(error)
    assert words in line
    assert line.startswith(str(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entity": np.full(5, -1)}, "entity holds numbers that do not count from 0"),
        ({"candidate": np.full(5, -2)}, "count from -1"),
        ({"position": np.zeros(5)}, "position"),
        ({"confidence": np.full(5, 87.0)}, "confidence runs from 87"),
        ({"copy": np.zeros(4, int)}, "copy has shape (4,)"),
    ],
)
def test_trace_refused(tmp_path, change, words):
    np.savez(tmp_path / "t.npz", **(some_trace() | change))
    with pytest.raises(InputError) as error:
        read_trace(tmp_path / "t.npz")
    assert words in refusal(error)


def test_other_files_refused(tmp_path):
    path = tmp_path / "c.npz"
    np.savez(path, **some_candidates())
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:200] + bytes(400) + whole[600:]):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            read_candidates(path)
        assert "npz" in refusal(error)
    with pytest.raises(InputError) as error:
        read_candidates(tmp_path / "none.npz")
    assert "no such file" in refusal(error)
