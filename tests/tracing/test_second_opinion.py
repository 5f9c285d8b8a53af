"""Joining of two traces, on traces whose right parts are known."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from cryo2struct.objects import Trace
from cryo2struct.tracing.second_opinion import join

LENGTH = 40


def place(copy, position):
    """Straight chains, 10 A apart, which never come near each other."""
    return np.column_stack([3.8 * position, 10.0 * copy, np.zeros(len(position))]).astype(float)


def trace_of(copy, position, xyz=None):
    copy, position = np.asarray(copy), np.asarray(position)
    n = len(copy)
    xyz = place(copy, position) if xyz is None else xyz
    half = np.full(n, 0.5)
    return Trace(np.zeros(n, int), copy, position, np.arange(n), xyz, half, half, half)


def test_a_segment_that_one_lacks_comes_from_the_other():
    first = trace_of(np.zeros(30, int), np.r_[0:20, 30:40])
    second = trace_of(np.zeros(30, int), np.r_[10:40])
    joined = join(first, second, (np.ones(30), np.ones(30)), 100)
    assert joined.trace.position.tolist() == list(range(LENGTH))
    assert (joined.taken, joined.segments) == (10, 1)
    np.testing.assert_allclose(joined.trace.xyz, place(np.zeros(LENGTH, int), np.arange(LENGTH)))
    assert joined.trace.candidate[20:30].tolist() == list(range(110, 120))


def test_copies_are_recognised_by_their_place():
    n = np.arange(LENGTH)
    first = trace_of(np.repeat([0, 1], LENGTH), np.r_[n, n])
    second = trace_of(np.repeat([0, 1], LENGTH), np.r_[n, n], first.xyz[np.r_[LENGTH : 2 * LENGTH, 0:LENGTH]])
    joined = join(first, second, (np.ones(len(first)), 2 * np.ones(len(second))), 80)
    assert joined.taken == 0
    np.testing.assert_array_equal(joined.trace.xyz, first.xyz)


def test_of_two_places_the_better_supported_one_is_kept():
    n = np.arange(LENGTH)
    first, away = trace_of(0 * n, n), place(0 * n, n)
    away[15:25, 2] += 6.0
    second = trace_of(0 * n, n, away)
    for mine, other, wanted in ((1.0, 1.5, away), (1.5, 1.0, first.xyz)):
        joined = join(first, second, (np.full(LENGTH, mine), np.full(LENGTH, other)), LENGTH)
        np.testing.assert_array_equal(joined.trace.xyz, wanted)


def test_a_segment_on_top_of_another_chain_is_left_out():
    n = np.arange(LENGTH)
    first = trace_of(np.r_[0 * n, np.ones(20, int)], np.r_[n, 0:20])
    wrong = np.r_[place(0 * n, n), place(np.ones(20, int), np.arange(20)), place(np.zeros(20, int), np.arange(20, 40))]
    second = trace_of(np.r_[0 * n, np.ones(LENGTH, int)], np.r_[n, n], wrong)
    joined = join(first, second, (np.ones(len(first)), np.full(len(second), 9.0)), 60)
    assert joined.taken == 0
    np.testing.assert_array_equal(joined.trace.xyz, first.xyz)


def random_trace(rng):
    kept = rng.random((2, LENGTH)) < 0.7
    copy, position = np.nonzero(kept)
    xyz = place(copy, position) + rng.choice([0.0, 2.0], (len(copy), 1)) * rng.normal(size=(len(copy), 3))
    return trace_of(copy, position, xyz)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_support_never_falls_and_nothing_new_overlaps(seed):
    rng = np.random.default_rng(seed)
    first, second = random_trace(rng), random_trace(rng)
    support = 3 * rng.random(len(first)), 3 * rng.random(len(second))
    joined = join(first, second, support, len(first))
    trace = joined.trace
    keys = list(zip(trace.copy.tolist(), trace.position.tolist(), strict=True))
    assert keys == sorted(set(keys))
    from_second = trace.candidate >= len(first)
    total = (
        support[0][trace.candidate[~from_second]].sum() + support[1][trace.candidate[from_second] - len(first)].sum()
    )
    assert total >= support[0].sum() - 1e-9
    near = cKDTree(trace.xyz).query_pairs(2.5, output_type="ndarray")
    mixed = near[from_second[near].sum(axis=1) == 1] if len(near) else near
    assert not len(mixed)
