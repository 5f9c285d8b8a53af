"""Like sequences on two sides of a split, found without the program that made the clusters.

Two sequences are alike where their best local alignment (Smith-Waterman, BLOSUM62, gaps of -11 and -1 for each further
residue) has a share of identical residues, covers a share of the shorter sequence, and is not one that chance gives:
E = K m N exp(-lambda S) of at most 0.001 for its score S, the length m of the shorter one and all N residues compared
(Karlin & Altschul 1990, PNAS 87, 2264-2268; constants of BLAST). Only pairs are aligned that score well over a stretch
without gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from Bio.Align import PairwiseAligner, substitution_matrices

from cryo2struct.dataset._kernels import ungapped_scores

LAMBDA, K = 0.267, 0.041  # of BLOSUM62 with these gaps
LAMBDA_UNGAPPED, K_UNGAPPED = 0.318, 0.134
GAP_OPEN, GAP_EXTEND = -11.0, -1.0
LARGEST_E = 0.001  # the limit of MMseqs2 as well
LARGEST_E_UNGAPPED = 0.1  # of a pair by itself, for it to be aligned


@dataclass(frozen=True)
class Leak:
    """Numbers of two like sequences; `identity` of the aligned pairs of residues, `coverage` of the shorter one."""

    one: int
    other: int
    identity: float
    coverage: float


class _Aligner:
    """Best local alignments."""

    def __init__(self) -> None:
        self.matrix = substitution_matrices.load("BLOSUM62")
        self._aligner = PairwiseAligner(mode="local", substitution_matrix=self.matrix)
        self._aligner.open_gap_score, self._aligner.extend_gap_score = GAP_OPEN, GAP_EXTEND

    def score(self, one: str, other: str) -> float:
        """Score of the best alignment."""
        return float(self._aligner.score(one, other))

    def compare(self, one: str, other: str) -> tuple[float, float]:
        """Share of identical residues in the columns of the best alignment, and its share of the shorter sequence."""
        blocks = self._aligner.align(one, other)[0].aligned
        pairs = [
            (one[i], other[j])
            for (start, end), (first, _) in zip(*blocks, strict=True)
            for i, j in zip(range(start, end), range(first, first + end - start), strict=True)
        ]
        reach = [blocks[side][-1][1] - blocks[side][0][0] for side in (0, 1)]
        columns = sum(reach) - len(pairs)  # the pairs, and the residues of either against a gap
        shorter = 0 if len(one) <= len(other) else 1
        identical = sum(a == b != "X" for a, b in pairs)
        return identical / columns, reach[shorter] / min(len(one), len(other))


def find_leaks(
    sequences: Sequence[str],
    sides: Sequence[str],
    identity: float,
    coverage: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Leak]:
    """All pairs of like sequences of different sides.

    Parameters
    ----------
    sequences : one-letter codes
    sides : of each sequence
    identity, coverage : least shares, 0 to 1
    progress : told how many distinct sequences are done, and of how many
    """
    members: dict[str, list[int]] = {}  # each distinct sequence is compared once
    for number, letters in enumerate(sequences):
        members.setdefault(letters, []).append(number)
    residues = sum(map(len, members))
    aligner = _Aligner()
    found = []
    for one, other in _candidates(members, sides, aligner.matrix, progress):
        identical = covered = 1.0
        if one != other:
            if K * min(len(one), len(other)) * residues * np.exp(-LAMBDA * aligner.score(one, other)) > LARGEST_E:
                continue
            identical, covered = aligner.compare(one, other)
        if identical >= identity and covered >= coverage:
            pairs = {(min(i, j), max(i, j)) for i in members[one] for j in members[other] if sides[i] != sides[j]}
            found += [Leak(*pair, identical, covered) for pair in pairs]
    return sorted(found, key=lambda leak: (leak.one, leak.other))


def _candidates(
    members: Mapping[str, Sequence[int]],
    sides: Sequence[str],
    matrix: substitution_matrices.Array,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[str, str]]:
    """Pairs of distinct sequences on different sides that are worth an alignment, and those that are on several."""
    label = {letters: tuple(sorted({sides[number] for number in numbers})) for letters, numbers in members.items()}
    words = sorted(members, key=lambda letters: label[letters])  # of one side together: the pairs begin behind them
    behind = {label[letters]: number + 1 for number, letters in enumerate(words)}
    scores = np.array(matrix, dtype=np.int32)
    coded = [np.array([matrix.alphabet.index(letter) for letter in letters], dtype=np.int64) for letters in words]
    every, first = np.concatenate([*coded, []]).astype(np.int64), np.cumsum([0, *map(len, coded)])
    for number, letters in enumerate(words):
        several = len(label[letters]) > 1
        if several:
            yield letters, letters
        start = number + 1 if several else behind[label[letters]]
        best = ungapped_scores(np.ascontiguousarray(scores[:, coded[number]]), every, first[start:])
        lengths = len(letters) * np.diff(first[start:])
        enough = np.log(K_UNGAPPED * lengths / LARGEST_E_UNGAPPED) / LAMBDA_UNGAPPED
        for other in np.flatnonzero(best >= enough):
            yield letters, words[start + int(other)]
        progress(number + 1, len(words))
