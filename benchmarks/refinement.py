"""Models before and after real-space refinement, against known structures.

    python benchmarks/refinement.py CASES.csv [--mode full|backbone] [--side-chains]

CASES.csv has a line per model with the columns name, model, map, resolution (A), reference and, where there is one,
half: the other half map, which the refinement does not see. With --side-chains the backbones of the models get side
chains first. Both lines of a model are judged alike; bonds and angles are those of all atoms against the restraints.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.completion.side_chains import place_side_chains
from cryo2struct.evaluation.geometry import geometry
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap
from cryo2struct.refinement import refine
from cryo2struct.refinement.geometry import Geometry
from cryo2struct.refinement.neighbours import Neighbours
from cryo2struct.refinement.rounds import WIDTH
from cryo2struct.refinement.target import Target, charges, crop
from cryo2struct.refinement.topology import coordinates, topology

BACKBONE = ("N", "CA", "C", "O")
NEAR = 1.5  # A, of the C-alphas before refinement: the same residues are compared before and after
TITLES = (
    "model, residues, near, CA A, N, C, O, all atoms, O > 2 A off %, favoured %, outliers %, clashes / 1,000, "
    "wrong hands, bonds A, angles, correlation, other half, turned, CPU s"
)


def backbone(structure: gemmi.Structure) -> np.ndarray:
    """N, CA, C, O (R, 4, 3) of the residues that have them."""
    rows = [[residue.find_atom(name, "*") for name in BACKBONE] for chain in structure[0] for residue in chain]
    return np.array([[atom.pos.tolist() for atom in row] for row in rows if all(row)])


def pairs(structure: gemmi.Structure, reference: gemmi.Structure) -> tuple[np.ndarray, np.ndarray]:
    """Residues with a backbone that are near one of the reference, and which that is."""
    distance, nearest = cKDTree(backbone(reference)[:, 1]).query(backbone(structure)[:, 1])
    near = np.flatnonzero(distance < NEAR)
    return near, nearest[near]


def all_atoms(structure: gemmi.Structure, reference: gemmi.Structure, rows: np.ndarray, known: np.ndarray) -> float:
    """Rmsd of the atoms of equal names of these residues where their types are the same."""
    found, expected = (
        [r for chain in s[0] for r in chain if all(r.find_atom(n, "*") for n in BACKBONE)]
        for s in (structure, reference)
    )
    square = []
    for row, other in zip(rows, known, strict=True):
        if found[row].name == expected[other].name:
            for atom in found[row]:
                twin = expected[other].find_atom(atom.name, "*")
                if twin:
                    square.append(atom.pos.dist(twin.pos) ** 2)
    return float(np.sqrt(np.mean(square))) if square else np.nan


def correlation(structure: gemmi.Structure, density: DensityMap, resolution: float) -> float:
    """Of a map with Gaussians at the atoms."""
    restraints, xyz = topology(structure), coordinates(structure)
    target = Target(crop(density, xyz), charges(restraints.elements), WIDTH * resolution)
    return target.correlation(xyz, Neighbours(restraints.elements, restraints.bonds).near(xyz, target.reach))


def line(
    name: str,
    structure: gemmi.Structure,
    reference: gemmi.Structure,
    match: tuple[np.ndarray, np.ndarray],
    own: Geometry,
) -> list[str]:
    """Cells of a line up to the angles."""
    rows, known = match
    xyz = backbone(structure)
    error = np.linalg.norm(xyz[rows] - backbone(reference)[known], axis=2)
    rmsd = [f"{value:.3f}" for value in np.sqrt((error**2).mean(axis=0))[[1, 0, 2, 3]]]
    judged = geometry(structure).as_dict()
    plot, clashes = judged["ramachandran"], judged["clashes"]
    return [
        name,
        str(len(xyz)),
        str(len(rows)),
        *rmsd,
        f"{all_atoms(structure, reference, rows, known):.3f}",
        f"{100 * np.mean(error[:, 3] > 2):.1f}",
        f"{plot['percent_favored']:.1f}",
        f"{plot['percent_outliers']:.1f}",
        f"{clashes['per_1000_atoms']:.1f}",
        str(judged["chirality"]["wrong"]),
        f"{own.bond_rmsd:.4f}",
        f"{own.angle_rmsd:.2f}",
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--mode", choices=("full", "backbone"), default="full")
    parser.add_argument("--side-chains", action="store_true")
    options = parser.parse_args()
    titles = TITLES.split(", ")
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    with options.cases.open() as handle:
        cases = list(csv.DictReader(handle))
    for case in cases:
        resolution = float(case["resolution"])
        density, _ = read_map(case["map"])
        half = read_map(case["half"])[0] if case.get("half") else None
        structure, reference = read_structure(case["model"]), read_structure(case["reference"])
        if options.side_chains:
            structure = place_side_chains(structure, density, resolution).structure
        match = pairs(structure, reference)
        start = time.process_time()
        result = refine(structure, density, resolution, options.mode)
        seconds = time.process_time() - start
        for name, model, own, fit, turned, took in (
            (case["name"], structure, result.before, result.correlation_before, "", ""),
            (
                "refined",
                result.structure,
                result.after,
                result.correlation_after,
                str(result.flipped),
                f"{seconds:.0f}",
            ),
        ):
            other = "" if half is None else f"{correlation(model, half, resolution):.4f}"
            cells = [*line(name, model, reference, match, own), f"{fit:.4f}", other, turned, took]
            print("| " + " | ".join(cells) + " |", flush=True)
        if result.note:
            print(result.note, flush=True)


if __name__ == "__main__":
    main()
