"""How often a residue has which phi and psi (Ramachandran, Ramakrishnan and Sasisekharan 1963)."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import i0e

from cryo2struct.objects import FloatArray

COMPONENTS = (
    (0.370, -63, -40, 60.0, 40.5),
    (0.147, -91, -11, 10.3, 7.5),
    (0.236, -111, 131, 8.6, 6.6),
    (0.101, -68, 142, 30.5, 16.2),
    (0.066, -143, 154, 18.4, 18.4),
    (0.018, 57, 41, 53.9, 21.8),
    (0.019, 84, 5, 23.7, 17.0),
    (0.016, 153, -173, 1.1, 10.3),
)
"""Weight, phi, psi (degrees) and their concentrations of a mixture of von Mises distributions, by expectation
maximisation over 60,000 residues of the structures that the network was trained on; the rest is uniform."""

FIRST_PSI = (
    *(0.026, 0.029, 0.021, 0.024, 0.032, 0.078, 0.168, 0.191, 0.099),
    *(0.045, 0.024, 0.015, 0.008, 0.011, 0.029, 0.080, 0.072, 0.048),
)
"""Share of psi in steps of 20 degrees from 0, of 2,863 residues of those structures that follow on none."""

BINS = 72


def log_odds(phi: FloatArray, psi: FloatArray) -> FloatArray:
    """Log of the density over the uniform one at angles in radians, in steps of 5 degrees."""
    size = 2 * np.pi / BINS
    row = np.floor(phi / size).astype(np.int64) % BINS
    column = np.floor(psi / size).astype(np.int64) % BINS
    return _table()[row, column]


def log_odds_of_phi(phi: FloatArray) -> FloatArray:
    """The same for phi alone."""
    return _log_odds_of_one(phi, np.exp(_table()).mean(axis=1))


def log_odds_of_psi(psi: FloatArray) -> FloatArray:
    """The same for psi alone."""
    return _log_odds_of_one(psi, np.exp(_table()).mean(axis=0))


def log_odds_of_first_psi(psi: FloatArray) -> FloatArray:
    """The same for psi of a residue that follows on none, which is rarely helical."""
    return _log_odds_of_one(psi, len(FIRST_PSI) * np.array(FIRST_PSI))


def _log_odds_of_one(angle: FloatArray, density: FloatArray) -> FloatArray:
    """Log of a density in equal bins from 0, at angles in radians."""
    size = 2 * np.pi / len(density)
    return np.asarray(np.log(density)[np.floor(angle / size).astype(np.int64) % len(density)])


@cache
def _table() -> FloatArray:
    """Log odds (BINS, BINS) at the middles of the bins, phi and psi from 0."""
    angle = 2 * np.pi * (np.arange(BINS) + 0.5) / BINS
    density = np.full((BINS, BINS), 1 - sum(row[0] for row in COMPONENTS))
    for weight, phi, psi, phi_kappa, psi_kappa in COMPONENTS:
        density += weight * np.outer(_von_mises(angle, phi, phi_kappa), _von_mises(angle, psi, psi_kappa))
    return np.asarray(np.log(density))


def _von_mises(angle: FloatArray, mean: float, kappa: float) -> FloatArray:
    """Density over the uniform one; `mean` in degrees."""
    return np.asarray(np.exp(kappa * (np.cos(angle - np.radians(mean)) - 1)) / i0e(kappa))
