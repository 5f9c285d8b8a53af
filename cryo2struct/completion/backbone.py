"""Backbone atoms of a trace: peptide planes turned by the predicted N and C, then relaxed; O and CB by geometry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryo2struct.completion.evidence import C, Evidence, N
from cryo2struct.completion.geometry import (
    C_N,
    CA_C,
    CA_C_N,
    N_CA,
    N_CA_C,
    on_cone,
    place_beta,
    place_oxygen,
    torsion,
    unit,
)
from cryo2struct.completion.planes import FLOOR, STATES, choose_planes
from cryo2struct.completion.relax import relax
from cryo2struct.objects import Backbone, FloatArray, Prediction, Sequences, Trace
from cryo2struct.ramachandran import log_odds_of_first_psi, log_odds_of_phi, log_odds_of_psi

LONGEST_LINK = 5.3
"""A longer step from C-alpha to C-alpha is left open: closing it to 3.8 A moves each by more than 0.75 A."""

CLOSED = (3.3, 4.3)
"""Distances of the C-alphas of a peptide after the relaxation, angstrom; others are left open."""

ROUNDS = 2
"""The planes are chosen again once relaxation has brought the C-alphas to their distances."""

CA_SD, INTERPOLATED_SD, SEEN_SD = 0.8, 1.5, 0.3
"""Standard deviations of C-alphas of candidates, of interpolated C-alphas, and of N and C seen for sure, angstrom."""

SEEN_RADIUS = 1.5
"""N and C are seen at the centre of their probability within this distance of their place, angstrom."""


def complete(trace: Trace, sequences: Sequences, prediction: Prediction, *, ca_sd: float = CA_SD) -> Backbone:
    """Place N, C, O and CB at the C-alphas of a trace, which move a little to make room for ideal geometry.

    A residue next to none of the chain, or too far from it, keeps its C-alpha alone. All peptides are trans.

    Parameters
    ----------
    trace : Trace
    sequences : Sequences
    prediction : Prediction
        In the frame of the trace.
    ca_sd : angstrom
        Standard deviation of the C-alphas that are not interpolated: how far they may move.
    """
    order = np.lexsort((trace.position, trace.copy, trace.entity))
    residues = np.stack([trace.entity, trace.copy, trace.position], axis=1)[order]
    ca = np.asarray(trace.xyz, dtype=np.float64)[order]
    step = np.linalg.norm(np.diff(ca, axis=0), axis=1)
    linked = (np.diff(residues, axis=0) == [0, 0, 1]).all(axis=1) & (step > 0) & (step < LONGEST_LINK)
    linked = np.append(linked, False)
    placed = linked | np.roll(linked, 1)
    sd = np.where(trace.candidate[order] < 0, INTERPOLATED_SD, ca_sd)
    letters = np.array([sequences.entities[entity].letters[position] for entity, _, position in residues])
    xyz = np.full((len(ca), 5, 3), np.nan)
    xyz[:, 1] = ca
    if placed.any():
        xyz[placed] = _backbone(ca[placed], sd[placed], linked[placed], letters[placed], Evidence(prediction))
    in_order = np.empty_like(xyz)
    in_order[order] = xyz
    return Backbone(in_order)


def _backbone(
    ca: FloatArray, sd: FloatArray, linked: NDArray[np.bool_], letters: NDArray[np.str_], evidence: Evidence
) -> FloatArray:
    """N, CA, C, O, CB (R, 5, 3) of residues of which each has a peptide bond on one side at least.

    `sd` (R,) belongs to the C-alphas (R, 3), and `linked` (R,) are the residues with a bond to the next.
    """
    start = ca
    for _ in range(ROUNDS):
        xyz = _place(start, linked, evidence)
        seen, weight = _seen(xyz, ca, sd, evidence)
        xyz = relax(xyz, seen, weight, linked[:-1])
        start = xyz[:, 1]
    step = np.linalg.norm(np.diff(start, axis=0), axis=1)
    closed = linked & np.append((step > CLOSED[0]) & (step < CLOSED[1]), False)
    n, ca, c = xyz.transpose(1, 0, 2)
    next_n = np.roll(n, -1, axis=0)
    for end in np.flatnonzero(~closed):
        points = on_cone(c[end], unit(c[end] - ca[end]), C_N, 180 - CA_C_N, STATES)
        psi = np.radians(torsion(n[end], ca[end], c[end], points))
        next_n[end] = _likeliest(points, evidence.at(points, N), log_odds_of_psi(psi))
    o = place_oxygen(ca, c, next_n)
    cb = place_beta(n, ca, c, letters == "P")
    cb[letters == "G"] = np.nan
    return np.stack([n, ca, c, o, cb], axis=1)


def _place(ca: FloatArray, linked: NDArray[np.bool_], evidence: Evidence) -> FloatArray:
    """N, CA, C (R, 3, 3) before the relaxation; at the ends of a segment by the angle N-CA-C and the evidence."""
    xyz = np.stack([ca, ca, ca], axis=1)
    first = 0
    for last in np.flatnonzero(~linked).tolist():
        segment = slice(first, last + 1)
        xyz[first:last, 2], xyz[first + 1 : last + 1, 0] = choose_planes(ca[segment], evidence)
        points = on_cone(ca[first], unit(ca[first] - xyz[first, 2]), N_CA, 180 - N_CA_C, STATES)
        psi = np.radians(torsion(points, ca[first], xyz[first, 2], xyz[first + 1, 0]))
        xyz[first, 0] = _likeliest(points, evidence.at(points, N), log_odds_of_first_psi(psi))
        points = on_cone(ca[last], unit(ca[last] - xyz[last, 0]), CA_C, 180 - N_CA_C, STATES)
        phi = np.radians(torsion(xyz[last - 1, 2], xyz[last, 0], ca[last], points))
        xyz[last, 2] = _likeliest(points, evidence.at(points, C), log_odds_of_phi(phi))
        first = last + 1
    return xyz


def _likeliest(points: FloatArray, probability: FloatArray, prior: FloatArray) -> FloatArray:
    """The one (3,) of points (P, 3) that the network and the log odds (P,) of the torsion it makes speak for."""
    return np.asarray(points[(np.log(probability + FLOOR) + prior).argmax()])


def _seen(xyz: FloatArray, ca: FloatArray, sd: FloatArray, evidence: Evidence) -> tuple[FloatArray, FloatArray]:
    """Where N, CA, C were seen (R, 3, 3), and the weight (R, 3) 1 / sd^2 of that; C-alphas were seen by the trace."""
    n, n_mass = evidence.centre(xyz[:, 0], N, SEEN_RADIUS)
    c, c_mass = evidence.centre(xyz[:, 2], C, SEEN_RADIUS)
    weight = np.stack([np.minimum(n_mass, 1) / SEEN_SD**2, 1 / sd**2, np.minimum(c_mass, 1) / SEEN_SD**2], axis=1)
    return np.stack([n, ca, c], axis=1), weight
