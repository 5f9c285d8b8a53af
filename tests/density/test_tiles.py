from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.density.tiles import Blend, Tiling, cut_tiles

lengths = st.integers(3, 60)


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    multiple = draw(st.sampled_from([1, 2, 4]))
    size = multiple * draw(st.integers(2, 6))
    overlap = multiple * draw(st.integers(0, size // multiple - 1))
    return Tiling((draw(lengths), draw(lengths), draw(lengths)), size, overlap, multiple)


@settings(max_examples=60, deadline=None)
@given(tilings())
def test_tiles_cover_the_box_with_at_least_the_overlap_asked_for(tiling: Tiling) -> None:
    for axis, length in enumerate(tiling.shape):
        starts = np.unique([start[axis] for start in tiling.starts()])
        assert starts[0] == 0
        assert (starts % tiling.multiple == 0).all()
        assert (np.diff(starts) <= tiling.size - tiling.overlap).all()
        assert length <= starts[-1] + tiling.size < max(length, tiling.size) + tiling.multiple


@settings(max_examples=25, deadline=None)
@given(tilings(), st.integers(0, 99))
def test_an_identity_prediction_gives_the_box_back(tiling: Tiling, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=tiling.shape).astype(np.float32)
    blend = Blend(tiling, 2)
    for start, tile in cut_tiles(values, tiling):
        assert tile.shape == (tiling.size,) * 3
        blend.add(np.stack([tile, -tile]), start)
    assert blend.covered.all()
    result = blend.result()
    np.testing.assert_allclose(result[0], values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result[1], -values, rtol=1e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(tilings(), st.integers(0, 99))
def test_every_occupied_voxel_is_in_a_tile_and_no_tile_is_empty(tiling: Tiling, seed: int) -> None:
    rng = np.random.default_rng(seed)
    occupied = rng.random(tiling.shape) < 0.001
    values = rng.normal(size=tiling.shape).astype(np.float32)
    blend = Blend(tiling, 1)
    for start, tile in cut_tiles(values, tiling, occupied):
        z, y, x = start
        assert occupied[z : z + tiling.size, y : y + tiling.size, x : x + tiling.size].any()
        blend.add(tile[None], start)
    covered = blend.covered
    assert covered[occupied].all()
    result = blend.result(fill=-9.0)[0]
    np.testing.assert_allclose(result[covered], values[covered], rtol=1e-5, atol=1e-6)
    assert (result[~covered] == -9.0).all()


def test_cells_of_two_voxels_have_the_same_tiles() -> None:
    tiling = Tiling((45, 70, 33), 32, 8)
    cells = tiling.coarser(2)
    assert cells.shape == (23, 35, 17)
    assert [tuple(2 * first for first in start) for start in cells.starts()] == tiling.starts()


def test_the_middle_of_a_tile_counts_most_and_its_corner_a_little() -> None:
    window = Tiling((64, 64, 64), 32, 8).window()
    assert window.max() == window[16, 16, 16] == 1
    assert window.min() == window[0, 0, 0] > 0
    np.testing.assert_array_equal(window, window[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(window, window.transpose(2, 0, 1))


@pytest.mark.parametrize(("size", "overlap"), [(31, 8), (32, 7), (32, 32)])
def test_sizes_that_do_not_fit_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="multiples"):
        Tiling((64, 64, 64), size, overlap)
