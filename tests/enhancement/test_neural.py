"""The network over a whole map: tiles, resampling and what lies outside, with networks of which the answer is known."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from cryo2struct import preflight
from cryo2struct.enhancement import enhance, neural
from cryo2struct.networks import store
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.settings import load_settings

CPU = torch.device("cpu")


def spots(shape, voxel, seed=4, middle=None, radius=14.0):
    """Gaussians of 1.6 A around a place: band-limited on all grids used here."""
    frame = GridFrame(shape, np.array(voxel), np.array([3.0, -8.0, 12.0]))
    generator = np.random.default_rng(seed)
    values = np.zeros(shape, dtype=np.float32)
    centre = (np.array(shape) - 1) / 2 if middle is None else np.array(middle)
    places = centre + generator.uniform(-radius, radius, (150, 3)) / frame.voxel[::-1]
    values[tuple(np.rint(places).astype(int).T)] = 10
    return DensityMap(scipy.ndimage.gaussian_filter(values, 1.6 / frame.voxel[::-1], mode="constant"), frame)


def region_of(density):
    return preflight.look(density, load_settings(changes={"map.resolution": 4.0})).region


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (1.2, 0.9, 1.1), (0.7, 0.8, 0.75), (1.45, 1.4, 1.5)])
@pytest.mark.parametrize(("tile", "batch"), [(32, 3), (64, 1)])
def test_the_identity_gives_the_map_back(monkeypatch, voxel, tile, batch):
    """Through resampling, tiles that are not normalised, blending and the way back to the map's own grid."""
    monkeypatch.setattr(neural, "normalise_boxes", lambda boxes: boxes)
    shape = tuple(int(n / v) for n, v in zip((58, 50, 64), voxel[::-1], strict=True))
    density = spots(shape, voxel)
    done = []
    enhancer = neural.NeuralEnhancer(
        torch.nn.Identity(), tile, 16, batch, CPU, progress=lambda *numbers: done.append(numbers)
    )
    made = enhancer.apply(density, region_of(density))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, density.values, atol=2e-3 * density.values.max())
    assert done[-1][0] == done[-1][1] > (4 if tile == 32 else 0)


def test_each_tile_is_seen_as_in_training():
    """Mean 0 and standard deviation 1, whatever the units of the map."""
    seen = []

    class Watch(torch.nn.Module):
        def forward(self, boxes):
            seen.append((boxes.mean().item(), boxes.std().item(), tuple(boxes.shape)))
            return boxes

    density = spots((48, 48, 48), (1.0, 1.0, 1.0))
    scaled = DensityMap(density.values * 37 - 5, density.frame)
    made = [neural.NeuralEnhancer(Watch(), 48, 16, 1, CPU).apply(d, region_of(density)) for d in (density, scaled)]
    np.testing.assert_allclose(seen[0][:2], (0, 1), atol=1e-4)
    assert seen[0][2] == (1, 1, 48, 48, 48)
    np.testing.assert_allclose(made[1], made[0], atol=1e-4)


def test_only_tiles_with_density_are_seen_and_the_rest_is_solvent():
    class One(torch.nn.Module):
        def forward(self, boxes):
            return torch.ones_like(boxes)

    density = spots((120, 60, 60), (1.0, 1.0, 1.0), middle=(30, 30, 30))
    region = region_of(density)
    totals = []
    enhancer = neural.NeuralEnhancer(One(), 32, 8, 4, CPU, progress=lambda done, total: totals.append(total))
    made = enhancer.apply(density, region)
    np.testing.assert_allclose(made[region.on(density.frame)], 1, atol=1e-4)
    assert not made[80:].any()
    assert totals[-1] < 5 * 3 * 3


def test_memory_that_runs_out_halves_the_batch():
    sizes = []

    class Small(torch.nn.Module):
        def forward(self, boxes):
            sizes.append(len(boxes))
            if len(boxes) > 2:
                raise MemoryError
            return boxes

    density = spots((64, 64, 64), (1.0, 1.0, 1.0))
    warnings = []
    neural.NeuralEnhancer(Small(), 32, 8, 4, CPU, warn=warnings.append).apply(density, region_of(density))
    assert sizes[:2] == [4, 2]
    assert "not enough memory" in warnings[0]


class Blind(torch.nn.Module):
    """Sees no molecule anywhere."""

    def forward(self, boxes):
        return torch.zeros_like(boxes)


@pytest.mark.parametrize("network", [torch.nn.Identity(), Blind()])
def test_what_the_network_makes_is_mixed_with_the_original(monkeypatch, network):
    """A network that changes nothing gives the map sharpened; of one that sees nothing 0.3 of that is left."""
    monkeypatch.setattr(store, "load_enhancer", lambda folder: (network, {"file": "none", "sha256": "0" * 64}))
    monkeypatch.setattr(neural, "normalise_boxes", lambda boxes: boxes)
    density = spots((64, 60, 56), (1.0, 1.0, 1.0))
    density = DensityMap(
        30 * density.values, density.frame
    )  # of the contrast of a molecule, for the one that passes it on
    settings = load_settings(changes={"map.resolution": 4.0, "device": "cpu"})
    by_slope = enhance(density, settings, method="bfactor").density.values
    made = enhance(density, settings, method="neural")
    share = 0.3 if isinstance(network, Blind) else 1.0
    found = made.density.values
    assert np.corrcoef(found.ravel(), by_slope.ravel())[0, 1] > 0.998
    assert found.std() == pytest.approx(share * by_slope.std(), rel=0.01)
    assert (made.facts["contrast"] > 0) == (share == 1.0)
