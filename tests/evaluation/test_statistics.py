"""Means, intervals and paired differences, against SciPy and full enumeration."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from cryo2struct.evaluation.statistics import compare_sets, flatten, summarise, summarise_set

NUMBERS = st.floats(-1e3, 1e3)


def generator():
    return np.random.default_rng(7)


@pytest.mark.parametrize("n", [5, 12, 60])
def test_interval_as_scipy(n):
    values = np.random.default_rng(n).gamma(2.0, size=n)
    found = summarise(values, generator())
    expected = scipy.stats.bootstrap((values,), np.mean, n_resamples=40_000, method="percentile", rng=1)
    low, high = expected.confidence_interval
    np.testing.assert_allclose([found.low, found.high], [low, high], atol=0.03 * (high - low))
    assert (found.n, found.mean, found.median) == (n, pytest.approx(values.mean()), np.median(values))


def test_interval_of_all_possible_resamples():
    """27 of them with equal shares; the ends of the interval are means that occur, and both tails are too rare."""
    values = [0.0, 1.0, 5.0]
    means = [np.mean(chosen) for chosen in itertools.product(values, repeat=3)]
    found = summarise(values, generator())
    low, high = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_few_values():
    assert summarise([], generator()).as_dict() == {"n": 0, "mean": None, "median": None, "low": None, "high": None}
    assert summarise([3.0], generator()).as_dict() == {"n": 1, "mean": 3.0, "median": 3.0, "low": None, "high": None}
    same = summarise([0.1] * 4, generator())
    assert (same.low, same.high) == (pytest.approx(0.1), pytest.approx(0.1))


@given(st.lists(NUMBERS, min_size=2, max_size=8))
def test_interval_lies_within_the_values(values):
    found = summarise(values, generator())
    slack = 1e-9 * (1 + np.abs(values).max())
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_models_without_a_score_do_not_count():
    sets = {"a": {"x": 1.0, "y": None}, "b": {"x": 3.0}, "c": {"z": 4}}
    found = summarise_set(sets, seed=3)
    assert {name: summary.n for name, summary in found.items()} == {"x": 2, "y": 0, "z": 1}
    assert found["x"].mean == 2
    assert found["x"] == summarise_set({"a": {"x": 1.0}, "b": {"x": 3.0}}, seed=3)["x"]


def test_differences_are_paired_by_name():
    """A constant gain on models that differ much has no spread at all."""
    ours = {f"m{n}": {"x": 10.0 * n + 1, "y": 1.0} for n in range(6)}
    theirs = {f"m{n}": {"x": 10.0 * n, "y": None} for n in reversed(range(1, 8))}
    found = compare_sets(ours, theirs)
    assert found["x"].as_dict() == {"n": 5, "mean": 1.0, "median": 1.0, "low": 1.0, "high": 1.0}
    assert found["y"].n == 0
    assert compare_sets(ours, {}) == {}


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=6))
def test_differences_change_sign_with_the_order(pairs):
    one = {str(n): {"x": pair[0]} for n, pair in enumerate(pairs)}
    other = {str(n): {"x": pair[1]} for n, pair in enumerate(pairs)}
    forth, back = compare_sets(one, other)["x"], compare_sets(other, one)["x"]
    np.testing.assert_allclose(
        [forth.mean, forth.median, forth.low, forth.high],
        [-back.mean, -back.median, -back.high, -back.low],
        atol=1e-9,
    )


def test_flatten():
    nested = {
        "a": {"b": 1, "c": None, "word": "no", "flag": True, "d": {"e": 0.5}},
        "cc_per_chain": {"A": 1.0},
        "f": [1],
    }
    assert flatten(nested) == {"a.b": 1, "a.c": None, "a.d.e": 0.5}
    with pytest.raises(ValueError, match=r"score a\.b is nan"):
        flatten({"a": {"b": float("nan")}})
