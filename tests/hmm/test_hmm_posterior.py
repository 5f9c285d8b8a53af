"""Forward-backward on the sparse model against enumeration of all paths and against full matrices."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from hmm.sparse import Decoder, links_from_pairs, posteriors

STEPS = 2


def random_decoder(seed, n_states, break_cost):
    rng = np.random.default_rng(seed)
    every = itertools.product(range(n_states), range(n_states), (1, 2))
    pairs = [(p, s, k) for p, s, k in every if rng.random() < 0.6]
    source, target, step = np.array(pairs, dtype=int).reshape(-1, 3).T
    links = links_from_pairs(n_states, STEPS, source, target, step, rng.normal(-0.3, 1, len(pairs)))
    decoder = Decoder(links, rng.normal(0, 3, (n_states, 3)), (6.0, 1.0, 0.5, 3.0), break_cost, (1.0, 1.0))
    return decoder, rng.normal(0.3, 1.5, (3, n_states)), rng


def link_score(decoder, p, s, step):
    inside = range(*decoder.links.start[p, step - 1 : step + 1]) if step <= STEPS else []
    return next((decoder.links.score[link] for link in inside if decoder.links.target[link] == s), None)


def enumerated(decoder, symbols, emission, states):
    """Posterior by a sum over every choice of states (or none) and of links or breaks between them."""
    weights, shown = 1.0, np.zeros((len(symbols), len(states)))
    for path in itertools.product(range(-1, len(states)), repeat=len(symbols)):
        placed = [i for i, s in enumerate(path) if s >= 0]
        if not placed:
            continue
        weight = np.exp(sum(emission[symbols[i], states[path[i]]] for i in placed))
        for a, b in itertools.pairwise(placed):
            linked = link_score(decoder, states[path[a]], states[path[b]], b - a)
            weight *= np.exp(-decoder.break_cost) + (0.0 if linked is None else np.exp(linked))
        weights += weight
        for i in placed:
            shown[i, path[i]] += weight
    return shown / weights


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 5), st.sampled_from([0.3, 2.0, 30.0]))
def test_against_enumeration(seed, n_states, length, break_cost):
    decoder, emission, rng = random_decoder(seed, n_states, break_cost)
    symbols = rng.integers(0, 3, length)
    states = rng.permutation(n_states)[: rng.integers(1, n_states + 1)]
    found = posteriors(decoder, symbols, emission, states)
    np.testing.assert_allclose(found, enumerated(decoder, symbols, emission, states), rtol=1e-9, atol=1e-12)


def dense(decoder, symbols, emission):
    """Forward and backward sums with full matrices, a column for the end of a piece."""
    n, length, cost = emission.shape[1], len(symbols), decoder.break_cost
    steps = np.full((STEPS + 1, n, n), -np.inf)
    for k, p, s in itertools.product((1, 2), range(n), range(n)):
        score = link_score(decoder, p, s, k)
        steps[k, p, s] = -np.inf if score is None else score
    ahead, back = np.full((length, n), -np.inf), np.full((length, n), -np.inf)
    for i in range(length):
        ways = [np.zeros(n)]
        for j in range(i):
            table = np.logaddexp(steps[i - j] if i - j <= STEPS else -np.inf, np.full((n, n), -cost))
            ways.append(logsumexp(ahead[j][:, None] + table, axis=0))
        ahead[i] = emission[symbols[i]] + logsumexp(ways, axis=0)
    for i in range(length - 1, -1, -1):
        ways = [np.zeros(n)]
        for j in range(i + 1, length):
            table = np.logaddexp(steps[j - i] if j - i <= STEPS else -np.inf, np.full((n, n), -cost))
            ways.append(logsumexp(table + emission[symbols[j]] + back[j], axis=1))
        back[i] = logsumexp(ways, axis=0)
    return np.exp(ahead + back - np.logaddexp(0.0, logsumexp(ahead)))


@pytest.mark.parametrize("seed", range(3))
def test_against_full_matrices(seed):
    decoder, emission, rng = random_decoder(seed, 12, 4.0)
    symbols = rng.integers(0, 3, 40)
    found = posteriors(decoder, symbols, 3 * emission, np.arange(12))
    np.testing.assert_allclose(found, dense(decoder, symbols, 3 * emission), rtol=1e-7, atol=1e-12)
    assert found.max() <= 1
    assert found.sum(axis=1).max() <= 1 + 1e-9


def test_closed_states_and_large_scores():
    decoder, emission, rng = random_decoder(1, 6, 5.0)
    emission = 200 * emission
    emission[:, 2] = -np.inf
    symbols = rng.integers(0, 3, 60)
    found = posteriors(decoder, symbols, emission, np.arange(6))
    assert (found[:, 2] == 0).all()
    open_states = np.array([0, 1, 3, 4, 5])
    np.testing.assert_allclose(found[:, open_states], posteriors(decoder, symbols, emission, open_states), atol=1e-12)
    assert found.max() == pytest.approx(1)


def test_two_equal_ways_share_the_probability():
    links = links_from_pairs(4, 1, np.array([0, 0, 1, 2]), np.array([1, 2, 3, 3]), np.ones(4, int), np.zeros(4))
    decoder = Decoder(links, np.zeros((4, 3)), (6.0, 1.0, 0.0, 1.0), 50.0, (1.0, 1.0))
    emission = np.full((3, 4), -30.0)
    emission[0, 0], emission[1, [1, 2]], emission[2, 3] = 20.0, 20.0, 20.0
    found = posteriors(decoder, np.arange(3), emission, np.arange(4))
    np.testing.assert_allclose(found[1, [1, 2]], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[[0, 2], [0, 3]], 1.0, atol=1e-6)
