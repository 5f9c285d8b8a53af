"""Tracing exactly as the published Cryo2Struct alignment does it.

Candidates become dense matrices, and `hmm.dense` places every residue of every chain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import AMINO_ACIDS, Candidates, FloatArray, IntArray, Sequences, Trace
from cryo2struct.tracing.chains import Chain, protein_chains
from hmm.dense import decode_chains

PUBLISHED_ORDER = "ARNDCQEGHILKMFPSTWYV"
"""Order of the published background and weights; candidates are permuted into it once, in `reference_matrices`."""

# fmt: off
BACKGROUND = np.array([
    0.07943948021002176, 0.0497783411606611, 0.04433904104844631, 0.05350186331961819, 0.022626103099067648,
    0.03937526841500076, 0.05627820955072524, 0.07217724394940638, 0.01882610864053863, 0.06108044830500256,
    0.09799918263302994, 0.05331463086876411, 0.021703725253868638, 0.045350220966155465, 0.041743693113336935,
    0.06416670130086032, 0.058655985481346026, 0.012496017067730628, 0.03598361109956638, 0.071164124516853])
TYPE_WEIGHTS = np.array([
    -0.66847289, 0.08226192, -0.18198501, -0.25181168, -0.1479872, -0.0756414, -0.15062573, -1.18622726, -0.04988145,
    0.03696676, -0.09631643, -0.03501881, 0.06686121, 0.13541977, -0.35302384, -0.15823428, -0.1539656, 0.20795202,
    0.14837355, -0.34456292])
# fmt: on
"""Frequencies of the amino acids, and the weights of their types in the type confidence, as published."""

LINK_MEAN, LINK_SD = 3.8047179727719045, 0.03622304
"""Mean and standard deviation of the distance of consecutive C-alphas in angstrom; the latter times 10 is used."""

FLOOR = 1e-20


def trace_reference(candidates: Candidates, sequences: Sequences, sd_factor: float = 10.0) -> Trace:
    """Place every residue of every protein chain by the published dense visit-once Viterbi.

    Residues of unknown type are left out, as published. `place_prob` is the published C-alpha confidence (also the
    `confidence`), `register_prob` the published type confidence.

    Parameters
    ----------
    candidates : Candidates
    sequences : Sequences
    sd_factor : float
        The published `std_lambda`: how many times the sd of ideal links is used.

    Raises
    ------
    NothingToBuildError
        No candidates, or no residue of known type.
    InputError
        Fewer candidates than residues, or no protein sequence.
    """
    if len(candidates) == 0:
        raise NothingToBuildError("candidates: none found; nothing to trace")
    chains = protein_chains(sequences)
    if not chains:
        raise InputError("sequences: no protein in them; tracing needs at least one")
    known = [np.flatnonzero(chain.types >= 0) for chain in chains]
    to_published = np.array([PUBLISHED_ORDER.index(letter) for letter in AMINO_ACIDS])
    symbols = [to_published[chain.types[rows]] for chain, rows in zip(chains, known, strict=True)]
    n_residues = sum(map(len, symbols))
    if n_residues == 0:
        raise NothingToBuildError(
            "sequences: every residue is X; the reference mode leaves those out: use the default mode"
        )
    if len(candidates) < n_residues:
        raise InputError(
            f"candidates: {len(candidates)} for {n_residues} residues, and the reference mode places every residue; "
            "use the default mode"
        )
    log_transition, emission = reference_matrices(candidates, sd_factor)
    log_emission = np.log(emission)
    # an empty chain (all residues unknown) has no first residue
    initial = [np.log(emission[s[0]] / emission[s[0]].sum()) if len(s) else np.zeros(len(candidates)) for s in symbols]
    paths = decode_chains(symbols, log_transition, log_emission, initial)
    return _reference_trace(candidates, chains, known, symbols, paths, emission)


def reference_matrices(
    candidates: Candidates, sd_factor: float = 10.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log transitions (N, N) and emissions (20, N), the latter in the published order of the amino acids.

    Transitions are normal densities of the distance plus a floor, each row divided by its sum, diagonal included.
    Emissions are square roots of probability times background, normalised per candidate.
    """
    xyz = np.asarray(candidates.xyz, dtype=np.float64)
    sd = LINK_SD * sd_factor
    squared = np.zeros((len(xyz), len(xyz)))
    for axis in range(3):
        squared += np.subtract.outer(xyz[:, axis], xyz[:, axis]) ** 2
    z = (np.sqrt(squared) - LINK_MEAN) / sd
    transition = np.exp(-0.5 * z * z) / (sd * np.sqrt(2 * np.pi)) + FLOOR
    transition /= transition.sum(axis=1, keepdims=True)
    order = [AMINO_ACIDS.index(letter) for letter in PUBLISHED_ORDER]
    probability = np.asarray(candidates.aa_prob, dtype=np.float64)[:, order] + FLOOR
    probability /= probability.sum(axis=1, keepdims=True)
    emission = np.sqrt(probability * BACKGROUND)
    emission /= emission.sum(axis=1, keepdims=True)
    return np.log(transition), np.ascontiguousarray(emission.T)


def _reference_trace(
    candidates: Candidates,
    chains: list[Chain],
    known: Sequence[IntArray],
    symbols: Sequence[IntArray],
    paths: Sequence[IntArray],
    emission: FloatArray,
) -> Trace:
    """Rows of the trace with the two published logistic confidences."""
    state, symbol = np.concatenate(paths), np.concatenate(symbols)
    ca_prob = np.asarray(candidates.ca_prob, dtype=np.float64)[state]
    place = _sigmoid(1.69959964 * ca_prob - 1.0359349)
    register = _sigmoid(3.66840141 * ca_prob + 6.67185156 * emission[symbol, state] + TYPE_WEIGHTS[symbol] - 3.1806027)
    lengths = [len(rows) for rows in known]
    return Trace(
        entity=np.repeat([chain.entity for chain in chains], lengths),
        copy=np.repeat([chain.copy for chain in chains], lengths),
        position=np.concatenate(known),
        candidate=state,
        xyz=np.asarray(candidates.xyz, dtype=np.float64)[state],
        confidence=place,
        place_prob=place,
        register_prob=register,
    )


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-x)))
