"""Which residue of a model stands for which of a target.

By sequence: chains of like sequence are aligned, and of identical copies those are taken for each other that lie
together. Residues whose chains find no partner, such as those of a model without a sequence, are paired by place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import gemmi
import numpy as np
from Bio.Align import PairwiseAligner, substitution_matrices

from cryo2struct.evaluation.ca import Points, ResidueKey, ca_residues, pair_points
from cryo2struct.evaluation.chain_mapping import ChainPair, map_chains
from cryo2struct.objects import AMINO_ACIDS, FloatArray, IntArray
from cryo2struct.residues import modelled_residues

REACH = 3.0  # angstrom; a pair by place is no longer
LIKE = 0.2  # identical residues of two chains that may be mapped, per residue of the shorter, at least
FEW = 10  # identical residues, at least; of chains that have fewer residues all
SURE = 0.9  # identical residues per pair of equal number that tell without an alignment that two chains are alike
CHANCE = 0.05  # more identical residues than by number are found by chance where other residues are missing
WORD = 4  # residues; chains that share such words are aligned with one another alone
GAP_OPEN, GAP_EXTEND = -11.0, -1.0  # with BLOSUM62; gaps at the ends are free


@dataclass(frozen=True)
class Residues:
    """Residues of a structure that have a C-alpha, chain by chain; see `modelled_residues`."""

    keys: list[ResidueKey]
    residues: list[gemmi.Residue]
    points: Points

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def xyz(self) -> FloatArray:
        """C-alphas (N, 3) in angstrom."""
        return self.points.xyz

    @cached_property
    def chains(self) -> dict[str, IntArray]:
        """Name -> residues of a chain, in file order."""
        members: dict[str, list[int]] = {}
        for index, key in enumerate(self.keys):
            members.setdefault(key[0], []).append(index)
        return {name: np.array(indices, dtype=np.int64) for name, indices in members.items()}

    @cached_property
    def numbers(self) -> dict[str, dict[tuple[int, str], int]]:
        """Chain -> number and insertion code -> residue; empty for a chain that uses a number twice."""
        places = {name: {self.keys[index][1:]: index for index in rows.tolist()} for name, rows in self.chains.items()}
        return {name: rows if len(rows) == len(self.chains[name]) else {} for name, rows in places.items()}

    @cached_property
    def letters(self) -> str:
        """One letter a residue, X where the type is unknown."""
        return "".join((*AMINO_ACIDS, "X")[index] for index in self.points.types)


@dataclass(frozen=True)
class Pairing:
    """Pairs (P, 2) of residues: model, target; each residue is in one at most, ordered by the target.

    Attributes
    ----------
    model, target : the residues
    chains : chain of the target -> chain of the model that is mapped on it, and others that are pieces of it
    aligned : pairs by the plain alignment of the sequences of mapped chains
    sequence : the same, but by residue number where that pairs as many identical residues: where residues are
        missing, several alignments are equally good, and the numbers tell which one is meant. An alignment also finds a
        few identical residues by chance, up to a twentieth; these do not speak against numbers that agree in their
        insertion codes
    place : the nearest C-alphas within 3 angstrom that belong to no mapped chain of the model and to no pair
    """

    model: Residues
    target: Residues
    chains: dict[str, list[str]]
    aligned: IntArray
    sequence: IntArray
    place: IntArray

    @cached_property
    def pairs(self) -> IntArray:
        """Pairs by sequence, and by place for what has none."""
        return _joined([self.sequence, self.place])


def residues_of(structure: gemmi.Structure) -> Residues:
    """Residues with a C-alpha of the first model; none of a structure without models."""
    if not len(structure):
        return Residues([], [], Points(np.empty((0, 3)), np.empty(0, dtype=np.int64)))
    keys, points = ca_residues(structure)
    return Residues(keys, [residue for _, residue, _ in modelled_residues(structure)], points)


def pair(model: gemmi.Structure, target: gemmi.Structure) -> Pairing:
    """Pair the residues of a model with those of a target."""
    first, second = residues_of(model), residues_of(target)
    candidates = {}
    for a, b in _comparable(first, second):
        chains = _chain_pair(first, second, a, b)
        if chains is not None:
            candidates[a, b] = chains
    chosen = map_chains(candidates, first.xyz, second.xyz)
    mapping: dict[str, list[str]] = {b: [] for b in second.chains if any(b == chains[1] for chains in chosen)}
    for a, b in chosen:
        mapping[b].append(a)
    alignments = {(a, b): _align(first, second, a, b) for a, b in chosen}
    aligned = _joined(list(alignments.values()))
    sequence = _joined([_meant(first, second, a, b, pairs) for (a, b), pairs in alignments.items()])
    place = _by_place(first, second, {a for a, _ in chosen}, np.concatenate([aligned, sequence])[:, 1])
    return Pairing(first, second, mapping, aligned, sequence, place)


def _chain_pair(model: Residues, target: Residues, a: str, b: str) -> ChainPair | None:
    """Two chains that are alike; by number if these are nearly all right, else aligned."""
    pairs = _by_number(model, target, a, b)
    count = _identical(model, target, pairs)
    shorter = min(len(model.chains[a]), len(target.chains[b]))
    if 2 * count < shorter or count < SURE * len(pairs):
        pairs = _align(model, target, a, b)
        count = _identical(model, target, pairs)
    return ChainPair(pairs, count / shorter) if count >= max(LIKE * shorter, min(FEW, shorter)) else None


def _meant(model: Residues, target: Residues, a: str, b: str, aligned: IntArray) -> IntArray:
    """Pairs of two mapped chains by number, or the aligned ones: see `Pairing.sequence`."""
    numbered = _by_number(model, target, a, b)
    codes = [{number for number in side if number[1]} for side in (model.numbers[a], target.numbers[b])]
    chance = CHANCE if codes[0] == codes[1] else 0.0
    more = _identical(model, target, aligned) > (1 + chance) * _identical(model, target, numbered)
    return aligned if more else numbered


def _comparable(model: Residues, target: Residues) -> Iterator[tuple[str, str]]:
    """Chains of model and target that may be alike: those that share words, or all where a chain shares none."""
    words = {name: _words(target, members) for name, members in target.chains.items()}
    for a, members in model.chains.items():
        own = _words(model, members)
        shared = {b: len(own & other) for b, other in words.items()}
        most = max(shared.values(), default=0)
        yield from ((a, b) for b, number in shared.items() if 4 * number >= most)


def _words(residues: Residues, members: IntArray) -> set[str]:
    letters = "".join(residues.letters[index] for index in members)
    words = {letters[start : start + WORD] for start in range(len(letters) - WORD + 1)}
    return {word for word in words if "X" not in word}


def _align(model: Residues, target: Residues, a: str, b: str) -> IntArray:
    """Pairs of the residues of two chains by global alignment of their sequences.

    Of several alignments of equal score the one is taken that is found when the sequences are read backward: US-align
    takes the same.
    """
    first, second = model.chains[a], target.chains[b]
    letters = ["".join(side.letters[index] for index in rows) for side, rows in ((model, first), (target, second))]
    if letters[0] == letters[1]:
        return np.column_stack([first, second])
    indices = _aligner().align(letters[0][::-1], letters[1][::-1])[0].indices
    i, j = indices[:, (indices >= 0).all(axis=0)][:, ::-1]
    return np.column_stack([first[len(first) - 1 - i], second[len(second) - 1 - j]])


@cache
def _aligner() -> PairwiseAligner:
    aligner = PairwiseAligner(mode="global", substitution_matrix=substitution_matrices.load("BLOSUM62"))
    aligner.open_gap_score, aligner.extend_gap_score, aligner.end_gap_score = GAP_OPEN, GAP_EXTEND, 0.0
    return aligner


def _by_place(model: Residues, target: Residues, mapped: set[str], taken: IntArray) -> IntArray:
    """The nearest residues of unmapped chains of the model and of the target, but for those taken."""
    rows = np.array([index for index, key in enumerate(model.keys) if key[0] not in mapped], dtype=np.int64)
    columns = np.setdiff1d(np.arange(len(target)), taken)
    near, _ = pair_points(_part(model.points, rows), _part(target.points, columns), REACH)
    return _joined([np.column_stack([rows[near[:, 0]], columns[near[:, 1]]])])


def _part(points: Points, rows: IntArray) -> Points:
    return Points(points.xyz[rows], points.types[rows])


def _identical(model: Residues, target: Residues, pairs: IntArray) -> int:
    """Number of pairs of equal, known type."""
    types = model.points.types[pairs[:, 0]]
    return int(((types == target.points.types[pairs[:, 1]]) & (types >= 0)).sum())


def _joined(parts: Sequence[IntArray]) -> IntArray:
    """Pairs (P, 2) of all parts, by their place in the target; of several for one residue there the first."""
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *parts])
    return pairs[np.unique(pairs[:, 1], return_index=True)[1]]


def _by_number(model: Residues, target: Residues, a: str, b: str) -> IntArray:
    """Residues of equal number and insertion code."""
    places = target.numbers[b]
    pairs = [(i, places[number]) for number, i in model.numbers[a].items() if number in places]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
