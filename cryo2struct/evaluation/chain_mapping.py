"""Which chain of a model stands for which of a target, where several are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from cryo2struct.evaluation.superposition import superpose
from cryo2struct.evaluation.tm_score import length_scale
from cryo2struct.objects import FloatArray, IntArray

Chains = tuple[str, str]
"""A chain of the model and one of the target."""

SAMPLE = 30  # pairs of two chains that are looked at
ROUNDS = 3  # of mapping and superposing in turn
IN_PLACE = 0.5  # share of the best score that says that the model lies where the target lies
NEAR = 10.0  # angstrom; a piece of a chain has half of its residues as near to their partners
FAR = 1e-6  # weight of the sequences alone, for chains that lie apart


@dataclass(frozen=True)
class ChainPair:
    """Two chains that may be mapped: `pairs` (K, 2) of their residues, `identity` of their sequences 0 to 1."""

    pairs: IntArray
    identity: float


def map_chains(candidates: Mapping[Chains, ChainPair], model: FloatArray, target: FloatArray) -> list[Chains]:
    """Map chains one to one, so that the pairs of their residues lie together, whole and of equal type.

    The score of a mapping is the sum, over its pairs, of 1 / (1 + (d / d0)^2) as in TM-score, times the identity of
    the two chains. It is taken where the model lies, or, when that finds too little, where the model lies after one of
    its chains has been superposed on each chain of the target that it may stand for. Chains of the model that are left
    over then join the chain of the target along which they lie: they are pieces of it.

    Parameters
    ----------
    candidates : chains that may be mapped; all have pairs
    model, target : (N, 3) C-alphas in angstrom that the pairs refer to

    Returns
    -------
    list of Chains
        Those mapped one to one, then the pieces, the longest first.
    """
    if not candidates:
        return []
    search = _Search(candidates, model, target)
    frame: tuple[FloatArray, FloatArray] = (np.eye(3), np.zeros(3))
    chosen, score = search.best(*frame)
    anchors = [] if search.is_settled or score >= IN_PLACE * search.perfect(chosen) else search.anchors()
    for pairs in anchors:
        for _ in range(ROUNDS):
            moved = _superposition(model[pairs[:, 0]], target[pairs[:, 1]])
            trial, gained = search.best(*moved)
            pairs = np.concatenate([candidates[search.chains[index]].pairs for index in trial])
        if gained > score:
            chosen, score, frame = trial, gained, moved
    return [search.chains[index] for index in chosen + search.pieces(chosen, *frame)]


class _Search:
    """Scores all pairs of chains at once, by a sample of their residues."""

    def __init__(self, candidates: Mapping[Chains, ChainPair], model: FloatArray, target: FloatArray) -> None:
        self.candidates = candidates
        self.chains = sorted(candidates)
        self.rows = np.unique([a for a, _ in self.chains], return_inverse=True)[1]
        self.columns = np.unique([b for _, b in self.chains], return_inverse=True)[1]
        self.is_settled = len(set(self.rows)) == len(set(self.columns)) == len(self.chains)
        samples = [_sample(candidates[chains].pairs) for chains in self.chains]
        self.starts = np.concatenate([[0], np.cumsum([len(sample) for sample in samples])[:-1]])
        self.counts = np.array([len(sample) for sample in samples])
        pairs = np.concatenate(samples)
        self.model, self.target = model[pairs[:, 0]], target[pairs[:, 1]]
        self.scale = length_scale(len(target)) ** 2
        # What a pair of chains is worth when its residues lie on one another.
        self.worth = np.array([len(candidates[chains].pairs) * candidates[chains].identity for chains in self.chains])

    def best(self, rotation: FloatArray, translation: FloatArray) -> tuple[list[int], float]:
        """The best mapping (indices of `chains`) after moving the model, and its score."""
        squares = self._squares(rotation, translation)
        closeness = np.add.reduceat(1 / (1 + squares / self.scale), self.starts) / self.counts
        scores = np.zeros((self.rows.max() + 1, self.columns.max() + 1))
        scores[self.rows, self.columns] = self.worth * (closeness + FAR)
        place = np.full(scores.shape, -1)
        place[self.rows, self.columns] = np.arange(len(self.chains))
        rows, columns = linear_sum_assignment(scores, maximize=True)
        mapped = place[rows, columns] >= 0
        return [int(index) for index in place[rows, columns][mapped]], float(scores[rows, columns].sum())

    def pieces(self, chosen: list[int], rotation: FloatArray, translation: FloatArray) -> list[int]:
        """For each chain of the model that is not mapped, the chain of the target along which most of it lies."""
        near = (self._squares(rotation, translation) <= NEAR**2).astype(np.float64)
        share = np.add.reduceat(near, self.starts) / self.counts
        worth = np.where(share >= 0.5, share * self.worth, 0.0)
        mapped = set(self.rows[chosen])
        best: dict[int, int] = {}
        for index in np.argsort(-worth, kind="stable").tolist():
            if worth[index] > 0 and self.rows[index] not in mapped:
                best.setdefault(int(self.rows[index]), index)
        return list(best.values())

    def _squares(self, rotation: FloatArray, translation: FloatArray) -> FloatArray:
        """Squared distances of all sampled pairs after moving the model."""
        return ((self.model @ rotation.T + translation - self.target) ** 2).sum(axis=1)

    def perfect(self, chosen: list[int]) -> float:
        """Score of a mapping if all residues lay on their partners."""
        return float(self.worth[chosen].sum())

    def anchors(self) -> list[IntArray]:
        """Pairs of one chain of the model, the largest, with each chain that it may stand for."""
        first = self.rows[int(np.argmax(self.worth))]
        return [self.candidates[self.chains[index]].pairs for index in np.flatnonzero(self.rows == first)]


def _sample(pairs: IntArray) -> IntArray:
    return pairs[np.unique(np.linspace(0, len(pairs) - 1, SAMPLE).round().astype(int))]


def _superposition(moving: FloatArray, fixed: FloatArray) -> tuple[FloatArray, FloatArray]:
    rotations, translations = superpose(moving, fixed, np.ones((1, len(moving))))
    return rotations[0], translations[0]
