"""The sum of all restraints and the map, and its minimum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.optimize import minimize

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.ramachandran import tables
from cryo2struct.refinement import _kernels as kernels
from cryo2struct.refinement.geometry import bond_angles, dihedrals
from cryo2struct.refinement.neighbours import Neighbours
from cryo2struct.refinement.target import Target
from cryo2struct.refinement.topology import OMEGA_SD, PLANE_SD, VOLUME_SD, Topology
from cryo2struct.stereochemistry import amino_acids

SKIN = 1.0
"""The list of neighbours holds while no atom moves by more than half of this, angstrom."""

WIDEST_CONTACT = 3.4

STRAIGHT = np.radians(150)
"""Torsions about bonds that make a larger angle than this wait for the next round."""


@dataclass(frozen=True)
class Weights:
    """Weights of the terms that are no bonds, angles, planes or volumes.

    Attributes
    ----------
    density : of the map
    position : of the squared distances of C-alphas from where they were, 1 / angstrom^2
    repulsion : 1 / sd^2 of contacts, 1 / angstrom^2
    ramachandran : of minus the log odds of phi and psi; 2 is that of a restraint by their frequency
    rotamer : of the side-chain torsions; 1 is that of a restraint by the rotamers' standard deviations
    """

    density: float = 12.0
    position: float = 10.0
    repulsion: float = 50.0
    ramachandran: float = 3.0
    rotamer: float = 0.25


class Energy:
    """Energy of a model in a map.

    Parameters
    ----------
    topology : Topology
    neighbours : Neighbours
    target : Target
    weights : Weights
    """

    def __init__(self, topology: Topology, neighbours: Neighbours, target: Target, weights: Weights) -> None:
        self.topology, self.neighbours, self.target, self.weights = topology, neighbours, target, weights

    def prepare(self, xyz: FloatArray) -> None:
        """Renew what depends on where the atoms are: neighbours, torsions and the scale of the model's density."""
        self.pairs = self.neighbours.near(xyz, self.target.reach + SKIN)
        self._free, self._least = self.neighbours.repelling(self.neighbours.near(xyz, WIDEST_CONTACT + SKIN))
        t = self.topology
        ideal, weight = nearest_rotamers(xyz, t)
        omega, chi, phi_psi = bent(xyz, t.omega), bent(xyz, t.chi), bent(xyz, t.phi_psi)
        self._torsions = np.concatenate([t.omega[omega], t.chi[chi]])
        self._torsion_ideal = np.concatenate([t.omega_ideal[omega], ideal[chi]])
        omega_weight = np.full(int(omega.sum()), 2 * np.radians(OMEGA_SD) ** -2)
        self._torsion_weight = np.concatenate([omega_weight, self.weights.rotamer * weight[chi]])
        self._period = np.ones(len(self._torsions))
        self._phi_psi, self._phi_psi_class = t.phi_psi[phi_psi], t.phi_psi_class[phi_psi]
        self.target.set_scale(xyz, self.pairs)

    def __call__(self, xyz: FloatArray) -> tuple[float, FloatArray]:
        """Energy and gradient (A, 3) at coordinates (A, 3)."""
        t, w = self.topology, self.weights
        gradient = np.zeros_like(xyz)
        energy = restraints(xyz, t, gradient)
        moved = xyz[t.alphas] - t.alpha_places
        energy += w.position * float((moved**2).sum())
        gradient[t.alphas] += 2 * w.position * moved
        energy += kernels.repulsion(xyz, self._free, self._least, w.repulsion, gradient)
        energy += kernels.ramachandran(xyz, self._phi_psi, self._phi_psi_class, potential(), w.ramachandran, gradient)
        ideal, weight = self._torsion_ideal, self._torsion_weight
        energy += kernels.torsions(xyz, self._torsions, ideal, self._period, weight, gradient)
        energy += self.target(xyz, self.pairs, w.density, gradient)
        gradient[~t.moving] = 0
        return float(energy), gradient

    def minimise(self, xyz: FloatArray, steps: int) -> FloatArray:
        """Coordinates (A, 3) after at most `steps` steps downhill (L-BFGS)."""
        self.prepare(xyz)

        def flat(values: FloatArray) -> tuple[float, FloatArray]:
            energy, gradient = self(values.reshape(-1, 3))
            return energy, gradient.ravel()

        options = {"maxiter": steps, "maxcor": 10, "maxfun": 2 * steps}
        found = minimize(flat, xyz.ravel(), jac=True, method="L-BFGS-B", options=options)
        return np.asarray(found.x.reshape(-1, 3))


def restraints(xyz: FloatArray, topology: Topology, gradient: FloatArray) -> float:
    """Energy of bonds, angles, planes and chiral centres; the gradient is added."""
    t = topology
    energy = kernels.bonds(xyz, t.bonds, t.bond_ideal, t.bond_weight, gradient)
    energy += kernels.angles(xyz, t.angles, t.angle_ideal, t.angle_weight, gradient)
    energy += kernels.planes(xyz, t.plane_atoms, t.plane_starts, PLANE_SD**-2, gradient)
    volume_weight = np.full(len(t.volumes), VOLUME_SD**-2)
    energy += kernels.volumes(xyz, t.volumes, t.volume_ideal, volume_weight, gradient)
    return float(energy)


def bent(xyz: FloatArray, chains: IntArray) -> NDArray[np.bool_]:
    """Which chains of atoms (M, K) have no three in line: where they do, dihedral angles jump."""
    angles = [bond_angles(xyz, chains[:, start : start + 3]) for start in range(chains.shape[1] - 2)]
    return np.asarray((np.stack(angles) < STRAIGHT).all(axis=0))


@cache
def potential() -> FloatArray:
    """Periodic cubic splines (K, BINS, BINS) of minus the log odds of phi and psi."""
    return np.stack([scipy.ndimage.spline_filter(-table, order=3, mode="grid-wrap") for table in tables()])


def nearest_rotamers(xyz: FloatArray, topology: Topology) -> tuple[FloatArray, FloatArray]:
    """Torsions (T,) in radians of the rotamers nearest to the side chains, and weights 2 / sd^2 (T,)."""
    angles = dihedrals(xyz, topology.chi)
    ideal, weight = np.zeros(len(angles)), np.zeros(len(angles))
    for letter, rows in topology.chi_rows.items():
        kind = amino_acids()[letter]
        chi = np.radians([rotamer.chi for rotamer in kind.rotamers])
        sd = np.radians([rotamer.sd for rotamer in kind.rotamers])
        half = np.ones(chi.shape[1])
        if kind.symmetric:
            half[-1] = 2  # the last torsion is the same after half a turn
        off = np.angle(np.exp(1j * half * (angles[rows][:, None] - chi))) / half
        best = ((off / sd) ** 2).sum(axis=2).argmin(axis=1)
        ideal[rows] = angles[rows] - off[np.arange(len(rows)), best]
        weight[rows] = 2 / sd[best] ** 2
    return ideal, weight
