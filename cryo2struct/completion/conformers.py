"""Side chains built from their torsions, and the torsions worth trying."""

from __future__ import annotations

from itertools import product

import numpy as np

from cryo2struct.completion.geometry import unit
from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.stereochemistry import AminoAcid

OFFSETS = (-1.0, 0.0, 1.0)
"""Places in a rotamer that are tried for each of its first `SAMPLED` torsions, standard deviations."""

SAMPLED = 2

RAREST = 1e-4
"""Least frequency of a rotamer in a backbone region."""

RING_SD = 0.04
"""Standard deviation of proline's bond CD-N, angstrom."""


def build(amino_acid: AminoAcid, backbone: FloatArray, chi: FloatArray) -> FloatArray:
    """Side-chain atoms beyond CB.

    Parameters
    ----------
    amino_acid : AminoAcid
    backbone : (M, 5, 3) N, CA, C, O, CB
    chi : (M, n) torsions, degrees

    Returns
    -------
    (M, A, 3) in the order of `AminoAcid.placements`
    """
    at = dict(zip(("N", "CA", "C", "O", "CB"), backbone.transpose(1, 0, 2), strict=True))
    for placement in amino_acid.placements:
        first, second, third = (at[name] for name in placement.parents)
        torsion = placement.torsion + (chi[:, placement.chi] if placement.chi >= 0 else np.zeros(len(chi)))
        at[placement.atom] = _placed(first, second, third, placement.length, placement.angle, torsion)
    return np.stack([at[placement.atom] for placement in amino_acid.placements], axis=1)


def _placed(
    first: FloatArray, second: FloatArray, third: FloatArray, length: float, angle: float, torsion: FloatArray
) -> FloatArray:
    """Points (M, 3) at a distance from `first`, an angle with `second` and torsions (M,) with `third`; degrees."""
    along = unit(first - second)
    normal = unit(np.cross(second - third, along))
    across = np.cross(normal, along)
    bend, turn = np.radians(180 - angle), np.radians(torsion)[:, None]
    sideways = np.cos(turn) * across + np.sin(turn) * normal
    return np.asarray(first + length * (np.cos(bend) * along + np.sin(bend) * sideways))


def trial_torsions(amino_acid: AminoAcid) -> FloatArray:
    """Torsions (rotamers, places, n) in degrees that are tried."""
    n = len(amino_acid.chi)
    steps = [OFFSETS if number < SAMPLED else (0.0,) for number in range(n)]
    offsets = np.array(list(product(*steps)))
    mean = np.array([rotamer.chi for rotamer in amino_acid.rotamers])
    sd = np.array([rotamer.sd for rotamer in amino_acid.rotamers])
    return np.asarray(mean[:, None] + offsets * sd[:, None])


def torsion_energy(amino_acid: AminoAcid, chi: FloatArray, region: IntArray) -> FloatArray:
    """Minus the log of the probability (M,) of torsions (M, n), degrees, up to a constant, nats.

    That of the likeliest rotamer in the backbone region (M,), see `backbone_region`.
    """
    mean = np.array([rotamer.chi for rotamer in amino_acid.rotamers])
    sd = np.array([rotamer.sd for rotamer in amino_acid.rotamers])
    frequency = np.array([rotamer.frequency for rotamer in amino_acid.rotamers])
    best = np.full(len(chi), np.inf)
    period = np.full(chi.shape[1], 360.0)
    period[-1] = 180.0 if amino_acid.symmetric else 360.0
    cost = -np.log(np.maximum(frequency, RAREST)).T[region]
    for number in range(len(mean)):
        off = np.abs(chi - mean[number]) % period
        off = np.minimum(off, period - off) / sd[number]
        best = np.minimum(best, 0.5 * np.einsum("ij,ij->i", off, off) + cost[:, number])
    return best


def ring_energy(amino_acid: AminoAcid, backbone: FloatArray, atoms: FloatArray) -> FloatArray:
    """Energy (M,) of the bond that closes a side chain (M, A, 3) on its own N, nats; 0 where there is none."""
    names = [placement.atom for placement in amino_acid.placements]
    energy = np.zeros(len(atoms))
    for bond in amino_acid.bonds:
        if bond.atoms[0] == "N" and bond.atoms[1] in names:
            length = np.linalg.norm(atoms[:, names.index(bond.atoms[1])] - backbone[:, 0], axis=1)
            energy += 0.5 * ((length - bond.length) / RING_SD) ** 2
    return energy
