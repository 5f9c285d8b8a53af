"""The turn of each peptide plane about the line between its C-alphas.

A planar trans peptide between two C-alphas is fixed by one angle. The angles of a segment are chosen together: the
network's N and C say where the atoms of each plane are, and two planes that meet in a residue make its angle N-CA-C
and its phi and psi. Over angles in steps of 10 degrees the best choice is found exactly (Viterbi).
"""

from __future__ import annotations

import numpy as np

from cryo2struct.completion.evidence import C, Evidence, N
from cryo2struct.completion.geometry import N_CA_C, perpendicular, trans_plane, unit
from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.ramachandran import log_odds

STATES = 36
"""Turns of a plane, in steps of 10 degrees."""

FLOOR = 0.01
"""Added to the probabilities, so that an atom that the network missed costs no more than this."""

BEND_SD = 10.0
"""Standard deviation of the angle N-CA-C between planes on C-alphas as they were found, degrees."""

RAMACHANDRAN_WEIGHT = 0.6
"""Of the log odds of phi and psi, below 1 because the positions blur both."""


def choose_planes(ca: FloatArray, evidence: Evidence) -> tuple[FloatArray, FloatArray]:
    """C (L, 3) and N (L, 3) of the L links between consecutive C-alphas (L + 1, 3)."""
    carbon, nitrogen = plane_atoms(ca)
    own = np.log(evidence.at(carbon, C) + FLOOR) + np.log(evidence.at(nitrogen, N) + FLOOR)
    between = residue_scores(ca[1:-1], carbon, nitrogen)
    best = np.array(best_path(own, between))
    rows = np.arange(len(best))
    return carbon[rows, best], nitrogen[rows, best]


def plane_atoms(ca: FloatArray) -> tuple[FloatArray, FloatArray]:
    """C and N (L, STATES, 3) of the L links in all turns; stretched along the line where that is not 3.8 angstrom."""
    c, n, ideal = trans_plane()
    step = np.diff(ca, axis=0)
    axis = unit(step)
    first = perpendicular(axis)
    second = np.cross(axis, first)
    turn = 2 * np.pi * np.arange(STATES)[:, None] / STATES
    radial = np.cos(turn) * first[:, None] + np.sin(turn) * second[:, None]
    along = step[:, None] / ideal
    carbon = ca[:-1, None] + c[0] * along + c[1] * radial
    nitrogen = ca[:-1, None] + n[0] * along + n[1] * radial
    return carbon, nitrogen


def residue_scores(ca: FloatArray, carbon: FloatArray, nitrogen: FloatArray) -> FloatArray:
    """Scores (L - 1, STATES, STATES) of the residues between links, for the turns of the link before and after."""
    to_n, to_c = unit(nitrogen[:-1] - ca[:, None]), unit(carbon[1:] - ca[:, None])
    cosine = np.clip(to_n @ to_c.transpose(0, 2, 1), -1, 1)
    off = (np.degrees(np.arccos(cosine)) - N_CA_C) / BEND_SD
    # phi: C before, N, CA, C; psi read backwards: N after, C, CA, N
    phi = dihedrals(carbon[:-1] - nitrogen[:-1], -to_n, to_c)
    psi = dihedrals(nitrogen[1:] - carbon[1:], -to_c, to_n).transpose(0, 2, 1)
    return np.asarray(RAMACHANDRAN_WEIGHT * log_odds(phi, psi) - 0.5 * off**2)


def dihedrals(outer: FloatArray, axis: FloatArray, far: FloatArray) -> FloatArray:
    """Dihedral angles (L, A, B), radians, of `outer` (L, A, 3) and `far` (L, B, 3) about unit vectors `axis` (L, A, 3).

    `outer` starts at the foot of the axis, `far` at its head.
    """
    first = unit(outer - (outer * axis).sum(axis=-1, keepdims=True) * axis)
    second = np.cross(axis, first)
    far = far.transpose(0, 2, 1)
    return np.asarray(np.arctan2(second @ far, first @ far))


def best_path(own: FloatArray, between: FloatArray) -> IntArray:
    """States (L,) of the highest sum of `own` (L, S) and, between neighbours, `between` (L - 1, S, S) (Viterbi)."""
    score = own[0]
    origins = []
    for step, here in zip(between, own[1:], strict=True):
        total = score[:, None] + step
        origins.append(total.argmax(axis=0))
        score = total.max(axis=0) + here
    path = [int(score.argmax())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])
