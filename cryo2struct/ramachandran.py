"""How often a residue has which phi and psi (Ramachandran, Ramakrishnan and Sasisekharan 1963).

The table is counted over crystal structures, see `cryo2struct.dataset.ramachandran`, which writes the file read here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, IntArray

DATA = Path(__file__).with_suffix(".npy")

CLASSES = ("general", "glycine", "proline", "pre-proline", "isoleucine or valine")
"""Classes of residues, each with a table of its own; the last table of `tables` is of all residues together."""

BINS = 72

FIRST_PSI = (
    *(0.026, 0.029, 0.021, 0.024, 0.032, 0.078, 0.168, 0.191, 0.099),
    *(0.045, 0.024, 0.015, 0.008, 0.011, 0.029, 0.080, 0.072, 0.048),
)
"""Share of psi in steps of 20 degrees from 0, of 2,863 residues of those structures that follow on none."""


def classes(letters: NDArray[np.str_], following: NDArray[np.str_]) -> IntArray:
    """Index into `CLASSES` of residues (P,) by their own one-letter codes and those of the next (P,)."""
    conditions = [letters == "G", letters == "P", following == "P", np.isin(letters, ("I", "V"))]
    return np.select(conditions, [1, 2, 3, 4], 0)


def log_odds(phi: FloatArray, psi: FloatArray) -> FloatArray:
    """Log of the density of any residue over the uniform one at angles in radians, in steps of 5 degrees."""
    size = 2 * np.pi / BINS
    row = np.floor(phi / size).astype(np.int64) % BINS
    column = np.floor(psi / size).astype(np.int64) % BINS
    return tables()[-1, row, column]


def log_odds_of_phi(phi: FloatArray) -> FloatArray:
    """The same for phi alone."""
    return _log_odds_of_one(phi, np.exp(tables()[-1]).mean(axis=1))


def log_odds_of_psi(psi: FloatArray) -> FloatArray:
    """The same for psi alone."""
    return _log_odds_of_one(psi, np.exp(tables()[-1]).mean(axis=0))


def log_odds_of_first_psi(psi: FloatArray) -> FloatArray:
    """The same for psi of a residue that follows on none, which is rarely helical."""
    return _log_odds_of_one(psi, len(FIRST_PSI) * np.array(FIRST_PSI))


def _log_odds_of_one(angle: FloatArray, density: FloatArray) -> FloatArray:
    """Log of a density in equal bins from 0, at angles in radians."""
    size = 2 * np.pi / len(density)
    return np.asarray(np.log(density)[np.floor(angle / size).astype(np.int64) % len(density)])


@cache
def tables() -> FloatArray:
    """Log odds (K + 1, BINS, BINS) at the middles of the bins, phi and psi from 0."""
    return np.asarray(np.load(DATA), dtype=np.float64)
