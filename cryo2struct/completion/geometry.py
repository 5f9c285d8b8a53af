"""Ideal backbone geometry, and atoms placed by it.

Bond lengths (angstrom) and angles (degrees): R. A. Engh and R. Huber (1991), "Accurate bond and angle parameters for
X-ray protein structure refinement", Acta Cryst. A47, 392-400, classes of residues that are neither glycine nor proline.
"""

from __future__ import annotations

import numpy as np

from cryo2struct.objects import FloatArray

N_CA, CA_C, C_N, C_O, CA_CB = 1.458, 1.525, 1.329, 1.231, 1.530
N_CA_C, CA_C_N, C_N_CA, CA_C_O, N_CA_CB, C_CA_CB = 111.2, 116.2, 121.7, 120.8, 110.5, 110.1
N_CA_CB_PROLINE = 103.0
"""Angle of proline, whose ring pulls CB towards N."""


def opposite(first: float, second: float, angle: float) -> float:
    """Side of a triangle (angstrom) opposite to the angle (degrees) between two sides."""
    return float(np.sqrt(first**2 + second**2 - 2 * first * second * np.cos(np.radians(angle))))


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors (..., 3) divided by their lengths; a vector of no length stays as it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))


def torsion(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Torsion angle (...) in degrees, -180 to 180, of four points (..., 3)."""
    axis = unit(c - b)
    first, second = np.cross(axis, a - b), np.cross(axis, d - c)
    sine = (np.cross(first, second) * axis).sum(axis=-1)
    return np.asarray(np.degrees(np.arctan2(sine, (first * second).sum(axis=-1))))


def perpendicular(axis: FloatArray) -> FloatArray:
    """A unit vector (..., 3) at right angles to each unit vector `axis` (..., 3)."""
    least = np.eye(3)[np.abs(axis).argmin(axis=-1)]
    return unit(np.cross(axis, least))


def trans_plane() -> tuple[FloatArray, FloatArray, float]:
    """Planar trans peptide with its first C-alpha at (0, 0) and the next on the x axis.

    Returns
    -------
    C (2,), N (2,), and the distance of the C-alphas, angstrom
    """
    turn_c = np.radians(180 - CA_C_N)
    turn_n = turn_c - np.radians(180 - C_N_CA)
    c = np.array([CA_C, 0.0])
    n = c + C_N * np.array([np.cos(turn_c), -np.sin(turn_c)])
    end = n + N_CA * np.array([np.cos(turn_n), -np.sin(turn_n)])
    distance = float(np.linalg.norm(end))
    along, across = end / distance, np.array([-end[1], end[0]]) / distance
    return np.array([c @ along, c @ across]), np.array([n @ along, n @ across]), distance


def on_cone(apex: FloatArray, axis: FloatArray, length: float, angle: float, n_states: int) -> FloatArray:
    """Points (n_states, 3) at `length` from `apex` (3,) and `angle` degrees off the unit vector `axis` (3,)."""
    first = perpendicular(axis)
    second = np.cross(axis, first)
    turn = 2 * np.pi * np.arange(n_states)[:, None] / n_states
    radial = np.cos(turn) * first + np.sin(turn) * second
    return np.asarray(apex + length * (np.cos(np.radians(angle)) * axis + np.sin(np.radians(angle)) * radial))


def place_oxygen(ca: FloatArray, c: FloatArray, next_n: FloatArray) -> FloatArray:
    """Carbonyl O (..., 3) in the plane of CA, C and the following N, trans to its C-alpha's neighbour."""
    to_ca = unit(ca - c)
    to_next = next_n - c
    across = unit(to_next - (to_next * to_ca).sum(axis=-1, keepdims=True) * to_ca)
    angle = np.radians(CA_C_O)
    return np.asarray(c + C_O * (np.cos(angle) * to_ca - np.sin(angle) * across))


def place_beta(n: FloatArray, ca: FloatArray, c: FloatArray, proline: FloatArray) -> FloatArray:
    """CB (..., 3) of L residues at its ideal angles to N and C; `proline` (...) is true for prolines."""
    to_n, to_c = unit(n - ca), unit(c - ca)
    cos_n = np.cos(np.radians(np.where(proline, N_CA_CB_PROLINE, N_CA_CB)))[..., None]
    cos_c = np.cos(np.radians(C_CA_CB))
    between = (to_n * to_c).sum(axis=-1, keepdims=True)
    # the part in the plane of N, CA, C has these angles to both; the rest stands upright on it
    on_n = (cos_n - between * cos_c) / (1 - between**2)
    on_c = (cos_c - between * cos_n) / (1 - between**2)
    upright = unit(np.cross(to_n, to_c))
    in_plane = on_n * to_n + on_c * to_c
    height = np.sqrt(np.maximum(1 - (in_plane**2).sum(axis=-1, keepdims=True), 0.0))
    return np.asarray(ca + CA_CB * (in_plane + height * upright))
