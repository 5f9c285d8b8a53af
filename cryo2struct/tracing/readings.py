"""Candidates seen both ways: as the network thinks that the chain runs, and the other way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import Candidates, IntArray
from cryo2struct.settings import TracingSettings


@dataclass(frozen=True)
class Readings:
    """The states of the model.

    Attributes
    ----------
    candidates : Candidates
        (N + M,) the candidates, and then those that may be passed the other way, as they are seen then.
    site : (N + M,) the candidate of each state
    prior : (N + M,) log odds of its direction against the likelier one, nats, weighted
    """

    candidates: Candidates
    site: IntArray
    prior: NDArray[np.float64]


def one_way(candidates: Candidates) -> Readings:
    """Candidates as the network thinks that the chain runs."""
    return Readings(candidates, np.arange(len(candidates)), np.zeros(len(candidates)))


def both_ways(candidates: Candidates, settings: TracingSettings) -> Readings:
    """Candidates with a second state where directions are known and the reverse one is likely enough."""
    if candidates.reverse_prob is None or candidates.next_vec is None:
        return one_way(candidates)
    rows = np.arange(len(candidates))
    reverse = np.asarray(candidates.reverse_prob, dtype=np.float64)
    turned = np.flatnonzero(reverse >= settings.min_reverse)
    other = replace(
        candidates,
        xyz=np.asarray(candidates.reverse_xyz),
        aa_prob=np.asarray(candidates.reverse_aa_prob),
        next_vec=candidates.reverse_next_vec,
        prev_vec=candidates.reverse_prev_vec,
    ).chosen(turned)
    own_odds = np.zeros(len(rows))
    bounded = np.clip(reverse[turned], 1e-6, 1 - 1e-6)
    own_odds[turned] = np.log((1 - bounded) / bounded)
    prior = np.concatenate([np.minimum(own_odds, 0), np.minimum(-own_odds[turned], 0)])
    return Readings(candidates.followed_by(other), np.concatenate([rows, turned]), settings.reverse_weight * prior)
