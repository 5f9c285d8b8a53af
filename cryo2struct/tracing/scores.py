"""From candidates to the scores of the sparse model: emissions and links."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from cryo2struct.errors import InputError
from cryo2struct.objects import AMINO_ACIDS, Candidates, FloatArray, IntArray, Sequences
from cryo2struct.settings import TracingSettings
from cryo2struct.tracing.chains import Chain, symbols_of
from cryo2struct.tracing.reference import BACKGROUND, PUBLISHED_ORDER
from hmm.sparse import Links, links_from_pairs

FREQUENCIES = BACKGROUND[[PUBLISHED_ORDER.index(letter) for letter in AMINO_ACIDS]]
"""Background frequencies of the amino acids, in the order of `AMINO_ACIDS`."""

STEP_MEAN = np.array([3.8, 6.0, 7.6, 9.3, 11.2])
STEP_SD = np.array([0.04, 0.65, 2.0, 2.8, 3.3])
"""Distance of C-alphas 1 to 5 residues apart, mean and standard deviation in angstrom, in perfect models."""

TWIST = np.array(
    [
        [-2.9, -2.0],
        [-2.9, -2.0],
        [-2.9, -2.0],
        [-2.9, -0.62],
        [-2.54, 0.81],
        [-2.05, 0.81],
        [-1.49, 0.16],
        [-0.59, -0.41],
        [0.05, -0.49],
        [0.55, -0.14],
        [1.01, 0.38],
        [0.97, 0.42],
        [0.11, -0.1],
    ]
)
"""Log odds of the distance of C-alphas three residues apart, a row per angstrom (the last for all beyond), left- and
right-handed turns: four in a row, .5 A off per coordinate, against others that links join (docs/trials/hmm.md)."""

MAX_LINK_COST = 6.0
"""Links that cost more than this for their distance and for what they skip are not made, nats."""

AGAINST = -0.3
"""Cosine of a link and the predicted direction below which a candidate would be passed against its direction."""


def log_types(aa_prob: FloatArray) -> NDArray[np.float64]:
    """Log probabilities (N, 20) of the types, never below that of one in a million."""
    probability = np.asarray(aa_prob, dtype=np.float64) + 1e-6
    return np.log(probability / probability.sum(axis=1, keepdims=True))


def confusion(log_probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which other types (20, 20) are likely where a type is, beyond their share in all candidates; rows sum to 1 or 0.

    Parameters
    ----------
    log_probability : (N, 20)
    """
    probability = np.exp(log_probability)
    together = probability.T @ probability / probability.sum(axis=0)[:, None]
    beyond = np.maximum(together - probability.mean(axis=0), 0)
    np.fill_diagonal(beyond, 0)
    return np.asarray(beyond / np.maximum(beyond.sum(axis=1, keepdims=True), 1e-9))


def with_look_alikes(log_probability: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Log probabilities (N, 20) in which a share of each is the mean of those of the types it is confused with."""
    mixed = (1 - share) * log_probability + share * log_probability @ confusion(log_probability).T
    return np.asarray(mixed - logsumexp(mixed, axis=1, keepdims=True))


def emission_scores(candidates: Candidates, settings: TracingSettings) -> NDArray[np.float64]:
    """Emissions (21, N), nats: log odds of each amino acid against the background; the last row is for unknown types.

    A residue of unknown type is as likely at one candidate as at another: its log odds are 0. Where types are noisy
    rather than unsure, a type whose look-alikes are likely is likely as well: `type_confusion` is the share that these
    have in its log probability.
    """
    log_probability = with_look_alikes(log_types(candidates.aa_prob), settings.type_confusion)
    odds = (log_probability - np.log(FREQUENCIES)).T / settings.type_temperature
    emission = np.vstack([np.clip(odds, -settings.type_cap, settings.type_cap), np.zeros(len(candidates))])
    if candidates.nonprotein_prob is not None:
        emission += np.log1p(-np.clip(np.asarray(candidates.nonprotein_prob, dtype=np.float64), 0, 0.95))
    return emission


def residue_scores(
    candidates: Candidates, chains: list[Chain], sequences: Sequences, settings: TracingSettings
) -> tuple[NDArray[np.float64], list[Chain]]:
    """Emissions with a row for each residue of all entities, and the chains that refer to them.

    To the emission of its type comes, weighted, the attention that each candidate pays to the residue.

    Raises
    ------
    InputError
        The attention was made for other sequences.
    """
    lengths = [len(entity.letters) for entity in sequences.entities]
    attention = np.asarray(candidates.attention)
    if attention.shape[1] != sum(lengths):
        raise InputError(
            f"candidates: attention to {attention.shape[1]} residues, the sequences have {sum(lengths)}: "
            "find the candidates again with these sequences"
        )
    first = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    scores = settings.attention_weight * attention.T.astype(np.float64)
    by_type = emission_scores(candidates, settings)
    for chain in chains:
        if chain.copy == 0:
            scores[first[chain.entity] : first[chain.entity + 1]] += by_type[symbols_of(chain)]
    return scores, [replace(chain, first_residue=first[chain.entity]) for chain in chains]


def make_links(candidates: Candidates, settings: TracingSettings, site: IntArray) -> Links:
    """All links between candidates at plausible distances, for 1 to `skip_steps` residues.

    States (N,) of one site are one candidate, seen both ways: none of them is passed against its own direction.
    """
    xyz = np.asarray(candidates.xyz, dtype=np.float64)
    steps = settings.skip_steps
    sd = np.hypot(STEP_SD, settings.link_sd)
    furthest = float((STEP_MEAN + sd * np.sqrt(2 * MAX_LINK_COST))[:steps].max())
    pairs = cKDTree(xyz).query_pairs(furthest, output_type="ndarray")
    source, target = np.concatenate([pairs, pairs[:, ::-1]]).T
    vector = xyz[target] - xyz[source]
    distance = np.maximum(np.linalg.norm(vector, axis=1), 1e-6)
    agreement = _agreement(candidates, source, target, vector / distance[:, None])
    direction = sum((_direction_scores(cosine, settings) for _, cosine in agreement), start=np.zeros(len(source)))
    seen_both_ways = np.bincount(site)[site] > 1
    along = np.ones(len(source), dtype=bool)
    for end, cosine in agreement:
        along &= (cosine >= AGAINST) | ~seen_both_ways[end]
    source, target, distance, direction = source[along], target[along], distance[along], direction[along]
    columns = []
    for k in range(1, steps + 1):
        cost = 0.5 * ((distance - STEP_MEAN[k - 1]) / sd[k - 1]) ** 2
        if k > 1:
            cost += settings.skip_open + settings.skip_extend * (k - 2)
        near = np.flatnonzero(cost < MAX_LINK_COST)
        score = settings.link_bonus - cost[near]
        if k == 1:
            score += direction[near]
        columns.append((source[near], target[near], np.full(len(near), k), score))
    return links_from_pairs(len(xyz), steps, *(np.concatenate(column) for column in zip(*columns, strict=True)))


def _agreement(
    candidates: Candidates, source: IntArray, target: IntArray, unit: FloatArray
) -> list[tuple[IntArray, FloatArray]]:
    """Ends of links where directions are known, and cosines of the links' unit vectors with the directions there."""
    known = ((candidates.next_vec, source, 1.0), (candidates.prev_vec, target, -1.0))
    return [
        (end, sign * np.einsum("ij,ij->i", np.asarray(vectors, dtype=np.float64)[end], unit))
        for vectors, end, sign in known
        if vectors is not None
    ]


def _direction_scores(cosine: FloatArray, settings: TracingSettings) -> FloatArray:
    """Weighted log odds of the directions predicted at one end of the links, against those of wrong links.

    Wrong links agree with the directions more often than chance would: they join neighbours in space.
    """
    kappa, outliers = settings.direction_kappa, settings.direction_outliers
    # von Mises-Fisher density over the uniform one
    ratio = kappa / np.sinh(kappa) * np.exp(kappa * cosine)
    odds = np.log(outliers + (1 - outliers) * ratio) - settings.direction_offset
    return settings.direction_weight * np.where(np.isfinite(odds), odds, 0.0)
