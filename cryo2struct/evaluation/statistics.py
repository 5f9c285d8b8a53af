"""Scores of many models together: mean, median and how sure the mean is; two sets compared pair by pair.

The interval is the percentile bootstrap: B. Efron 1979, "Bootstrap methods: another look at the jackknife", Ann. Stat.
7, 1-26. It says how much the mean would change with other maps of the same kind, the models being the unit that is
drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
RESAMPLES = 10_000
BATCH = 500  # resamples at once, which bounds the memory

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Summary:
    """A score over many models, or a difference of two.

    Attributes
    ----------
    n : models that have the score
    mean, median : None without a model
    low, high : ends of the 95 % bootstrap interval of the mean; None with fewer than two models
    """

    n: int
    mean: float | None
    median: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields by name."""
        return asdict(self)


def summarise(values: ArrayLike, generator: np.random.Generator) -> Summary:
    """Mean, median and the bootstrap interval of the mean.

    Parameters
    ----------
    values : (N,) finite
    generator : numpy.random.Generator
    """
    sample = np.asarray(values, dtype=np.float64)
    n = len(sample)
    if n == 0:
        return Summary(0, None, None, None, None)
    mean, median = float(sample.mean()), float(np.median(sample))
    if n == 1:
        return Summary(1, mean, median, None, None)
    drawn = [generator.integers(n, size=(BATCH, n)) for _ in range(RESAMPLES // BATCH)]
    means = np.concatenate([sample[rows].mean(axis=1) for rows in drawn])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Summary(n, mean, median, float(low), float(high))


def summarise_set(models: Mapping[str, Scores], seed: int = 0) -> dict[str, Summary]:
    """Every score over the models that have it.

    Each score has a generator of its own, so that its interval does not depend on which others there are.

    Parameters
    ----------
    models : name of a model to its scores by name; None where a score has no value
    seed : int

    Returns
    -------
    Name of a score to its summary, in the order in which they first appear.
    """
    names = dict.fromkeys(name for scores in models.values() for name in scores)
    return {
        name: summarise(
            [value for scores in models.values() if (value := scores.get(name)) is not None],
            np.random.default_rng(seed),
        )
        for name in names
    }


def compare_sets(models: Mapping[str, Scores], others: Mapping[str, Scores], seed: int = 0) -> dict[str, Summary]:
    """Differences of every score, `models` minus `others`, over the models that have it in both; paired by name.

    Parameters and result are those of `summarise_set`.
    """
    pairs = {name: (scores, others[name]) for name, scores in models.items() if name in others}
    differences = {
        name: {score: _difference(value, other[score]) for score, value in scores.items() if score in other}
        for name, (scores, other) in pairs.items()
    }
    return summarise_set(differences, seed)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def flatten(scores: Mapping[str, object], prefix: str = "") -> dict[str, float | None]:
    """The numbers of nested scores, by names joined with dots.

    Texts and lists, and what stands under a name with `per_` (values by chain or residue, whose names differ from model
    to model), are left out.

    Raises
    ------
    ValueError
        A score is NaN or infinite.
    """
    flat: dict[str, float | None] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            if "per_" not in name:
                flat |= flatten(value, f"{prefix}{name}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"score {prefix}{name} is {value}")
            flat[f"{prefix}{name}"] = value
    return flat
