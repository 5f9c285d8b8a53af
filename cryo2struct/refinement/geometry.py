"""How far a model is from ideal geometry."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.ramachandran import BINS, tables
from cryo2struct.refinement.neighbours import Neighbours
from cryo2struct.refinement.topology import Topology

CLASH = 2.2
"""Atoms that more than three bonds separate clash below this distance, angstrom."""

UNUSUAL = -3.5
"""Log odds of phi and psi below which a residue is called unusual."""


@dataclass(frozen=True)
class Geometry:
    """Deviations of a model from ideal geometry.

    Attributes
    ----------
    bond_rmsd : angstrom
    angle_rmsd : degrees
    clashes_per_1000 : pairs of atoms nearer than 2.2 A, more than three bonds apart, per 1,000 atoms
    wrong_hands : chiral centres of the wrong hand
    unusual : share of residues with rare phi and psi, None where no residue has both
    """

    bond_rmsd: float
    angle_rmsd: float
    clashes_per_1000: float
    wrong_hands: int
    unusual: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """Values by name."""
        return asdict(self)


def geometry(xyz: FloatArray, topology: Topology, neighbours: Neighbours) -> Geometry:
    """Geometry of atoms at `xyz` (A, 3)."""
    free, _ = neighbours.repelling(neighbours.near(xyz, CLASH))
    odds = log_odds(xyz, topology)
    return Geometry(
        bond_rmsd=_rms(bond_lengths(xyz, topology.bonds) - topology.bond_ideal),
        angle_rmsd=_rms(np.degrees(bond_angles(xyz, topology.angles) - topology.angle_ideal)),
        clashes_per_1000=1000 * len(free) / max(len(xyz), 1),
        wrong_hands=int((chiral_volumes(xyz, topology.volumes) * topology.volume_ideal < 0).sum()),
        unusual=float((odds < UNUSUAL).mean()) if len(odds) else None,
    )


def bond_lengths(xyz: FloatArray, pairs: IntArray) -> FloatArray:
    """Distances (B,) of pairs (B, 2)."""
    return np.asarray(np.linalg.norm(xyz[pairs[:, 0]] - xyz[pairs[:, 1]], axis=1))


def bond_angles(xyz: FloatArray, triples: IntArray) -> FloatArray:
    """Angles (G,) in radians at the middle of three atoms (G, 3)."""
    u, v = xyz[triples[:, 0]] - xyz[triples[:, 1]], xyz[triples[:, 2]] - xyz[triples[:, 1]]
    lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    return np.asarray(np.arccos(np.clip((u * v).sum(axis=1) / np.maximum(lengths, 1e-9), -1, 1)))


def chiral_volumes(xyz: FloatArray, quads: IntArray) -> FloatArray:
    """Volumes (V,) of a centre and three neighbours (V, 4)."""
    centre, *others = (xyz[quads[:, column]] for column in range(4))
    u, v, w = (other - centre for other in others)
    return np.asarray((u * np.cross(v, w)).sum(axis=1))


def dihedrals(xyz: FloatArray, quads: IntArray) -> FloatArray:
    """Dihedral angles (T,) in radians of four atoms (T, 4)."""
    a, b, c, d = (xyz[quads[:, column]] for column in range(4))
    axis = (c - b) / np.maximum(np.linalg.norm(c - b, axis=1, keepdims=True), 1e-9)
    first, second = np.cross(axis, a - b), np.cross(axis, d - c)
    return np.asarray(np.arctan2((np.cross(first, second) * axis).sum(axis=1), (first * second).sum(axis=1)))


def log_odds(xyz: FloatArray, topology: Topology) -> FloatArray:
    """Log odds (R,) of phi and psi of the residues `topology.phi_psi`."""
    phi, psi = dihedrals(xyz, topology.phi_psi[:, :4]), dihedrals(xyz, topology.phi_psi[:, 1:])
    row, column = (np.floor(angle * BINS / (2 * np.pi)).astype(np.int64) % BINS for angle in (phi, psi))
    return np.asarray(tables()[topology.phi_psi_class, row, column])


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((values**2).mean())) if len(values) else 0.0
