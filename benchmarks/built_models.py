"""Built models of maps with known structures: how both fit the map, stereochemistry, and distances.

    python benchmarks/built_models.py REAL BUILDS

REAL holds index.csv (name, resolution, split) and a folder for each name with map.mrc.gz and model.cif; BUILDS has a
folder for each name, as `build` and `build-set` leave it; its handover/model_for_refinement.cif is judged. Of the
split dev-eval, those that were built count. CC_mask is that of `evaluate`, with the B factors of the files, over the
residues that are in both, for the built model and the known one.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import gemmi
import numpy as np

from cryo2struct.evaluation.geometry import geometry
from cryo2struct.evaluation.map_model import map_model
from cryo2struct.evaluation.pairing import Residues, pair
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure

CLOSE = 3.0  # A; C-alphas of a pair whose distance counts
FINE = 3.8  # A; the mean ratio is over the maps of this resolution or better
TITLES = (
    "map, resolution, residues, in both, CC_mask, of the known, ratio, CA A (close), close %, favoured %, outliers %, "
    "wrong hands, clashes / 1,000, bonds A, angles"
)


def part(structure: gemmi.Structure, residues: Residues, rows: np.ndarray) -> gemmi.Structure:
    """The structure with these of its residues alone."""
    kept = {residues.keys[row] for row in rows.tolist()}
    cut = structure.clone()
    for chain in cut[0]:
        for index in reversed(range(len(chain))):
            seqid = chain[index].seqid
            if (chain.name, int(seqid.num or 0), seqid.icode.strip()) not in kept:
                del chain[index]
    cut.remove_empty_chains()
    return cut


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("real", type=Path)
    parser.add_argument("builds", type=Path)
    options = parser.parse_args()
    titles = TITLES.split(", ")
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    ratios = []
    with (options.real / "index.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] == "dev-eval"]
    for row in rows:
        built = options.builds / row["name"] / "handover" / "model_for_refinement.cif"
        if not built.exists():
            continue
        resolution = float(row["resolution"])
        model, known = read_structure(built), read_structure(options.real / row["name"] / "model.cif")
        density, _ = read_map(options.real / row["name"] / "map.mrc.gz")
        found = pair(model, known)
        fits = [
            map_model(part(structure, residues, found.pairs[:, column]), density, resolution).cc_mask
            for column, (structure, residues) in enumerate(((model, found.model), (known, found.target)))
        ]
        ours, theirs = (float("nan") if fit is None else fit for fit in fits)
        off = np.linalg.norm(
            found.model.points.xyz[found.pairs[:, 0]] - found.target.points.xyz[found.pairs[:, 1]], axis=1
        )
        near = np.sqrt((off[off < CLOSE] ** 2).mean()) if (off < CLOSE).any() else np.inf
        judged = geometry(model).as_dict()
        cells = [
            row["name"],
            row["resolution"],
            str(len(found.model)),
            str(len(found.pairs)),
            f"{ours:.3f}",
            f"{theirs:.3f}",
            f"{ours / theirs:.3f}",
            f"{near:.3f}" if np.isfinite(near) else "",
            f"{100 * (off < CLOSE).mean():.1f}",
            f"{judged['ramachandran']['percent_favored']:.1f}",
            f"{judged['ramachandran']['percent_outliers']:.1f}",
            str(judged["chirality"]["wrong"]),
            f"{judged['clashes']['per_1000_atoms']:.1f}",
            f"{judged['bonds']['rmsd']:.4f}",
            f"{judged['angles']['rmsd']:.2f}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
        if resolution <= FINE:
            ratios.append(ours / theirs)
    print(f"\nMean ratio at {FINE} A or better: {np.mean(ratios):.3f} ({len(ratios)} maps)")


if __name__ == "__main__":
    main()
