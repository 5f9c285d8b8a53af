"""What is seen in a map before it is predicted, against shapes, weights and tiles that are known."""

from dataclasses import replace

import numpy as np
import pytest
from Bio.SeqUtils import molecular_weight

from cryo2struct import preflight
from cryo2struct.density.fourier import estimate_resolution
from cryo2struct.density.normalise import molecule_volume, occupied
from cryo2struct.density.resample import resample
from cryo2struct.density.tiles import Tiling
from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import DensityMap, Entity, GridFrame, Sequences
from cryo2struct.settings import load_settings


def ball(shape, radius, voxel=1.0, noise=0.05, seed=0) -> DensityMap:
    """A rough ball of `radius` A in the middle of a box, with noise everywhere."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")) * voxel
    inside = (grid**2).sum(axis=0) < radius**2
    values = inside * rng.normal(1, 0.3, shape) + rng.normal(0, noise, shape)
    return DensityMap(values.astype(np.float32), GridFrame(shape, np.full(3, voxel), np.array([5.0, -7.0, 3.0])))


@pytest.mark.parametrize("voxel", [0.8, 1.0, 1.5, 2.5])
def test_volume_of_a_ball(voxel):
    edge = round(72 / voxel)
    density = ball((edge,) * 3, 20, voxel)
    inside = occupied(density.values, voxel)
    true = 4 / 3 * np.pi * 20**3
    assert true < inside.sum() * voxel**3 < 3 * true
    assert molecule_volume(density.values, inside, voxel) == pytest.approx(true, rel=0.1)
    assert molecule_volume(density.values, np.zeros_like(inside), voxel) == 0


def test_peaks_of_the_noise_are_not_occupied():
    density = ball((96, 96, 96), 14, noise=0.2)
    inside = occupied(density.values)
    middle = np.argwhere(inside) - 48
    assert np.sqrt((middle**2).sum(axis=1)).max() < 14 + 10


@pytest.mark.parametrize("shape", [(40, 40, 40), (41, 43, 38)])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_cells_are_means(shape, factor):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    binned = preflight._binned(values, factor)
    cells = tuple(n // factor for n in shape)
    assert binned.shape == cells
    for index in [(0, 0, 0), (3, 5, 7), tuple(n - 1 for n in cells)]:
        block = tuple(slice(i * factor, (i + 1) * factor) for i in index)
        assert binned[index] == pytest.approx(values[block].mean(), abs=1e-6)


@pytest.mark.parametrize("factor", [1, 2])
def test_the_cropped_map_holds_the_whole_region_and_its_margin(factor):
    rng = np.random.default_rng(3)
    frame = GridFrame((40, 36, 44), np.array([1.3, 1.2, 1.4]), np.array([4.0, -3.0, 9.0]))
    density = DensityMap(rng.normal(size=frame.shape).astype(np.float32), frame)
    cells = np.zeros([length // factor for length in frame.shape], bool)
    part = tuple(slice(9 // factor, 21 // factor) for _ in range(3))
    cells[part] = rng.random(cells[part].shape) < 0.3
    region = preflight.Region(cells, factor, None, frame)
    cropped = region.crop(density, 5.0)
    first = np.rint(frame.to_index(cropped.frame.origin)).astype(int)
    inside = tuple(slice(f, f + n) for f, n in zip(first, cropped.values.shape, strict=True))
    np.testing.assert_array_equal(cropped.values, density.values[inside])
    whole = region.on(frame)
    np.testing.assert_array_equal(region.on(cropped.frame), whole[inside])
    occupied_at = frame.to_xyz(np.argwhere(whole))
    low, high = cropped.frame.origin, cropped.frame.to_xyz(np.array(cropped.values.shape) - 1)
    assert (occupied_at.min(axis=0) - low >= 5.0 - 1e-9).all()
    assert (high - occupied_at.max(axis=0) >= 5.0 - 1e-9).all()
    assert cropped.values.size < density.values.size / 2
    # A margin that reaches over the box: nothing is cut.
    assert region.crop(density, 100.0).values.shape == frame.shape


def test_region_on_another_grid_is_that_of_the_nearest_voxel():
    rng = np.random.default_rng(2)
    frame = GridFrame((21, 24, 22), np.array([1.3, 1.2, 1.4]), np.array([4.0, -3.0, 9.0]))
    cells, wanted = rng.random((10, 12, 11)) < 0.5, rng.random(frame.shape) < 0.8
    other = GridFrame((26, 28, 28), np.array([1.01, 1.0, 0.99]), frame.origin)
    chosen = preflight.Region(cells, 2, wanted, frame).on(other)
    for index in rng.integers(0, other.shape, (200, 3)):
        nearest = np.minimum(np.rint(frame.to_index(other.to_xyz(index))).astype(int), np.array(frame.shape) - 1)
        cell = np.minimum(nearest // 2, np.array(cells.shape) - 1)
        assert chosen[tuple(index)] == (cells[tuple(cell)] and wanted[tuple(nearest)])


def test_a_large_map_is_seen_like_a_small_one(monkeypatch):
    """Bins and a window instead of all voxels: the same molecule, nearly the same region and resolution."""
    density = ball((100, 96, 104), 24)
    spectrum = np.fft.rfftn(density.values)
    axes = [np.fft.fftfreq(100), np.fft.fftfreq(96), np.fft.rfftfreq(104)]
    spectrum[np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij"))) > 1 / 3.5] = 0
    smooth = np.fft.irfftn(spectrum, density.values.shape, axes=(0, 1, 2))
    density = DensityMap(smooth.astype(np.float32), density.frame)
    whole = preflight.look(density, load_settings())
    monkeypatch.setattr(preflight, "LARGEST_LOOK", 2**18)
    monkeypatch.setattr(preflight, "WINDOW", 64)
    part = preflight.look(density, load_settings())
    assert (whole.region.factor, part.region.factor) == (1, 2)
    grid = resample(density).frame
    one, other = whole.region.on(grid), part.region.on(grid)
    assert (one & other).sum() > 0.85 * (one | other).sum()
    assert part.volume == pytest.approx(whole.volume, rel=0.1)
    assert whole.resolution == pytest.approx(3.5, rel=0.2)
    assert part.resolution == pytest.approx(3.5, rel=0.2)


@pytest.mark.parametrize("voxel", [1.4, 2.0, 2.6])
def test_no_resolution_is_finer_than_the_sampling_allows(voxel):
    """Where voxels are coarser than those that the network sees, resampling ends in a cut of its own."""
    density = ball((48, 48, 48), 15 * voxel, voxel, noise=0)
    found = preflight.look(density, load_settings())
    assert found.resolution >= 2 * voxel
    resampled = resample(density)
    assert estimate_resolution(resampled.values, float(resampled.frame.voxel.mean())) < 2 * voxel


def test_mask_contour_and_background_are_seen():
    density = ball((64, 64, 64), 16)
    half = np.zeros(density.values.shape, dtype=bool)
    half[:32] = True
    settings = load_settings(None, {"map.resolution": 3.0})
    all_of_it = preflight.look(density, settings)
    assert (all_of_it.estimated, all_of_it.resolution) == (False, 3.0)
    assert all_of_it.constant < 1e-3
    assert all_of_it.sigma == pytest.approx(0.05, rel=0.1)
    masked = preflight.look(density, settings, half)
    assert masked.volume == pytest.approx(all_of_it.volume / 2, rel=0.1)
    assert not masked.region.on(density.frame)[32:].any()
    high = preflight.look(density, load_settings(None, {"map.resolution": 3.0, "map.contour": 1.0}))
    assert (density.values[high.region.on(density.frame)] >= 1.0).all()
    zeroed = DensityMap(np.where(density.values > 0.4, density.values, 0).astype(np.float32), density.frame)
    assert preflight.look(zeroed, settings).constant == pytest.approx((zeroed.values == 0).mean(), abs=1e-3)


def test_refusals_and_warnings():
    density = ball((40, 40, 40), 10)
    with pytest.raises(InputError, match="worse than 8"):
        preflight.judge(preflight.look(density, load_settings(None, {"map.resolution": 8.5})))
    (warning,) = preflight.judge(preflight.look(density, load_settings(None, {"map.resolution": 6.0})))
    assert "unreliable" in warning
    assert preflight.judge(preflight.look(density, load_settings(None, {"map.resolution": 3.0}))) == []
    with pytest.raises(NothingToBuildError, match="contour"):
        preflight.judge(preflight.look(density, load_settings(None, {"map.resolution": 3.0, "map.contour": 99})))
    with pytest.raises(InputError, match="no protein"):
        preflight.require_protein(Sequences((Entity("r", "ACGU", 1, "rna"),)))


@pytest.mark.parametrize(
    ("letters", "kind"), [("ACDEFGHIKLMNPQRSTVWY", "protein"), ("ACGUUGCA", "RNA"), ("ACGTTGCA", "DNA")]
)
def test_mass(letters, kind):
    entity = Entity("x", letters, 1, kind.lower())
    # Biopython's nucleic acids have a phosphate at the 5' end; so have gemmi's residues.
    assert preflight.mass(entity) == pytest.approx(molecular_weight(letters, kind), rel=2e-3)
    assert preflight.mass(Entity("x", letters + "X", 1, kind.lower())) > preflight.mass(entity) + 100
    per_dalton = preflight.expected_volume(entity) / preflight.mass(entity)
    assert per_dalton == pytest.approx((0.73 if kind == "protein" else 0.58) / 0.6022, rel=0.01)


def test_tiles_are_those_of_the_prediction():
    density = ball((120, 100, 90), 20, voxel=1.2)
    region = preflight.look(density, load_settings(None, {"map.resolution": 3.0})).region
    resampled = resample(density)
    true = len(Tiling(resampled.values.shape, 32, 8).starts(region.on(resampled.frame)))
    assert 0 <= preflight.count_tiles(region, 32, 8) - true <= 0.2 * true


def test_cost_grows_with_the_work():
    settings = load_settings()
    frames = [GridFrame((n,) * 3, np.ones(3), np.zeros(3)) for n in (64, 400)]
    small, large = (preflight.Region(np.ones((16,) * 3, bool), f.shape[0] // 16, None, f) for f in frames)
    middle = np.zeros((16,) * 3, bool)
    middle[8, 8, 8] = True
    costs = [preflight.expected_memory(r, settings) for r in (small, replace(large, cells=middle), large)]
    assert 0.5 < costs[0] < costs[1] < costs[2] < 3
    one = preflight.expected_seconds(10, settings, 1, True)
    assert preflight.expected_seconds(10, settings, 2, True) == one / 2
    assert preflight.expected_seconds(20, settings, 1, False) > 2 * one
