"""Build into experimental maps with known structures and print how good, fast and large the runs are.

    python benchmarks/real_maps.py $CRYO2STRUCT_DATA/real [--split dev-eval] [--only NAME ...] [-o FOLDER]

The folder holds index.csv (name, split, resolution) and one folder per map with map.mrc.gz, seq.fasta, model.cif and,
where there are any, context.cif and exclude.txt. Each build is a process of its own; a second table has the baseline
that every method must beat: the brightest voxels at least 3 A apart, 1.05 per C-alpha of the known structure.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from cryo2struct.density.resample import resample
from cryo2struct.evaluation import evaluate
from cryo2struct.evaluation.ca import ca_points, parse_exclude
from cryo2struct.io.candidates import read_candidates
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import Candidates, DensityMap

NEAR_MODEL = 4.0  # A
DISTANCES = ("at_1.5", "at_2.0", "at_3.0")
PROTEINS = {
    "apof_20026": "apoferritin",
    "qrefine_6i5a": "TMV",
    "qrefine_3j06": "TMV",
    "emd_6272_3j9sA": "VP6",
    "emd_1461": "VP6",
    "gorgon_vp6_1461": "VP6",
    "qrefine_3j63": "3j63",
}


def brightest_voxels(density: DensityMap, count: int, distance: float = 3.0) -> np.ndarray:
    """Coordinates (count, 3) of the brightest voxels, each at least `distance` A from those before."""
    grid = resample(density)
    reach = int(distance) + 1
    step = np.argwhere(np.ones((2 * reach + 1,) * 3)) - reach
    step = step[((step[:, ::-1] * grid.frame.voxel) ** 2).sum(axis=1) < distance**2]
    free = np.pad(np.ones(grid.values.shape, dtype=bool), reach)
    chosen: list[np.ndarray] = []
    for flat in np.argsort(-grid.values, axis=None):
        voxel = np.array(np.unravel_index(flat, grid.values.shape))
        if free[tuple(voxel + reach)]:
            chosen.append(voxel)
            free[tuple((voxel + reach + step).T)] = False
            if len(chosen) == count:
                break
    return grid.frame.to_xyz(np.array(chosen))


def filters(folder: Path) -> dict[str, Any]:
    """Filters of the C-alpha scores for one map."""
    chosen: dict[str, Any] = {"near_model": NEAR_MODEL}
    if (folder / "context.cif").exists():
        chosen["context"] = read_structure(folder / "context.cif")
    if (folder / "exclude.txt").exists():
        chosen["exclude"] = parse_exclude((folder / "exclude.txt").read_text())
    return chosen


def run_one(folder: Path, output: Path, options: list[str]) -> dict[str, Any]:
    """Build and score one map."""
    command = [
        sys.executable,
        "-m",
        "cryo2struct.cli.main",
        "build",
        str(folder / "map.mrc.gz"),
        str(folder / "seq.fasta"),
    ]
    done = subprocess.run([*command, "-o", str(output), "--force", *options], capture_output=True, text=True)
    target = read_structure(folder / "model.cif")
    row: dict[str, Any] = {"error": done.stderr.strip().splitlines()[-1] if done.returncode else None}
    if done.returncode == 0:
        record = json.loads((output / "run.json").read_text())
        model = read_structure(output / "model.cif")
        scores = evaluate(model, target, **filters(folder))
        row["model"] = scores["chain_comparison"]["entire_target"]
        precision = scores["ca"]["at_3.0"]["precision"]
        row["far"] = None if precision is None else 100 * (1 - precision)
        row["geometry"] = scores["geometry"]
        row["ca"] = evaluate(read_candidates(output / "candidates.npz"), target, **filters(folder))["ca"]
        row["seconds"] = sum(step["seconds"] for step in record["steps"])
        row["memory"] = max(step["peak_memory_gb"] for step in record["steps"])
    density, _ = read_map(folder / "map.mrc.gz")
    count = round(1.05 * len(ca_points(target)))
    points = brightest_voxels(density, count)
    flat = np.full((len(points), 20), 0.05)
    row["baseline"] = evaluate(Candidates(points, np.ones(len(points)), flat), target, **filters(folder))["ca"]
    return row


def print_tables(rows: dict[str, dict[str, Any]], resolutions: dict[str, float]) -> None:
    """Markdown tables of builds, of the baseline, and of means per protein."""
    print(
        "| map | A | found % | rmsd A | match % | mean length | bad connections | over 3 A off % "
        "| favoured / outlier % | CA 1.5 A R/P | 2 A R/P | 3 A R/P | seconds | GB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        start = f"| {name} | {resolutions[name]} |"
        if row["error"]:
            print(f"{start} {row['error']} |")
            continue
        m = row["model"]
        ca = " | ".join(f"{row['ca'][d]['recall']:.2f} / {row['ca'][d]['precision']:.2f}" for d in DISTANCES)
        rmsd = "-" if m["close_rmsd"] is None else f"{m['close_rmsd']:.2f}"
        regions = row["geometry"]["ramachandran"]
        print(
            f"{start} {m['found_percent']:.1f} | {rmsd} | {m['seq_match_percent']:.1f} | {m['mean_length']:.1f} "
            f"| {m['bad_connections']} | {_cell(row['far'])} | {_cell(regions['percent_favored'])} / "
            f"{_cell(regions['percent_outliers'])} | {ca} | {row['seconds']:.1f} | {row['memory']:.2f} |"
        )
    print("\nBaseline, brightest voxels:\n")
    print("| map | CA 1.5 A R/P | 2 A R/P | 3 A R/P |\n|---|---|---|---|")
    for name, row in rows.items():
        ca = " | ".join(
            f"{row['baseline'][d]['recall']:.2f} / {row['baseline'][d]['precision']:.2f}" for d in DISTANCES
        )
        print(f"| {name} | {ca} |")
    built = protein_means(
        rows, resolutions, lambda row: [row["model"]["found_percent"], row["model"]["seq_match_percent"]]
    )
    print(f"\nMaps of 3.8 A or better, mean over proteins: found {built[0]:.1f} %, match {built[1]:.1f} %")
    for kind, title in (("ca", "network"), ("baseline", "baseline")):
        by_protein = defaultdict(list)
        for name, row in rows.items():
            if name in PROTEINS and resolutions[name] <= 3.8 and kind in row:
                by_protein[PROTEINS[name]].append((row[kind]["at_2.0"]["recall"], row[kind]["at_2.0"]["precision"]))
        if by_protein:
            means = np.array([np.mean(values, axis=0) for values in by_protein.values()])
            recall, precision = means.mean(axis=0)
            listed = ", ".join(f"{p} {r:.2f} / {q:.2f}" for p, (r, q) in zip(by_protein, means, strict=True))
            print(f"\nCA at 2 A, maps of 3.8 A or better, {title}: {listed}")
            print(f"mean over proteins: recall {recall:.3f}, precision {precision:.3f}")


def protein_means(rows, resolutions, values) -> np.ndarray:
    """Mean over the proteins of the means over their maps of 3.8 A or better."""
    by_protein = defaultdict(list)
    for name, row in rows.items():
        if name in PROTEINS and resolutions[name] <= 3.8 and not row["error"]:
            by_protein[PROTEINS[name]].append(values(row))
    return np.mean([np.mean(found, axis=0) for found in by_protein.values()], axis=0)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="dev-eval")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    output = options.output or Path(tempfile.mkdtemp(prefix="real_maps_"))
    with (options.data / "index.csv").open() as handle:
        index = [row for row in csv.DictReader(handle) if row["split"] == options.split]
    chosen = {row["name"]: float(row["resolution"]) for row in index if not options.only or row["name"] in options.only}
    changes = [part for change in options.set for part in ("--set", change)]
    rows = {}
    for name in chosen:
        rows[name] = run_one(options.data / name, output / name, changes)
        print(name, rows[name]["error"] or "done", file=sys.stderr, flush=True)
    print_tables(rows, chosen)


if __name__ == "__main__":
    main()
