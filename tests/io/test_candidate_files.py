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
        for field in ("next_vec", "prev_vec"):
            arrays[field] /= np.linalg.norm(arrays[field], axis=1, keepdims=True)
        arrays |= {"ss_prob": rng.dirichlet(np.ones(3), n), "nonprotein_prob": rng.random(n)}
        arrays["attention"] = rng.normal(size=(n, 31)).astype(np.float16)
        arrays["n_xyz"][2] = np.nan
        reverse = ("xyz", "aa_prob", "next_vec", "prev_vec")
        arrays |= {"reverse_prob": rng.random(n)} | {f"reverse_{field}": arrays[field].copy() for field in reverse}
    return arrays


def some_trace(n=5, every=True):
    rng = np.random.default_rng(0)
    counts = {field: np.arange(n) for field in ("entity", "copy", "position")}
    values = {field: rng.random(n) for field in ("confidence", "place_prob", "register_prob")}
    others = {"other_prob": rng.random(n), "other_entity": np.arange(n) - 1, "other_position": np.arange(n) - 1}
    rows = {**counts, "candidate": np.arange(n) - 1, "xyz": rng.normal(size=(n, 3)), **values}
    return rows | others if every else rows


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


@pytest.mark.parametrize("every", [True, False])
def test_trace_comes_back(tmp_path, every):
    write_trace(tmp_path / "trace", Trace(**some_trace(every=every)))  # no .npz is added to the name
    assert_same(read_trace(tmp_path / "trace"), some_trace(every=every))
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
        ({"aa_prob": np.full((7, 20), 0.04)}, "aa_prob sums to 0.8 in row 0; probabilities that sum to 1 are needed"),
        ({"ss_prob": np.eye(3)[[0, 1, 2, 0, 1, 2, 0]] * [1, 1, 0]}, "ss_prob sums to 0 in row 2"),
        ({"aa_prob": np.zeros((7, 20), dtype=int)}, "aa_prob sums to 0"),
        ({"next_vec": np.full((7, 3), 1e6)}, "next_vec has a vector of length 1.732e+06; unit vectors are needed"),
        ({"prev_vec": np.full((7, 3), 1e300)}, "prev_vec has a vector of length"),
        ({"xyz": np.full((7, 3), -1e300)}, "xyz reaches 1e+300; coordinates in A are needed"),
        ({"c_xyz": np.full((7, 3), [1, np.nan, 1e7])}, "c_xyz reaches 1e+07"),
        ({"reverse_xyz": None}, "reverse_prob is there, but not all of reverse_prob, reverse_xyz"),
        ({"reverse_aa_prob": np.full((7, 20), 0.04)}, "reverse_aa_prob sums to 0.8 in row 0"),
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


def test_what_rounding_puts_outside_is_put_back(tmp_path):
    arrays = some_candidates()
    arrays["aa_prob"][:, 0] -= 8e-4 + arrays["aa_prob"][:, 0]
    arrays["aa_prob"][:, 1:] /= arrays["aa_prob"][:, 1:].sum(axis=1, keepdims=True)
    arrays["ca_prob"][:2] = 1.0009, -0.0009
    arrays["ss_prob"] = arrays["ss_prob"].astype(np.float16)
    arrays["next_vec"] = arrays["next_vec"].astype(np.float16)
    arrays["prev_vec"][3] = 0  # unknown
    np.savez(tmp_path / "c.npz", **arrays)
    found = read_candidates(tmp_path / "c.npz")
    assert found.ca_prob[:2].tolist() == [1, 0]
    assert found.aa_prob.min() == 0
    np.testing.assert_array_equal(found.aa_prob[:, 1:], arrays["aa_prob"][:, 1:])


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
