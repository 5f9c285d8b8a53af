"""Makes the file of ideal stereochemistry from the structure pack.

    python -m cryo2struct.dataset.stereochemistry PACK -o cryo2struct/stereochemistry.json

Medians and torsion modes over complete residues of the crystal structures at `RESOLUTION` or better in the pack's split
"train", residues whose mean B factor is above `B_FACTOR` left out. Bonds and angles of N, CA, C, O and CB are those
of Engh and Huber (1991).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo2struct.completion import geometry
from cryo2struct.dataset.pack import PackStructure, StructurePack
from cryo2struct.io.models import THREE_LETTERS
from cryo2struct.io.outputs import write_text
from cryo2struct.objects import AMINO_ACIDS, BACKBONE_ATOMS, FloatArray
from cryo2struct.stereochemistry import backbone_region

RESOLUTION = 2.0  # angstrom
B_FACTOR = 40.0  # angstrom^2
LEAST_SD = {"bond": 0.015, "angle": 1.5}
"""Angstrom and degrees: residues that were refined with restraints spread less than real ones."""

RAREST = 0.002
"""Rarer rotamers are left out."""

PSEUDO_COUNT = 20.0
"""Residues that the frequencies of all backbone regions together add to those of each."""

SIDE_CHAINS = {
    "A": "",
    "C": "SG<CB",
    "D": "CG<CB OD1<CG OD2<CG",
    "E": "CG<CB CD<CG OE1<CD OE2<CD",
    "F": "CG<CB CD1<CG CD2<CG CE1<CD1 CE2<CD2 CZ<CE1",
    "G": "",
    "H": "CG<CB ND1<CG CD2<CG CE1<ND1 NE2<CD2",
    "I": "CG1<CB CG2<CB CD1<CG1",
    "K": "CG<CB CD<CG CE<CD NZ<CE",
    "L": "CG<CB CD1<CG CD2<CG",
    "M": "CG<CB SD<CG CE<SD",
    "N": "CG<CB OD1<CG ND2<CG",
    "P": "CG<CB CD<CG",
    "Q": "CG<CB CD<CG OE1<CD NE2<CD",
    "R": "CG<CB CD<CG NE<CD CZ<NE NH1<CZ NH2<CZ",
    "S": "OG<CB",
    "T": "OG1<CB CG2<CB",
    "V": "CG1<CB CG2<CB",
    "W": "CG<CB CD1<CG CD2<CG NE1<CD1 CE2<CD2 CE3<CD2 CZ2<CE2 CZ3<CE3 CH2<CZ2",
    "Y": "CG<CB CD1<CG CD2<CG CE1<CD1 CE2<CD2 CZ<CE1 OH<CZ",
}
"""Side-chain atoms beyond CB in the order of PDB files, each with the atom it is built on."""

RING_BONDS = {"F": [("CE2", "CZ")], "H": [("CE1", "NE2")], "P": [("N", "CD")], "W": [("NE1", "CE2"), ("CZ3", "CH2")]}
RING_BONDS["Y"] = RING_BONDS["F"]

CHI = {
    "C": "SG", "D": "CG OD1", "E": "CG CD OE1", "F": "CG CD1", "H": "CG ND1", "I": "CG1 CD1", "K": "CG CD CE NZ",
    "L": "CG CD1", "M": "CG SD CE", "N": "CG OD1", "P": "CG CD", "Q": "CG CD OE1", "R": "CG CD NE CZ", "S": "OG",
    "T": "OG1", "V": "CG1", "W": "CG CD1", "Y": "CG CD1",
}  # fmt: skip
"""Last atom of each side-chain torsion; the others are the atoms it is built on."""

PLANES = {
    "D": "CB CG OD1 OD2", "E": "CG CD OE1 OE2", "F": "CB CG CD1 CD2 CE1 CE2 CZ", "H": "CB CG ND1 CD2 CE1 NE2",
    "N": "CB CG OD1 ND2", "Q": "CG CD OE1 NE2", "R": "CD NE CZ NH1 NH2",
    "W": "CB CG CD1 CD2 NE1 CE2 CE3 CZ2 CZ3 CH2", "Y": "CB CG CD1 CD2 CE1 CE2 CZ OH",
}  # fmt: skip

CHIRAL = {"I": "CB CA CG1 CG2", "L": "CG CB CD1 CD2", "T": "CB CA OG1 CG2", "V": "CB CA CG1 CG2"}

FLIPS = {
    "D": [("OD1", "OD2")], "E": [("OE1", "OE2")], "F": [("CD1", "CD2"), ("CE1", "CE2")],
    "R": [("NH1", "NH2")], "Y": [("CD1", "CD2"), ("CE1", "CE2")],
}  # fmt: skip

SYMMETRIC = "DEFY"
PLANAR_END = "DEFHNQWY"
"""Amino acids whose last torsion is about a bond to a planar group and has no three wells."""

ENGH_HUBER_BONDS = {
    ("N", "CA"): (geometry.N_CA, 0.019),
    ("CA", "C"): (geometry.CA_C, 0.021),
    ("C", "O"): (geometry.C_O, 0.020),
    ("CA", "CB"): (geometry.CA_CB, 0.020),
}
ENGH_HUBER_ANGLES = {
    ("N", "CA", "C"): (geometry.N_CA_C, 2.8),
    ("N", "CA", "CB"): (geometry.N_CA_CB, 1.7),
    ("C", "CA", "CB"): (geometry.C_CA_CB, 1.9),
    ("CA", "C", "O"): (geometry.CA_C_O, 1.7),
}

Complete = tuple[FloatArray, FloatArray, FloatArray]
Four = tuple[str, str, str, str]


def atoms_of(letter: str) -> list[str]:
    """Names in the order of PDB files."""
    backbone = BACKBONE_ATOMS if letter != "G" else BACKBONE_ATOMS[:4]
    return [*backbone, *_parents(letter)]


def _parents(letter: str) -> dict[str, str]:
    """Atom beyond CB to the atom it is built on."""
    return dict(pair.split("<") for pair in SIDE_CHAINS[letter].split())


def _ancestors(letter: str, atom: str) -> tuple[str, str, str]:
    parents = {**_parents(letter), "CB": "CA", "CA": "N"}
    first = parents[atom]
    return first, parents[first], parents[parents[first]]


def _four(letter: str, atom: str) -> Four:
    """The three atoms that an atom is built on, farthest first, and the atom."""
    first, second, third = _ancestors(letter, atom)
    return third, second, first, atom


def _torsion(four: Four, at: dict[str, FloatArray]) -> FloatArray:
    a, b, c, d = four
    return geometry.torsion(at[a], at[b], at[c], at[d])


def complete_residues(pack: StructurePack) -> dict[str, Complete]:
    """Coordinates (n, atoms, 3), phi (n,) and psi (n,) in degrees of the complete residues of each amino acid."""
    columns = {letter: {name: i for i, name in enumerate(atoms_of(letter))} for letter in AMINO_ACIDS}
    found: dict[str, list[Complete]] = defaultdict(list)
    for index in pack.split("train"):
        if not 0 < pack.resolution[index] <= RESOLUTION:
            continue
        structure = pack[index]
        phi, psi = _backbone_torsions(structure, pack.atom_names)
        for code, letter in enumerate(AMINO_ACIDS):
            names = np.array([columns[letter].get(name, -1) for name in pack.atom_names])
            xyz, rows = _of_type(structure, code, names, len(columns[letter]))
            found[letter].append((xyz, phi[rows], psi[rows]))
    return {
        letter: (
            np.concatenate([xyz for xyz, _, _ in parts]),
            np.concatenate([phi for _, phi, _ in parts]),
            np.concatenate([psi for _, _, psi in parts]),
        )
        for letter, parts in found.items()
    }


def _of_type(
    structure: PackStructure, code: int, column_of: NDArray[np.int64], n_atoms: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Coordinates (n, atoms, 3) and rows (n,) of the complete, well ordered residues of one class."""
    chosen = np.flatnonzero((structure.aa == code) & (structure.bfactor <= B_FACTOR))
    table = np.full((len(structure.aa), n_atoms, 3), np.nan)
    column = column_of[structure.name]
    mine = np.isin(structure.residue, chosen) & (column >= 0)
    table[structure.residue[mine], column[mine]] = structure.xyz[mine]
    whole = chosen[np.isfinite(table[chosen]).all(axis=(1, 2))]
    return table[whole], whole


def _backbone_torsions(structure: PackStructure, atom_names: list[str]) -> tuple[FloatArray, FloatArray]:
    """Phi and psi (R,) in degrees, NaN where a neighbour is missing."""
    xyz = np.full((len(structure.aa), 3, 3), np.nan)
    for column, name in enumerate(("N", "CA", "C")):
        here = (structure.name == atom_names.index(name)) & (structure.aa[structure.residue] <= 20)
        xyz[structure.residue[here], column] = structure.xyz[here]
    n, ca, c = xyz.transpose(1, 0, 2)
    before = np.where(structure.linked[:, None], np.roll(c, 1, axis=0), np.nan)
    after = np.where(np.roll(structure.linked, -1)[:, None], np.roll(n, -1, axis=0), np.nan)
    return geometry.torsion(before, n, ca, c), geometry.torsion(n, ca, c, after)


def describe(letter: str, residues: Complete) -> dict[str, Any]:
    """Row of the file for one amino acid."""
    xyz, phi, psi = residues
    names = atoms_of(letter)
    at = dict(zip(names, xyz.transpose(1, 0, 2), strict=True))
    bonds = _bonds(letter)
    chi = [_four(letter, last) for last in CHI.get(letter, "").split()]
    centres = [["CA", "N", "C", "CB"]] if letter != "G" else []
    centres += [CHIRAL[letter].split()] if letter in CHIRAL else []
    return {
        "name": THREE_LETTERS[letter],
        "atoms": names,
        "bonds": [[*pair, *_bond(pair, at)] for pair in bonds],
        "angles": [[*three, *_angle(letter, three, at)] for three in _angle_atoms(names, bonds)],
        "planes": [PLANES[letter].split()] if letter in PLANES else [],
        "chiral_centres": [[*four, _volume(four, at)] for four in centres],
        "chi": chi,
        "symmetric": letter in SYMMETRIC,
        "flips": FLIPS.get(letter, []),
        "placements": [_placement(letter, atom, chi, at) for atom in _parents(letter)],
        "rotamers": _rotamers(letter, [_torsion(four, at) for four in chi], phi, psi),
    }


def _bonds(letter: str) -> list[tuple[str, str]]:
    names = atoms_of(letter)
    backbone = [pair for pair in ENGH_HUBER_BONDS if pair[1] in names]
    branches = [(parent, atom) for atom, parent in _parents(letter).items()]
    return [*backbone, *branches, *RING_BONDS.get(letter, [])]


def _angle_atoms(names: list[str], bonds: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    neighbours = defaultdict(list)
    for first, second in bonds:
        neighbours[first].append(second)
        neighbours[second].append(first)
    return [(a, middle, b) for middle in names for a, b in combinations(sorted(neighbours[middle], key=names.index), 2)]


def _bond(pair: tuple[str, str], at: dict[str, FloatArray]) -> tuple[float, float]:
    if pair in ENGH_HUBER_BONDS:
        return ENGH_HUBER_BONDS[pair]
    return _median(np.linalg.norm(at[pair[0]] - at[pair[1]], axis=1), LEAST_SD["bond"], 4)


def _angle(letter: str, three: tuple[str, str, str], at: dict[str, FloatArray]) -> tuple[float, float]:
    if letter == "P" and three == ("N", "CA", "CB"):
        return geometry.N_CA_CB_PROLINE, 1.1
    if three in ENGH_HUBER_ANGLES:
        return ENGH_HUBER_ANGLES[three]
    first, second = (geometry.unit(at[end] - at[three[1]]) for end in (three[0], three[2]))
    return _median(np.degrees(np.arccos((first * second).sum(axis=1))), LEAST_SD["angle"], 2)


def _median(values: FloatArray, least_sd: float, digits: int) -> tuple[float, float]:
    middle = float(np.median(values))
    sd = max(1.4826 * float(np.median(np.abs(values - middle))), least_sd)
    return round(middle, digits), round(sd, digits)


def _volume(four: list[str], at: dict[str, FloatArray]) -> float:
    first, second, third = (at[name] - at[four[0]] for name in four[1:])
    return round(float(np.median((first * np.cross(second, third)).sum(axis=1))), 3)


def _placement(letter: str, atom: str, chi: list[Four], at: dict[str, FloatArray]) -> list[Any]:
    """Names, length, angle, torsion and its chi; the torsion is a median about its own circular mean."""
    parents = _ancestors(letter, atom)
    torsion = _torsion(_four(letter, atom), at)
    turned = [number for number, four in enumerate(chi) if four[:3] == parents[::-1]]
    if turned:
        torsion = torsion - _torsion(chi[turned[0]], at)
    mean, _ = _circular(torsion, 360.0)
    length = _median(np.linalg.norm(at[atom] - at[parents[0]], axis=1), 0, 4)[0]
    angle = _angle("", (parents[1], parents[0], atom), at)[0]
    return [atom, *parents, length, angle, round(mean, 2), turned[0] if turned else -1]


def _circular(degrees: FloatArray, period: float) -> tuple[float, float]:
    """Median and standard deviation of angles about their circular mean."""
    turn = 2 * np.pi / period
    mean = np.angle(np.exp(1j * turn * degrees).mean()) / turn
    off = (degrees - mean + period / 2) % period - period / 2
    return float(mean + np.median(off)), float(off.std())


def _rotamers(letter: str, chi: list[FloatArray], phi: FloatArray, psi: FloatArray) -> list[list[Any]]:
    """Modes of the torsions: wells at 60, 180, 300 degrees, or every 30 degrees about the bond to a planar group."""
    if not chi:
        return []
    periods = [360.0] * len(chi)
    wells = [np.floor(angle % 360 / 120) for angle in chi]
    if letter in PLANAR_END:
        periods[-1] = 180.0 if letter in SYMMETRIC else 360.0
        wells[-1] = np.rint(chi[-1] % periods[-1] / 30) % (periods[-1] / 30)
    region = backbone_region(phi, psi)
    _, which, counts = np.unique(np.stack(wells, axis=1), axis=0, return_inverse=True, return_counts=True)
    kept = [mode for mode in np.argsort(-counts, kind="stable") if counts[mode] >= RAREST * len(which)]
    # the frequencies of all regions together stand in where a region has few residues
    table = np.stack([[np.sum((which == mode) & (region == r)) for r in range(3)] for mode in kept]).astype(float)
    table += PSEUDO_COUNT * (table.sum(axis=1) / table.sum())[:, None]
    table /= table.sum(axis=0)
    rows = []
    for mode, frequency in zip(kept, table, strict=True):
        here = [_circular(angle[which == mode], period) for angle, period in zip(chi, periods, strict=True)]
        means = [round((mean + 180) % 360 - 180, 1) for mean, _ in here]
        rows.append([means, [round(sd, 1) for _, sd in here], [round(float(f), 5) for f in frequency]])
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    residues = complete_residues(StructurePack(options.pack))
    lines = [f'"{letter}": {json.dumps(describe(letter, residues[letter]))}' for letter in AMINO_ACIDS]
    counts = json.dumps({letter: len(residues[letter][0]) for letter in AMINO_ACIDS})
    text = ",\n".join(lines)
    write_text(options.output, f'{{"residues": {counts},\n"amino_acids": {{\n{text}\n}}}}\n')


if __name__ == "__main__":
    main()
