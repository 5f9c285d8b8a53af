"""How likely a residue is right: what is measured for it, and whether it comes out so."""

import hmm_cases as cases
import numpy as np
import pytest
from scipy.special import logit

from cryo2struct.settings import load_settings
from cryo2struct.tracing.chains import canonical_order, protein_chains, symbols_of
from cryo2struct.tracing.confidence import GAIN_RANGE, confidence_of, evidence_of
from cryo2struct.tracing.readings import one_way
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import make_decoder
from hmm.sparse import Path

SETTINGS = load_settings().tracing


def decoded(name):
    candidates, sequences = cases.read_case(name)
    readings, chains = one_way(candidates), canonical_order(protein_chains(sequences))
    decoder, emission = make_decoder(readings, SETTINGS), emission_scores(candidates, SETTINGS)
    return decoder, chains, emission, decoder.decode(symbols_of(chains[0]), emission)


def test_what_a_residue_brings_is_the_score_of_the_path_less_that_without_it():
    decoder, chains, emission, path = decoded("medium_1")
    register = np.where(path.state >= 0, 0.8, 0.0)
    symbols = symbols_of(chains[0])
    (rows,) = evidence_of(decoder, chains[:1], [path], [emission], [register])
    assert (path.state < 0).sum() > 3
    for i, state in enumerate(path.state):
        without = path.state.copy()
        without[i] = -1
        brings = decoder.score(symbols, path.state, emission) - decoder.score(symbols, without, emission)
        assert rows[i, 1] == pytest.approx(np.clip(brings, *GAIN_RANGE) if state >= 0 else 0.0, abs=1e-6)
    placed = path.state >= 0
    assert rows[placed, 2] == pytest.approx(logit(0.8))
    assert rows[:, 3] == pytest.approx(rows[:, 1] * logit(0.8))
    assert (rows[:, 0] == 1).all()
    assert not rows[~placed, 4].any()
    weights = [0.5, 0.1, 0.2, 0.3, 0.4]
    (confidence,) = confidence_of(decoder, chains[:1], [path], [emission], [register], weights)
    assert logit(confidence[placed]) == pytest.approx(rows[placed] @ weights)
    assert not confidence[~placed].any()


def test_candidates_of_other_chains_are_no_rivals():
    decoder, chains, emission, path = decoded("medium_1")
    free = np.setdiff1d(np.arange(len(decoder.xyz)), path.state)
    length = len(path.state)
    taken = Path(np.resize(np.append(free, -1), length), np.zeros(length, dtype=bool), 0.0)
    assert len(free) < length
    registers = [np.full(length, 0.8)] * 2
    alone = evidence_of(decoder, chains[:1], [path], [emission], registers[:1])[0][:, 4]
    beside = evidence_of(decoder, [chains[0]] * 2, [path, taken], [emission] * 2, registers)[0][:, 4]
    assert beside[path.state >= 0].mean() > alone[path.state >= 0].mean()


def test_nothing_placed():
    decoder, chains, emission, path = decoded("medium_1")
    nowhere = Path(np.full(len(path.state), -1), np.zeros(len(path.state), dtype=bool), 0.0)
    zeros = np.zeros(len(path.state))
    assert not np.any(confidence_of(decoder, chains[:1], [nowhere], [emission], [zeros], [1.0, 0, 0, 0, 0]))
