"""Seconds and peak memory of `build` on a map in a large box: padded with zeros, and with noise around it.

python benchmarks/large_maps.py MAP FASTA [--edge 400] [--rotations 1]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cryo2struct.density.normalise import background
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.objects import DensityMap, GridFrame


def in_large_box(density: DensityMap, edge: int, noise: bool) -> DensityMap:
    """The map in the middle of a box of `edge` voxels; its background around it, with noise of the same strength."""
    ground = background(density.values)
    values = np.full((edge,) * 3, ground.level, dtype=np.float32)
    if noise:
        values += ground.sigma * np.random.default_rng(0).standard_normal(values.shape, dtype=np.float32)
    first = [(edge - length) // 2 for length in density.frame.shape]
    inside = tuple(slice(f, f + length) for f, length in zip(first, density.frame.shape, strict=True))
    values[inside] = density.values
    origin = density.frame.to_xyz(np.negative(first))
    return DensityMap(values, GridFrame((edge,) * 3, density.frame.voxel, origin))


def measure(map_file: Path, fasta: Path, rotations: int, folder: Path) -> tuple[float, float, int]:
    """Seconds, peak memory in GB and residues built."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "cryo2struct.cli.main", "build", str(map_file), str(fasta), "-o", str(folder)]
    subprocess.run([*command, "--set", f"prediction.rotations={rotations}"], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    record = json.loads((folder / "run.json").read_text())
    return seconds, max(step["peak_memory_gb"] for step in record["steps"]), record["counts"]["residues_built"]


def main() -> None:
    """Print a row per box."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--edge", type=int, default=400)
    parser.add_argument("--rotations", type=int, default=1)
    options = parser.parse_args()
    density, _ = read_map(options.map)
    print("| box | seconds | peak GB | residues built |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, noise in (("zeros around it", False), ("noise around it", True)):
            path = Path(folder) / "large.mrc"
            write_map(path, in_large_box(density, options.edge, noise))
            row = measure(path, options.fasta, options.rotations, Path(folder) / name.split()[0])
            print(f"| {options.edge}^3, {name} | {row[0]:.0f} | {row[1]:.2f} | {row[2]} |", flush=True)


if __name__ == "__main__":
    main()
