"""Simulated candidate sets: they belong to their structure, and their types are as sure as they are right."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.encoders import open_encoder
from cryo2struct.networks.sequence import LETTERS, SequenceConfig, SequenceHead
from cryo2struct.training.candidates import MOST_RESIDUES, NOBODY, SEPARATION, UNSURE, distinct_sequences, draw_set
from cryo2struct.training.sequence import SequenceBatch, make_example, sequence_losses

PACK = Path(__file__).parents[1] / "data" / "small_pack.npz"


@pytest.fixture(scope="module")
def drawn():
    pack = StructurePack(PACK)
    return [draw_set(pack, n % len(pack), np.random.default_rng(n), [0] if n % 3 == 0 else []) for n in range(24)]


def test_candidates_are_what_they_are_said_to_be(drawn):
    assert any((s.residue == NOBODY).any() for s in drawn)
    for s in drawn:
        joined = "".join(s.letters)
        placed = s.residue >= 0
        assert [joined[r] for r in s.residue[placed]] == [(LETTERS + "X")[a] for a in s.aa[placed]]
        false = s.residue == NOBODY
        assert (s.aa[false] == -1).all()
        assert placed.sum() <= MOST_RESIDUES
        if false.any():
            tree = cKDTree(s.xyz[~false])
            assert tree.query(s.xyz[false])[0].min() > SEPARATION - 1e-3
        for vectors in (s.after, s.before):
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.exp(s.types).sum(axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(s.structure.sum(axis=1), 1, atol=1e-5)


def test_types_are_as_sure_as_they_are_right(drawn):
    known = [s.aa >= 0 for s in drawn]
    types = np.concatenate([s.types[k] for s, k in zip(drawn, known, strict=True)])
    aa = np.concatenate([s.aa[k] for s, k in zip(drawn, known, strict=True)])
    right = (types.argmax(axis=1) == aa).mean()
    assert 0.3 < right < 0.8
    assert np.exp(types.max(axis=1)).mean() == pytest.approx(right, abs=0.06)


def test_most_directions_lead_to_the_next_residue(drawn):
    cosines = []
    for s in drawn:
        where = {int(r): i for i, r in enumerate(s.residue) if r >= 0}
        for r, i in where.items():
            step = s.xyz[where[r + 1]] - s.xyz[i] if r + 1 in where else np.zeros(3)
            if 3 < np.linalg.norm(step) < 4.6:
                cosines.append(s.after[i] @ step / np.linalg.norm(step))
    assert 0.75 < (np.array(cosines) > 0.8).mean() < 0.99


def test_copies_share_a_sequence_though_residues_are_missing():
    rng = np.random.default_rng(1)
    first, other = rng.integers(20, size=60), rng.integers(20, size=40)
    copy = np.delete(first, slice(20, 25))[3:]
    aa = np.concatenate([copy, other, first])
    chain = np.repeat([0, 1, 2], [len(copy), 40, 60])
    letters, place = distinct_sequences(aa, chain)
    assert letters == ["".join(LETTERS[a] for a in part) for part in (first, other)]
    assert place[-60:].tolist() == list(range(60))
    assert place[len(copy) : len(copy) + 40].tolist() == list(range(60, 100))
    there = place[: len(copy)]
    assert set(there[there != UNSURE]) <= set(range(60))
    assert all(first[p] == a for p, a in zip(there, copy, strict=True) if p != UNSURE)
    assert (there != UNSURE).mean() > 0.9


def test_losses_fall_on_one_set(drawn):
    torch.manual_seed(0)
    head = SequenceHead(SequenceConfig(width=32, layers=1, neighbours=8))
    encoder = open_encoder("builtin")
    smallest = min(drawn, key=lambda s: len(s.xyz))
    batch = SequenceBatch([make_example(smallest, encoder, 8, dropped) for dropped in (False, True)])
    optimiser = torch.optim.Adam(head.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        found = sequence_losses(head, batch)
        optimiser.zero_grad()
        sum(found.values()).backward()
        optimiser.step()
        losses.append({name: value.item() for name, value in found.items()})
    assert losses[-1]["aa"] < losses[0]["aa"] - 0.2
    assert losses[-1]["attention"] < 0.6 * losses[0]["attention"]
