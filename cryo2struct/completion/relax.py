"""Bonds and angles brought to their ideal values while the atoms stay near where they were seen.

Angles are kept as distances of second neighbours, the trans peptide as the distance of its C-alphas: least squares over
distances alone, by Levenberg-Marquardt steps whose equations are banded along the chain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from cryo2struct.completion.geometry import (
    C_N,
    C_N_CA,
    CA_C,
    CA_C_N,
    N_CA,
    N_CA_C,
    opposite,
    trans_plane,
)
from cryo2struct.objects import FloatArray, IntArray

BOND_SD, ANGLE_SD, PLANE_SD = 0.02, 0.04, 0.02
"""Standard deviations of the distances of bonded atoms, second neighbours and C-alphas of a peptide, angstrom."""

OWN = ((0, 1, N_CA, BOND_SD), (1, 2, CA_C, BOND_SD), (0, 2, opposite(N_CA, CA_C, N_CA_C), ANGLE_SD))
LINK = (
    (2, 3, C_N, BOND_SD),
    (1, 3, opposite(CA_C, C_N, CA_C_N), ANGLE_SD),
    (2, 4, opposite(C_N, N_CA, C_N_CA), ANGLE_SD),
    (1, 4, trans_plane()[2], PLANE_SD),
)
"""Pairs of N, CA, C (0, 1, 2) of a residue and N, CA (3, 4) of the next, ideal distance and standard deviation."""

BAND = 3 * 3 + 3
"""Diagonals of the equations: pairs are at most three atoms apart along the chain."""

STEPS = 40
DAMPING = 10.0  # of the first step, 1 / angstrom^2
LEAST_DAMPING = 1e-4  # keeps the equations of atoms in line from being singular


def relax(xyz: FloatArray, seen: FloatArray, weight: FloatArray, linked: NDArray[np.bool_]) -> FloatArray:
    """Backbone with nearly ideal bonds and angles.

    Parameters
    ----------
    xyz : (R, 3, 3) N, CA, C to start from, angstrom
    seen : (R, 3, 3) where they were seen
    weight : (R, 3) 1 / sd^2 of that, 0 where nothing was seen
    linked : (R - 1,) residues with a peptide bond to the next

    Returns
    -------
    (R, 3, 3), angstrom
    """
    pairs, ideal, strength = restraints(len(xyz), linked)
    points, aim, pull = xyz.reshape(-1, 3), seen.reshape(-1, 3), weight.reshape(-1, 1)

    def energy(at: FloatArray) -> float:
        length = np.linalg.norm(at[pairs[:, 0]] - at[pairs[:, 1]], axis=1)
        return float((pull * (at - aim) ** 2).sum() + (strength * (length - ideal) ** 2).sum())

    damping, value = DAMPING, energy(points)
    for _ in range(STEPS):
        gradient, bands = _equations(points, aim, pull, pairs, ideal, strength)
        bands[0] += damping
        trial = points - solveh_banded(bands, gradient.ravel(), lower=True).reshape(-1, 3)
        new = energy(trial)
        if new > value:
            damping *= 4
            continue
        converged = value - new < 1e-6 * value
        points, value, damping = trial, new, max(damping / 4, LEAST_DAMPING)
        if converged:
            break
    return np.asarray(points.reshape(xyz.shape))


def restraints(n_residues: int, linked: NDArray[np.bool_]) -> tuple[IntArray, FloatArray, FloatArray]:
    """Pairs (D, 2) of atoms in the order N, CA, C of each residue, ideal distances (D,) and 1 / sd^2 (D,)."""
    starts = 3 * np.arange(n_residues)
    groups = [(starts, row) for row in OWN] + [(starts[:-1][linked], row) for row in LINK]
    pairs = np.concatenate([np.stack([at + a, at + b], axis=1) for at, (a, b, _, _) in groups])
    ideal = np.concatenate([np.full(len(at), distance) for at, (_, _, distance, _) in groups])
    strength = np.concatenate([np.full(len(at), 1 / sd**2) for at, (_, _, _, sd) in groups])
    return pairs, ideal, strength


def _equations(
    points: FloatArray, aim: FloatArray, pull: FloatArray, pairs: IntArray, ideal: FloatArray, strength: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Half the gradient (A, 3) and the lower bands (BAND, 3 A) of half the Gauss-Newton matrix."""
    first, second = pairs.T  # first < second
    vector = points[first] - points[second]
    length = np.maximum(np.linalg.norm(vector, axis=1), 1e-6)
    along = vector / length[:, None]
    push = (strength * (length - ideal))[:, None] * along
    gradient = pull * (points - aim)
    np.add.at(gradient, first, push)
    np.add.at(gradient, second, -push)
    bands = np.zeros((BAND, points.size))
    bands[0] = np.repeat(pull[:, 0], 3)
    for i in range(3):
        for j in range(3):
            block = strength * along[:, i] * along[:, j]
            if i >= j:
                np.add.at(bands, (i - j, 3 * first + j), block)
                np.add.at(bands, (i - j, 3 * second + j), block)
            np.add.at(bands, (3 * (second - first) + i - j, 3 * first + j), -block)
    return gradient, bands
