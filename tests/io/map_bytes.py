"""Maps made byte by byte, independent of the readers that are tested."""

from __future__ import annotations

import struct

import numpy as np

TYPES = {0: "i1", 1: "i2", 2: "f4", 3: "i4", 4: "c8", 6: "u2", 12: "f2", 101: "u1"}


def density(shape=(24, 22, 20), seed=0, scale=100.0):
    """Values (z, y, x) with the histogram of a map, noise and a bright tail, in whole numbers that every mode holds."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.1, shape)
    values[5:10, 5:10, 5:10] += rng.random((5, 5, 5))
    return np.round(values / values.max() * scale).astype(np.float32)


def map_bytes(
    values,
    *,
    mode=2,
    order="<",
    axes=(1, 2, 3),
    nstart=(0, 0, 0),
    origin=(0.0, 0.0, 0.0),
    voxel=(1.5, 1.5, 1.5),
    sampling=None,
    cell=None,
    angles=(90.0, 90.0, 90.0),
    ispg=1,
    extended=b"",
    nsymbt=None,
    stamp=None,
    word=b"MAP ",
    skew=None,
):
    """Bytes of a file that holds `values` (z, y, x), stored with columns, rows, sections along `axes` (x = 1).

    nstart is in file order (columns, rows, sections); origin, voxel, sampling, cell along x, y, z.
    """
    xyz = {1: 2, 2: 1, 3: 0}
    stored = values.transpose([xyz[axis] for axis in axes[::-1]])
    if sampling is None:
        sampling = values.shape[::-1]
    if cell is None:
        cell = [m * v for m, v in zip(sampling, voxel, strict=True)]
    header = bytearray(1024)
    struct.pack_into(order + "10i", header, 0, *stored.shape[::-1], mode, *nstart, *sampling)
    struct.pack_into(order + "6f3i", header, 40, *cell, *angles, *axes)
    struct.pack_into(order + "3f2i", header, 76, 0, 1, 0.5, ispg, len(extended) if nsymbt is None else nsymbt)
    if skew is not None:
        struct.pack_into(order + "i12f", header, 96, 1, *skew)
    struct.pack_into(order + "3f", header, 196, *origin)
    header[208:212] = word
    header[212:216] = {"<": b"DA\0\0", ">": b"\x11\x11\0\0"}[order] if stamp is None else stamp
    return bytes(header) + extended + np.ascontiguousarray(stored).astype(order + TYPES[mode]).tobytes()


def refusal(error):
    """The one line of a refusal."""
    line = str(error.value)
    assert "\n" not in line
    assert ": " in line
    return line
