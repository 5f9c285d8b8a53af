"""Peptides turned about the line between their C-alphas, a move that no small step makes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.ramachandran import BINS, tables
from cryo2struct.refinement.energy import Weights
from cryo2struct.refinement.geometry import bond_angles, dihedrals
from cryo2struct.refinement.target import Target
from cryo2struct.refinement.topology import Topology

TURNS = np.radians(np.arange(45, 360, 45))
"""Turns that are tried."""

BEND_SD = np.radians(8.0)
"""Standard deviation of the angle N-CA-C right after a turn, which the restraints mend later, radians."""

LARGEST_ARM = 2.8
"""No atom of a peptide is farther from the middle between its C-alphas, angstrom."""

LEAST_GAIN = 3.0
"""A peptide is turned where the energy falls by more than this."""


def flip_peptides(xyz: FloatArray, topology: Topology, target: Target, weights: Weights) -> tuple[FloatArray, int]:
    """Turn peptides where the map and phi and psi of both residues gain by it; the best first, no two in a row.

    Returns
    -------
    coordinates (A, 3), number of peptides turned
    """
    peptides = topology.peptides  # CA, C, O, N, CA
    if not len(peptides):
        return xyz, 0
    around = _residues_around(topology)
    others, starts = _atoms_near(xyz, peptides, target.reach)

    def energies(moved: FloatArray) -> FloatArray:
        fit = weights.density * target.cost(moved, xyz, others, starts)
        return np.asarray(fit + weights.ramachandran * _strain(xyz, moved, topology, around))

    start = energies(xyz[peptides[:, 1:4]])
    trials = [_turned(xyz, peptides, turn) for turn in TURNS]
    gains = np.stack([start - energies(trial) for trial in trials])
    best, gain = gains.argmax(axis=0), gains.max(axis=0)
    result, turned = xyz.copy(), np.zeros(len(xyz), dtype=bool)
    count = 0
    for peptide in np.argsort(-gain):
        if gain[peptide] <= LEAST_GAIN:
            break
        atoms = peptides[peptide]
        if turned[atoms[[0, 4]]].any():
            continue
        result[atoms[1:4]] = trials[best[peptide]][peptide]
        turned[atoms[[0, 4]]] = True
        count += 1
    return result, count


def _turned(xyz: FloatArray, peptides: IntArray, turn: float) -> FloatArray:
    """C, O, N (P, 3, 3) of peptides after a turn about the lines between their C-alphas (Rodrigues' formula)."""
    foot, head = xyz[peptides[:, 0]], xyz[peptides[:, 4]]
    axis = (head - foot) / np.linalg.norm(head - foot, axis=1, keepdims=True)
    axis = axis[:, None]
    arm = xyz[peptides[:, 1:4]] - foot[:, None]
    along = (arm * axis).sum(axis=2, keepdims=True) * axis
    return foot[:, None] + along + np.cos(turn) * (arm - along) + np.sin(turn) * np.cross(axis, arm)


def _residues_around(topology: Topology) -> IntArray:
    """Rows (P, 2) of `topology.phi_psi` of the residues before and after each peptide; -1 where there is none."""
    row_of = {int(atoms[2]): row for row, atoms in enumerate(topology.phi_psi)}
    ends = topology.peptides[:, [0, 4]]
    return np.array([[row_of.get(int(atom), -1) for atom in pair] for pair in ends])


def _atoms_near(xyz: FloatArray, peptides: IntArray, radius: float) -> tuple[IntArray, IntArray]:
    """Rows of the atoms that C, O, N of peptides can come near to, and where those of each peptide start (P + 1,)."""
    centre = xyz[peptides[:, [0, 4]]].mean(axis=1)
    near = cKDTree(xyz).query_ball_point(centre, radius + LARGEST_ARM)
    others = [
        [row for row in rows if row not in atoms] for rows, atoms in zip(near, peptides[:, 1:4].tolist(), strict=True)
    ]
    flat = np.array([row for rows in others for row in rows], dtype=np.int64)
    return flat, np.cumsum([0, *map(len, others)])


def _strain(xyz: FloatArray, moved: FloatArray, topology: Topology, around: IntArray) -> FloatArray:
    """Minus the log odds of phi and psi beside peptides with C, O, N at `moved` (P, 3, 3), and the bends there."""
    energy = np.zeros(len(moved))
    for side, psi_moves in ((0, True), (1, False)):
        rows = np.flatnonzero(around[:, side] >= 0)
        phi_psi = topology.phi_psi[around[rows, side]]  # C, N, CA, C, N
        points = xyz[phi_psi].copy()
        if psi_moves:
            points[:, 3], points[:, 4] = moved[rows, 0], moved[rows, 2]
        else:
            points[:, 0], points[:, 1] = moved[rows, 0], moved[rows, 2]
        flat = points.reshape(-1, 3)
        first = 5 * np.arange(len(rows))[:, None]
        angles = [dihedrals(flat, first + np.arange(start, start + 4)) for start in (0, 1)]
        bins = [np.floor(angle * BINS / (2 * np.pi)).astype(np.int64) % BINS for angle in angles]
        odds = tables()[topology.phi_psi_class[around[rows, side]], bins[0], bins[1]]
        bend = (bond_angles(flat, first + np.arange(1, 4)) - np.radians(111.0)) / BEND_SD
        energy[rows] += 0.5 * bend**2 - odds
    return np.asarray(energy)
