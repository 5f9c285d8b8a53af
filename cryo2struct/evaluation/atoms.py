"""The atoms of a model that scores are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import gemmi

AtomClass = Literal["backbone", "side chain", "nucleic acid", "ligand", "ion", "water"]

MAIN_CHAIN = frozenset({"N", "CA", "C", "O", "OXT"})


def residues_of(structure: gemmi.Structure) -> Iterator[tuple[str, gemmi.Residue, dict[str, gemmi.Atom]]]:
    """Chain, residue and atoms by name, hydrogens left out, of each residue of the first model.

    Of alternate conformers the first counts: the first residue at a place in the chain, and the first atom of a name.
    """
    if not len(structure):
        return
    for chain in structure[0]:
        for group in chain.whole().residue_groups():
            residue = group[0]
            atoms: dict[str, gemmi.Atom] = {}
            for atom in residue:
                if not atom.is_hydrogen():
                    atoms.setdefault(atom.name, atom)
            if atoms:
                yield chain.name, residue, atoms


def is_protein(residue: gemmi.Residue, atoms: Mapping[str, gemmi.Atom]) -> bool:
    """Whether a residue is an amino acid by its name, or has the main chain of one."""
    return gemmi.find_tabulated_residue(residue.name).is_amino_acid() or {"N", "CA", "C"} <= atoms.keys()


def class_of(residue: gemmi.Residue, atoms: Mapping[str, gemmi.Atom], name: str) -> AtomClass:
    """What an atom belongs to; an ion is one atom that is alone in its residue."""
    info = gemmi.find_tabulated_residue(residue.name)
    if info.is_water():
        return "water"
    if is_protein(residue, atoms):
        return "backbone" if name in MAIN_CHAIN else "side chain"
    if info.is_nucleic_acid() or {"P", "C1'"} <= atoms.keys():
        return "nucleic acid"
    return "ion" if len(atoms) == 1 else "ligand"
