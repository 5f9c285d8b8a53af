"""Candidates with the sequence head: columns belong to residues; a head is refused for what it was not made for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryo2struct.errors import InputError, ResourceError
from cryo2struct.io.candidates import read_candidates, write_candidates
from cryo2struct.networks.sequence import SequenceConfig, SequenceHead
from cryo2struct.networks.store import save_weights
from cryo2struct.objects import Candidates, Entity, Sequences
from cryo2struct.prediction import sequence
from cryo2struct.prediction.sequence import apply_head, read_for_head
from cryo2struct.settings import SequenceSettings

SEQUENCES = Sequences(
    (
        Entity("a", "MKVLAXG", 2, "protein"),
        Entity("r", "ACGU", 1, "rna"),
        Entity("b", "GSHMDDE", None, "protein"),
    )
)


def settings(**values):
    return SequenceSettings(**{"features": "builtin", "weight": 1.0, "esm_weights": None, "head": None, **values})


def save_head(folder, gate=1.0, **config):
    torch.manual_seed(2)
    head = SequenceHead(SequenceConfig(**{"width": 16, "layers": 1, "neighbours": 5, **config}))
    with torch.no_grad():
        head.gate.fill_(gate)
    save_weights(folder, "sequence", head.state_dict(), {"config": head.config.as_dict()})


@pytest.fixture
def candidates():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 30, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return Candidates(
        xyz=rng.normal(size=(30, 3)) * 8,
        ca_prob=rng.random(30),
        aa_prob=rng.dirichlet(np.ones(20), 30),
        next_vec=vectors[0],
        prev_vec=vectors[1],
        ss_prob=rng.dirichlet(np.ones(3), 30),
    )


def test_types_are_corrected_and_attention_has_a_column_per_residue(candidates, tmp_path):
    save_head(tmp_path)
    read = read_for_head(SEQUENCES, settings(), tmp_path)
    found = apply_head(candidates, read)
    np.testing.assert_allclose(found.aa_prob.sum(axis=1), 1)
    assert np.abs(found.aa_prob - candidates.aa_prob).max() > 0.01
    assert found.attention.shape == (30, 18)
    assert found.attention.dtype == np.float16
    assert not found.attention[:, 7:11].any()  # RNA
    half = apply_head(candidates, read, 0.5).aa_prob
    between = np.sqrt((candidates.aa_prob + 1e-6) * found.aa_prob)
    np.testing.assert_allclose(half, between / between.sum(axis=1, keepdims=True), rtol=1e-3)
    alone = apply_head(candidates, read_for_head(Sequences(SEQUENCES.entities[:1]), settings(), tmp_path))
    np.testing.assert_allclose(found.attention[:, :7], alone.attention, atol=1e-2)
    write_candidates(tmp_path / "candidates.npz", found)
    back = read_candidates(tmp_path / "candidates.npz")
    np.testing.assert_array_equal(back.attention, found.attention)
    assert back.attention.dtype == np.float16


def test_closed_gate_leaves_the_types(candidates, tmp_path):
    save_head(tmp_path, gate=0.0)
    found = apply_head(candidates, read_for_head(SEQUENCES, settings(), tmp_path))
    np.testing.assert_allclose(found.aa_prob, candidates.aa_prob, atol=1e-4)


def test_few_candidates_are_no_fault(candidates, tmp_path):
    save_head(tmp_path)
    read = read_for_head(SEQUENCES, settings(), tmp_path)
    for count in (0, 1, 2):
        few = Candidates(
            *(getattr(candidates, f)[:count] for f in ("xyz", "ca_prob", "aa_prob", "next_vec", "prev_vec", "ss_prob"))
        )
        assert len(apply_head(few, read)) == count


def test_refusals(candidates, tmp_path, monkeypatch):
    save_head(tmp_path)
    with pytest.raises(ResourceError, match=r"made for builtin, not esm2_t6_8M: .* sequence\.head"):
        read_for_head(SEQUENCES, settings(features="esm2_t6_8M"), tmp_path)
    other = tmp_path / "other"
    with pytest.raises(ResourceError, match="not found"):
        read_for_head(SEQUENCES, settings(head=other), tmp_path)
    save_head(other, encoder="esm2_t6_8M", embedding=320)
    with pytest.raises(ResourceError, match="--esm-weights"):
        read_for_head(SEQUENCES, settings(features="esm2_t6_8M", head=other), tmp_path)
    monkeypatch.setattr(sequence, "open_encoder", lambda *_: lambda letters: torch.zeros(len(letters), 16))
    with pytest.raises(ResourceError, match="320 numbers per residue, the encoder gives 16"):
        read_for_head(SEQUENCES, settings(features="esm2_t6_8M", head=other), tmp_path)
    monkeypatch.undo()
    read = read_for_head(SEQUENCES, settings(), tmp_path)
    with pytest.raises(InputError, match="no directions or secondary structure"):
        apply_head(replace(candidates, next_vec=None), read)
