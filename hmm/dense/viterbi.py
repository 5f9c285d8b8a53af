"""The published dense Viterbi decoding with visit-once states, freezing and restarting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.dense._kernels import decode_until_frozen


def decode_chains(
    chains: Sequence[NDArray[np.integer[Any]]],
    log_transition: NDArray[np.float64],
    log_emission: NDArray[np.float64],
    log_initial: Sequence[NDArray[np.float64]],
) -> list[NDArray[np.int64]]:
    """States of every symbol of every chain; each state is used at most once over all chains.

    Chains are decoded one after another. Each state keeps one surviving path per step, which never enters a state
    twice. When all survivors already contain some state, the best path of the step before is frozen, its states are
    withdrawn, and decoding restarts with the next symbol from the chain's initial vector, without a link to what was
    frozen.

    Parameters
    ----------
    chains : symbols of each chain, (L,) int
    log_transition : (N, N) from row to column
    log_emission : (symbols, N)
    log_initial : per chain, (N,)

    Returns
    -------
    per chain, (L,) state indices

    Raises
    ------
    ValueError
        When there are fewer states than symbols in all chains together.

    Notes
    -----
    The alignment of Cryo2Struct (Giri & Cheng 2024, Nature Communications 15, 5511), including what follows from
    its recursion: the initial vector is that of the chain's first symbol in every restart.
    """
    n_states = log_transition.shape[0]
    n_symbols = sum(len(chain) for chain in chains)
    if n_states < n_symbols:
        raise ValueError(f"{n_states} states cannot take {n_symbols} symbols once each")
    free = np.ones(n_states, dtype=bool)
    paths = []
    for symbols, initial in zip(chains, log_initial, strict=True):
        path: list[NDArray[np.int64]] = []
        done = 0
        while done < len(symbols):
            states = np.flatnonzero(free)
            piece = states[
                decode_until_frozen(
                    np.ascontiguousarray(symbols[done:], dtype=np.int64),
                    initial[states],
                    np.ascontiguousarray(log_transition[np.ix_(states, states)]),
                    np.ascontiguousarray(log_emission[:, states]),
                )
            ]
            free[piece] = False
            path.append(piece)
            done += len(piece)
        paths.append(np.concatenate(path) if path else np.empty(0, dtype=np.int64))
    return paths


def path_score(
    symbols: NDArray[np.integer[Any]],
    path: NDArray[np.integer[Any]],
    log_transition: NDArray[np.float64],
    log_emission: NDArray[np.float64],
    log_initial: NDArray[np.float64],
) -> float:
    """Log probability of one chain's path under the plain model, jumps at restarts included."""
    return float(log_initial[path[0]] + log_emission[symbols, path].sum() + log_transition[path[:-1], path[1:]].sum())
