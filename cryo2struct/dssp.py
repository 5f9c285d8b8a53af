"""Secondary structure of a model by its hydrogen bonds.

Kabsch & Sander 1983, Biopolymers 22, 2577-2637: a C=O and an N-H are bonded where their electrostatic energy is below
-0.5 kcal/mol; helices are two turns in a row, strands are ladders of bridges.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.residues import modelled_residues

COIL, HELIX, STRAND, UNKNOWN = 0, 1, 2, -1

N, CA, C, O = range(4)  # noqa: E741  (oxygen)
BACKBONE = ("N", "CA", "C", "O")
LONGEST_PEPTIDE_BOND = 2.5  # A; a longer C-N is a break of the chain
FURTHEST = 9.0  # A between the C-alphas of bonded residues
N_H = 1.01  # A
COUPLING = 27.888  # kcal/mol A: partial charges 0.42 e and 0.20 e times 332
BOND = -0.5  # kcal/mol
PARTNERS = 2  # bonds that one N-H takes part in, the strongest ones


@dataclass(frozen=True)
class Backbone:
    """Main chain of a model, one row for each residue that has a C-alpha, in the order of `ca_points`.

    Attributes
    ----------
    xyz : (R, 4, 3) angstrom; N, CA, C, O, NaN where there is none
    linked : (R,) bonded to the residue before by a peptide bond
    proline : (R,)
    """

    xyz: FloatArray
    linked: NDArray[np.bool_]
    proline: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.xyz)


def backbone_of(structure: gemmi.Structure) -> Backbone:
    """Main chain of the first model of a structure; of alternate conformers the one whose C-alpha counts."""
    residues = modelled_residues(structure)
    xyz = np.full((len(residues), len(BACKBONE), 3), np.nan)
    for row, (_, residue, alpha) in enumerate(residues):
        for column, name in enumerate(BACKBONE):
            atom = alpha if name == "CA" else residue.find_atom(name, alpha.altloc) or residue.find_atom(name, "*")
            if atom is not None:
                xyz[row, column] = atom.pos.tolist()
    chains = np.array([chain for chain, _, _ in residues])
    linked = np.zeros(len(residues), dtype=np.bool_)
    linked[1:] = np.linalg.norm(xyz[1:, N] - xyz[:-1, C], axis=1) < LONGEST_PEPTIDE_BOND
    linked[1:] &= chains[1:] == chains[:-1]
    return Backbone(xyz, linked, np.array([residue.name == "PRO" for _, residue, _ in residues], dtype=np.bool_))


@dataclass
class Ladder:
    """Consecutive bridges between the residues `i[0]`..`i[1]` and `j[0]`..`j[1]` (rows), i before j."""

    i: tuple[int, int]
    j: tuple[int, int]
    parallel: bool
    bridges: int = 1


@dataclass(frozen=True)
class SecondaryStructure:
    """Helices and strands of a main chain, by its rows.

    Attributes
    ----------
    kind : (R,) see `secondary_structure`
    turn : (R,) residues per turn of the helix: 4 alpha, 3 for 3-10, 5 pi; 0 outside of helices
    ladders : of two bridges or more
    bonds : (B, 2) donor of N-H, acceptor C=O
    """

    kind: IntArray
    turn: IntArray
    ladders: list[Ladder]
    bonds: IntArray


def secondary_structure(backbone: Backbone) -> IntArray:
    """`COIL`, `HELIX` (H, G or I) or `STRAND` (E: bridges alone are coil) of each residue (R,).

    Residues without all four atoms of the main chain are `UNKNOWN`.
    """
    return assign(backbone).kind


def assign(backbone: Backbone) -> SecondaryStructure:
    """Helices, and strands with their ladders, of a main chain."""
    bonds = _Bonds(backbone)
    segment: IntArray = np.cumsum(~backbone.linked, dtype=np.int64)
    kind = np.full(len(backbone), COIL)
    turn = np.zeros(len(backbone), dtype=np.int64)
    ladders = _all_ladders(bonds, backbone.linked, segment)
    for first, last in (strand for ladder in ladders for strand in (ladder.i, ladder.j)):
        kind[first : last + 1] = STRAND
    # An alpha helix overrules a strand; a 3-10 helix takes what is free, a pi helix may also lengthen a helix.
    for step in (4, 3, 5):
        taken = {4: np.zeros(len(kind), dtype=np.bool_), 3: kind != COIL, 5: kind == STRAND}[step]
        start = np.arange(max(len(kind) - step, 0))
        turns = bonds.between(start + step, start) & (segment[start] == segment[start + step])
        for i in np.flatnonzero(turns[1:] & turns[:-1]) + 1:
            if not taken[i : i + step].any():
                kind[i : i + step] = HELIX
                turn[i : i + step] = np.where(turn[i : i + step] == 0, step, turn[i : i + step])
    kind = np.where(np.isnan(backbone.xyz).any(axis=(1, 2)), UNKNOWN, kind)
    return SecondaryStructure(kind, turn * (kind == HELIX), ladders, np.column_stack([bonds.donor, bonds.acceptor]))


class _Bonds:
    """Hydrogen bonds: `donor` (B,) gives its N-H to the C=O of `acceptor` (B,)."""

    def __init__(self, backbone: Backbone) -> None:
        self.residues = len(backbone)
        xyz = backbone.xyz
        # The hydrogen lies opposite to the oxygen of the residue before; the first of a chain and proline have none.
        before = xyz[:-1, C] - xyz[:-1, O]
        hydrogen = np.full((len(backbone), 3), np.nan)
        hydrogen[1:] = xyz[1:, N] + N_H * before / np.linalg.norm(before, axis=1, keepdims=True)
        hydrogen[~backbone.linked | backbone.proline] = np.nan
        pairs = cKDTree(xyz[:, CA]).query_pairs(FURTHEST, output_type="ndarray")
        donor, acceptor = np.concatenate([pairs, pairs[:, ::-1]]).T
        energy = _energy(xyz[donor, N], hydrogen[donor], xyz[acceptor, C], xyz[acceptor, O])
        strong = (energy < BOND) & (donor != acceptor + 1)
        donor, acceptor, energy = donor[strong], acceptor[strong], energy[strong]
        order = np.lexsort((energy, donor))
        donor, acceptor = donor[order], acceptor[order]
        rank = np.arange(len(donor)) - np.searchsorted(donor, donor)
        self.donor, self.acceptor = donor[rank < PARTNERS], acceptor[rank < PARTNERS]
        self._codes = self.donor * self.residues + self.acceptor

    def between(self, donor: IntArray, acceptor: IntArray) -> NDArray[np.bool_]:
        """Which of these pairs are bonded; False where there is no such residue."""
        exist = (donor >= 0) & (donor < self.residues) & (acceptor >= 0) & (acceptor < self.residues)
        return exist & np.isin(donor * self.residues + acceptor, self._codes)


def _energy(n: FloatArray, h: FloatArray, c: FloatArray, o: FloatArray) -> FloatArray:
    """Electrostatic energy (P,) of N-H and C=O in kcal/mol, infinite where an atom is missing."""

    def inverse(a: FloatArray, b: FloatArray) -> FloatArray:
        return np.asarray(1 / np.maximum(np.linalg.norm(a - b, axis=1), 0.5))

    energy = COUPLING * (inverse(o, n) + inverse(c, h) - inverse(o, h) - inverse(c, n))
    return np.where(np.isnan(energy), np.inf, energy)


def _all_ladders(bonds: _Bonds, linked: NDArray[np.bool_], segment: IntArray) -> list[Ladder]:
    """Ladders of two bridges or more, joined across bulges."""
    found = []
    for parallel in (True, False):
        ladders = _ladders(_bridges(bonds, linked, parallel), parallel)
        found += [ladder for ladder in _join_bulges(ladders, parallel, segment) if ladder.bridges > 1]
    return found


def _bridges(bonds: _Bonds, linked: NDArray[np.bool_], parallel: bool) -> list[tuple[int, int]]:
    """Bridges (i, j), i < j, in rising order: two bonds between the residues i - 1..i + 1 and j - 1..j + 1."""
    d, a = bonds.donor, bonds.acceptor
    if parallel:
        found = [(d - 1, a, bonds.between(a, d - 2))]
    else:
        found = [(d, a, bonds.between(a, d)), (d - 1, a + 1, bonds.between(a + 2, d - 2))]
    inner = linked & np.append(linked[1:], False)  # both neighbours are there
    bridges = set()
    for one, other, bonded in found:
        i, j = np.minimum(one, other)[bonded], np.maximum(one, other)[bonded]
        good = (j - i >= 3) & inner[i] & inner[j]
        bridges |= set(zip(i[good].tolist(), j[good].tolist(), strict=True))
    return sorted(bridges)


def _ladders(bridges: list[tuple[int, int]], parallel: bool) -> list[Ladder]:
    """Bridges of neighbouring residues joined."""
    step = 1 if parallel else -1
    by_last: dict[tuple[int, int], Ladder] = {}
    ladders = []
    for i, j in bridges:
        ladder = by_last.pop((i - 1, j - step), None)
        if ladder is None:
            ladder = Ladder((i, i), (j, j), parallel)
            ladders.append(ladder)
        else:
            ladder.i = (ladder.i[0], i)
            ladder.j = (min(ladder.j[0], j), max(ladder.j[1], j))
            ladder.bridges += 1
        by_last[i, j] = ladder
    return ladders


def _join_bulges(ladders: list[Ladder], parallel: bool, segment: IntArray) -> list[Ladder]:
    """Ladders joined across bulges: at most one extra residue on one strand and four on the other."""
    joined: list[Ladder] = []
    for ladder in ladders:
        for earlier in joined:
            gap_i = ladder.i[0] - earlier.i[1]
            gap_j = ladder.j[0] - earlier.j[1] if parallel else earlier.j[0] - ladder.j[1]
            low, high = min(earlier.j[0], ladder.j[0]), max(earlier.j[1], ladder.j[1])
            unbroken = segment[earlier.i[0]] == segment[ladder.i[1]] and segment[low] == segment[high]
            if unbroken and 0 < min(gap_i, gap_j) <= 2 and max(gap_i, gap_j) <= 5:
                earlier.i, earlier.j = (earlier.i[0], ladder.i[1]), (low, high)
                earlier.bridges += ladder.bridges
                break
        else:
            joined.append(ladder)
    return joined
