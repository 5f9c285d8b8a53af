"""Residues of structures that have a C-alpha."""

from __future__ import annotations

from collections.abc import Iterator

import gemmi


def modelled_residues(structure: gemmi.Structure) -> list[tuple[str, gemmi.Residue, gemmi.Atom]]:
    """Chain, residue and C-alpha of each residue of the first model that has one.

    Of alternate conformers the first counts. Ions named CA and ligands with an atom of that name have no C-alpha.
    """
    found = []
    for chain in structure[0]:
        for group in chain.whole().residue_groups():
            # The residues of a group are conformers of one place in the chain.
            residue, atom = next(_alpha_carbons(group), (None, None))
            if residue is not None and atom is not None:
                found.append((chain.name, residue, atom))
    return found


def _alpha_carbons(group: gemmi.ResidueGroup) -> Iterator[tuple[gemmi.Residue, gemmi.Atom]]:
    for residue in group:
        info = gemmi.find_tabulated_residue(residue.name)
        for atom in residue:
            if (
                atom.name == "CA"
                and atom.element == gemmi.Element("C")
                and (info.is_amino_acid() or _has_backbone(residue))
            ):
                yield residue, atom


def _has_backbone(residue: gemmi.Residue) -> bool:
    """Whether a residue that no table knows has the other main-chain atoms of an amino acid."""
    return {"N", "C"} <= {atom.name for atom in residue}
