import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm.sparse import Competition, Decoder, compete, decode_chains, links_from_pairs
from hmm.sparse.exchange import exchange_tails

STEPS = 2


def random_decoder(seed, n_states, break_cost, beam=1000):
    rng = np.random.default_rng(seed)
    every = itertools.product(range(n_states), range(n_states), (1, 2))
    pairs = [(p, s, k) for p, s, k in every if p != s and rng.random() < 0.6]
    source, target, step = np.array(pairs, dtype=int).reshape(-1, 3).T
    links = links_from_pairs(n_states, STEPS, source, target, step, rng.normal(-0.3, 1, len(pairs)))
    decoder = Decoder(
        links,
        rng.normal(0, 3, (n_states, 3)),
        bend=(6.0, 1.0, 0.5, 3.0),
        twist=rng.normal(0, 1, (8, 2)),
        break_cost=break_cost,
        reach=(1e9, 0.0),
        beam=beam,
        width=100_000,
    )
    return decoder, rng.normal(0.3, 1.5, (3, n_states)), rng


def slow_score(decoder, symbols, state, emission):
    """Score of a path, link by link, and where it has none."""
    xyz = decoder.xyz
    links, placed = decoder.links, [i for i in range(len(state)) if state[i] >= 0]
    total, opens = 0.0, np.zeros(len(state), bool)
    steps = [None]
    for n, i in enumerate(placed):
        total += emission[symbols[i], state[i]]
        if n == 0:
            opens[i] = True
            continue
        p, step = state[placed[n - 1]], i - placed[n - 1]
        inside = range(*links.start[p, step - 1 : step + 1]) if step <= links.steps else []
        scores = [links.score[link] for link in inside if links.target[link] == state[i]]
        steps.append(step if scores else None)
        opens[i] = not scores
        total += scores[0] if scores else -decoder.break_cost
        if steps[-2:] == [1, 1]:
            mean, sd, weight, cap = decoder.bend
            distance = np.linalg.norm(xyz[state[i]] - xyz[state[placed[n - 2]]])
            total -= weight * min(0.5 * ((distance - mean) / sd) ** 2, cap)
        if steps[-3:] == [1, 1, 1]:
            a, b, c, d = xyz[state[placed[n - 3 : n + 1]]]
            row = min(int(np.linalg.norm(d - a)), len(decoder.twist) - 1)
            total += decoder.twist[row, int(np.linalg.det([b - a, c - b, d - c]) > 0)]
    return total, opens


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_score_of_a_given_path(seed, length):
    decoder, emission, rng = random_decoder(seed, 9, break_cost=1.3)
    symbols = rng.integers(0, 3, length)
    state = np.where(rng.random(length) < 0.8, rng.permutation(9)[:length], -1)
    total, opens = slow_score(decoder, symbols, state, emission)
    assert decoder.score(symbols, state, emission) == pytest.approx(total)
    assert decoder.opens(state).tolist() == opens.tolist()


def all_paths(n_states, length):
    """Every assignment of distinct states, or none (-1), to the symbols."""
    for path in itertools.product(range(-1, n_states), repeat=length):
        used = [s for s in path if s >= 0]
        if used and len(used) == len(set(used)):
            yield np.array(path)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 4))
def test_one_piece_equals_brute_force(seed, n_states, length):
    decoder, emission, rng = random_decoder(seed, n_states, break_cost=1e6)
    symbols = rng.integers(0, 3, length)
    path = decoder.decode(symbols, emission)
    best = max(0.0, max(slow_score(decoder, symbols, p, emission)[0] for p in all_paths(n_states, length)))
    assert path.score == pytest.approx(best)
    if best > 0:
        assert decoder.score(symbols, path.state, emission) == pytest.approx(best)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 4))
def test_pieces_are_valid_and_never_better_than_brute_force(seed, n_states, length):
    decoder, emission, rng = random_decoder(seed, n_states, break_cost=0.7)
    symbols = rng.integers(0, 3, length)
    path = decoder.decode(symbols, emission)
    placed = path.state[path.state >= 0]
    assert len(set(placed)) == len(placed)
    best = max(0.0, max(brute_score(decoder, symbols, p, emission) for p in all_paths(n_states, length)))
    assert path.score <= best + 1e-9


def brute_score(decoder, symbols, path, emission):
    """Best score over all choices of where an allowed link is a break instead."""
    placed = np.flatnonzero(path >= 0)
    best = -np.inf
    for cuts in itertools.product([False, True], repeat=len(placed) - 1):
        pieces = np.split(placed, np.flatnonzero(cuts) + 1)
        total = -decoder.break_cost * (len(pieces) - 1)
        for piece in pieces:
            alone = np.full(len(path), -1)
            alone[piece] = path[piece]
            total += slow_score(decoder, symbols, alone, emission)[0]
        best = max(best, total)
    return best


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 3), st.integers(1, 4))
def test_states_of_one_site_exclude_each_other(seed, n_sites, length):
    """Two states per site, against brute force."""
    decoder, emission, rng = random_decoder(seed, 2 * n_sites, break_cost=1e6)
    site = rng.permutation(np.repeat(np.arange(n_sites), 2))
    symbols = rng.integers(0, 3, length)
    path = replace(decoder, site=site).decode(symbols, emission)
    allowed = [
        p for p in all_paths(2 * n_sites, length) if len(set(site[p[p >= 0]].tolist())) == np.count_nonzero(p >= 0)
    ]
    best = max(0.0, max(slow_score(decoder, symbols, p, emission)[0] for p in allowed))
    assert path.score == pytest.approx(best)
    dear = np.zeros(n_sites)
    dear[site[0]] = np.inf
    closed = replace(decoder, site=site).decode(symbols, emission, price=dear)
    assert site[0] not in site[closed.state[closed.state >= 0]]


def test_sites_that_share_a_bit_are_told_apart():
    """A short path has fewer bits than there are states: 0, 64 and 128 have the same one."""
    source = np.array([0, 64])
    links = links_from_pairs(200, 1, source, source + 64, np.ones(2, int), np.zeros(2))
    decoder = Decoder(links, np.zeros((200, 3)), (6.0, 1.0, 0.0, 1.0), 100.0, (40.0, 0.0))
    emission = np.full((3, 200), -9.0)
    emission[[0, 1, 2], [0, 64, 128]] = 2.0
    assert decoder.decode(np.arange(3), emission).state.tolist() == [0, 64, 128]


def test_breaks_are_found():
    n_states = 6
    source = np.array([0, 1, 3, 4])
    links = links_from_pairs(n_states, 1, source, source + 1, np.ones(4, int), np.zeros(4))
    xyz = np.zeros((n_states, 3))
    xyz[3:] += 20
    emission = np.where(np.eye(n_states) > 0, 2.0, -9.0)
    symbols = np.array([0, 1, 2, 3, 4, 5])
    decoder = Decoder(links, xyz, (6.0, 1.0, 0.0, 1.0), 3.0, (40.0, 0.0))
    path = decoder.decode(symbols, emission)
    assert path.state.tolist() == [0, 1, 2, 3, 4, 5]
    assert path.opens.tolist() == [True, False, False, True, False, False]
    assert path.score == pytest.approx(12 - 3)
    out_of_reach = Decoder(links, xyz, (6.0, 1.0, 0.0, 1.0), 3.0, (10.0, 0.0))
    assert out_of_reach.decode(symbols, emission).state.tolist() in ([0, 1, 2, -1, -1, -1], [-1, -1, -1, 3, 4, 5])


def test_nothing_is_placed_where_nothing_fits():
    decoder, emission, _ = random_decoder(0, 4, 3.0)
    path = decoder.decode(np.array([0, 1, 2]), np.full_like(emission, -20.0))
    assert path.state.tolist() == [-1, -1, -1]
    assert path.score == 0


def two_tracks():
    """States 0..3 are a track, 4..7 another one."""
    source = np.array([0, 1, 2, 4, 5, 6])
    links = links_from_pairs(8, 1, source, source + 1, np.ones(6, int), np.zeros(6))
    return Decoder(links, np.zeros((8, 3)), (0.0, 1.0, 0.0, 1.0), 50.0, (1e9, 0.0))


def test_identical_chains_take_different_tracks():
    emission = np.tile(np.array([1.0, 1, 1, 1, 0.9, 0.9, 0.9, 0.9]), (1, 1))
    paths = decode_chains(two_tracks(), [np.zeros(4, int)] * 2, emission, Competition(10, 0.4, 0.3))
    assert sorted(path.state.tolist() for path in paths) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_chain_that_loses_most_keeps_contested_states():
    # both chains like track 0 best; the second hardly loses on track 1, the first loses all
    emission = np.array([[2.0] * 4 + [-1.0] * 4, [2.2] * 4 + [1.8] * 4])
    first, second = np.zeros(4, int), np.ones(4, int)
    for chains in ([first, second], [second, first]):
        paths = decode_chains(two_tracks(), chains, emission, Competition(20, 0.1, 0.1))
        states = {int(chain[0]): path.state.tolist() for chain, path in zip(chains, paths, strict=True)}
        assert states == {0: [0, 1, 2, 3], 1: [4, 5, 6, 7]}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_no_state_is_used_twice(seed):
    decoder, emission, rng = random_decoder(seed, 8, break_cost=1.0, beam=2)
    chains = [rng.integers(0, 3, 5) for _ in range(3)]
    paths = decode_chains(decoder, chains, emission, Competition(4, 0.3, 0.2))
    used = np.concatenate([path.state[path.state >= 0] for path in paths])
    assert len(set(used)) == len(used)


def test_results_of_earlier_rounds_are_kept_where_they_score_higher(monkeypatch):
    gained = 0
    for seed in range(60):
        decoder, emission, rng = random_decoder(seed, 8, break_cost=1.0, beam=2)
        chains = [rng.integers(0, 3, 6) for _ in range(2)]
        totals = []
        for every in (100, 1):
            monkeypatch.setattr(compete, "CLOSE_EVERY", every)
            paths = decode_chains(decoder, chains, emission, Competition(6, 0.4, 0.4))
            totals.append(sum(path.score for path in paths))
            used = np.concatenate([path.state[path.state >= 0] for path in paths])
            assert len(set(used)) == len(used)
        assert totals[1] >= totals[0] - 1e-9
        gained += totals[1] > totals[0] + 1e-9
    assert gained > 0


def test_links_are_grouped_by_source_and_step():
    links = links_from_pairs(
        3, 2, np.array([2, 0, 0, 0]), np.array([1, 2, 1, 2]), np.array([1, 2, 1, 1]), np.array([1.0, 2, 3, 4])
    )
    assert links.start.tolist() == [[0, 2, 3], [3, 3, 3], [3, 4, 4]]
    assert links.target.tolist() == [1, 2, 2, 1]
    assert links.score.tolist() == [3, 4, 2, 1]


def slow_exchange(decoder, first, second):
    """Try every cut by scoring whole paths."""
    nothing = np.zeros((1, len(decoder.xyz)))
    symbols = np.zeros(len(first), int)
    states = [first, second]
    scores = [slow_score(decoder, symbols, state, nothing)[0] for state in states]
    improved = True
    while improved:
        improved = False
        for cut in range(1, len(symbols)):
            crossed = [np.concatenate([states[k][:cut], states[1 - k][cut:]]) for k in (0, 1)]
            crossed_scores = [slow_score(decoder, symbols, state, nothing)[0] for state in crossed]
            if sum(crossed_scores) > sum(scores) + 1e-9:
                states, scores, improved = crossed, crossed_scores, True
    return states


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.floats(0.2, 1.0))
def test_exchange_equals_scoring_every_cut(seed, length, placed):
    decoder, _, rng = random_decoder(seed, 18, break_cost=1.3)
    order = rng.permutation(18)
    first, second = (np.where(rng.random(length) < placed, part[:length], -1) for part in (order[:9], order[9:]))
    expected = slow_exchange(decoder, first, second)
    found = exchange_tails(decoder, first, second)
    assert [state.tolist() for state in found] == [state.tolist() for state in expected]


def test_tails_are_exchanged_between_identical_chains():
    crossed = [np.array(state) for state in ([0, 1, 6, 7], [4, 5, 2, 3])]
    first, second = exchange_tails(two_tracks(), *crossed)
    assert first.tolist() == [0, 1, 2, 3]
    assert second.tolist() == [4, 5, 6, 7]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_prices_are_taken_off_and_close(seed, length, once):
    decoder, emission, rng = random_decoder(seed, 7, break_cost=1.0)
    symbols = rng.integers(0, 3, length)
    price = rng.choice([0.0, 0.4, np.inf], 7)
    priced = decoder.decode(symbols, emission, once, price=price)
    plain = decoder.decode(symbols, emission - price, once)
    assert priced.state.tolist() == plain.state.tolist()
    assert priced.score == plain.score
    assert np.isfinite(price[priced.state[priced.state >= 0]]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_path_starts_near_given_states(seed, length):
    decoder, emission, rng = random_decoder(seed, 4, break_cost=1e6)
    symbols = rng.integers(0, 3, length)
    near = np.array([rng.integers(4)])
    links = decoder.links
    allowed = {*near.tolist(), *links.target[links.start[near[0], 0] : links.start[near[0], -1]].tolist()}
    path = decoder.decode(symbols, emission, near=near)
    starting = [p for p in all_paths(4, length) if p[p >= 0][0] in allowed]
    scores = [slow_score(decoder, symbols, p, emission)[0] for p in starting]
    # what a start anywhere would beat is dropped although such a start is not allowed
    alone = [score for p, score in zip(starting, scores, strict=True) if (p >= 0).sum() == 1]
    assert max(0.0, *alone) - 1e-9 <= path.score <= max(0.0, *scores) + 1e-9
    if path.score > 0:
        assert path.state[path.state >= 0][0] in allowed
        assert decoder.score(symbols, path.state, emission) == pytest.approx(path.score)


def plain_decoder(n_states, source, target, score):
    links = links_from_pairs(n_states, 1, source, target, np.ones(len(source), int), score)
    return Decoder(links, np.zeros((n_states, 3)), (0.0, 1.0, 0.0, 1.0), 1e6, (1e9, 0.0), beam=4)


def test_a_path_in_a_large_model_enters_no_state_twice():
    # circles of 20 states pay; visited sets have fewer bits than there are states
    n_states, symbols = 3000, np.zeros(40, int)
    ring, back = np.arange(n_states), np.arange(19, n_states, 20)
    source, target = np.concatenate([ring, back]), np.concatenate([(ring + 1) % n_states, back - 19])
    score = np.concatenate([np.zeros(n_states), np.full(len(back), 0.5)])
    decoder, emission = plain_decoder(n_states, source, target, score), np.ones((1, n_states))
    path, again = decoder.decode(symbols, emission), decoder.decode(symbols, emission, once=False)
    placed = path.state[path.state >= 0]
    assert len(set(placed.tolist())) == len(placed) >= 20
    assert decoder.score(symbols, path.state, emission) == pytest.approx(path.score)
    assert again.score > 40


def test_states_that_share_a_bit_of_the_visited_sets_are_told_apart():
    row = 1024 * np.arange(12)
    decoder = plain_decoder(row[-1] + 1, row[:-1], row[1:], np.zeros(11))
    emission = np.where(np.isin(np.arange(row[-1] + 1), row), 1.0, -1.0)[None]
    assert decoder.decode(np.zeros(12, int), emission).state.tolist() == row.tolist()


def test_more_equal_hypotheses_than_the_width_are_not_all_dropped():
    source, target = np.nonzero(~np.eye(20, dtype=bool))
    decoder = replace(plain_decoder(20, source, target, np.zeros(len(source))), width=1)
    assert decoder.decode(np.zeros(5, int), np.ones((1, 20))).score == 5
