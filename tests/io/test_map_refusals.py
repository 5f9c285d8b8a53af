"""Maps that are refused: one line that names the file, what is wrong, and what to do."""

import bz2
import gzip

import numpy as np
import pytest
from map_bytes import density, map_bytes, refusal

from cryo2struct.errors import InputError
from cryo2struct.io.maps import read_map

TURNED = (0, -1, 0, 1, 0, 0, 0, 0, 1)
IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def some(value, share):
    values = density()
    values.reshape(-1)[: int(share * values.size)] = value
    return values


def refused(tmp_path, content, name="map.mrc", **options):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_map(path, **options)
    line = refusal(error)
    assert line.startswith(str(path) + ": ")
    assert error.value.exit_code == 3
    return line


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mode": 3}, ["mode 3 (complex int16)", "32-bit float"]),
        ({"mode": 4}, ["mode 4 (complex float32)"]),
        ({"mode": 101}, ["mode 101 (4-bit"]),
        ({"angles": (90, 111.55, 90)}, ["90 111.55 90", "ChimeraX"]),
        ({"angles": (90, 90, float("nan"))}, ["90 90 nan"]),
        ({"cell": (0, 30, 30)}, ["cell 0 30 30 A", "--voxel-size"]),
        ({"cell": (30, float("inf"), 30)}, ["cell", "--voxel-size"]),
        ({"sampling": (20, 0, 24), "cell": (30, 30, 30)}, ["MX, MY, MZ 20 0 24", "--voxel-size"]),
        ({"voxel": (1, 1, 4.5)}, ["voxel 4.5 A", "--voxel-size"]),
        ({"voxel": (0.5, 1, 1)}, ["box 20x22x24 voxels (10 x 22 x 24 A)"]),
        ({"ispg": 0, "sampling": (20, 22, 1), "cell": (20, 22, 24)}, ["stack of 24 images"]),
        ({"ispg": 401, "sampling": (20, 22, 8), "cell": (20, 22, 8)}, ["3 volumes"]),
        ({"ispg": 500, "sampling": (20, 22, 7), "cell": (20, 22, 7)}, ["several volumes"]),
        ({"skew": (*TURNED, 0, 0, 0)}, ["LSKFLG", "ChimeraX"]),
        ({"skew": (*IDENTITY, 5, 0, 0)}, ["LSKFLG"]),
    ],
)
def test_headers(tmp_path, fields, words):
    line = refused(tmp_path, map_bytes(density(), **fields))
    for word in words:
        assert word in line


def test_duplicate_axis(tmp_path):
    content = bytearray(map_bytes(density()))
    content[64:76] = np.array([1, 1, 3], "<i4").tobytes()
    assert "MAPC, MAPR, MAPS 1 1 3" in refused(tmp_path, bytes(content))


def test_stack_by_its_name(tmp_path):
    assert "stack" in refused(tmp_path, map_bytes(density(), ispg=0), name="particles.mrcs")


def test_small_box(tmp_path):
    assert "smaller than 16 voxels" in refused(tmp_path, map_bytes(density((15, 20, 20)), voxel=(2, 2, 2)))


def test_too_many_voxels(tmp_path):
    line = refused(tmp_path, map_bytes(density()), max_voxels=10000)
    assert "10560 voxels" in line
    assert "--max-voxels" in line


def test_empty(tmp_path):
    assert "empty" in refused(tmp_path, b"")
    assert "empty" in refused(tmp_path, gzip.compress(b""))


def test_truncated_header(tmp_path):
    assert "1024 bytes of header expected, 700 found" in refused(tmp_path, map_bytes(density())[:700])


def test_truncated_data(tmp_path):
    content = map_bytes(density())
    line = refused(tmp_path, content[:20000])
    assert f"{len(content)} bytes expected, 20000 found" in line


def test_compressed_file_that_was_cut(tmp_path):
    noise = np.random.default_rng(1).normal(size=(80, 80, 80)).astype(np.float32)
    content = map_bytes(noise)
    for compress in (gzip.compress, bz2.compress):
        line = refused(tmp_path, compress(content)[:1200000])
        assert f"{len(content)} bytes expected" in line
        assert "cannot be read to its end" in refused(tmp_path, compress(content)[:30])


def test_damaged_compression(tmp_path):
    content = bytearray(gzip.compress(map_bytes(density())))
    content[100:140] = bytes(40)
    assert "cannot be read to its end" in refused(tmp_path, bytes(content))
    assert "cannot be read to its end" in refused(tmp_path, b"BZh9" + bytes(2000))


@pytest.mark.parametrize("length", [30, 5000])
def test_text(tmp_path, length):
    line = refused(tmp_path, (b"HEADER    VIRUS\nATOM\n" * 300)[:length])
    assert "is text (begins 'HEADER    VIRUS')" in line


def test_not_a_map(tmp_path):
    assert "not an MRC" in refused(tmp_path, np.random.default_rng(0).bytes(5000))
    assert "not an MRC" in refused(tmp_path, bytes(5000))


def test_missing_and_folder(tmp_path):
    for path, word in ((tmp_path / "none.mrc", "no such file"), (tmp_path, "folder")):
        with pytest.raises(InputError) as error:
            read_map(path)
        assert word in refusal(error)


def test_constant(tmp_path):
    assert "all voxels are 3" in refused(tmp_path, map_bytes(some(3, 1)))
    assert "all voxels are 0 to 1e-30" in refused(tmp_path, map_bytes(1e-32 * np.abs(density())))


def test_nothing_but_nan(tmp_path):
    assert "100 %" in refused(tmp_path, map_bytes(some(np.nan, 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_too_many_nan(tmp_path, value):
    line = refused(tmp_path, map_bytes(some(value, 0.0015)))
    assert "15 voxels (0.142 %)" in line
