"""Scores of all pairs of sequences."""

from __future__ import annotations

import numpy as np

from cryo2struct.objects import IntArray
from hmm._jit import njit


@njit
def ungapped_scores(profile: IntArray, letters: IntArray, first: IntArray) -> IntArray:
    """Best sum of scores of a stretch of each of many sequences against one of equal length in another sequence.

    Parameters
    ----------
    profile : (K, L) int32, score of each kind of letter against the L letters of the other sequence
    letters : (T,) kinds of letters of all sequences, one after the other
    first : (N + 1,) where each begins

    Returns
    -------
    (N,) int32, 0 where no letters fit
    """
    best = np.zeros(len(first) - 1, dtype=np.int32)
    length = profile.shape[1]
    for number in range(len(best)):
        # running[j + 1]: best stretch that ends with this letter and letter j of the other sequence; two rows in turn,
        # so that a row is filled without looking at itself.
        rows = np.zeros((2, length + 1), dtype=np.int32)
        highest = np.int32(0)
        for place in range(first[number], first[number + 1]):
            before, now, scores = rows[place % 2], rows[1 - place % 2], profile[letters[place]]
            for j in range(length):
                value = max(before[j] + scores[j], np.int32(0))
                now[j + 1] = value
                highest = max(highest, value)
        best[number] = highest
    return best
