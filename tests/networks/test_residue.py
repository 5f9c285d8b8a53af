"""The residue network: frames are frames, patches are the density seen in them."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryo2struct.errors import ResourceError
from cryo2struct.networks.residue import (
    PATCH,
    PATCH_CENTRE,
    RESIDUE_HEADS,
    ResidueConfig,
    ResidueNetwork,
    residue_frames,
    sample_patches,
)
from cryo2struct.networks.store import load_residue_network, save_weights


def random_rotations(count, seed=0):
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix()).float()


def test_frames_are_right_handed_and_turn_with_the_chain():
    generator = torch.Generator().manual_seed(0)
    after, before = torch.randn(20, 3, generator=generator), torch.randn(20, 3, generator=generator)
    frames = residue_frames(after, before)
    torch.testing.assert_close(frames @ frames.transpose(1, 2), torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(20), atol=1e-5, rtol=0)
    turn = random_rotations(1)[0]
    torch.testing.assert_close(residue_frames(after @ turn.T, before @ turn.T), frames @ turn.T, atol=1e-5, rtol=0)
    # along the chain, and away from both neighbours
    assert ((frames[:, 0] * torch.nn.functional.normalize(after, dim=1)).sum(1) > 0).all()
    assert ((frames[:, 1] * torch.nn.functional.normalize(after, dim=1)).sum(1) < 0).all()


@pytest.mark.parametrize("spacing", [1.0, 0.95])
def test_patch_of_a_linear_density_is_known(spacing):
    z, y, x = np.mgrid[:40, :44, :48].astype(np.float32)
    slope = np.array([0.3, -0.7, 0.5], dtype=np.float32)
    density = torch.from_numpy(slope[0] * x + slope[1] * y + slope[2] * z)
    frames = random_rotations(5)
    centre = torch.tensor([[24.0, 22, 20]]).expand(5, 3)
    patches = sample_patches(density, centre, frames, spacing)
    steps = np.arange(PATCH) - (PATCH - 1) / 2
    local = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1) + PATCH_CENTRE
    for frame, patch in zip(frames.numpy(), patches[:, 0].numpy(), strict=True):
        expected = (local / spacing @ frame + centre[0].numpy()) @ slope
        expected = (expected - expected.mean()) / expected.std(ddof=1)
        np.testing.assert_allclose(patch, expected, atol=2e-3)


def test_patches_do_not_depend_on_the_orientation_of_the_molecule():
    generator = np.random.default_rng(1)
    blobs = generator.normal(size=(6, 3)) * 3 + PATCH_CENTRE
    grid = np.stack(np.meshgrid(*[np.arange(48.0)] * 3, indexing="ij"), axis=-1)[..., ::-1]  # x, y, z of z, y, x
    patches = []
    for frame in random_rotations(3, seed=4):
        where = blobs @ frame.numpy() + 24.0
        density = sum(np.exp(-((grid - point) ** 2).sum(-1) / (2 * 1.5**2)) for point in where)
        centre = torch.full((1, 3), 24.0)
        patches.append(sample_patches(torch.from_numpy(density).float(), centre, frame[None])[0, 0])
    for other in patches[1:]:
        assert np.corrcoef(patches[0].flatten(), other.flatten())[0, 1] > 0.99


def test_heads_and_weights_survive_a_file(tmp_path):
    network = ResidueNetwork(ResidueConfig((8, 16), 32)).eval()
    patches = torch.randn(3, 1, PATCH, PATCH, PATCH)
    heads = network(patches)
    assert {name: value.shape for name, value in heads.items()} == {n: (3, c) for n, c in RESIDUE_HEADS.items()}
    save_weights(tmp_path, "residues", network.half().float().state_dict(), {"config": network.config.as_dict()})
    loaded, entry = load_residue_network(tmp_path)
    assert entry["config"] == {"widths": [8, 16], "hidden": 32}
    torch.testing.assert_close(loaded(patches)["aa"], network(patches)["aa"])
    with pytest.raises(ResourceError, match="no weights named"):
        load_residue_network(tmp_path, "other")
