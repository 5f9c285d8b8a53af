"""Are candidates where the C-alphas are, whatever a map's origin and axis order?

    python benchmarks/coordinates.py FOLDER [--maps 8]

The folder holds index.csv (columns map, model, resolution) with simulated maps and their models. Each map is written
again under a random placement (NSTART or ORIGIN) and axis order, the model is moved with it, and candidates are sought.
Printed: the mean signed offset of the candidates within 2 A of a C-alpha, per axis, and the largest difference of the
coordinates between two axis orders of the same map.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import mrcfile
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.evaluation.ca import ca_points
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap
from cryo2struct.pipeline import classify
from cryo2struct.settings import load_settings

Axes = tuple[int, int, int]


def write(path: Path, density: DensityMap, axes: Axes, nstart: np.ndarray, origin: np.ndarray) -> None:
    """Write the values with the given axis order; `nstart` (voxels) and `origin` (A) are x, y, z."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(density.values.transpose([3 - axis for axis in axes[::-1]])))
        shape = np.array(density.frame.shape[::-1])
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
        mrc.header.mx, mrc.header.my, mrc.header.mz = shape
        mrc.header.cella = tuple(shape * density.frame.voxel)
        mrc.header.nxstart, mrc.header.nystart, mrc.header.nzstart = (int(nstart[axis - 1]) for axis in axes)
        mrc.header.origin = tuple(float(v) for v in origin)


def candidates(path: Path, resolution: float) -> np.ndarray:
    """Positions of the candidates in a map, sorted."""
    density, _ = read_map(path)
    found = classify(density, load_settings(None, {"map.resolution": resolution})).xyz
    return found[np.lexsort(found.round(1).T)]


def main() -> None:
    """Print one row per map."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--maps", type=int, default=8)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with (options.folder / "index.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    print("| map | axes | placed by | candidates | mean offset x, y, z (A) | other axes | largest difference (A) |")
    print("|---|---|---|---|---|---|---|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for row in rows[: options.maps]:
            density, _ = read_map(options.folder / row["map"])
            first, second = (tuple(int(a) for a in rng.permutation([1, 2, 3])) for _ in range(2))
            by_origin = rng.random() < 0.5
            nstart = np.zeros(3) if by_origin else rng.integers(-200, 200, 3)
            origin = rng.uniform(-200, 200, 3) if by_origin else np.zeros(3)
            start = origin if by_origin else nstart * density.frame.voxel
            path = Path(folder) / "map.mrc"
            write(path, density, first, nstart, origin)
            found = candidates(path, float(row["resolution"]))
            write(path, density, second, nstart, origin)
            again = candidates(path, float(row["resolution"]))
            truth = ca_points(read_structure(options.folder / row["model"])).xyz + start - density.frame.origin
            distance, nearest = cKDTree(truth).query(found)
            offset = (found - truth[nearest])[distance < 2].mean(axis=0)
            difference = np.abs(found - again).max() if len(found) == len(again) else np.inf
            worst = max(worst, float(np.abs(offset).max()))
            means = ", ".join(f"{v:+.3f}" for v in offset)
            placed = "ORIGIN" if by_origin else "NSTART"
            print(f"| {row['map']} | {first} | {placed} | {len(found)} | {means} | {second} | {difference:.4f} |")
    print(f"\nlargest mean offset along an axis: {worst:.3f} A")


if __name__ == "__main__":
    main()
