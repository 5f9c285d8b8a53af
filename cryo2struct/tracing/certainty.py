"""Whether the predicted types of the candidates are as sure as they are right, told from the candidates themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from cryo2struct.objects import FloatArray
from cryo2struct.tracing.chains import Chain, symbols_of
from cryo2struct.tracing.scores import log_types
from hmm.sparse import Decoder

LEAST_RESIDUES = 50
"""From fewer residues nothing is concluded."""

RANGE = (0.2, 5.0)
"""Temperatures that are looked at."""


def types_temperature(
    decoder: Decoder, chains: Sequence[Chain], emission: NDArray[np.float64], aa_prob: FloatArray
) -> float:
    """Temperature by which the log probabilities of the types would be divided to be as sure as they are right.

    That of highest likelihood (Guo et al. 2017, arXiv:1706.04599) for the residues of a path of one copy of each
    sequence, each decoded as if it were alone: below 1 the types are less sure than they are right. Such a path
    prefers states that fit, so that the temperature is a little too low.

    Parameters
    ----------
    decoder : Decoder
    chains : as traced
    emission : see `emission_scores`
    aa_prob : (N, 20) of the states

    Returns
    -------
    float
        1 where fewer than `LEAST_RESIDUES` residues of known type are on the paths.
    """
    types, states = [], []
    for chain in (chain for chain in chains if chain.copy == 0):
        path = decoder.decode(symbols_of(chain), emission)
        known = (path.state >= 0) & (chain.types >= 0)
        types.append(chain.types[known])
        states.append(path.state[known])
    true, log_probability = np.concatenate(types), log_types(aa_prob[np.concatenate(states)])
    if len(true) < LEAST_RESIDUES:
        return 1.0

    def cost(log_temperature: float) -> float:
        logits = log_probability / np.exp(log_temperature)
        return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(true)), true]))

    return float(np.exp(minimize_scalar(cost, bounds=np.log(RANGE), method="bounded").x))
