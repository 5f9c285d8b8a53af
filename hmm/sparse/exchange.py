"""Exchanging tails between the paths of identical chains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.sparse._path_kernels import exchange
from hmm.sparse.decode import Decoder


def exchange_tails(
    decoder: Decoder, first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """States (L,) of two paths of the same symbols, cut and joined crosswise as long as that raises their total score.

    Decoded one at a time, identical chains may each run along the other's states for a part: no single path gets
    better by going back. Emissions do not matter: each state stays with its symbol.
    """
    states = (np.array(first, dtype=np.int64), np.array(second, dtype=np.int64))
    while exchange(*states, *decoder.model):
        pass
    return states
