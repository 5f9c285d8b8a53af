"""How far a path stays where it is under noise, against the normal distribution."""

import numpy as np
import pytest
from scipy.stats import norm

from hmm.sparse import Decoder, Path, links_from_pairs, stability

TIMES = 2000


def decoder_of(n_states, pairs=(), score=()):
    source, target = np.array(pairs, dtype=int).reshape(-1, 2).T
    links = links_from_pairs(n_states, 1, source, target, np.ones(len(source), dtype=int), np.array(score, dtype=float))
    return Decoder(links, np.arange(3.0 * n_states).reshape(-1, 3), (6.0, 1.0, 0.0, 1.0), 50.0, (1e3, 1e3))


@pytest.mark.parametrize("noise", [0.5, 1.0])
@pytest.mark.parametrize("margin", [0.0, 0.4, 1.5])
def test_of_two_states_the_better_one_is_kept_as_often_as_noise_allows(noise, margin):
    # links both ways, so that both are in the surroundings of the path
    decoder = decoder_of(2, [(0, 1), (1, 0)], [-99.0, -99.0])
    emission, path = np.array([[20.0 + margin, 20.0]]), Path(np.array([0]), np.array([True]), 20.0)
    share = stability(decoder, np.array([0]), path, emission, np.zeros(2), noise, TIMES)
    assert share == pytest.approx([norm.cdf(margin / (noise * np.sqrt(2)))], abs=3 * 0.5 / np.sqrt(TIMES))


def test_without_noise_or_rivals_the_best_path_stays_and_what_is_not_placed_has_no_share():
    decoder = decoder_of(4, [(0, 1), (1, 2), (0, 3), (3, 2)], [1.0, 1.0, 1.0, 1.0])
    symbols, emission = np.arange(4), np.full((4, 4), -9.0)
    emission[[0, 1, 2], [0, 1, 2]] = 2.0
    emission[1, 3] = 1.9
    path = decoder.decode(symbols, emission)
    assert path.state.tolist() == [0, 1, 2, -1]
    assert stability(decoder, symbols, path, emission, np.zeros(4), 0.0, 3).tolist() == [1, 1, 1, 0]
    unsure = stability(decoder, symbols, path, emission, np.zeros(4), 0.7, 200)
    assert 0.3 < unsure[1] < 0.8
    assert unsure[0] == unsure[2] == 1
    closed = np.array([0, 0, 0, np.inf])
    assert stability(decoder, symbols, path, emission, closed, 0.7, 200).tolist() == [1, 1, 1, 0]
    nowhere = Path(np.full(4, -1), np.zeros(4, dtype=bool), 0.0)
    assert not stability(decoder, symbols, nowhere, emission, np.zeros(4), 0.7, 3).any()


def test_states_of_one_site_are_the_same_place():
    links = links_from_pairs(2, 1, np.array([0, 1]), np.array([1, 0]), np.ones(2, dtype=int), np.full(2, -99.0))
    decoder = Decoder(links, np.zeros((2, 3)), (6.0, 1.0, 0.0, 1.0), 50.0, (1e3, 1e3), site=np.zeros(2, dtype=int))
    path = Path(np.array([0]), np.array([True]), 20.0)
    assert stability(decoder, np.array([0]), path, np.array([[20.0, 20.0]]), np.zeros(1), 1.0, 20).tolist() == [1]
