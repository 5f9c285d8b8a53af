"""Where candidates are: in the frame of the input map, whatever its origin and axis order."""

from dataclasses import replace
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryo2struct.density.simulate import simulate
from cryo2struct.evaluation.ca import ca_points
from cryo2struct.io.maps import read_map
from cryo2struct.objects import GridFrame
from cryo2struct.pipeline import classify
from cryo2struct.settings import load_settings

MODEL = Path(__file__).parent / "data" / "chain_comparison" / "01_perfect" / "target.pdb.gz"


@pytest.fixture(scope="module")
def structure() -> gemmi.Structure:
    structure = gemmi.read_structure(str(MODEL))
    structure.cell = gemmi.UnitCell(1, 1, 1, 90, 90, 90)
    return structure


def write(path, structure, *, voxel, nstart, origin, axes):
    """A 2.8 A map of the structure; `nstart` and `axes` in the file's order of columns, rows, sections."""
    xyz = ca_points(structure).xyz
    start = np.array(origin) if any(origin) else np.array([nstart[axes.index(axis)] for axis in (1, 2, 3)]) * voxel
    shape = tuple(int(n) for n in np.ceil((xyz.max(axis=0) + 8 - start) / voxel)[::-1])
    density = simulate(structure, GridFrame(shape, np.array(voxel), start), 2.8)
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.ascontiguousarray(density.values.transpose([3 - axis for axis in axes[::-1]])))
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
        mrc.header.mx, mrc.header.my, mrc.header.mz = shape[::-1]
        mrc.header.cella = tuple(np.array(shape[::-1]) * voxel)
        mrc.header.nxstart, mrc.header.nystart, mrc.header.nzstart = nstart
        mrc.header.origin = tuple(origin)
    return path


def candidates(path):
    density, _ = read_map(path)
    return classify(density, load_settings(None, {"map.resolution": 2.8, "device": "cpu"}))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_shift_along_any_axis(structure, tmp_path, seed):
    rng = np.random.default_rng(seed)
    lowest = ca_points(structure).xyz.min(axis=0) - 8
    voxel = rng.uniform(0.8, 1.2, 3)
    axes = tuple(int(a) for a in rng.permutation([1, 2, 3]))
    if seed:
        origin, nstart = tuple(lowest - rng.uniform(0, 3, 3)), (0, 0, 0)
    else:
        start = np.floor(lowest / voxel).astype(int)
        origin, nstart = (0.0, 0.0, 0.0), tuple(int(start[axis - 1]) for axis in axes)
    found = candidates(write(tmp_path / "map.mrc", structure, voxel=voxel, nstart=nstart, origin=origin, axes=axes))
    reference = ca_points(structure).xyz
    distance, nearest = cKDTree(reference).query(found.xyz)
    offset = (found.xyz - reference[nearest])[distance < 2]
    assert len(offset) > 0.8 * len(reference)
    assert np.abs(offset.mean(axis=0)).max() < 0.1


def test_axis_order_changes_nothing(structure, tmp_path):
    lowest = tuple(ca_points(structure).xyz.min(axis=0) - 8)
    sets = []
    for axes in [(1, 2, 3), (3, 1, 2), (2, 1, 3)]:
        path = tmp_path / ("".join(map(str, axes)) + ".mrc")
        write(path, structure, voxel=np.array([1.0, 1.1, 0.9]), nstart=(0, 0, 0), origin=lowest, axes=axes)
        sets.append(candidates(path))
    for other in sets[1:]:
        np.testing.assert_allclose(other.xyz, sets[0].xyz, atol=0.01)


def test_mirror_image_of_the_frame_is_not_the_frame(structure, tmp_path):
    """The test above can fail: a frame with x and z exchanged puts the candidates elsewhere."""
    lowest = tuple(ca_points(structure).xyz.min(axis=0) - 8)
    path = write(tmp_path / "map.mrc", structure, voxel=np.ones(3), nstart=(0, 0, 0), origin=lowest, axes=(1, 2, 3))
    density, _ = read_map(path)
    wrong = replace(density, frame=replace(density.frame, origin=density.frame.origin[::-1].copy()))
    found = classify(wrong, load_settings(None, {"map.resolution": 2.8, "device": "cpu"}))
    distance, _ = cKDTree(ca_points(structure).xyz).query(found.xyz)
    assert (distance < 2).mean() < 0.5
