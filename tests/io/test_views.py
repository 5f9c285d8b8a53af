"""Predictions as maps, read back by mrcfile, and the ChimeraX script."""

import mrcfile
import numpy as np
import pytest

from cryo2struct.io.views import PREDICTION_MAPS, view_script, write_prediction_maps
from cryo2struct.objects import GridFrame, Prediction


@pytest.fixture
def prediction() -> Prediction:
    generator = np.random.default_rng(1)
    frame = GridFrame((17, 20, 23), np.array([1.01, 0.99, 1.0]), np.array([-3.21, 40.5, 7.77]))
    voxels = np.argwhere(generator.random(frame.shape) < 0.2)
    atoms = generator.dirichlet(np.ones(4), len(voxels)).astype(np.float16)
    cells = np.unique(voxels // 2, axis=0)
    heads = {"nonprotein": generator.random((len(cells), 1)).astype(np.float16)}
    return Prediction(frame, voxels, atoms, cells, heads)


def test_maps_hold_the_prediction_where_it_was_made(prediction, tmp_path):
    names = write_prediction_maps(tmp_path, prediction)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir()) == sorted(PREDICTION_MAPS)
    maps = {}
    for name in names:
        with mrcfile.open(tmp_path / name) as mrc:
            assert mrc.data.dtype == np.float32
            assert mrc.data.shape == prediction.frame.shape
            assert mrc.voxel_size.tolist() == pytest.approx(prediction.frame.voxel.tolist(), abs=1e-5)
            assert mrc.header.origin.tolist() == pytest.approx(prediction.frame.origin.tolist(), abs=1e-4)
            maps[name] = mrc.data.copy()
    chosen = np.zeros(prediction.frame.shape, bool)
    for (z, y, x), (none, *atoms) in zip(prediction.voxels, prediction.atoms.astype(float), strict=True):
        chosen[z, y, x] = True
        assert [maps[name][z, y, x] for name in ("ca.mrc", "n.mrc", "c.mrc")] == pytest.approx(atoms)
        assert maps["confidence.mrc"][z, y, x] == pytest.approx(1 - none)
        (cell,) = np.flatnonzero((prediction.cells == [z // 2, y // 2, x // 2]).all(axis=1))
        assert maps["nucleic_acid.mrc"][z, y, x] == pytest.approx(float(prediction.heads["nonprotein"][cell, 0]))
    for name in ("ca.mrc", "n.mrc", "c.mrc", "confidence.mrc"):
        assert not maps[name][~chosen].any()


def test_the_script_names_models_in_the_order_in_which_it_opens_them():
    lines = view_script('/a "map".mrc', ["ca.mrc", "n.mrc"]).splitlines()
    opened = [line.removeprefix("open ") for line in lines if line.startswith("open ")]
    assert opened == ['"/a \\"map\\".mrc"', "model.cif", "ca.mrc", "n.mrc"]
    assert any(line.startswith("volume #3") and "gold" in line for line in lines)
    assert "hide #4 models" in lines
    assert "#3" not in view_script("map.mrc", [])
