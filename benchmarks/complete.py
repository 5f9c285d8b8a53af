"""Disturbed C-alphas of known structures completed with what the network sees, and with the map alone.

    python benchmarks/complete.py MAPS

MAPS holds index.csv (map, model, resolution) and simulated maps with their structures. Each coordinate of a C-alpha is
moved by a normal deviate. "map": the height of the map stands for N and C alike. "nothing": phi, psi and geometry.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from completion import truth_of

from cryo2struct.completion import complete, place_side_chains
from cryo2struct.density.resample import resample
from cryo2struct.density.sampling import values_at
from cryo2struct.finding import predict_and_pick
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import model_from_trace, read_structure
from cryo2struct.objects import DensityMap, FloatArray, Prediction
from cryo2struct.record import Recorder
from cryo2struct.refinement import refine
from cryo2struct.settings import load_settings

DISTURBED = (0.0, 0.3, 0.6)  # A, standard deviation of each coordinate
NAMES = ("CA", "N", "C", "O")


def by_map(density: DensityMap, alphas: FloatArray) -> Prediction:
    """The height of a map, 0.5 at a C-alpha, in place of the probabilities of N and C."""
    seen = resample(density)
    level = float(np.median(density.values))
    share = np.clip((seen.values - level) / (np.median(values_at(density, alphas)) - level), 0, 1).ravel() / 2
    atoms = np.stack([1 - share, 0 * share, share, share], axis=1).astype(np.float16)
    voxels = np.argwhere(np.ones(seen.values.shape, dtype=bool))
    return Prediction(seen.frame, voxels, atoms, voxels[:0], {})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("maps", type=Path)
    folder = parser.parse_args().maps
    errors: dict[tuple[float, str, str], list[np.ndarray]] = defaultdict(list)
    with (folder / "index.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        density, _ = read_map(folder / row["map"])
        resolution = float(row["resolution"])
        known, _, _, exact, sequences = truth_of(read_structure(folder / row["model"]))
        alphas = np.asarray(exact.xyz)
        network = predict_and_pick(density, load_settings(), None, Recorder()).prediction
        height = by_map(density, alphas)
        nothing = replace(height, atoms=np.zeros_like(height.atoms))
        for disturbed in DISTURBED:
            moved = np.random.default_rng(1).normal(0, disturbed, alphas.shape)
            traced = replace(exact, xyz=alphas + moved)
            for name, prediction in (("network", network), ("map", height), ("nothing", nothing)):
                model = model_from_trace(traced, sequences, complete(traced, sequences, prediction))
                built = place_side_chains(model.structure, density, resolution).structure
                for state, structure in (("before", built), ("refined", refine(built, density, resolution).structure)):
                    found = np.full((len(known), len(NAMES), 3), np.nan)
                    for line, residue in enumerate(residue for chain in structure[0] for residue in chain):
                        for column, atom_name in enumerate(NAMES):
                            atom = residue.find_atom(atom_name, "*")
                            found[line, column] = atom.pos.tolist() if atom else np.nan
                    errors[disturbed, name, state].append(np.linalg.norm(found - known[:, [1, 0, 2, 3]], axis=2))
    print("| disturbed by A per axis | evidence | | CA A | N | C | O | O > 2 A off % |\n" + "|---" * 8 + "|")
    for (disturbed, name, state), parts in errors.items():
        error = np.concatenate(parts)
        rms = " | ".join(f"{value:.2f}" for value in np.sqrt(np.nanmean(error**2, axis=0)))
        print(f"| {disturbed} | {name} | {state} | {rms} | {100 * np.nanmean(error[:, 3] > 2):.1f} |")


if __name__ == "__main__":
    main()
