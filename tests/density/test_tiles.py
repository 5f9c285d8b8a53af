from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.density.tiles import Blend, Tiling

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
@given(tilings(), st.integers(0, 99), st.sampled_from([0.001, 0.3, 1.0]))
def test_an_identity_prediction_gives_the_occupied_voxels_back(tiling: Tiling, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=tiling.shape).astype(np.float32)
    occupied = rng.random(tiling.shape) < share
    blend = Blend(tiling, occupied, 2)
    for start in tiling.starts(occupied):
        z, y, x = start
        assert occupied[z : z + tiling.size, y : y + tiling.size, x : x + tiling.size].any()
        tile = tiling.cut(values, start)
        assert tile.shape == (tiling.size,) * 3
        blend.add(np.stack([tile, -tile]), start)
    np.testing.assert_array_equal(blend.index, np.argwhere(occupied))
    np.testing.assert_allclose(blend.result(), np.stack([values, -values], axis=3)[occupied], rtol=2e-3, atol=1e-3)


def test_blend_is_the_weighted_mean_of_tiles_that_differ():
    shape = (19, 24, 17)
    rng = np.random.default_rng(0)
    tiling = Tiling(shape, 16, 8)
    chosen = rng.random(shape) < 0.3
    blend = Blend(tiling, chosen, 2)
    window = tiling.window()
    total, weight = np.zeros((2, 32, 32, 32)), np.zeros((32, 32, 32))
    for z, y, x in tiling.starts():
        tile = rng.random((2, 16, 16, 16)).astype(np.float32)
        blend.add(tile, (z, y, x))
        total[:, z : z + 16, y : y + 16, x : x + 16] += tile * window
        weight[z : z + 16, y : y + 16, x : x + 16] += window
    expected = (total / np.maximum(weight, 1e-12))[:, :19, :24, :17][:, chosen].T
    assert np.array_equal(blend.index, np.argwhere(chosen))
    np.testing.assert_allclose(blend.result(), expected, atol=1e-3)


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
