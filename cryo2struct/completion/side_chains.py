"""Side chains of a model that has its backbone: rotamers chosen by density, frequency and room."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryo2struct.completion._kernels import pair_energies, settle
from cryo2struct.completion.conformers import build, ring_energy, torsion_energy, trial_torsions
from cryo2struct.completion.geometry import C_O, place_beta, torsion, unit
from cryo2struct.completion.packing import RADIUS, Atoms, Field, Surroundings, strengths
from cryo2struct.objects import DensityMap, FloatArray, IntArray
from cryo2struct.stereochemistry import C_OXT, AminoAcid, amino_acids, backbone_region

WORST_RESOLUTION = 5.5
"""Side chains beyond CB cannot be told apart in maps of worse resolution, angstrom."""

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

LINKED = 2.0
"""Longest C-N of a peptide bond, angstrom."""

LONGEST_REACH = 20.0
"""No two side chains touch whose CB are farther apart, angstrom."""

BATCH = 100_000
"""Trial side chains at a time."""

BACKBONE = ("N", "CA", "C", "O")
STANDARD = {amino_acid.name: letter for letter, amino_acid in amino_acids().items()}


@dataclass(frozen=True)
class Completed:
    """A model with side chains.

    Attributes
    ----------
    structure : gemmi.Structure
    residues : number of residues that have all their atoms
    notes : what could not be done, one line each
    """

    structure: gemmi.Structure
    residues: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Residues:
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


def place_side_chains(
    structure: gemmi.Structure,
    density: DensityMap,
    resolution: float,
    c_termini: Collection[tuple[str, int]] = (),
) -> Completed:
    """Add CB and the side chains to the first model of a structure; what is there beyond the backbone is replaced.

    Residues that are no standard amino acid, or lack one of N, CA, C and O, stay as they are. No hydrogens.

    Parameters
    ----------
    structure : gemmi.Structure
        Not changed.
    density : DensityMap
        The original map, in the frame of the structure.
    resolution : angstrom
        Worse than `WORST_RESOLUTION`: CB alone is placed.
    c_termini : chain name and residue number of the residues that get OXT

    Returns
    -------
    Completed
    """
    structure = structure.clone()
    chosen = list(_standard_residues(structure[0]))
    if not chosen:
        return Completed(structure, 0, ("model: no residue has N, CA, C and O: no side chains are placed",))
    chains = [chain.name for chain, _ in chosen]
    found = [residue for _, residue in chosen]
    residues = _read(found)
    notes: tuple[str, ...] = ()
    placed: list[FloatArray] = [np.zeros((0, 3))] * len(found)
    if resolution > WORST_RESOLUTION:
        notes = (f"map: {resolution:.1f} A is worse than {WORST_RESOLUTION} A: side chains are placed up to CB",)
    else:
        placed = _Packing(residues, _others(structure[0], found), density, resolution).place()
    complete = 0
    for row, residue in enumerate(found):
        last = (chains[row], residue.seqid.num) in c_termini
        _write(residue, amino_acids()[residues.letters[row]], residues.backbone[row], placed[row], last)
        complete += resolution <= WORST_RESOLUTION or residues.letters[row] in "AG"
    return Completed(structure, complete, notes)


def _standard_residues(model: gemmi.Model) -> Iterator[tuple[gemmi.Chain, gemmi.Residue]]:
    for chain in model:
        for residue in chain:
            if residue.name in STANDARD and all(residue.find_atom(name, "*") for name in BACKBONE):
                yield chain, residue


def _read(found: list[gemmi.Residue]) -> _Residues:
    """Arrays of the residues; CB at its ideal place."""
    letters = np.array([STANDARD[residue.name] for residue in found])
    xyz = np.array([[residue.find_atom(name, "*").pos.tolist() for name in BACKBONE] for residue in found])
    n, ca, c, _ = xyz.transpose(1, 0, 2)
    linked = np.append(False, np.linalg.norm(n[1:] - c[:-1], axis=1) < LINKED)
    phi = np.where(linked, torsion(np.roll(c, 1, axis=0), n, ca, c), np.nan)
    psi = np.where(np.roll(linked, -1), torsion(n, ca, c, np.roll(n, -1, axis=0)), np.nan)
    beta = place_beta(n, ca, c, letters == "P")
    return _Residues(
        letters,
        np.concatenate([xyz, beta[:, None]], axis=1),
        np.where(linked, np.arange(len(found)) - 1, -1),
        backbone_region(phi, psi),
        np.ones(len(found)),
    )


def _others(model: gemmi.Model, found: list[gemmi.Residue]) -> tuple[FloatArray, IntArray]:
    """Coordinates (E, 3) and atomic numbers (E,) of the heavy atoms of all other residues."""
    known = {(id(chain), residue.seqid, residue.name) for chain, residue in ()}
    del known
    keys = {(residue.subchain, str(residue.seqid), residue.name) for residue in found}
    atoms = [
        atom
        for chain in model
        for residue in chain
        if (residue.subchain, str(residue.seqid), residue.name) not in keys
        for atom in residue
        if not atom.is_hydrogen()
    ]
    xyz = np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3)
    return xyz, np.array([atom.element.atomic_number for atom in atoms], dtype=np.int64)


class _Packing:
    """Side chains that fit the density and each other.

    Parameters
    ----------
    residues : _Residues
    others : coordinates (E, 3) and atomic numbers (E,) of atoms of other residues
    density, resolution : see `place_side_chains`
    """

    def __init__(
        self, residues: _Residues, others: tuple[FloatArray, IntArray], density: DensityMap, resolution: float
    ) -> None:
        self._field = Field(density, resolution, residues.backbone.reshape(-1, 3))
        backbone = _backbone_atoms(residues, np.ones(len(residues.letters)), others)
        linked = residues.before >= 0
        self._field.height, strength = strengths(self._field, backbone, residues.backbone, linked)
        self._residues = _Residues(residues.letters, residues.backbone, residues.before, residues.region, strength)
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
        """Energy (M,) of side chains of residues `rows` (M,) with torsions (M, n), nats, and their atoms (M, A, 3)."""
        amino_acid = amino_acids()[letter]
        backbone = self._residues.backbone[rows]
        points = build(amino_acid, backbone, chi)
        weight, radius = _atom_table(amino_acid)
        weights = weight * self._residues.strength[rows, None]
        overlap, bumps = around.terms(points, weights, radius, rows, self._residues.before, letter == "P")
        seen = (weights * self._field.at(points)).sum(axis=1)
        energy = DENSITY_WEIGHT * (overlap - 2 * seen) + BUMP_WEIGHT * bumps
        energy += torsion_energy(amino_acid, chi, self._residues.region[rows])
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
            for rows in np.array_split(all_rows, len(all_rows) * rotamers * places // BATCH + 1):
                if len(rows) == 0:
                    continue
                chi = np.tile(trials.reshape(-1, n), (len(rows), 1))
                energy, points = self._energy(letter, np.repeat(rows, rotamers * places), chi, around)
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
                energy, found = self._energy(letter, np.repeat(rows, 3), trial.reshape(-1, n), around)
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


def _atom_table(amino_acid: AminoAcid) -> tuple[FloatArray, FloatArray]:
    """Strength and radius (A,) of the atoms beyond CB."""
    strength = {"CB": FALL}
    for placement in amino_acid.placements:
        strength[placement.atom] = strength[placement.parents[0]] * FALL
    names = [placement.atom for placement in amino_acid.placements]
    acid = np.array([amino_acid.letter in "DE" and name[0] == "O" for name in names])
    weight = np.array([strength[name] for name in names]) * np.where(acid, ACID, 1.0)
    return weight, np.array([RADIUS[gemmi.Element(name[0]).atomic_number] for name in names])


def _backbone_atoms(residues: _Residues, strength: FloatArray, others: tuple[FloatArray, IntArray]) -> Atoms:
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


def _neighbours(kept: _Kept, residues: _Residues) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs (P, 2) of residues whose side chains may meet; rows of these (2 P,) by residue, and where each starts."""
    from scipy.spatial import cKDTree

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


def _write(
    residue: gemmi.Residue, amino_acid: AminoAcid, backbone: FloatArray, side_chain: FloatArray, last: bool
) -> None:
    """Replace all atoms but N, CA, C and O; the new ones have the B factor of CA."""
    for index in reversed(range(len(residue))):
        if residue[index].name not in BACKBONE:
            del residue[index]
    b_factor = residue.find_atom("CA", "*").b_iso
    new = {} if amino_acid.letter == "G" else {"CB": backbone[4]}
    names = [placement.atom for placement in amino_acid.placements]
    new.update(zip(names, side_chain, strict=False))
    if last:
        _, ca, c, o, _ = backbone
        new["OXT"] = c - C_OXT * unit(unit(o - c) + unit(ca - c))
    for name, xyz in new.items():
        atom = gemmi.Atom()
        atom.name, atom.element = name, gemmi.Element(name[0])
        atom.pos = gemmi.Position(*xyz.tolist())
        atom.b_iso = b_factor
        residue.add_atom(atom)
