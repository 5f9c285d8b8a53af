import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm.dense import decode_chains, path_score


def oracle(chains, log_transition, log_emission, log_initial):
    """The published recursion on Python lists."""
    taken = []
    result = []
    for symbols, initial in zip(chains, log_initial, strict=True):
        excluded = []

        def run(symbols, initial=initial, excluded=excluded, taken=tuple(taken)):
            states = [s for s in range(len(initial)) if s not in taken and s not in excluded]
            value = {s: initial[s] + log_emission[symbols[0], s] for s in states}
            path = {s: [s] for s in states}
            for t in range(1, len(symbols)):
                new_value, new_path = {}, {}
                for s in states:
                    best, origin = -np.inf, None
                    for p in states:
                        if s in path[p]:
                            continue
                        q = (value[p] + log_transition[p, s]) + log_emission[symbols[t], s]
                        if q > best:
                            best, origin = q, p
                    if origin is None:
                        excluded.extend(path[max(states, key=lambda p: value[p])])
                        run(symbols[t:])
                        return
                    new_value[s], new_path[s] = best, [*path[origin], s]
                value, path = new_value, new_path
            excluded.extend(path[max(states, key=lambda p: value[p])])

        run(list(symbols))
        result.append(excluded)
        taken += excluded
    return result


def random_model(seed, n_states, n_symbols=3):
    rng = np.random.default_rng(seed)
    # few distinct values, so that ties occur
    transition = rng.integers(1, 5, (n_states, n_states)).astype(float)
    emission = rng.integers(1, 4, (n_symbols, n_states)).astype(float)
    return np.log(transition), np.log(emission), rng


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 3))
def test_equals_the_recursion_on_lists(seed, length_a, length_b, spare):
    n_states = length_a + length_b + spare
    log_transition, log_emission, rng = random_model(seed, n_states)
    chains = [rng.integers(0, 3, length_a), rng.integers(0, 3, length_b)]
    initial = [log_emission[chain[0]] for chain in chains]
    found = decode_chains(chains, log_transition, log_emission, initial)
    assert [path.tolist() for path in found] == oracle(chains, log_transition, log_emission, initial)


def test_refuses_fewer_states_than_symbols():
    log_transition, log_emission, _ = random_model(0, 3)
    with pytest.raises(ValueError, match="3 states"):
        decode_chains([np.zeros(4, int)], log_transition, log_emission, [np.zeros(3)])


def test_path_score_sums_all_terms():
    log_transition, log_emission, _ = random_model(1, 4)
    path, symbols, initial = np.array([2, 0, 3]), np.array([1, 1, 2]), np.log(np.arange(1.0, 5.0))
    expected = initial[2] + log_transition[2, 0] + log_transition[0, 3]
    expected += log_emission[1, 2] + log_emission[1, 0] + log_emission[2, 3]
    assert path_score(symbols, path, log_transition, log_emission, initial) == pytest.approx(expected)
