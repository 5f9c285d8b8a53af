"""The neighbour list of a sparse model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Links:
    """Allowed transitions, compressed by source state and number of steps.

    Attributes
    ----------
    start : (N, K + 1) int64
        `start[s, k - 1]` to `start[s, k]` are the links from state s that advance k symbols (k - 1 are skipped).
    target : (M,) int32
    score : (M,) float64
        Added to a path that takes the link.
    """

    start: NDArray[np.int64]
    target: NDArray[np.int32]
    score: NDArray[np.float64]

    @property
    def steps(self) -> int:
        """Largest number of symbols that a link advances, K."""
        return self.start.shape[1] - 1


def links_from_pairs(
    n_states: int,
    steps: int,
    source: NDArray[np.integer[Any]],
    target: NDArray[np.integer[Any]],
    step: NDArray[np.integer[Any]],
    score: NDArray[np.floating[Any]],
) -> Links:
    """Links from flat lists of (source, target, step 1 to `steps`, score), in any order."""
    order = np.lexsort((target, step, source))
    key = source.astype(np.int64) * steps + step - 1
    counts = np.bincount(key, minlength=n_states * steps)
    ends = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(n_states)[:, None] * steps + np.arange(steps + 1)[None, :]
    return Links(
        start=ends[rows].astype(np.int64),
        target=target[order].astype(np.int32),
        score=score[order].astype(np.float64),
    )
