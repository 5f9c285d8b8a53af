"""Exchanging tails between the paths of identical chains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.sparse.decode import Decoder, Path


def exchange_tails(
    decoder: Decoder, symbols: NDArray[np.integer[Any]], first: Path, second: Path, emission: NDArray[np.float64]
) -> tuple[Path, Path]:
    """Two paths of the same symbols, cut and joined crosswise as long as that raises their total score.

    Decoded one at a time, identical chains may each run along the other's states for a part: no single path gets
    better by going back.
    """
    states = [first.state, second.state]
    scores = [decoder.score(symbols, state, emission) for state in states]
    improved = True
    while improved:
        improved = False
        for cut in range(1, len(symbols)):
            crossed = [np.concatenate([states[k][:cut], states[1 - k][cut:]]) for k in (0, 1)]
            crossed_scores = [decoder.score(symbols, state, emission) for state in crossed]
            if sum(crossed_scores) > sum(scores) + 1e-9:
                states, scores, improved = crossed, crossed_scores, True
    found = [Path(state, decoder.opens(state), score) for state, score in zip(states, scores, strict=True)]
    return found[0], found[1]
