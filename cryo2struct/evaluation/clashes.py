"""Atoms that are too near to each other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array
from scipy.spatial import cKDTree

from cryo2struct.evaluation.atoms import residues_of
from cryo2struct.objects import FloatArray, IntArray

NEAREST = 2.2  # angstrom
LONGEST_LINK = 2.5  # angstrom; what is bonded between residues is nearer than this
SLACK = 0.4  # angstrom; a bond of a residue that is not standard is at most this longer than the radii say

MAIN_CHAIN_BONDS = "N-CA CA-C C-O C-OXT CA-CB"
SIDE_CHAIN_BONDS = {
    "ALA": "",
    "ARG": "CB-CG CG-CD CD-NE NE-CZ CZ-NH1 CZ-NH2",
    "ASN": "CB-CG CG-OD1 CG-ND2",
    "ASP": "CB-CG CG-OD1 CG-OD2",
    "CYS": "CB-SG",
    "GLN": "CB-CG CG-CD CD-OE1 CD-NE2",
    "GLU": "CB-CG CG-CD CD-OE1 CD-OE2",
    "GLY": "",
    "HIS": "CB-CG CG-ND1 CG-CD2 ND1-CE1 CD2-NE2 CE1-NE2",
    "ILE": "CB-CG1 CB-CG2 CG1-CD1",
    "LEU": "CB-CG CG-CD1 CG-CD2",
    "LYS": "CB-CG CG-CD CD-CE CE-NZ",
    "MET": "CB-CG CG-SD SD-CE",
    "PHE": "CB-CG CG-CD1 CG-CD2 CD1-CE1 CD2-CE2 CE1-CZ CE2-CZ",
    "PRO": "CB-CG CG-CD CD-N",
    "SER": "CB-OG",
    "THR": "CB-OG1 CB-CG2",
    "TRP": "CB-CG CG-CD1 CG-CD2 CD1-NE1 NE1-CE2 CD2-CE2 CD2-CE3 CE2-CZ2 CE3-CZ3 CZ2-CH2 CZ3-CH2",
    "TYR": "CB-CG CG-CD1 CG-CD2 CD1-CE1 CD2-CE2 CE1-CZ CE2-CZ CZ-OH",
    "VAL": "CB-CG1 CB-CG2",
}

AtomName = tuple[str, int, str, str]
"""Chain, residue number, insertion code, name of the atom."""


@dataclass(frozen=True)
class Clashes:
    """Pairs of atoms but hydrogens that are nearer than 2.2 angstrom and not bonded.

    Attributes
    ----------
    n_atoms : atoms looked at
    pairs : the two atoms and their distance in angstrom, nearest first
    """

    n_atoms: int
    pairs: tuple[tuple[AtomName, AtomName, float], ...]

    @property
    def per_1000_atoms(self) -> float | None:
        """Clashes per 1,000 atoms, None without atoms."""
        return 1000 * len(self.pairs) / self.n_atoms if self.n_atoms else None


def find_clashes(structure: gemmi.Structure) -> Clashes:
    """Clashes of the first model, all its residues, waters and ligands together, the first of alternate conformers.

    Atoms that one, two or three bonds join do not clash, and metals clash with nothing: what holds them is no bond of
    this kind. Bonds are those of the standard amino acids by name, between atoms of other residues by distance, and
    between residues: peptides and nucleotides next to each other in a chain, disulfides, and links that the file names.
    """
    atoms = _Atoms(structure)
    if not len(atoms.names):
        return Clashes(0, ())
    pairs = cKDTree(atoms.xyz).query_pairs(NEAREST, output_type="ndarray")
    pairs = np.sort(pairs[~atoms.metal[pairs].any(axis=1)], axis=1)
    lengths = np.linalg.norm(atoms.xyz[pairs[:, 0]] - atoms.xyz[pairs[:, 1]], axis=1)
    apart = ~_joined(pairs, atoms.bonds(), len(atoms.names)) & (lengths < NEAREST)
    pairs, lengths = pairs[apart], lengths[apart]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], lengths))
    found = ((atoms.names[a], atoms.names[b], float(d)) for (a, b), d in zip(pairs[order], lengths[order], strict=True))
    return Clashes(len(atoms.names), tuple(found))


class _Atoms:
    """Atoms of a structure as arrays, and the bonds between them."""

    def __init__(self, structure: gemmi.Structure) -> None:
        self.connections = structure.connections
        self.names: list[AtomName] = []
        self.residues: list[tuple[str, str, dict[str, int]]] = []  # chain, residue name, row of each atom
        places: list[list[float]] = []
        elements: list[gemmi.Element] = []
        for chain, residue, atoms in residues_of(structure):
            number, code = int(residue.seqid.num or 0), residue.seqid.icode.strip()
            rows = range(len(places), len(places) + len(atoms))
            self.residues.append((chain, residue.name, dict(zip(atoms, rows, strict=True))))
            self.names += [(chain, number, code, name) for name in atoms]
            places += [atom.pos.tolist() for atom in atoms.values()]
            elements += [atom.element for atom in atoms.values()]
        self.xyz: FloatArray = np.array(places, dtype=np.float64).reshape(-1, 3)
        self.metal = np.array([element.is_metal for element in elements], dtype=np.bool_)
        self.radius = np.array([element.covalent_r for element in elements])

    def bonds(self) -> IntArray:
        """Pairs (B, 2) of bonded atoms."""
        found: list[tuple[int, int]] = []
        for _, kind, rows in self.residues:
            found += self._inside(kind, rows)
        for (chain, _, rows), (next_chain, _, next_rows) in zip(self.residues, self.residues[1:], strict=False):
            if chain == next_chain:
                ends = (rows.get("C"), next_rows.get("N")), (rows.get("O3'"), next_rows.get("P"))
                found += [(a, b) for a, b in ends if a is not None and b is not None and self._near(a, b)]
        sulfurs = [rows["SG"] for _, kind, rows in self.residues if kind == "CYS" and "SG" in rows]
        if sulfurs:
            pairs = cKDTree(self.xyz[sulfurs]).query_pairs(LONGEST_LINK)
            found += [(sulfurs[a], sulfurs[b]) for a, b in pairs]
        return np.array(found + self._named_by_the_file(), dtype=np.int64).reshape(-1, 2)

    def _inside(self, kind: str, rows: dict[str, int]) -> list[tuple[int, int]]:
        if kind in SIDE_CHAIN_BONDS:
            bonds = (bond.split("-") for bond in f"{MAIN_CHAIN_BONDS} {SIDE_CHAIN_BONDS[kind]}".split())
            return [(rows[a], rows[b]) for a, b in bonds if a in rows and b in rows]
        pairs = np.array(list(combinations(rows.values(), 2)), dtype=np.int64).reshape(-1, 2)
        lengths = np.linalg.norm(self.xyz[pairs[:, 0]] - self.xyz[pairs[:, 1]], axis=1)
        return [(int(a), int(b)) for a, b in pairs[lengths < self.radius[pairs].sum(axis=1) + SLACK]]

    def _near(self, a: int, b: int) -> bool:
        return bool(np.linalg.norm(self.xyz[a] - self.xyz[b]) < LONGEST_LINK)

    def _named_by_the_file(self) -> list[tuple[int, int]]:
        row = {name: index for index, name in enumerate(self.names)}
        found = []
        for link in self.connections:
            if link.type in (gemmi.ConnectionType.Covale, gemmi.ConnectionType.Disulf):
                ends = row.get(_name(link.partner1)), row.get(_name(link.partner2))
                if ends[0] is not None and ends[1] is not None:
                    found.append((ends[0], ends[1]))
        return found


def _name(end: gemmi.AtomAddress) -> AtomName:
    number = end.res_id.seqid
    return end.chain_name, int(number.num or 0), number.icode.strip(), end.atom_name


def _joined(pairs: IntArray, bonds: IntArray, number: int) -> NDArray[np.bool_]:
    """Which pairs (P, 2) of atoms are joined by three bonds (B, 2) or fewer."""
    both = np.concatenate([bonds, bonds[:, ::-1]])
    step = csr_array((np.ones(len(both), dtype=np.int64), (both[:, 0], both[:, 1])), shape=(number, number))
    step = step + eye_array(number, dtype=np.int64, format="csr")
    within_three = (step @ step @ step).tocoo()
    codes = within_three.coords[0].astype(np.int64) * number + within_three.coords[1]
    return np.isin(pairs[:, 0] * number + pairs[:, 1], codes)
