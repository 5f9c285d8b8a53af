"""Agreement of identical copies, on copies made by known rigid motions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences
from cryo2struct.settings import load_settings
from cryo2struct.tracing.agreement import (
    Motion,
    agree_copies,
    find_motions,
    image_of,
    image_of_states,
    merged_emission,
)
from cryo2struct.tracing.chains import protein_chains, symbols_of
from cryo2struct.tracing.readings import both_ways
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import make_decoder
from hmm.sparse import Path

LENGTH = 60
TURN = Rotation.from_rotvec([0.4, 1.1, -0.7])
SHIFT = np.array([40.0, -15.0, 10.0])


def walk(rng):
    """A chain of C-alphas 3.8 A apart that does not come back."""
    steps = rng.normal((1.5, 0, 0), 1, (LENGTH, 3))
    return np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)


@pytest.fixture
def two_copies():
    rng = np.random.default_rng(3)
    first = walk(rng)
    xyz = np.concatenate([first, TURN.apply(first) + SHIFT])
    types = rng.integers(0, 20, LENGTH)
    aa_prob = 0.6 * np.eye(20)[np.tile(types, 2)] + 0.4 / 20
    candidates = Candidates(xyz, np.full(2 * LENGTH, 0.9), aa_prob)
    sequences = Sequences((Entity("a", "".join(AMINO_ACIDS[t] for t in types), 2, "protein"),))
    settings = load_settings().tracing
    chains = protein_chains(sequences)
    return make_decoder(both_ways(candidates, settings), settings), chains, emission_scores(candidates, settings)


def path_of(decoder, chain, state, emission):
    return Path(np.array(state), decoder.opens(np.array(state)), decoder.score(symbols_of(chain), state, emission))


def test_the_motion_between_copies_is_found(two_copies):
    decoder, chains, emission = two_copies
    rows = np.arange(LENGTH)
    paths = [path_of(decoder, chains[0], state, emission) for state in (rows, np.where(rows < 30, rows + LENGTH, -1))]
    (motion,) = find_motions(decoder.xyz, paths, 0)
    np.testing.assert_allclose(motion.rotation, TURN.as_matrix(), atol=1e-6)
    np.testing.assert_allclose(motion.shift, SHIFT, atol=1e-5)
    image = image_of(decoder.xyz, motion, np.zeros(2 * LENGTH, dtype=bool))
    assert image[:LENGTH].tolist() == list(range(LENGTH, 2 * LENGTH))
    taken = np.arange(2 * LENGTH) == LENGTH + 7
    assert image_of(decoder.xyz, motion, taken)[7] == -1


def test_a_copy_that_was_left_out_in_part_follows_the_other(two_copies):
    decoder, chains, emission = two_copies
    rows = np.arange(LENGTH)
    partial = np.where((rows > 20) & (rows < 40), -1, rows + LENGTH)
    paths = [path_of(decoder, chains[0], state, emission) for state in (rows, partial)]
    agreed, merged = agree_copies(decoder, chains, paths, emission)
    assert sorted(path.state.tolist() for path in agreed) == [rows.tolist(), (rows + LENGTH).tolist()]
    assert merged[0].shape == emission.shape


def test_copies_that_lose_by_it_stay_as_they_are(two_copies):
    decoder, chains, emission = two_copies
    rows = np.arange(LENGTH)
    paths = [path_of(decoder, chains[0], state, emission) for state in (rows, rows + LENGTH)]
    agreed, merged = agree_copies(decoder, chains, paths, emission)
    assert agreed == paths
    assert merged[0] is emission


@pytest.mark.parametrize(("copied", "factor"), [(True, 1.0), (False, 2.0)])
def test_images_count_as_far_as_their_errors_are_independent(copied, factor):
    rng = np.random.default_rng(5)
    n = 4000
    first = rng.normal(size=(20, n))
    second = first if copied else rng.normal(size=(20, n))
    emission = np.concatenate([first, second], axis=1)
    images = np.array([np.arange(2 * n), np.concatenate([np.arange(n, 2 * n), np.arange(n)])])
    path = Path(np.arange(n), np.arange(n) == 0, 0.0)
    merged = merged_emission(emission, rng.integers(0, 20, n), path, images)
    np.testing.assert_allclose(merged[:, :n], factor * (first + second) / 2, rtol=0.08)


def test_the_image_of_a_reading_runs_the_same_way():
    """A chain and its image, of which every second candidate's likelier reading is the wrong one."""
    rng = np.random.default_rng(5)
    first = walk(rng)
    along = np.gradient(first, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    xyz = np.concatenate([first, TURN.apply(first) + SHIFT])
    after = np.concatenate([along, TURN.apply(along)])
    after[LENGTH::2] *= -1
    n = 2 * LENGTH
    types = rng.dirichlet(np.ones(20), n)
    candidates = Candidates(
        xyz,
        np.full(n, 0.9),
        types,
        after,
        -after,
        reverse_prob=np.full(n, 0.4),
        reverse_xyz=xyz,
        reverse_aa_prob=types,
        reverse_next_vec=-after,
        reverse_prev_vec=after,
    )
    settings = load_settings().tracing
    readings = both_ways(candidates, settings)
    directions = readings.candidates.next_vec
    motion = Motion(TURN.as_matrix(), SHIFT)
    image = image_of_states(make_decoder(readings, settings), motion, np.zeros(n, dtype=bool), directions)
    begin = np.concatenate([np.arange(LENGTH), np.arange(n, n + LENGTH)])
    assert (readings.site[image[begin]] == readings.site[begin] + LENGTH).all()
    np.testing.assert_allclose(directions[image[begin]], TURN.apply(directions[begin]), atol=1e-6)
    # half of the readings have changed places
    assert (image[:LENGTH] >= n).sum() == LENGTH // 2
