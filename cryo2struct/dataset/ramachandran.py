"""Writes the table of phi and psi that `cryo2struct.ramachandran` reads.

    python -m cryo2struct.dataset.ramachandran pack.npz

Counted are residues with both angles, of the structures for training at 2.0 angstrom or better, where the mean B of
the residue is at most 40. The counts are smoothed with three Gaussians at once: a narrow one that keeps the shape of
the favoured regions, and two broad ones that show the way to them from everywhere.
"""

from __future__ import annotations

import sys

import numpy as np
import scipy.ndimage

from cryo2struct.dataset.pack import PackStructure, StructurePack
from cryo2struct.io.outputs import atomic_path
from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.ramachandran import BINS, CLASSES, DATA, classes

RESOLUTION, B_FACTOR = 2.0, 40.0
SMOOTHING = ((0.96, 5.0), (0.035, 15.0), (0.005, 40.0))
"""Share and standard deviation in degrees of each Gaussian."""


def angles(structure: PackStructure, names: list[str]) -> tuple[FloatArray, IntArray]:
    """Phi and psi (P, 2) in radians, and index into `CLASSES` (P,), of the residues to count."""
    n_residues = len(structure.aa)
    xyz = np.full((n_residues, 3, 3), np.nan)
    for column, name in enumerate(("N", "CA", "C")):
        atoms = structure.name == names.index(name)
        xyz[structure.residue[atoms], column] = structure.xyz[atoms]
    rows = np.arange(1, n_residues - 1)
    good = structure.linked[rows] & structure.linked[rows + 1] & (structure.bfactor[rows] <= B_FACTOR)
    rows = rows[good & (structure.aa[rows] < 20)]
    n, ca, c = xyz.transpose(1, 0, 2)
    found = np.stack(
        [dihedral(c[rows - 1], n[rows], ca[rows], c[rows]), dihedral(n[rows], ca[rows], c[rows], n[rows + 1])], axis=1
    )
    letters = np.array([*"ACDEFGHIKLMNPQRSTVWY", *"X" * 10])[structure.aa]
    known = np.isfinite(found).all(axis=1)
    return found[known], classes(letters[rows], letters[rows + 1])[known]


def dihedral(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Dihedral angles (P,) in radians of points (P, 3)."""
    axis = (c - b) / np.linalg.norm(c - b, axis=1, keepdims=True)
    first, second = np.cross(axis, a - b), np.cross(axis, d - c)
    return np.asarray(np.arctan2((np.cross(first, second) * axis).sum(axis=1), (first * second).sum(axis=1)))


def table(pack: StructurePack) -> FloatArray:
    """Log of the density over the uniform one (K, BINS, BINS), at the middles of bins of phi and psi from 0."""
    counts = np.zeros((len(CLASSES), BINS, BINS))
    for index in pack.split("train"):
        if not pack.resolution[index] <= RESOLUTION:
            continue
        found, kind = angles(pack[index], pack.atom_names)
        bins = np.floor(found * BINS / (2 * np.pi)).astype(int) % BINS
        np.add.at(counts, (kind, bins[:, 0], bins[:, 1]), 1)
    print(dict(zip(CLASSES, counts.sum(axis=(1, 2)).astype(int).tolist(), strict=True)))
    counts = np.concatenate([counts, counts.sum(axis=0, keepdims=True)])
    density = counts / counts.mean(axis=(1, 2), keepdims=True)
    smooth = [
        share * scipy.ndimage.gaussian_filter(density, (0, *[sd * BINS / 360] * 2), mode="wrap", truncate=6)
        for share, sd in SMOOTHING
    ]
    return np.asarray(np.log(np.maximum(sum(smooth), 1e-6)))


def main() -> None:
    """Command line: the pack's path."""
    found = table(StructurePack(sys.argv[1])).astype(np.float32)
    with atomic_path(DATA) as path, path.open("wb") as file:
        np.save(file, found)


if __name__ == "__main__":
    main()
