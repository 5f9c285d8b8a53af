"""Side chains of a model that has its backbone: rotamers chosen by density, frequency and room."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import gemmi
import numpy as np

from cryo2struct.completion.geometry import place_beta, torsion, unit
from cryo2struct.completion.packing import Packing, Residues
from cryo2struct.objects import DensityMap, FloatArray, IntArray
from cryo2struct.stereochemistry import C_OXT, AminoAcid, amino_acids, backbone_region

WORST_RESOLUTION = 5.5
"""Side chains beyond CB cannot be told apart in maps of worse resolution, angstrom."""

LINKED = 2.0
"""Longest C-N of a peptide bond, angstrom."""

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
        placed = Packing(residues, _others(structure[0], found), density, resolution).place()
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


def _read(found: list[gemmi.Residue]) -> Residues:
    """Arrays of the residues; CB at its ideal place."""
    letters = np.array([STANDARD[residue.name] for residue in found])
    xyz = np.array([[residue.find_atom(name, "*").pos.tolist() for name in BACKBONE] for residue in found])
    n, ca, c, _ = xyz.transpose(1, 0, 2)
    linked = np.append(False, np.linalg.norm(n[1:] - c[:-1], axis=1) < LINKED)
    phi = np.where(linked, torsion(np.roll(c, 1, axis=0), n, ca, c), np.nan)
    psi = np.where(np.roll(linked, -1), torsion(n, ca, c, np.roll(n, -1, axis=0)), np.nan)
    beta = place_beta(n, ca, c, letters == "P")
    return Residues(
        letters,
        np.concatenate([xyz, beta[:, None]], axis=1),
        np.where(linked, np.arange(len(found)) - 1, -1),
        backbone_region(phi, psi),
        np.ones(len(found)),
    )


def _others(model: gemmi.Model, found: list[gemmi.Residue]) -> tuple[FloatArray, IntArray]:
    """Coordinates (E, 3) and atomic numbers (E,) of the heavy atoms of all other residues."""
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
