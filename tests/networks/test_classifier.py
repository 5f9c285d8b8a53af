"""Shapes and symmetries of the classifier, and its weights on disk."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.errors import ResourceError
from cryo2struct.networks.blocks import TransformerBlock, depth_to_space, space_to_depth
from cryo2struct.networks.classifier import CELL_HEADS, Classifier, ClassifierConfig, normalise_boxes
from cryo2struct.networks.store import count_parameters, load_classifier, save_weights

SMALL = ClassifierConfig(widths=(16, 32, 32), blocks=1, attention_blocks=1)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_space_to_depth_gathers_the_voxels_of_a_cell(channels, nz, ny, nx):
    x = torch.randn(2, channels, 2 * nz, 2 * ny, 2 * nx)
    cells = space_to_depth(x)
    assert torch.equal(depth_to_space(cells), x)
    for c in range(channels):
        for dz, dy, dx in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
            assert torch.equal(cells[:, 8 * c + 4 * dz + 2 * dy + dx], x[:, c, dz::2, dy::2, dx::2])


def test_shapes_of_the_heads():
    heads = Classifier(SMALL)(torch.randn(2, 1, 32, 16, 24))
    assert heads["atoms"].shape == (2, 4, 32, 16, 24)
    assert {name: value.shape for name, value in heads.items() if name != "atoms"} == {
        name: (2, channels, 16, 8, 12) for name, channels in CELL_HEADS.items()
    }


def test_shipped_size_fits_the_limit():
    assert count_parameters(Classifier(ClassifierConfig())) <= 7.9e6


def test_transformer_block_is_a_function_of_all_points():
    """Attention is global: a change in one corner reaches the opposite one, which a 3x3x3 convolution cannot do."""
    torch.manual_seed(0)
    block = TransformerBlock(32).eval()
    x = torch.randn(1, 32, 6, 6, 6)
    changed = x.clone()
    changed[0, :, 0, 0, 0] += 5
    assert not torch.allclose(block(x)[0, :, 5, 5, 5], block(changed)[0, :, 5, 5, 5], atol=1e-6)


def test_attention_against_the_formula():
    torch.manual_seed(0)
    block = TransformerBlock(64).eval()
    x = torch.randn(1, 64, 2, 2, 2)
    tokens = (x + block.position(x)).flatten(2).transpose(1, 2)
    qkv = block.qkv(block.norm1(tokens))[0]
    attended = []
    for head in range(2):
        q, k, v = (qkv[:, 64 * part + 32 * head : 64 * part + 32 * head + 32] for part in range(3))
        attended.append(torch.softmax(q @ k.T / 32**0.5, dim=1) @ v)
    tokens = tokens + block.project(torch.cat(attended, dim=1))
    tokens = tokens + block.mlp(block.norm2(tokens))
    torch.testing.assert_close(block(x), tokens.transpose(1, 2).reshape(x.shape), atol=1e-5, rtol=1e-4)


def test_normalised_boxes_ignore_scale_and_level():
    x = torch.randn(3, 1, 8, 8, 8)
    torch.testing.assert_close(normalise_boxes(7 * x + 3), normalise_boxes(x), atol=1e-4, rtol=1e-4)
    assert torch.isfinite(normalise_boxes(torch.ones(1, 1, 8, 8, 8))).all()


def test_weights_survive_the_disk(tmp_path):
    network = Classifier(SMALL).eval()
    save_weights(tmp_path, "classifier", network.state_dict(), {"config": SMALL.as_dict()})
    loaded, entry = load_classifier(tmp_path)
    x = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(loaded(x)["aa"], network(x)["aa"], atol=0.02, rtol=0.02)  # fp16
    assert entry["config"]["blocks"] == 1


def test_unusable_weights_are_refused(tmp_path):
    with pytest.raises(ResourceError, match="not found"):
        load_classifier(tmp_path)
    path = save_weights(tmp_path, "classifier", Classifier(SMALL).state_dict(), {"config": SMALL.as_dict()})
    with pytest.raises(ResourceError, match="no weights named"):
        load_classifier(tmp_path, "other")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ResourceError, match="sha256"):
        load_classifier(tmp_path)
    path.write_bytes(content)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["classifier"]["config"]["blocks"] = 2
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResourceError, match="do not fit"):
        load_classifier(tmp_path)
