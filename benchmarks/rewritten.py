"""Is a model the same when the same map is written another way?

    python benchmarks/rewritten.py $CRYO2STRUCT_DATA/real/NAME [...] [--float32]

Each folder holds map.mrc.gz and seq.fasta. The map is written again: without loss in other axis orders, byte orders,
types and placements, and with values that were rounded to other types after they were scaled to fill their range. A
model is built from each. Printed: residues of the first model, of this one and of both, and how far apart the
C-alphas of these are.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import torch

import cryo2struct
from cryo2struct.objects import DensityMap, Trace
from cryo2struct.prediction import inference, residues
from cryo2struct.settings import load_settings


@dataclass(frozen=True)
class Way:
    """How a map is written; the type is numpy's, `compress` works on bytes."""

    name: str
    type: str
    axes: tuple[int, int, int] = (1, 2, 3)
    big_endian: bool = False
    by_origin: bool = False
    compress: Callable[[bytes], bytes] = bytes


WAYS = (
    Way("mode 2, axes 3 1 2, big-endian, ORIGIN, bzip2", "f4", (3, 1, 2), True, True, bz2.compress),
    Way("mode 12, axes 2 3 1, NSTART, gzip", "f2", (2, 3, 1), compress=gzip.compress),
    Way("mode 12, scaled by 1.37", "f2"),
    Way("mode 2, scaled by 1.37", "f4"),
    Way("mode 1, 65,536 values", "i2"),
    Way("mode 6, 65,536 values", "u2"),
    Way("mode 0, 256 values", "i1"),
)


def rescaled(values: np.ndarray, way: Way) -> np.ndarray:
    """Values as they are stored: whole numbers use the range of their type."""
    if np.dtype(way.type).kind == "f":
        return (values * np.float32(1.37 if "scaled" in way.name else 1)).astype(way.type)
    range_ = np.iinfo(way.type)
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) / (high - low) * (range_.max - range_.min) + range_.min).astype(way.type)


def write(path: Path, density: DensityMap, way: Way) -> None:
    """Write a map whose voxel 0 is at a multiple of the voxel."""
    nstart = np.rint(density.frame.origin / density.frame.voxel)
    with mrcfile.new(path, overwrite=True) as mrc:
        order = [3 - axis for axis in way.axes[::-1]]
        mrc.set_data(np.ascontiguousarray(rescaled(density.values, way).transpose(order)))
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = way.axes
        mrc.header.mx, mrc.header.my, mrc.header.mz = density.frame.shape[::-1]
        mrc.header.cella = tuple(density.frame.shape[::-1] * density.frame.voxel)
        if way.by_origin:
            mrc.header.origin = tuple(density.frame.origin)
        else:
            mrc.header.nxstart, mrc.header.nystart, mrc.header.nzstart = (int(nstart[axis - 1]) for axis in way.axes)
    content = path.read_bytes()
    if way.big_endian:
        numbers, rest = np.frombuffer(content[:208], "u4").byteswap().tobytes(), content[216:1024]
        data = np.frombuffer(content[1024:], way.type).byteswap().tobytes()
        content = numbers + b"MAP \x11\x11\0\0" + rest + data
    path.write_bytes(way.compress(content))


def compared(trace: dict[tuple[int, ...], np.ndarray], other: dict[tuple[int, ...], np.ndarray]) -> str:
    """Cells of a row: residues, and distances of the C-alphas of the residues of both."""
    both = sorted(trace.keys() & other.keys())
    apart = np.array([np.linalg.norm(trace[key] - other[key]) for key in both])
    return f"{len(trace)} | {len(other)} | {len(both)} | {np.median(apart):.3f} | {apart.max():.3f}"


def model(path: Path, sequences: cryo2struct.objects.Sequences) -> dict[tuple[int, ...], np.ndarray]:
    """C-alphas of the model that is built into a map, by entity, copy and position."""
    density, _ = cryo2struct.read_map(path)
    result = cryo2struct.build(density, sequences, load_settings(None, {"device": "cpu"}))
    built: Trace = result.trace
    keys = zip(built.entity.tolist(), built.copy.tolist(), built.position.tolist(), strict=True)
    return dict(zip(keys, result.backbone.xyz[:, 1], strict=True))


def main() -> None:
    """Print a row per map and way of writing it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--float32", action="store_true", help="arithmetic of the networks, also where there is bfloat16"
    )
    options = parser.parse_args()
    if options.float32:
        for module in (inference, residues):
            module.arithmetic_type = lambda device: torch.float32
    print("| map | written as | residues | then | in both | median, A | largest, A |\n" + "|---" * 7 + "|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for folder in options.folders:
            density, _ = cryo2struct.read_map(folder / "map.mrc.gz")
            sequences, _ = cryo2struct.read_sequences(folder / "seq.fasta")
            first = model(folder / "map.mrc.gz", sequences)
            for way in WAYS:
                path = Path(temporary) / "map.mrc"
                write(path, density, way)
                print(f"| {folder.name} | {way.name} | {compared(first, model(path, sequences))} |", flush=True)


if __name__ == "__main__":
    main()
