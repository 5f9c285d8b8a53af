"""The sequence head: what it sees does not depend on orientation or order, and without a gate it changes nothing."""

import numpy as np
import pytest
import torch
from Bio.Align import substitution_matrices
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryo2struct.networks.sequence import (
    BUILTIN_WIDTH,
    EDGE_FEATURES,
    LETTERS,
    NODE_FEATURES,
    SHIFTS,
    SequenceConfig,
    SequenceHead,
    candidate_features,
    encode_builtin,
    local_types,
)
from cryo2struct.networks.store import count_parameters, load_sequence_head, save_weights
from cryo2struct.objects import AMINO_ACIDS

SMALL = SequenceConfig(width=16, layers=2, neighbours=6)


def unit(values):
    return torch.nn.functional.normalize(values, dim=1)


@pytest.fixture
def inputs():
    """Positions, presence, log types, secondary structure, next, previous of 40 candidates."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(40, n, generator=generator) for n in (3, 1, 20, 3, 3, 3)]
    return (
        draw[0] * 8,
        draw[1][:, 0].sigmoid(),
        draw[2].log_softmax(1),
        draw[3].softmax(1),
        unit(draw[4]),
        unit(draw[5]),
    )


@pytest.fixture
def head():
    """A head with a gate that is open."""
    torch.manual_seed(1)
    network = SequenceHead(SMALL).eval()
    with torch.no_grad():
        network.gate.fill_(1.0)
        network.null_key.normal_()
        network.null_value.normal_()
    return network


def run(network, features, letters):
    with torch.inference_mode():
        return network(features.nodes, features.neighbours, features.edges, [encode_builtin(text) for text in letters])


def test_builtin_embeddings():
    assert LETTERS == AMINO_ACIDS
    matrix = substitution_matrices.load("BLOSUM62")
    embeddings = encode_builtin(AMINO_ACIDS + "XB")
    assert embeddings.shape == (22, BUILTIN_WIDTH)
    assert embeddings[:, :21].argmax(dim=1).tolist() == [*range(20), 20, 20]
    for i, a in enumerate(AMINO_ACIDS):
        assert (4 * embeddings[i, 21:41]).tolist() == [matrix[a][b] for b in AMINO_ACIDS]
    assert not embeddings[20:, 21:41].any()
    long = encode_builtin("A" * 500)
    assert len(torch.unique(long, dim=0)) == 500  # positions tell residues apart


def test_features_are_those_of_the_nearest_and_the_same_in_every_orientation(inputs):
    features = candidate_features(*inputs, neighbours=6)
    assert features.nodes.shape == (40, NODE_FEATURES)
    assert features.edges.shape == (40, 6, EDGE_FEATURES)
    nearest = cKDTree(inputs[0].numpy()).query(inputs[0].numpy(), k=7)[1][:, 1:]
    np.testing.assert_array_equal(features.neighbours.numpy(), nearest)
    turn = torch.from_numpy(Rotation.random(random_state=3).as_matrix()).float()
    xyz, presence, types, structure, after, before = inputs
    turned = candidate_features(
        xyz @ turn.T + 30, presence, types, structure, after @ turn.T, before @ turn.T, neighbours=6
    )
    torch.testing.assert_close(turned.nodes, features.nodes)
    torch.testing.assert_close(turned.edges, features.edges, atol=2e-4, rtol=0)
    mirrored = candidate_features(-xyz, presence, types, structure, -after, -before, neighbours=6)
    assert (mirrored.edges - features.edges).abs().max() > 0.5


def test_what_follows_is_seen():
    step = torch.tensor([3.8, 0, 0])
    xyz = torch.stack([0 * step, step, 2 * step])
    forward = torch.tensor([[1.0, 0, 0]] * 3)
    bent = unit(torch.tensor([[-1.0, 0.5, 0]] * 3))
    edges = candidate_features(
        xyz, torch.ones(3), torch.zeros(3, 20), torch.zeros(3, 3), forward, bent, neighbours=2
    ).edges
    assert edges[0, 0, -4] == pytest.approx(1, abs=1e-4)  # the first is followed by the second
    assert edges[0, 1, -4] < 0.1  # and not by the third
    assert edges[1, :, -4].max() == pytest.approx(1, abs=1e-4)


def test_closed_gate_changes_nothing_and_the_head_is_small(inputs):
    network = SequenceHead(SequenceConfig())
    features = candidate_features(*inputs, neighbours=16)
    correction, _ = run(network.eval(), features, ["ACDEFG"])
    assert not correction.any()
    assert count_parameters(network) < 1_000_000


def test_order_of_candidates_and_of_sequences_does_not_matter(inputs, head):
    letters = ["MKVLAAGIVGLCARAYW", "GSHMDDE"]
    features = candidate_features(*inputs, neighbours=6)
    correction, logits = run(head, features, letters)
    assert correction.abs().max() > 0.01
    order = torch.randperm(40, generator=torch.Generator().manual_seed(5))
    shuffled = candidate_features(*(values[order] for values in inputs), neighbours=6)
    other, other_logits = run(head, shuffled, letters)
    torch.testing.assert_close(other, correction[order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(other_logits, logits[order], atol=1e-5, rtol=1e-4)
    swapped, swapped_logits = run(head, features, letters[::-1])
    torch.testing.assert_close(swapped, correction, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        swapped_logits, torch.cat([logits[:, :1], logits[:, 18:], logits[:, 1:18]], dim=1), atol=1e-5, rtol=1e-4
    )


def test_without_sequences_the_null_key_takes_all(inputs, head):
    features = candidate_features(*inputs, neighbours=6)
    correction, logits = run(head, features, [])
    assert logits.shape == (40, 1)
    assert (logits.softmax(dim=1) == 1).all()
    # the same as sequences whose keys nobody attends to
    with torch.no_grad():
        head.null_key.copy_(1e4 * head.query(torch.zeros(1, 16)))
        head.query[1].weight.zero_()
    far, far_logits = run(head, features, ["MKVLAAGIVGLCARAYW"])
    assert (far_logits.softmax(dim=1)[:, 0] > 0.999).all()
    torch.testing.assert_close(far, correction, atol=1e-4, rtol=1e-3)


def test_weights_come_back(inputs, head, tmp_path):
    save_weights(tmp_path, "sequence", head.state_dict(), {"config": SMALL.as_dict()})
    loaded, entry = load_sequence_head(tmp_path)
    assert entry["config"]["encoder"] == "builtin"
    features = candidate_features(*inputs, neighbours=6)
    torch.testing.assert_close(run(loaded, features, ["ACD"]), run(head, features, ["ACD"]), atol=0.02, rtol=0.02)


def test_local_types_walk_along_the_chain():
    # a staircase of bonds, a gap between candidates 6 and 7 (of which each expects something else than the other)
    xyz = torch.tensor([[3.0 * i, 2.33 * (i % 2), 0] for i in range(12)])
    xyz[7:] += torch.tensor([0.0, 0, 30])
    step = unit(xyz[1:] - xyz[:-1])
    after, before = torch.cat([step, step[-1:]]), torch.cat([-step[:1], -step])
    types = torch.eye(20)[:12].log().clamp_min(-6)
    features = candidate_features(xyz, torch.ones(12), types, torch.zeros(12, 3), after, before, neighbours=4)
    found = local_types(torch.eye(12), features.neighbours, features.edges)
    for i in range(12):
        for shift in range(-SHIFTS, SHIFTS + 1):
            j = i + shift
            joined = 0 <= j < 12 and (i < 7) == (j < 7)
            # a little leaks to what is not there: 0.1 beside 1
            expected = (1 / 1.1) ** abs(shift) if joined else 0.0
            assert found[i, shift + SHIFTS, j % 12] == pytest.approx(expected, abs=0.03)
            assert found[i, shift + SHIFTS].sum() <= 1.001


def test_attention_is_highest_where_the_sequence_fits(head):
    """What an untrained head already knows: types along the chain against the letters."""
    letters = "MKVLAAGIVGLCARAYWHEE"
    xyz = torch.tensor([[3.0 * i, 2.33 * (i % 2), 0] for i in range(20)])
    step = unit(xyz[1:] - xyz[:-1])
    after, before = torch.cat([step, step[-1:]]), torch.cat([-step[:1], -step])
    types = (0.5 * encode_builtin(letters)[:, :20] + 0.025).log()
    features = candidate_features(xyz, torch.ones(20), types, torch.zeros(20, 3), after, before, neighbours=6)
    with torch.no_grad():
        head.query[1].weight.zero_()
        head.query[1].bias.zero_()
    _, logits = run(head, features, ["GSHMDDEPQR", letters])
    assert (logits[:, 1:].argmax(dim=1) - 10).tolist() == list(range(20))
