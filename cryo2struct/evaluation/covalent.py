"""Bond lengths, bond angles and C-beta positions of the main chain against ideal ones.

Ideal bonds and angles: R. A. Engh and R. Huber (2001), Int. Tables for Crystallography F, 18.3, table 18.3.2.3.
Ideal C-betas: S. C. Lovell et al. (2003), "Structure validation by C-alpha geometry: phi, psi and C-beta deviation",
Proteins 50, 437-450.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo2struct.evaluation.main_chain import CA, CB, C, MainChain, N, O
from cryo2struct.objects import FloatArray

BEFORE = 5  # added to an atom: that of the residue before
OUTLIER = 4.0  # standard deviations
OUTLIER_BETA = 0.25  # angstrom

Ideal = tuple[float, float]
"""Mean and standard deviation."""

# Atoms, then the ideal values of general residues, proline and glycine (of the second one for the peptide bond).
BONDS: tuple[tuple[tuple[int, int], Ideal, Ideal, Ideal], ...] = (
    ((N, CA), (1.459, 0.020), (1.468, 0.017), (1.456, 0.015)),
    ((CA, C), (1.525, 0.026), (1.524, 0.020), (1.514, 0.016)),
    ((C, O), (1.229, 0.019), (1.228, 0.020), (1.232, 0.016)),
    ((CA, CB), (1.532, 0.031), (1.531, 0.020), (1.532, 0.031)),
    ((BEFORE + C, N), (1.336, 0.023), (1.338, 0.019), (1.326, 0.018)),
)
ANGLES: tuple[tuple[tuple[int, int, int], Ideal, Ideal, Ideal], ...] = (
    ((N, CA, C), (111.0, 2.7), (112.1, 2.6), (113.1, 2.5)),
    ((N, CA, CB), (110.6, 2.1), (103.1, 1.2), (110.6, 2.1)),
    ((C, CA, CB), (110.6, 2.3), (111.8, 2.0), (110.6, 2.3)),
    ((CA, C, O), (120.1, 2.1), (120.2, 2.4), (120.6, 1.8)),
    ((BEFORE + CA, BEFORE + C, N), (117.2, 2.2), (117.1, 2.8), (116.2, 2.0)),
    ((BEFORE + O, BEFORE + C, N), (122.7, 1.6), (121.1, 1.9), (123.2, 1.7)),
    ((BEFORE + C, N, CA), (121.7, 2.5), (119.3, 1.5), (122.3, 2.1)),
)
CIS_PROLINE_C_N_CA: Ideal = (127.0, 2.4)

BETA_GENERAL = (1.530, 110.1, 122.8, 110.5, -122.6)
BETAS = {
    "ALA": (1.536, 110.1, 122.9, 110.6, -122.6),
    "PRO": (1.530, 112.2, 115.1, 103.0, -120.7),
    "ILE": (1.540, 109.1, 123.4, 111.5, -122.0),
    "THR": (1.540, 109.1, 123.4, 111.5, -122.0),
    "VAL": (1.540, 109.1, 123.4, 111.5, -122.0),
}
"""CA-CB in angstrom; angle C-CA-CB, torsion N-C-CA-CB, angle N-CA-CB, torsion C-N-CA-CB in degrees."""


@dataclass(frozen=True)
class Deviations:
    """How far values are from their ideal ones.

    Attributes
    ----------
    n : values
    rmsd : root mean square deviation (angstrom or degrees), None without values
    outliers : values more than 4 standard deviations off
    """

    n: int
    rmsd: float | None
    outliers: int


def bond_deviations(chain: MainChain) -> Deviations:
    """Bonds of N, CA, C, O, CB and of the peptide, in angstrom."""
    atoms = _atoms(chain)
    lengths = [np.linalg.norm(atoms[:, a] - atoms[:, b], axis=1) for (a, b), *_ in BONDS]
    ideal, spread = _ideal(chain, [row[1:] for row in BONDS])
    return _deviations(np.array(lengths) - ideal, spread)


def angle_deviations(chain: MainChain) -> Deviations:
    """Angles between the bonds of `bond_deviations`, in degrees."""
    atoms = _atoms(chain)
    angles = [_angle(atoms[:, a], atoms[:, b], atoms[:, c]) for (a, b, c), *_ in ANGLES]
    ideal, spread = _ideal(chain, [row[1:] for row in ANGLES])
    cis = chain.named("PRO") & (np.abs(chain.omega) <= 90)
    ideal[-1, cis], spread[-1, cis] = CIS_PROLINE_C_N_CA
    return _deviations(np.array(angles) - ideal, spread)


def beta_deviation(chain: MainChain) -> FloatArray:
    """Distance (R,) of each C-beta from its ideal place in angstrom, NaN where an atom is missing and for glycine.

    The ideal place is in the direction of the middle of two: that built from N, C, CA, and that from C, N, CA.
    """
    values = np.array([BETAS.get(name, BETA_GENERAL) for name in chain.names]).reshape(-1, 5)
    length, from_c, torsion_n, from_n, torsion_c = values.T
    # A D-amino acid is the mirror image.
    hand = np.where(chain.mirrored, -1, 1)
    n, ca, c, beta = (chain.xyz[:, atom] for atom in (N, CA, C, CB))
    middle = (
        _placed(n, c, ca, length, from_c, hand * torsion_n) + _placed(c, n, ca, length, from_n, hand * torsion_c)
    ) / 2
    ideal = ca + length[:, None] * _unit(middle - ca)
    return np.where(chain.named("GLY"), np.nan, np.linalg.norm(beta - ideal, axis=1))


def _atoms(chain: MainChain) -> FloatArray:
    """(R, 10, 3) angstrom; the atoms of each residue and those of the one before, NaN where there is none."""
    own = chain.xyz.copy()
    own[chain.named("GLY"), CB] = np.nan
    return np.concatenate([own, chain.before], axis=1)


def _ideal(chain: MainChain, table: list[tuple[Ideal, Ideal, Ideal]]) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations (T, R) of each row of a table for each residue."""
    kind = np.select([chain.named("PRO"), chain.named("GLY")], [1, 2], 0)
    values = np.array(table)[:, kind]
    return values[..., 0], values[..., 1]


def _deviations(off: FloatArray, spread: FloatArray) -> Deviations:
    known = np.isfinite(off)
    rmsd = float(np.sqrt((off[known] ** 2).mean())) if known.any() else None
    return Deviations(int(known.sum()), rmsd, int((np.abs(off[known]) > OUTLIER * spread[known]).sum()))


def _angle(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Angles (R,) at b in degrees."""
    sine = np.linalg.norm(np.cross(a - b, c - b), axis=1)
    return np.asarray(np.degrees(np.arctan2(sine, ((a - b) * (c - b)).sum(axis=1))))


def _placed(
    a: FloatArray, b: FloatArray, c: FloatArray, length: FloatArray, angle: FloatArray, torsion: FloatArray
) -> FloatArray:
    """Atoms (R, 3) bonded to c, at an angle to b and a torsion angle a-b-c-atom in degrees."""
    along = _unit(c - b)
    upright = _unit(np.cross(b - a, along))
    across = np.cross(upright, along)
    bend, turn = np.radians(180 - angle), np.radians(torsion)
    steps = np.cos(bend), np.sin(bend) * np.cos(turn), np.sin(bend) * np.sin(turn)
    return np.asarray(
        c + length[:, None] * (steps[0][:, None] * along + steps[1][:, None] * across + steps[2][:, None] * upright)
    )


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.full_like(vectors, np.nan), where=lengths > 0)
