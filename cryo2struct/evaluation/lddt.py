"""lDDT: how well the distances within a target are kept by a model, without superposition.

Definition: V. Mariani, M. Biasini, A. Barbato and T. Schwede 2013, "lDDT: a local superposition-free score for
comparing protein structures and models using distance difference tests", Bioinformatics 29, 2722-2728. Here without its
checks of stereochemistry, and with atoms taken by their names: side chains that look the same turned are not turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray, IntArray

RADIUS = 15.0  # angstrom
THRESHOLDS = (0.5, 1.0, 2.0, 4.0)  # angstrom
CHUNK = 1000  # atoms whose neighbours are held at a time


@dataclass(frozen=True)
class Lddt:
    """Scores 0 to 1.

    Attributes
    ----------
    pooled : share of all distances that are kept, mean over the thresholds; None without distances
    atoms : (N,) the same of the distances of each atom of the target; NaN for an atom without neighbours
    """

    pooled: float | None
    atoms: FloatArray

    @property
    def mean(self) -> float | None:
        """Mean over the atoms that have neighbours."""
        known = self.atoms[np.isfinite(self.atoms)]
        return float(known.mean()) if len(known) else None


def lddt(model: FloatArray, target: FloatArray, residues: IntArray) -> Lddt:
    """Score atoms that are paired already.

    The distances of the target that are shorter than 15 angstrom and lead to another residue count.

    Parameters
    ----------
    model : (N, 3) in angstrom
        In the order of the target; NaN for atoms that are missing, whose distances count as lost.
    target : (N, 3) in angstrom
    residues : (N,)
        Residue that each atom belongs to.
    """
    kept, counts = np.zeros(len(target)), np.zeros(len(target), dtype=np.int64)
    for first, second, distances in _neighbours(target, residues):
        counts += np.bincount(first, minlength=len(target)) + np.bincount(second, minlength=len(target))
        with np.errstate(invalid="ignore"):
            changes = np.abs(np.linalg.norm(model[first] - model[second], axis=1) - distances)
        share = sum((changes <= threshold).astype(np.float64) for threshold in THRESHOLDS) / len(THRESHOLDS)
        kept += np.bincount(first, share, len(target)) + np.bincount(second, share, len(target))
    total = int(counts.sum())
    atoms = np.divide(kept, counts, out=np.full(len(target), np.nan), where=counts > 0)
    return Lddt(float(kept.sum()) / total if total else None, atoms)


def _neighbours(xyz: FloatArray, residues: IntArray) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Atoms (first < second) of different residues within `RADIUS`, and their distances; in parts."""
    for start in range(0, len(xyz), CHUNK):
        part, rest = cKDTree(xyz[start : start + CHUNK]), cKDTree(xyz[start:])
        near = part.sparse_distance_matrix(rest, RADIUS, output_type="ndarray")
        first, second, distances = near["i"] + start, near["j"] + start, near["v"]
        wanted = (first < second) & (residues[first] != residues[second]) & (distances < RADIUS)
        yield first[wanted], second[wanted], distances[wanted]
