"""Seconds of `check`, seconds and peak memory of `build` on a map in a large box: zeros, or noise around it.

python benchmarks/large_maps.py MAP FASTA [--edge 400] [--rotations 1]
"""

from __future__ import annotations

import argparse
import json
import resource
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


def seconds_of(command: str, *arguments: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a command of the program, Python's start included."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run = [sys.executable, "-m", "cryo2struct.cli.main", command, *arguments]
    subprocess.run(run, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, busy


def measure(map_file: Path, fasta: Path, rotations: int, folder: Path) -> str:
    """Cells of a row: seconds of check and of build, each on the clock and of the CPU, peak memory, residues built."""
    inputs = (str(map_file), str(fasta))
    check = seconds_of("check", *inputs)
    build = seconds_of("build", *inputs, "-o", str(folder), "--set", f"prediction.rotations={rotations}")
    record = json.loads((folder / "run.json").read_text())
    peak = max(step["peak_memory_gb"] for step in record["steps"])
    seconds = f"{check[0]:.1f} ({check[1]:.1f}) | {build[0]:.0f} ({build[1]:.0f})"
    return f"{seconds} | {peak:.2f} | {record['counts']['residues_built']}"


def main() -> None:
    """Print a row per box."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--edge", type=int, default=400)
    parser.add_argument("--rotations", type=int, default=1)
    options = parser.parse_args()
    density, _ = read_map(options.map)
    print("| box | check, s (CPU) | build, s (CPU) | build, peak GB | residues built |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, noise in (("zeros around it", False), ("noise around it", True)):
            path = Path(folder) / "large.mrc"
            write_map(path, in_large_box(density, options.edge, noise))
            row = measure(path, options.fasta, options.rotations, Path(folder) / name.split()[0])
            print(f"| {options.edge}^3, {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
