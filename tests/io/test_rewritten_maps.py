"""Experimental maps written in other ways without loss, where CRYO2STRUCT_DATA names the folder of the data: the same
values, and the same model."""

import bz2
import gzip
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from map_bytes import map_bytes

import cryo2struct
from cryo2struct.io.maps import read_map
from cryo2struct.settings import load_settings

DATA = Path(os.environ.get("CRYO2STRUCT_DATA", "nowhere")) / "real"
MAPS = ["qrefine_3j06", "apof_20026", "emd_6272_3j9sA"]
WAYS = list(itertools.product(itertools.permutations((1, 2, 3)), "<>", [2, 12], ["origin", "nstart"]))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason="CRYO2STRUCT_DATA names no data")]


def rewritten(density, axes, order, mode, placed_by) -> bytes:
    """The bytes of a map whose voxel 0 is at a multiple of the voxel and whose values float16 holds."""
    origin, voxel = density.frame.origin, density.frame.voxel
    start = np.rint(origin / voxel).astype(int)
    place = {"nstart": [start[axis - 1] for axis in axes]} if placed_by == "nstart" else {"origin": origin}
    return map_bytes(density.values, mode=mode, order=order, axes=axes, voxel=voxel, **place)


def read_again(content: bytes, path: Path, density):
    path.write_bytes(content)
    found, _ = read_map(path)
    np.testing.assert_array_equal(found.values, density.values)
    np.testing.assert_allclose(found.frame.voxel, density.frame.voxel, rtol=1e-6)
    np.testing.assert_allclose(found.frame.origin, density.frame.origin, atol=1e-4)
    return found


@pytest.mark.parametrize("name", MAPS)
def test_values_are_the_same(name, tmp_path):
    density, _ = read_map(DATA / name / "map.mrc.gz")
    for way in WAYS:
        read_again(rewritten(density, *way), tmp_path / "map.mrc", density)
    for compress in (gzip.compress, bz2.compress):
        read_again(compress(rewritten(density, *WAYS[0])), tmp_path / "map.mrc", density)


@pytest.mark.parametrize("name", MAPS)
def test_the_model_is_the_same(name, tmp_path):
    """Every axis order's values are (see above): two ways that differ in everything stand for all."""
    density, _ = read_map(DATA / name / "map.mrc.gz")
    sequences, _ = cryo2struct.read_sequences(DATA / name / "seq.fasta")
    settings = load_settings(None, {"device": "cpu", "prediction.rotations": 1})
    first = cryo2struct.build(density, sequences, settings)
    assert len(first.trace) > 50
    ways = [((3, 1, 2), ">", 2, "origin", bz2.compress), ((2, 3, 1), "<", 12, "nstart", gzip.compress)]
    for *way, compress in ways:
        found = read_again(compress(rewritten(density, *way)), tmp_path / "map.mrc", density)
        model = cryo2struct.build(found, sequences, settings)
        for field in ("entity", "copy", "position"):
            np.testing.assert_array_equal(getattr(model.trace, field), getattr(first.trace, field))
        np.testing.assert_allclose(model.backbone.xyz, first.backbone.xyz, atol=0.01)
