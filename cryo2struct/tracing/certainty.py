"""Whether the predicted types of the candidates are as sure as they are right, told from the candidates themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.tracing.chains import Chain, symbols_of
from cryo2struct.tracing.scores import log_types, with_look_alikes
from hmm.sparse import Decoder, Path

LEAST_RESIDUES = 50
"""From fewer residues nothing is concluded."""

RANGE = (0.2, 5.0)
"""Temperatures that are looked at."""

CONFUSED = 0.015
"""Gain in log likelihood per residue, nats, from which on types are taken for noisy. Generated cases with noisy types
gain 0.04 to 0.13 where directions are known, maps simulated at 4.2 to 4.6 A at most 0.004."""


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
    first = [chain for chain in chains if chain.copy == 0]
    types, states = _on_paths([(chain, decoder.decode(symbols_of(chain), emission)) for chain in first])
    return 1.0 if len(types) < LEAST_RESIDUES else _likeliest(types, log_types(aa_prob)[states])[1]


def types_are_noisy(traced: Sequence[tuple[Chain, Path]], aa_prob: FloatArray, share: float) -> bool:
    """Whether the types (N, 20) of the states fit the residues traced there better if look-alikes have this share.

    Probabilities that a network was trained for do not: those of look-alikes are already what they should be. Where
    a few residues are traced nothing is concluded.
    """
    types, states = _on_paths(traced)
    if len(types) < LEAST_RESIDUES:
        return False
    log_probability = log_types(aa_prob)
    mixed = with_look_alikes(log_probability, share)
    gain = _likeliest(types, mixed[states])[0] - _likeliest(types, log_probability[states])[0]
    return gain > CONFUSED


def _on_paths(traced: Sequence[tuple[Chain, Path]]) -> tuple[IntArray, IntArray]:
    """True type and state of each residue of known type that has a state."""
    known = [(path.state >= 0) & (chain.types >= 0) for chain, path in traced]
    types = [chain.types[rows] for (chain, _), rows in zip(traced, known, strict=True)]
    states = [path.state[rows] for (_, path), rows in zip(traced, known, strict=True)]
    return np.concatenate(types), np.concatenate(states)


def _likeliest(types: IntArray, log_probability: NDArray[np.float64]) -> tuple[float, float]:
    """Highest mean log likelihood (nats) of the types (R,) given (R, 20), over temperatures, and its temperature."""

    def cost(log_temperature: float) -> float:
        logits = log_probability / np.exp(log_temperature)
        return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(types)), types]))

    found = minimize_scalar(cost, bounds=np.log(RANGE), method="bounded")
    return -float(found.fun), float(np.exp(found.x))
