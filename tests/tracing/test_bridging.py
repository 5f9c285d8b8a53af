"""Bridges between sure pieces, on chains whose true path is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences
from cryo2struct.settings import load_settings
from cryo2struct.tracing import bridging, trace
from cryo2struct.tracing.bridging import bridge_gaps
from cryo2struct.tracing.chains import protein_chains, symbols_of
from cryo2struct.tracing.readings import both_ways
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import make_decoder
from hmm.sparse import Path

LENGTH = 80
GAP = np.arange(34, 48)
USUAL = load_settings().tracing
# types are right by .83 here and say .6
AS_SURE = {name: getattr(USUAL, name) for name in type(USUAL.underconfident).model_fields}
TRACING = USUAL.model_copy(
    # the turns of a random walk are not those of a protein
    update={"underconfident": USUAL.underconfident.model_copy(update=AS_SURE), "twist_weight": 0.0}
)


def chain_of(seed):
    """A chain whose predicted types are right but in GAP, where they are those of other residues."""
    rng = np.random.default_rng(seed)
    steps = rng.normal((1.2, 0, 0), 1, (LENGTH, 3))
    xyz = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    types = rng.integers(0, 20, LENGTH)
    shown = types.copy()
    shown[GAP] = (types[GAP] + rng.integers(1, 20, len(GAP))) % 20
    aa_prob = 0.6 * np.eye(20)[shown] + 0.4 / 20
    sequences = Sequences((Entity("a", "".join(AMINO_ACIDS[t] for t in types), 1, "protein"),))
    return Candidates(xyz, np.full(LENGTH, 0.9), aa_prob), sequences


def subset(candidates, keep):
    return Candidates(candidates.xyz[keep], candidates.ca_prob[keep], candidates.aa_prob[keep])


def test_a_stretch_with_wrong_types_between_sure_ends_is_placed():
    candidates, sequences = chain_of(5)
    without = trace(candidates, sequences, TRACING.model_copy(update={"bridge_bonus": 0.0}))
    found = trace(candidates, sequences, TRACING)
    assert len(set(GAP) - set(without.position)) > 5
    assert found.position.tolist() == list(range(LENGTH))
    np.testing.assert_array_equal(found.candidate, found.position)


@pytest.mark.parametrize(("missing", "end"), [(2, {0, 1}), (LENGTH - 3, {LENGTH - 2, LENGTH - 1})])
def test_an_end_beyond_a_missing_candidate_is_placed(missing, end, monkeypatch):
    candidates, sequences = chain_of(6)
    rows = np.delete(np.arange(LENGTH), missing)
    found = trace(subset(candidates, rows), sequences, TRACING)
    at_end = np.isin(found.position, list(end))
    assert found.position[at_end].tolist() == sorted(end)
    np.testing.assert_array_equal(rows[found.candidate[at_end]], sorted(end))
    monkeypatch.setattr(bridging, "LONGEST_END", 0)
    assert not end & set(trace(subset(candidates, rows), sequences, TRACING).position)


def test_nothing_is_put_where_there_are_no_candidates():
    candidates, sequences = chain_of(5)
    found = trace(subset(candidates, ~np.isin(np.arange(LENGTH), GAP)), sequences)
    assert not set(GAP[1:-1]) & set(found.position[found.candidate >= 0])


@pytest.mark.parametrize("missing", [36, 40, 45])
def test_a_way_that_lacks_a_candidate_still_has_the_right_number_of_residues(missing):
    candidates, sequences = chain_of(5)
    keep = np.flatnonzero(np.arange(LENGTH) != missing)
    found = trace(subset(candidates, keep), sequences)
    placed = found.candidate >= 0
    assert len(found.position) >= LENGTH - 2
    np.testing.assert_array_equal(keep[found.candidate[placed]], found.position[placed])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, LENGTH - 2), max_size=40), st.data())
def test_bridges_keep_states_apart_and_what_is_sure_elsewhere(seed, left_out, data):
    candidates, sequences = chain_of(seed)
    decoder, chains = make_decoder(both_ways(candidates, TRACING), TRACING), protein_chains(sequences)
    emission = emission_scores(candidates, TRACING)
    state = np.arange(LENGTH)
    state[left_out] = -1
    probability = np.array(data.draw(st.lists(st.floats(0, 1), min_size=LENGTH, max_size=LENGTH)))
    path = Path(state, decoder.opens(state), decoder.score(symbols_of(chains[0]), state, emission))
    (bridged,) = bridge_gaps(decoder, chains, [path], [probability], [emission], 1.0)
    used = bridged.state[bridged.state >= 0]
    assert len(np.unique(used)) == len(used)
    np.testing.assert_array_equal(bridged.opens, decoder.opens(bridged.state))
    sure = np.flatnonzero((state >= 0) & (probability >= 0.5))
    placed = np.flatnonzero(state >= 0)
    searched = np.zeros(LENGTH, dtype=bool)
    for a, b in pairwise(sure):
        if b - a > 1 or path.opens[a + 1 : b + 1].any():  # two residues on either side, from one placed to one placed
            first = placed[np.searchsorted(placed, max(a - 2, sure[0]), "right") - 1]
            last = placed[np.searchsorted(placed, min(b + 2, sure[-1]))]
            searched[first : last + 1] = True
    if len(sure) and sure[0] <= bridging.LONGEST_END:
        searched[: sure[:3][-1] + 1] = True
    if len(sure) and LENGTH - 1 - sure[-1] <= bridging.LONGEST_END:
        searched[sure[-3:][0] :] = True
    np.testing.assert_array_equal(bridged.state[~searched], state[~searched])
