"""Helices and sheets of a model, as its files list them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryo2struct.dssp import HELIX, STRAND, Backbone, N, O, SecondaryStructure, assign, backbone_of
from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.residues import modelled_residues

HELIX_CLASSES = {
    4: gemmi.Helix.HelixClass.RAlpha,
    3: gemmi.Helix.HelixClass.R310,
    5: gemmi.Helix.HelixClass.RPi,
}
SHORTEST_HELIX = 3
PARALLEL, ANTIPARALLEL = 1, -1

Address = Callable[[int, str], gemmi.AtomAddress]
Place = tuple[int, str]
"""Row and atom."""
Run = tuple[int, int]
"""First and last row of a helix or a strand."""


def list_secondary_structure(structure: gemmi.Structure) -> None:
    """Write the helices and sheets of the first model into the structure, by the hydrogen bonds of its main chain.

    A sheet is a row of strands of which each is paired with the one before. Where a strand has more than two
    partners, its further ones stand in sheets of their own, so that each pair of strands stands in one sheet.
    """
    backbone = backbone_of(structure)
    found = assign(backbone)
    residues = modelled_residues(structure)

    def address(row: int, atom: str) -> gemmi.AtomAddress:
        chain, residue, _ = residues[row]
        return gemmi.AtomAddress(chain, residue.seqid, residue.name, atom)

    structure.helices = gemmi.HelixList(_helices(found, backbone.linked, address))
    structure.sheets = gemmi.SheetList(_sheets(found, backbone, address))


def _helices(found: SecondaryStructure, linked: NDArray[np.bool_], address: Address) -> list[gemmi.Helix]:
    helices = []
    for first, last in _runs(found.turn, found.kind == HELIX, linked):
        if last - first + 1 >= SHORTEST_HELIX:
            helix = gemmi.Helix()
            helix.start, helix.end = address(first, "CA"), address(last, "CA")
            helix.pdb_helix_class, helix.length = HELIX_CLASSES[int(found.turn[first])], last - first + 1
            helices.append(helix)
    return helices


def _runs(label: IntArray, chosen: NDArray[np.bool_], linked: NDArray[np.bool_]) -> list[Run]:
    """Stretches of chosen residues that are bonded and have one label."""
    runs: list[Run] = []
    for row in np.flatnonzero(chosen).tolist():
        if runs and runs[-1][1] == row - 1 and linked[row] and label[row] == label[row - 1]:
            runs[-1] = (runs[-1][0], row)
        else:
            runs.append((row, row))
    return runs


def _sheets(found: SecondaryStructure, backbone: Backbone, address: Address) -> list[gemmi.Sheet]:
    strands = _runs(found.kind, found.kind == STRAND, backbone.linked)
    donor, acceptor = found.bonds.T
    length = np.linalg.norm(backbone.xyz[donor, N] - backbone.xyz[acceptor, O], axis=1)
    pairs = _pairs(found, strands)
    sheets = []
    for number, path in zip(count(1), _paths(pairs), strict=False):
        sheet = gemmi.Sheet(str(number))
        for before, here in zip([None, *path], path, strict=False):
            strand = gemmi.Sheet.Strand()
            strand.name = str(len(sheet.strands) + 1)
            strand.start, strand.end = (address(row, "CA") for row in strands[here])
            if before is not None:
                strand.sense = pairs[min(before, here), max(before, here)]
                bond = _bond(found.bonds, length, strands[before], strands[here])
                if bond is not None:
                    (row, atom), (row_before, atom_before) = bond
                    strand.hbond_atom2, strand.hbond_atom1 = address(row, atom), address(row_before, atom_before)
            sheet.strands.append(strand)
        sheets.append(sheet)
    return sheets


def _pairs(found: SecondaryStructure, strands: list[Run]) -> dict[tuple[int, int], int]:
    """Sense of each pair of strands that a ladder joins, the first of lower number."""
    strand_of = np.full(len(found.kind), -1)
    for number, (first, last) in enumerate(strands):
        strand_of[first : last + 1] = number
    pairs: dict[tuple[int, int], int] = {}
    for ladder in found.ladders:
        # A strand that a helix has taken a part of may be two; the middle of what is left counts.
        sides = [strand_of[first : last + 1] for first, last in (ladder.i, ladder.j)]
        one, other = (int(np.median(side[side >= 0])) if (side >= 0).any() else -1 for side in sides)
        if one >= 0 and other >= 0 and one != other:
            pairs[min(one, other), max(one, other)] = PARALLEL if ladder.parallel else ANTIPARALLEL
    return pairs


def _paths(pairs: dict[tuple[int, int], int]) -> list[list[int]]:
    """Rows of strands in which each pair of neighbours occurs once; ends of sheets are taken first."""
    left: dict[int, list[int]] = {}
    for one, other in pairs:
        left.setdefault(one, []).append(other)
        left.setdefault(other, []).append(one)
    paths = []
    while left:
        here = min(left, key=lambda strand: (len(left[strand]) != 1, strand))
        path = [here]
        while here in left:
            there = left[here][0]
            for one, other in ((here, there), (there, here)):
                left[one].remove(other)
                if not left[one]:
                    del left[one]
            path.append(there)
            here = there
        paths.append(path)
    return paths


def _bond(
    bonds: IntArray, length: FloatArray, before: Run, here: Run
) -> tuple[tuple[int, str], tuple[int, str]] | None:
    """Row and atom in a strand, and in the one before it, of the shortest hydrogen bond between the two."""

    def within(rows: IntArray, run: Run) -> NDArray[np.bool_]:
        return np.asarray((rows >= run[0]) & (rows <= run[1]))

    donor, acceptor = bonds.T
    given = within(donor, here) & within(acceptor, before)
    taken = within(acceptor, here) & within(donor, before)
    if not (given | taken).any():
        return None
    best = int(np.where(given | taken, length, np.inf).argmin())
    nitrogen, oxygen = (int(donor[best]), "N"), (int(acceptor[best]), "O")
    return (nitrogen, oxygen) if given[best] else (oxygen, nitrogen)
