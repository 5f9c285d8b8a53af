"""What holds the atoms of a model together: lists of bonds, angles, planes, chiral centres and torsions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.ramachandran import classes
from cryo2struct.stereochemistry import C_OXT, PEPTIDE, PEPTIDE_PROLINE, AminoAcid, Angle, Bond, amino_acids

LONGEST_PEPTIDE = 2.5
"""Residues of consecutive numbers are linked where C and N are within this distance, angstrom."""

OMEGA_SD, PLANE_SD, VOLUME_SD = 5.0, 0.02, 0.15
"""Standard deviations: of omega in degrees, of atoms off their planes in angstrom, of chiral volumes in angstrom^3."""

CIS = 40.0
"""Peptides whose omega is within this of 0 stay cis, before proline within 90 degrees; others become trans."""

C_TERMINUS = (Angle(("CA", "C", "OXT"), 117.0, 2.0), Angle(("O", "C", "OXT"), 124.7, 2.0))

Atoms = dict[str, int]


@dataclass(frozen=True)
class Topology:
    """Restraints of a model of A atoms; weights are 1 / sd^2.

    Attributes
    ----------
    elements : (A,) atomic numbers
    backbone : (A,) atoms N, CA, C, O, CB, OXT
    moving : (A,) atoms that restraints hold; the others keep their places
    alphas, alpha_places : (K,) C-alphas that move, and (K, 3) where they were, angstrom
    bonds, bond_ideal, bond_weight : (B, 2), (B,) angstrom, (B,)
    angles, angle_ideal, angle_weight : (G, 3), (G,) radians, (G,)
    plane_atoms, plane_starts : group g is plane_atoms[plane_starts[g]:plane_starts[g + 1]]
    volumes, volume_ideal : (V, 4), (V,) angstrom^3
    omega, omega_ideal : (P, 4) atoms CA, C, N, CA of peptides, (P,) 0 or pi
    phi_psi, phi_psi_class : (R, 5) atoms C, N, CA, C, N, and (R,) index into `ramachandran.CLASSES`
    chi, chi_rows : (T, 4) atoms of side-chain torsions; for each residue with rotamers its letter and rows of `chi`
    peptides : (P, 5) atoms CA, C, O, N, CA of each peptide that can be turned: proline's ring would not follow
    """

    elements: IntArray
    backbone: NDArray[np.bool_]
    moving: NDArray[np.bool_]
    alphas: IntArray
    alpha_places: FloatArray
    bonds: IntArray
    bond_ideal: FloatArray
    bond_weight: FloatArray
    angles: IntArray
    angle_ideal: FloatArray
    angle_weight: FloatArray
    plane_atoms: IntArray
    plane_starts: IntArray
    volumes: IntArray
    volume_ideal: FloatArray
    omega: IntArray
    omega_ideal: FloatArray
    phi_psi: IntArray
    phi_psi_class: IntArray
    chi: IntArray
    chi_rows: Mapping[str, IntArray]
    peptides: IntArray


@dataclass
class _Lists:
    """Restraints while they are collected."""

    moving: list[int] = field(default_factory=list)
    alphas: list[int] = field(default_factory=list)
    bonds: list[tuple[list[int], Bond]] = field(default_factory=list)
    angles: list[tuple[list[int], Angle]] = field(default_factory=list)
    planes: list[list[int]] = field(default_factory=list)
    volumes: list[tuple[list[int], float]] = field(default_factory=list)
    omega: list[list[int]] = field(default_factory=list)
    phi_psi: list[tuple[list[int], str, str]] = field(default_factory=list)
    chi: list[list[int]] = field(default_factory=list)
    chi_rows: dict[str, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    peptides: list[list[int]] = field(default_factory=list)


def coordinates(structure: gemmi.Structure) -> FloatArray:
    """Coordinates (A, 3) of all atoms of the first model, in file order."""
    return np.array([site.atom.pos.tolist() for site in structure[0].all()], dtype=np.float64).reshape(-1, 3)


def topology(structure: gemmi.Structure) -> Topology:
    """Restraints of the first model of a structure.

    Amino acids with N, CA and C that are linked to another are restrained with the atoms that they have; those of other
    kinds as alanine, without the atoms that alanine lacks. All else keeps its place: isolated residues, C-alphas
    alone, ligands, second conformers.
    """
    lists, xyz, first = _Lists(), coordinates(structure), 0
    for chain in structure[0]:
        segment: list[tuple[Atoms, str]] = []
        previous = gemmi.Residue()
        for residue in chain:
            atoms, letter = _known_atoms(residue, range(first, first + len(residue)))
            if not (segment and atoms and _linked(previous, residue, segment[-1][0], atoms, xyz)):
                _add_segment(lists, segment)
                segment = []
            if atoms:
                segment.append((atoms, letter))
            previous, first = residue, first + len(residue)
        _add_segment(lists, segment)
    sites = list(structure[0].all())
    elements = np.array([site.atom.element.atomic_number for site in sites], dtype=np.int64)
    backbone = np.isin([site.atom.name for site in sites], ("N", "CA", "C", "O", "CB", "OXT"))
    return _as_arrays(lists, xyz, elements, backbone)


def _known_atoms(residue: gemmi.Residue, rows: Iterable[int]) -> tuple[Atoms, str]:
    """Rows of the atoms of an amino acid by name, empty where it has no backbone, and the letter of its restraints."""
    letter = gemmi.find_tabulated_residue(residue.name).one_letter_code.upper()
    known = residue.name == amino_acids()[letter].name if letter in amino_acids() else False
    letter = letter if known else "A"
    wanted = {*amino_acids()[letter].atoms, "OXT"}
    atoms: Atoms = {}
    for atom, row in zip(residue, rows, strict=True):
        if atom.name in wanted and atom.name not in atoms:
            atoms[atom.name] = row
    return (atoms if {"N", "CA", "C"} <= atoms.keys() else {}), letter


def _linked(previous: gemmi.Residue, residue: gemmi.Residue, before: Atoms, atoms: Atoms, xyz: FloatArray) -> bool:
    """Whether a peptide bond joins two residues of a chain."""
    step = (residue.seqid.num or 0) - (previous.seqid.num or 0)
    near = np.linalg.norm(xyz[before["C"]] - xyz[atoms["N"]]) < LONGEST_PEPTIDE
    return bool(step in (0, 1) and near)


def _rows(atoms: Atoms, names: Iterable[str]) -> list[int] | None:
    """Rows of these atoms, None where one is missing."""
    rows = [atoms.get(name, -1) for name in names]
    return None if -1 in rows else rows


def _add_residue(lists: _Lists, atoms: Atoms, kind: AminoAcid) -> None:
    lists.moving += atoms.values()
    lists.alphas.append(atoms["CA"])
    for bond in (*kind.bonds, Bond(("C", "OXT"), C_OXT, 0.02)):
        if rows := _rows(atoms, bond.atoms):
            lists.bonds.append((rows, bond))
    for angle in (*kind.angles, *C_TERMINUS):
        if rows := _rows(atoms, angle.atoms):
            lists.angles.append((rows, angle))
    for plane in (*kind.planes, ("CA", "C", "O", "OXT")):
        if rows := _rows(atoms, plane):
            lists.planes.append(rows)
    for centre in kind.chiral_centres:
        if rows := _rows(atoms, centre.atoms):
            lists.volumes.append((rows, centre.volume))
    torsions = [_rows(atoms, names) for names in kind.chi]
    if kind.rotamers and all(torsions):
        lists.chi_rows[kind.letter].append(list(range(len(lists.chi), len(lists.chi) + len(torsions))))
        lists.chi += [rows for rows in torsions if rows]


def _add_segment(lists: _Lists, segment: list[tuple[Atoms, str]]) -> None:
    """Linked residues, the peptides between them, and their phi and psi."""
    if len(segment) < 2:
        return
    for atoms, letter in segment:
        _add_residue(lists, atoms, amino_acids()[letter])
    for (here, _), (after, letter) in pairwise(segment):
        both = {**here, **{f"+{name}": row for name, row in after.items()}}
        link = PEPTIDE_PROLINE if letter == "P" else PEPTIDE
        lists.bonds += [(rows, link.bond) for rows in [_rows(both, link.bond.atoms)] if rows]
        lists.angles += [(rows, angle) for angle in link.angles if (rows := _rows(both, angle.atoms))]
        if plane := _rows(both, [name for name in link.plane if name in both]):
            lists.planes.append(plane)
        lists.omega += [rows for rows in [_rows(both, ("CA", "C", "+N", "+CA"))] if rows]
        if letter != "P" and (peptide := _rows(both, ("CA", "C", "O", "+N", "+CA"))):
            lists.peptides.append(peptide)
    for (before, _), (here, letter), (after, following) in zip(segment, segment[1:], segment[2:], strict=False):
        lists.phi_psi.append(([before["C"], here["N"], here["CA"], here["C"], after["N"]], letter, following))


def _omega_ideal(omega: IntArray, lists: _Lists, xyz: FloatArray) -> FloatArray:
    """0 for peptides that are built cis, else pi."""
    prolines = {rows[1] for rows, angle in lists.angles if angle.atoms == ("C", "+N", "+CD")}
    ideal = np.full(len(omega), np.pi)
    for row, atoms in enumerate(omega.tolist()):
        found = gemmi.calculate_dihedral(*(gemmi.Position(*xyz[atom]) for atom in atoms))
        if abs(np.degrees(found)) < (90 if atoms[2] in prolines else CIS):
            ideal[row] = 0
    return ideal


def _as_arrays(lists: _Lists, xyz: FloatArray, elements: IntArray, backbone: NDArray[np.bool_]) -> Topology:
    moving = np.zeros(len(xyz), dtype=bool)
    moving[lists.moving] = True
    omega = _table(lists.omega, 4)
    letters = np.array([letter for _, letter, _ in lists.phi_psi], dtype=np.str_)
    following = np.array([letter for _, _, letter in lists.phi_psi], dtype=np.str_)
    return Topology(
        elements=elements,
        backbone=backbone,
        moving=moving,
        alphas=np.array(lists.alphas, dtype=np.int64),
        alpha_places=xyz[lists.alphas],
        bonds=_table([rows for rows, _ in lists.bonds], 2),
        bond_ideal=np.array([bond.length for _, bond in lists.bonds]),
        bond_weight=np.array([bond.sd**-2 for _, bond in lists.bonds]),
        angles=_table([rows for rows, _ in lists.angles], 3),
        angle_ideal=np.radians([angle.value for _, angle in lists.angles]),
        angle_weight=np.radians([angle.sd for _, angle in lists.angles]) ** -2.0,
        plane_atoms=np.array([row for group in lists.planes for row in group], dtype=np.int64),
        plane_starts=np.cumsum([0, *map(len, lists.planes)]),
        volumes=_table([rows for rows, _ in lists.volumes], 4),
        volume_ideal=np.array([volume for _, volume in lists.volumes]),
        omega=omega,
        omega_ideal=_omega_ideal(omega, lists, xyz),
        phi_psi=_table([rows for rows, _, _ in lists.phi_psi], 5),
        phi_psi_class=classes(letters, following),
        chi=_table(lists.chi, 4),
        chi_rows={letter: np.array(rows) for letter, rows in lists.chi_rows.items()},
        peptides=_table(lists.peptides, 5),
    )


def _table(rows: list[list[int]], columns: int) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)
