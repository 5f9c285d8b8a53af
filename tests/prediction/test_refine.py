"""Candidates refined by the residue network: which frames are tried, and what becomes of what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hungry import MEMORY_ERRORS, Hungry
from scipy import ndimage
from scipy.special import logit

from cryo2struct.density.fourier import sharpen
from cryo2struct.errors import ResourceError
from cryo2struct.networks.residue import RESIDUE_HEADS, ResidueConfig, ResidueNetwork, residue_frames
from cryo2struct.objects import Candidates, DensityMap, GridFrame
from cryo2struct.prediction.frames import agree_frames, suggest_frames
from cryo2struct.prediction.residues import refine_candidates, surest_sharpening
from cryo2struct.settings import load_settings

SETTINGS = load_settings().residues


def helix(count):
    t = np.arange(count)
    return np.stack([2.3 * np.cos(np.deg2rad(100 * t)), 2.3 * np.sin(np.deg2rad(100 * t)), 1.5 * t], axis=1) + 12


def candidates_at(xyz):
    rng = np.random.default_rng(0)
    return Candidates(xyz, np.ones(len(xyz)), rng.dirichlet(np.ones(20), len(xyz)))


def empty_map():
    values = np.random.default_rng(1).normal(size=(40, 28, 28)).astype(np.float32)
    return DensityMap(values, GridFrame((40, 28, 28), np.full(3, 1.02), np.array([1.0, 2.0, 3.0])))


class Stub(torch.nn.Module):
    """Says the same of every frame, but for the frame's kind, which it takes from a list."""

    def __init__(self, right, **heads):
        super().__init__()
        self.right, self.heads, self.done = right, heads, 0

    def forward(self, patches):
        n = len(patches)
        result = {name: torch.zeros(n, channels) for name, channels in RESIDUE_HEADS.items()}
        for name, value in self.heads.items():
            result[name] = torch.tensor(value).expand(n, -1).clone()
        result["frame"][:, 0] = torch.tensor([self.right(self.done + i) for i in range(n)])
        self.done += n
        return result


def test_heads_arrive_in_the_frame_of_the_map():
    xyz = helix(8)
    density = empty_map()
    local = {"ca": [0.3, -0.2, 0.1], "n": [-1.1, -0.8, 0.3], "c": [1.2, -0.8, 0.0], "next": [0.9, -0.4, 0.1]}
    settings = SETTINGS.model_copy(update={"rounds": 0, "weight": 1.0, "voxel_weight": 0.0})
    # frames 0, 2, 4 ... of each pair are the forward ones: the stub likes them
    network = Stub(lambda number: 9.0 if number % 2 == 0 else -9.0, aa=np.eye(20, dtype=np.float32)[4] * 9, **local)
    found = refine_candidates(density, candidates_at(xyz), network, settings, device=torch.device("cpu"))
    frames = suggest_frames(candidates_at(xyz), settings.pairs)
    right = np.where(np.arange(len(frames.owner)) % 2 == 0, 1.0, 0.0)
    belief = agree_frames(frames, right)
    best = [max(np.flatnonzero(frames.owner == i), key=lambda f: belief[f]) for i in range(8)]
    ends = (torch.from_numpy(v[best]).float() for v in (frames.after, frames.before))
    axes = residue_frames(*ends).numpy()
    np.testing.assert_allclose(found.xyz, xyz + np.einsum("fji,j->fi", axes, local["ca"]), atol=1e-3)
    np.testing.assert_allclose(found.n_xyz, xyz + np.einsum("fji,j->fi", axes, local["n"]), atol=1e-3)
    expected = np.einsum("fji,j->fi", axes, np.array(local["next"]) / np.linalg.norm(local["next"]))
    np.testing.assert_allclose(found.next_vec, expected, atol=1e-3)
    assert (found.aa_prob.argmax(axis=1) == 4).all()
    np.testing.assert_allclose(found.aa_prob.sum(axis=1), 1)


def test_each_candidate_is_seen_the_other_way_as_well():
    """A network that says the same of every frame: what it says is turned round with the frame."""
    xyz = helix(8)
    local = {"ca": [0.3, -0.2, 0.1], "next": [0.9, -0.4, 0.1], "prev": [-0.9, -0.4, -0.1]}
    settings = SETTINGS.model_copy(update={"rounds": 0})
    likelihood = [3.0, 1.0]  # of the forward and the backward frames, logits of being right against three other kinds
    network = Stub(lambda number: likelihood[number % 2], **local)
    found = refine_candidates(empty_map(), candidates_at(xyz), network, settings, device=torch.device("cpu"))
    ends = (torch.from_numpy(v).float() for v in (found.next_vec, found.prev_vec))
    assert ((found.next_vec * found.reverse_next_vec).sum(axis=1) < 0).all()
    for vector, own in ((found.reverse_next_vec, found.next_vec), (found.reverse_prev_vec, found.prev_vec)):
        np.testing.assert_allclose(np.linalg.norm(vector, axis=1), np.linalg.norm(own, axis=1), atol=1e-5)
    # both from the same point, turned about the second axis of the frame
    axes = residue_frames(*ends).numpy()
    moved = np.einsum("fij,fj->fi", axes, found.xyz - xyz)
    turned = np.einsum("fij,fj->fi", axes, found.reverse_xyz - xyz)
    np.testing.assert_allclose(np.abs(turned[:, 1]), np.abs(moved[:, 1]), atol=1e-3)
    right = np.exp(likelihood) / (np.exp(likelihood) + 3)
    forward = right[0] / right.sum()
    np.testing.assert_allclose(np.minimum(found.reverse_prob, 1 - found.reverse_prob), 1 - forward, atol=1e-3)


def test_types_are_joined_with_the_voxels_own():
    xyz = helix(5)
    plain = candidates_at(xyz)
    settings = SETTINGS.model_copy(update={"rounds": 1, "weight": 0.0, "voxel_weight": 1.0})
    network = Stub(lambda number: 0.0)
    found = refine_candidates(empty_map(), plain, network, settings, device=torch.device("cpu"))
    np.testing.assert_allclose(found.aa_prob, plain.aa_prob, atol=1e-4)
    both = SETTINGS.model_copy(update={"rounds": 1, "weight": 2.0, "voxel_weight": 0.5})
    logits = np.random.default_rng(2).normal(size=20).astype(np.float32)
    found = refine_candidates(empty_map(), plain, Stub(lambda n: 0.0, aa=logits), both, device=torch.device("cpu"))
    expected = plain.aa_prob**0.5 * np.exp(2 * logits)
    np.testing.assert_allclose(found.aa_prob, expected / expected.sum(axis=1, keepdims=True), rtol=0.02, atol=1e-4)


def test_no_candidates_stay_none_and_batches_do_not_matter():
    none = Candidates(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 20)))
    assert len(refine_candidates(empty_map(), none, Stub(lambda n: 0.0), SETTINGS, device=torch.device("cpu"))) == 0
    from cryo2struct.networks.residue import ResidueConfig, ResidueNetwork

    torch.manual_seed(0)
    network = ResidueNetwork(ResidueConfig((8, 16), 32)).eval().requires_grad_(False)
    results = []
    for batch in (7, 512):
        settings = SETTINGS.model_copy(update={"batch": batch})
        found = refine_candidates(empty_map(), candidates_at(helix(10)), network, settings, device=torch.device("cpu"))
        results.append(found)
    np.testing.assert_allclose(results[0].xyz, results[1].xyz, atol=2e-2)
    np.testing.assert_allclose(results[0].aa_prob, results[1].aa_prob, atol=2e-2)


class Rough(Stub):
    """Sure of its types where patches are rough (`sign` 1) or smooth (-1)."""

    def __init__(self, sign):
        super().__init__(lambda number: 0.0)
        self.sign = sign

    def forward(self, patches):
        result = super().forward(patches)
        result["aa"][:, 3] = 4 + 4 * self.sign * patches.diff(dim=2).abs().mean(dim=(1, 2, 3, 4))
        return result


@pytest.mark.parametrize(("sign", "expected"), [(1, -30.0), (-1, 30.0), (0, 0.0)])
def test_the_sharpening_with_the_surest_types_is_taken(sign, expected):
    density = empty_map()
    smooth = replace(density, values=ndimage.gaussian_filter(density.values, 1.5))
    device = torch.device("cpu")
    chosen, changed = surest_sharpening(smooth, candidates_at(helix(12)), Rough(sign), SETTINGS, device=device)
    assert chosen == expected
    np.testing.assert_allclose(changed.values, sharpen(smooth.values, smooth.frame.voxel, expected), atol=1e-5)


def test_presence_joins_both_networks_and_few_stay():
    xyz = helix(9)
    plain = replace(candidates_at(xyz), ca_prob=np.linspace(0.1, 0.9, 9))
    change = {"rounds": 0, "threshold": 0.5, "presence_weight": 0.7, "voxel_presence_weight": 1.3}
    settings = SETTINGS.model_copy(update=change | {"presence_offset": -0.2})
    logits = [1.0, 1.0, 1.0, 2.0]  # right is set to 1 by the stub
    nothing = np.exp(2) / (3 * np.exp(1) + np.exp(2))
    network = Stub(lambda number: 1.0, frame=logits)
    found = refine_candidates(empty_map(), plain, network, settings, device=torch.device("cpu"))
    expected = 1 / (1 + np.exp(-(0.7 * np.log((1 - nothing) / nothing) + 1.3 * logit(plain.ca_prob) - 0.2)))
    np.testing.assert_allclose(found.ca_prob, expected[expected >= 0.5], rtol=1e-4)
    assert 0 < len(found) < 9
    np.testing.assert_allclose(found.aa_prob.sum(axis=1), 1)


@pytest.mark.parametrize("error", MEMORY_ERRORS)
@pytest.mark.parametrize("function", [refine_candidates, surest_sharpening])
def test_half_a_batch_when_memory_runs_out(function, error):
    torch.manual_seed(0)
    network = ResidueNetwork(ResidueConfig((8, 16), 16)).eval().requires_grad_(False)
    settings = SETTINGS.model_copy(update={"batch": 7, "rounds": 1, "threshold": 0.0, "sharpening": [0.0, -40.0]})
    source, plain, cpu = empty_map(), candidates_at(helix(6)), torch.device("cpu")
    whole, hungry, lines = Hungry(network, 9, error), Hungry(network, 3, error), []
    expected = function(source, plain, whole, settings, device=cpu)
    found = function(source, plain, hungry, settings, device=cpu, warn=lines.append)
    assert lines == ["not enough memory for 7 residue frames at once: 3 from here on"]
    assert hungry.sizes[0] == 7
    assert hungry.sizes.count(7) == 1
    assert max(hungry.sizes[1:]) == 3
    assert sum(hungry.sizes[1:]) == sum(whole.sizes)
    if function is refine_candidates:
        for field in ("xyz", "ca_prob", "aa_prob"):
            np.testing.assert_allclose(getattr(found, field), getattr(expected, field), atol=2e-3)
    else:
        assert found[0] == expected[0]
    for limit, batch, tried in ((1, 8, [8, 4]), (0, 1, [1])):
        starved = Hungry(network, limit, error)
        few = settings.model_copy(update={"batch": batch})
        with pytest.raises(ResourceError, match=f"for {tried[-1]} residue frames .*--set residues.batch") as refused:
            function(source, plain, starved, few, device=cpu)
        assert refused.value.exit_code == 6
        assert starved.sizes == tried
