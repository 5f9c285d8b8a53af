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


@cache
def tables() -> FloatArray:
    """Log odds (K + 1, BINS, BINS) at the middles of the bins, phi and psi from 0."""
    return np.asarray(np.load(DATA), dtype=np.float64)
