"""Rotamers of all residues chosen together: each for itself, then beside its neighbours, then turned a little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.completion._kernels import pair_energies, settle
from cryo2struct.completion.conformers import build, ring_energy, torsion_energy, trial_torsions
from cryo2struct.completion.density_fit import Field, strengths
from cryo2struct.completion.surroundings import RADIUS, Atoms, Surroundings
from cryo2struct.objects import DensityMap, FloatArray, IntArray
from cryo2struct.stereochemistry import AminoAcid, amino_acids

DENSITY_WEIGHT = 4.0
"""Energy of one atom that explains its density in full, nats."""

BUMP_WEIGHT = 1.0
"""Energy of two atoms 0.4 A too near each other, nats."""

FALL = 0.93
"""Strength of an atom's density over that of the atom it is built on: side chains move more towards their ends."""

ACID = 0.5
"""Strength of carboxylate oxygens, which radiation damages first."""

KEPT = 24
"""Rotamers per residue that are compared with those of the neighbours."""

SPREAD = 25.0
"""Rotamers that are this much worse than the best one alone are left out, nats."""

TEMPERATURES = np.geomspace(6.0, 1.0, 10)
STEPS = (10.0, 5.0, 10.0, 5.0, 2.0)
"""Steps of the torsions in the rounds of the final search, degrees."""

LONGEST_REACH = 20.0
"""No two side chains touch whose CB are farther apart, angstrom."""

BATCH = 100_000
"""Trial side chains at a time."""


@dataclass(frozen=True)
class Residues:
    """Residues (R,) whose side chains are placed.

    Attributes
    ----------
    letters : one-letter codes
    backbone : (R, 5, 3) N, CA, C, O, CB
    before : row of the residue bonded to N, -1 for none
    region : see `backbone_region`
    strength : of the density over the median residue's
    """

    letters: NDArray[np.str_]
    backbone: FloatArray
    before: IntArray
    region: IntArray
    strength: FloatArray


@dataclass(frozen=True)
class _Kept:
    """The rotamers of each residue that are worth comparing, padded: energies (R, K), torsions, atoms (R, K, 10, 3)."""

    energy: FloatArray
    chi: FloatArray
    points: FloatArray
    number: IntArray


class Packing:
    """Side chains that fit the density and each other.

    Parameters
    ----------
    residues : Residues
    others : coordinates (E, 3) and atomic numbers (E,) of atoms of other residues
    density, resolution : see `place_side_chains`
    """

    def __init__(
        self, residues: Residues, others: tuple[FloatArray, IntArray], density: DensityMap, resolution: float
    ) -> None:
        self._field = Field(density, resolution, residues.backbone.reshape(-1, 3))
        backbone = _backbone_atoms(residues, np.ones(len(residues.letters)), others)
        linked = residues.before >= 0
        self._field.height, strength = strengths(self._field, backbone, residues.backbone, linked)
        self._residues = replace(residues, strength=strength)
        self._fixed = _backbone_atoms(residues, strength, others)
        self._rows = {
            letter: np.flatnonzero(residues.letters == letter) for letter in amino_acids() if letter not in "AG"
        }

    def place(self) -> list[FloatArray]:
        """Atoms (A, 3) of each residue beyond CB, in the order of `AminoAcid.placements`."""
        kept = self._kept()
        pairs, near, start = _neighbours(kept, self._residues)
        weights, radii, atoms = self._tables(kept.points.shape[2])
        energy = pair_energies(
            *(pairs, kept.points, weights, radii, atoms, kept.number),
            *(self._field.overlap_width, DENSITY_WEIGHT, BUMP_WEIGHT),
        )
        chosen = settle(kept.energy, kept.number, pairs, energy, start, near, TEMPERATURES)
        chi = kept.chi[np.arange(len(chosen)), chosen]
        points = kept.points[np.arange(len(chosen)), chosen]
        for step in STEPS:
            points, chi = self._searched(points, chi, step, weights, radii, atoms)
        return [points[row, : atoms[row]] for row in range(len(points))]

    def _energy(self, letter: str, rows: IntArray, chi: FloatArray, around: Surroundings) -> tuple[FloatArray, ...]:
        """Energy (M,) of side chains of residues `rows` (M,) with torsions (M, n), and their atoms (M, A, 3).

        In nats; the probability of the torsions is left out.
        """
        amino_acid = amino_acids()[letter]
        backbone = self._residues.backbone[rows]
        points = build(amino_acid, backbone, chi)
        weight, radius = _atom_table(amino_acid)
        weights = weight * self._residues.strength[rows, None]
        overlap, bumps = around.terms(points, weights, radius, rows, self._residues.before, letter == "P")
        seen = (weights * self._field.at(points)).sum(axis=1)
        energy = DENSITY_WEIGHT * (overlap - 2 * seen) + BUMP_WEIGHT * bumps
        return energy + ring_energy(amino_acid, backbone, points), points

    def _kept(self) -> _Kept:
        """The best place in each rotamer, then the best rotamers of each residue beside the backbone alone."""
        n_residues = len(self._residues.letters)
        kept = _Kept(
            np.full((n_residues, KEPT), np.inf),
            np.zeros((n_residues, KEPT, 4)),
            np.zeros((n_residues, KEPT, 10, 3)),
            np.zeros(n_residues, dtype=np.int64),
        )
        around = Surroundings(self._fixed, self._field.overlap_width)
        for letter, all_rows in self._rows.items():
            trials = trial_torsions(amino_acids()[letter])
            rotamers, places, n = trials.shape
            flat = trials.reshape(-1, n)
            likely = [torsion_energy(amino_acids()[letter], flat, np.full(len(flat), r)) for r in range(3)]
            for rows in np.array_split(all_rows, len(all_rows) * rotamers * places // BATCH + 1):
                if len(rows) == 0:
                    continue
                chi = np.tile(flat, (len(rows), 1))
                energy, points = self._energy(letter, np.repeat(rows, rotamers * places), chi, around)
                energy += np.stack(likely)[self._residues.region[rows]].ravel()
                place = energy.reshape(-1, places).argmin(axis=1) + places * np.arange(len(rows) * rotamers)
                energy = energy[place].reshape(len(rows), rotamers)
                best = np.argsort(energy, axis=1)[:, :KEPT]
                take = place.reshape(len(rows), rotamers)[np.arange(len(rows))[:, None], best]
                found = np.take_along_axis(energy, best, axis=1)
                width = best.shape[1]
                kept.energy[rows, :width] = found
                kept.chi[rows, :width, :n] = chi[take]
                kept.points[rows, :width, : points.shape[1]] = points[take]
                kept.number[rows] = (found < found[:, :1] + SPREAD).sum(axis=1)
        return kept

    def _searched(
        self, points: FloatArray, chi: FloatArray, step: float, weights: FloatArray, radii: FloatArray, atoms: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Points (R, 10, 3) and torsions (R, 4) after each torsion took the best of a step back, none and a step on."""
        points, chi = points.copy(), chi.copy()
        there = np.arange(points.shape[1]) < atoms[:, None]
        row = np.nonzero(there)[0]
        everything = Atoms(
            np.concatenate([self._fixed.xyz, points[there]]),
            np.concatenate([self._fixed.weight, weights[there]]),
            np.concatenate([self._fixed.radius, radii[there]]),
            np.concatenate([self._fixed.residue, row]),
            np.concatenate([self._fixed.part, np.full(len(row), 5)]),
        )
        around = Surroundings(everything, self._field.overlap_width)
        for letter, rows in self._rows.items():
            n = len(amino_acids()[letter].chi)
            if len(rows) == 0:
                continue
            for number in range(n):
                trial = np.repeat(chi[rows, None, :n], 3, axis=1)
                trial[:, :, number] += np.array([0.0, -step, step])
                flat, owner = trial.reshape(-1, n), np.repeat(rows, 3)
                energy, found = self._energy(letter, owner, flat, around)
                energy += torsion_energy(amino_acids()[letter], flat, self._residues.region[owner])
                best = energy.reshape(-1, 3).argmin(axis=1)
                chi[rows, :n] = trial[np.arange(len(rows)), best]
                points[rows, : found.shape[1]] = found[3 * np.arange(len(rows)) + best]
        return points, chi

    def _tables(self, width: int) -> tuple[FloatArray, FloatArray, IntArray]:
        """Weights and radii (R, width), padded, and numbers of atoms (R,) of the side chains."""
        n_residues = len(self._residues.letters)
        weights, radii = np.zeros((n_residues, width)), np.zeros((n_residues, width))
        atoms = np.zeros(n_residues, dtype=np.int64)
        for letter, rows in self._rows.items():
            weight, radius = _atom_table(amino_acids()[letter])
            weights[rows, : len(weight)] = weight * self._residues.strength[rows, None]
            radii[rows, : len(radius)] = radius
            atoms[rows] = len(weight)
        return weights, radii, atoms


@cache
def _atom_table(amino_acid: AminoAcid) -> tuple[FloatArray, FloatArray]:
    """Strength and radius (A,) of the atoms beyond CB."""
    strength = {"CB": FALL}
    for placement in amino_acid.placements:
        strength[placement.atom] = strength[placement.parents[0]] * FALL
    names = [placement.atom for placement in amino_acid.placements]
    acid = np.array([amino_acid.letter in "DE" and name[0] == "O" for name in names])
    weight = np.array([strength[name] for name in names]) * np.where(acid, ACID, 1.0)
    return weight, np.array([RADIUS[gemmi.Element(name[0]).atomic_number] for name in names])


def _backbone_atoms(residues: Residues, strength: FloatArray, others: tuple[FloatArray, IntArray]) -> Atoms:
    """Backbone with CB of all residues, and the atoms of other residues."""
    rows, parts = np.divmod(np.arange(5 * len(residues.letters)), 5)
    there = (parts != 4) | (residues.letters[rows] != "G")
    rows, parts = rows[there], parts[there]
    number = np.array([7, 6, 6, 8, 6])[parts]
    count = len(others[1])
    return Atoms(
        np.concatenate([residues.backbone.reshape(-1, 3)[there], others[0]]),
        np.concatenate([strength[rows], np.ones(count)]),
        np.array([RADIUS.get(int(z), RADIUS[16]) for z in np.concatenate([number, others[1]])]),
        np.concatenate([rows, np.full(count, -1)]),
        np.concatenate([parts, np.full(count, 5)]),
    )


def _neighbours(kept: _Kept, residues: Residues) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs (P, 2) of residues whose side chains may meet; rows of these (2 P,) by residue, and where each starts."""
    beta = residues.backbone[:, 4]
    reach = np.zeros(len(beta))
    for row in np.flatnonzero(kept.number):
        points = kept.points[row, : kept.number[row]]
        points = points[points.any(axis=2)]
        reach[row] = np.linalg.norm(points - beta[row], axis=1).max()
    pairs = cKDTree(beta).query_pairs(LONGEST_REACH, output_type="ndarray").astype(np.int64).reshape(-1, 2)
    i, j = pairs.T
    near = np.linalg.norm(beta[i] - beta[j], axis=1) < reach[i] + reach[j] + 4.0
    pairs = pairs[near & (kept.number[i] > 0) & (kept.number[j] > 0)]
    ends = pairs.ravel()
    order = np.argsort(ends, kind="stable")
    return pairs, order // 2, np.searchsorted(ends[order], np.arange(len(beta) + 1))
