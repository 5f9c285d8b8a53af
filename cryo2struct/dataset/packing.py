"""From a model to the flat arrays that networks are trained from."""

from __future__ import annotations

import gemmi
import numpy as np

from cryo2struct.dataset.pack import ION, LIGAND, NUCLEOTIDE, SUGAR, UNKNOWN_RESIDUE, Array, PackStructure
from cryo2struct.dssp import backbone_of, secondary_structure
from cryo2struct.objects import AMINO_ACIDS
from cryo2struct.residues import modelled_residues

BACKBONE = ("CA", "N", "C", "O")
LONGEST_PEPTIDE_BOND = 2.0  # angstrom; a longer C-N is a break of the chain
DROPPED = {"DUM", "UNX", "UNL"}  # dummy atoms and unidentified ligands
HISTIDINES = {"HID", "HIE", "HIP", "HSD", "HSE", "HSP"}  # names of simulation programs for protonation states
SUGAR_KINDS = (gemmi.ResidueKind.PYR, gemmi.ResidueKind.KET)
SUGARS_AND_LIPIDS = {
    "3PH",
    "BNG",
    "BOG",
    "C8E",
    "CDL",
    "CLR",
    "D10",
    "D12",
    "DAO",
    "DMU",
    "FRU",
    "FUL",
    "G6D",
    "HEX",
    "HTG",
    "IDS",
    "LDA",
    "LHG",
    "LMT",
    "MAL",
    "MC3",
    "OCT",
    "OLA",
    "OLB",
    "OLC",
    "PCW",
    "PGT",
    "PGV",
    "PLC",
    "PLM",
    "POV",
    "PSC",
    "PTY",
    "SDS",
    "SGN",
    "SQD",
    "STE",
    "TGL",
    "UMQ",
    "UND",
    "Y01",
}
"""Sugars, lipids and detergents that are met often in structures and that the table of gemmi does not tell as such."""


def cleaned(structure: gemmi.Structure) -> gemmi.Structure:
    """Copy of a structure without hydrogens, waters, dummy atoms and alternate conformations but the first.

    Selenomethionine becomes methionine; histidines get their plain name.
    """
    structure = structure.clone()
    structure.remove_alternative_conformations()
    structure.remove_hydrogens()
    structure.remove_waters()
    for chain in structure[0]:
        for number in reversed(range(len(chain))):
            residue = chain[number]
            if residue.name in DROPPED or not len(residue):
                del chain[number]
            elif residue.name == "MSE":
                residue.name = "MET"
                for atom in residue:
                    if atom.element == gemmi.Element("Se"):
                        atom.name, atom.element = "SD", gemmi.Element("S")
            elif residue.name in HISTIDINES:
                residue.name = "HIS"
    structure.remove_empty_chains()
    return structure


def residue_class(residue: gemmi.Residue) -> int:
    """Class of a residue as of `PackStructure.aa`.

    One that the table does not know counts to the protein when it has a C-alpha and stands in a polymer.
    """
    info = gemmi.find_tabulated_residue(residue.name)
    of_polymer = residue.entity_type not in (gemmi.EntityType.NonPolymer, gemmi.EntityType.Branched)
    if of_polymer and (info.is_nucleic_acid() or (not info.is_amino_acid() and "C1'" in residue)):
        return NUCLEOTIDE
    if of_polymer and (info.is_amino_acid() or residue.find_atom("CA", "*", gemmi.Element("C")) is not None):
        number = AMINO_ACIDS.find(info.one_letter_code)
        return number if number >= 0 else UNKNOWN_RESIDUE
    if len(residue) == 1:
        return ION
    return SUGAR if info.kind in SUGAR_KINDS or residue.name in SUGARS_AND_LIPIDS else LIGAND


def pack_structure(structure: gemmi.Structure, origin: Array) -> tuple[PackStructure, tuple[str, ...]]:
    """First model of a `cleaned` structure, seen from `origin` (3,), and the atom names that its `name` points to."""
    backbone = backbone_of(structure)
    kinds = np.maximum(secondary_structure(backbone), 0)
    row_of = {(chain, str(r.seqid), r.name): row for row, (chain, r, _) in enumerate(modelled_residues(structure))}
    residues = [(chain.name, residue) for chain in structure[0] for residue in chain]
    classes = np.array([residue_class(residue) for _, residue in residues], dtype=np.uint8)
    rows = np.array([row_of.get((chain, str(residue.seqid), residue.name), -1) for chain, residue in residues])
    rows[classes > UNKNOWN_RESIDUE] = -1
    # Bonded to the residue before: the one that comes before it in the list as well as in the backbone.
    linked = np.zeros(len(rows), dtype=bool)
    gap = np.linalg.norm(backbone.xyz[1:, 0] - backbone.xyz[:-1, 2], axis=1)  # N to C of the residue before
    linked[1:] = (rows[1:] > 0) & (rows[:-1] == rows[1:] - 1)
    linked[linked] = (backbone.linked[1:] & (gap < LONGEST_PEPTIDE_BOND))[rows[linked] - 1]
    atoms = [(number, atom) for number, (_, residue) in enumerate(residues) for atom in residue]
    names = tuple(dict.fromkeys([*BACKBONE, *(atom.name for _, atom in atoms)]))
    number_of = {name: number for number, name in enumerate(names)}
    chains = list(dict.fromkeys(chain for chain, _ in residues))
    packed = PackStructure(
        xyz=(np.array([atom.pos.tolist() for _, atom in atoms]).reshape(-1, 3) - origin).astype(np.float32),
        element=np.array([atom.element.atomic_number for _, atom in atoms], dtype=np.uint8),
        name=np.array([number_of[atom.name] for _, atom in atoms], dtype=np.uint16),
        residue=np.array([number for number, _ in atoms], dtype=np.int32),
        bfactor=np.array([np.mean([atom.b_iso for atom in residue]) for _, residue in residues], dtype=np.float32),
        aa=classes,
        ss=np.where(rows >= 0, kinds[rows], 0).astype(np.uint8) if len(kinds) else np.zeros(len(rows), dtype=np.uint8),
        chain=np.array([chains.index(chain) for chain, _ in residues], dtype=np.int32),
        linked=linked,
    )
    return packed, names
