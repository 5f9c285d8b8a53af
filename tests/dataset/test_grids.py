"""Sub-grids show what is around each core; cores put together are the box."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.dataset.grids import MAPS, SubGrids, open_grids
from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.maps import write_map
from cryo2struct.objects import DensityMap, GridFrame

lengths = st.integers(1, 23)
boxes = st.builds(SubGrids, st.tuples(lengths, lengths, lengths), st.integers(1, 9), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(boxes, st.integers(0, 99))
def test_each_voxel_comes_back_from_the_one_core_that_has_it(grids, seed):
    """Margins hold other values, as predictions do: what is put together is that of the cores, voxel for voxel."""
    values = np.random.default_rng(seed).normal(size=grids.shape).astype(np.float32)
    predictions = []
    for grid in grids.cut(values):
        core = tuple(slice(grids.overlap, grids.overlap + grids.core) for _ in range(3))
        changed = np.full((2, *grid.shape), np.nan, dtype=np.float32)
        changed[(slice(None), *core)] = grid[core], -2 * grid[core]
        predictions.append(changed)
    whole = grids.assemble(predictions)
    np.testing.assert_array_equal(whole, [values, -2 * values])


@settings(max_examples=40, deadline=None)
@given(boxes)
def test_sub_grids_hold_the_neighbourhood_of_their_core(grids):
    """Each voxel of a sub-grid is that of the box there, and 0 outside of it."""
    values = 1 + np.arange(np.prod(grids.shape)).reshape(grids.shape)
    starts, cut = grids.starts(), list(grids.cut(values))
    assert len(starts) == len(cut)
    for start, grid in zip(starts[:5] + starts[-5:], cut[:5] + cut[-5:], strict=True):
        assert grid.shape == (grids.core + 2 * grids.overlap,) * 3
        index = np.indices(grid.shape) + np.reshape(start, (3, 1, 1, 1)) - grids.overlap
        inside = ((index >= 0) & (index < np.reshape(grids.shape, (3, 1, 1, 1)))).all(axis=0)
        expected = np.zeros(grid.shape, dtype=values.dtype)
        expected[inside] = values[tuple(index[:, inside])]
        np.testing.assert_array_equal(grid, expected)


def test_what_is_no_sub_grid_is_refused():
    for core, overlap in ((0, 6), (20, -1)):
        with pytest.raises(ValueError, match="make no sub-grid"):
            SubGrids((9, 9, 9), core, overlap)
    grids = SubGrids((25, 9, 9))
    with pytest.raises(ValueError, match="1 predictions for 2 sub-grids"):
        grids.assemble(list(grids.cut(np.zeros(grids.shape)))[:1])


@pytest.fixture
def entry(tmp_path):
    rng = np.random.default_rng(0)
    frame = GridFrame((30, 21, 20), np.ones(3), np.array([5.0, 0.0, -3.0]))
    write_map(tmp_path / MAPS["map"], DensityMap(rng.random(frame.shape).astype(np.float32), frame))
    write_map(tmp_path / MAPS["amino"], DensityMap(rng.integers(0, 21, frame.shape).astype(np.float32), frame))
    return tmp_path


def test_grids_of_an_entry_are_made_once_and_mapped(entry):
    density, labels = open_grids(entry, "map"), open_grids(entry, "amino")
    assert density.shape == labels.shape == (2 * 2 * 1, 32, 32, 32)
    assert isinstance(density, np.memmap)
    assert (density.dtype, labels.dtype) == (np.float32, np.uint8)
    made = entry / "grids" / "map_20_6.npy"
    first = made.stat().st_mtime_ns
    whole = SubGrids((30, 21, 20)).assemble(open_grids(entry, "map"))
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(whole, rng.random((30, 21, 20)).astype(np.float32))
    np.testing.assert_array_equal(SubGrids((30, 21, 20)).assemble(labels), rng.integers(0, 21, (30, 21, 20)))
    assert made.stat().st_mtime_ns == first
    assert open_grids(entry, "map", core=8, overlap=2).shape == (4 * 3 * 3, 12, 12, 12)
    assert [path.name for path in sorted(made.parent.iterdir())] == ["amino_20_6.npy", "map_20_6.npy", "map_8_2.npy"]


def test_grids_that_cannot_be_made_or_read(entry):
    with pytest.raises(InputError, match=r"atom_ca_emd_normalized_map\.mrc"):
        open_grids(entry, "atom_ca")
    open_grids(entry, "map")
    made = entry / "grids" / "map_20_6.npy"
    made.write_bytes(made.read_bytes()[:1000])
    with pytest.raises(InputError, match="remove it to have it made again"):
        open_grids(entry, "map")
    made.unlink()
    (entry / "grids" / "amino_20_6.npy").unlink(missing_ok=True)
    (entry / "grids").rmdir()
    (entry / "grids").write_text("a file")
    with pytest.raises(OutputError, match="cannot be made"):
        open_grids(entry, "map")
