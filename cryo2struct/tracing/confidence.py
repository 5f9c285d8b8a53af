"""How likely a traced residue is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.tracing.chains import Chain, symbols_of
from hmm.sparse import Decoder, Path, stability

FELT = 7
"""Residues on either side whose terms of a path's score change with a residue: three, or across skipped ones more."""

GAIN_RANGE = (-2.0, 8.0)
SURE_RANGE = (1e-3, 0.999)
"""What a residue brings, nats, and the probability of a register count for its confidence within these limits."""

NOISE = 0.7
REPLICAS = 6
"""Standard deviation, nats, of the noise on the emissions under which a path is decoded again, so many times."""


def confidence_of(
    decoder: Decoder,
    chains: Sequence[Chain],
    paths: Sequence[Path],
    emissions: Sequence[NDArray[np.float64]],
    registers: Sequence[FloatArray],
    weights: Sequence[float],
) -> list[FloatArray]:
    """Probability (L,) per chain that a residue's own C-alpha is within 3 A of its place; 0 where not placed.

    A logistic function of `evidence_of`.

    Parameters
    ----------
    emissions : per chain (rows, N), see `emission_scores`
    registers : per chain (L,), probability of the register
    weights : of the evidence, see `TracingSettings.confidence_weights`; fitted (docs/trials/hmm.md)
    """
    evidence = evidence_of(decoder, chains, paths, emissions, registers)
    return [
        np.where(path.state >= 0, expit(rows @ np.asarray(weights)), 0.0)
        for path, rows in zip(paths, evidence, strict=True)
    ]


def evidence_of(
    decoder: Decoder,
    chains: Sequence[Chain],
    paths: Sequence[Path],
    emissions: Sequence[NDArray[np.float64]],
    registers: Sequence[FloatArray],
) -> list[FloatArray]:
    """What tells whether residues are right, (L, 5) per chain, see `confidence_of`.

    One; what the residue brings to its path, nats; log odds of its register; what it brings times the log odds of the
    mean register of all that is placed (where candidates are poor, a good fit says less); and the share of paths
    decoded again under noise, other chains as they are, that come back to its place.
    """
    placed = [path.state >= 0 for path in paths]
    every = np.concatenate([register[here] for register, here in zip(registers, placed, strict=True)])
    level = logit(np.clip(every.mean(), *SURE_RANGE)) if len(every) else 0.0
    used = np.zeros(decoder.n_sites, dtype=np.int64)
    for path in paths:
        used[decoder.entered(path.state)] += 1
    rows = []
    for chain, path, emission, register in zip(chains, paths, emissions, registers, strict=True):
        symbols = symbols_of(chain)
        gain = np.clip(_brought(decoder, symbols, path, emission), *GAIN_RANGE)
        others = used.copy()
        others[decoder.entered(path.state)] -= 1
        price = np.where(others > 0, np.inf, 0.0)
        stable = stability(decoder, symbols, path, emission, price, NOISE, REPLICAS)
        in_register = logit(np.clip(register, *SURE_RANGE))
        rows.append(np.column_stack([np.ones(len(gain)), gain, in_register, level * gain, stable]))
    return rows


def _brought(decoder: Decoder, symbols: IntArray, path: Path, emission: NDArray[np.float64]) -> FloatArray:
    """Score (L,) that each residue brings to its path, nats: of the path less without it; 0 where not placed."""
    gain = np.zeros(len(symbols))
    for i in np.flatnonzero(path.state >= 0).tolist():
        first = max(0, i - FELT)
        near = slice(first, i + FELT + 1)
        without = path.state[near].copy()
        without[i - first] = -1
        scores = [decoder.score(symbols[near], state, emission) for state in (path.state[near], without)]
        gain[i] = scores[0] - scores[1]
    return gain
