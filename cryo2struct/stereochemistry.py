"""Ideal stereochemistry of the 20 amino acids: atoms, bonds, angles, planes, chirality, torsions and rotamers.

Lengths in angstrom, angles in degrees. Side chains: medians over crystal structures, see
`cryo2struct.dataset.stereochemistry`, which writes the file read here. Backbone and the peptide link: R. A. Engh and
R. Huber (1991), "Accurate bond and angle parameters for X-ray protein structure refinement", Acta Cryst. A47, 392-400.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from cryo2struct.objects import FloatArray, IntArray

DATA = Path(__file__).with_suffix(".json")

BACKBONE_REGIONS = ("helical", "extended", "positive phi")
"""Regions of phi and psi that rotamers depend on, see `backbone_region`."""


@dataclass(frozen=True)
class Bond:
    """A bond: its two `atoms`, ideal `length` and standard deviation `sd` in angstrom."""

    atoms: tuple[str, str]
    length: float
    sd: float


@dataclass(frozen=True)
class Angle:
    """A bond angle at the second of its three `atoms`: ideal `value` and standard deviation `sd` in degrees."""

    atoms: tuple[str, str, str]
    value: float
    sd: float


@dataclass(frozen=True)
class ChiralCentre:
    """Four neighbours that cannot be swapped, the centre first.

    Attributes
    ----------
    atoms : centre and three neighbours
    volume : (first - centre) . ((second - centre) x (third - centre)), angstrom^3; its sign is the hand
    """

    atoms: tuple[str, str, str, str]
    volume: float


@dataclass(frozen=True)
class Placement:
    """How a side-chain atom beyond CB is built from atoms before it.

    Attributes
    ----------
    atom : str
    parents : the atom it is bonded to, that one's, and the next: `torsion` is about the bond of the first two
    length : to the first parent, angstrom
    angle : atom, first parent, second parent, degrees
    torsion : degrees, added to the torsion `chi` where there is one
    chi : index into `AminoAcid.chi` of the torsion that turns the atom, -1 for none
    """

    atom: str
    parents: tuple[str, str, str]
    length: float
    angle: float
    torsion: float
    chi: int


@dataclass(frozen=True)
class Rotamer:
    """A mode of the side-chain torsions.

    Attributes
    ----------
    chi, sd : mean and standard deviation of each torsion, degrees
    frequency : share of the amino acid's residues in each of `BACKBONE_REGIONS`
    """

    chi: tuple[float, ...]
    sd: tuple[float, ...]
    frequency: tuple[float, float, float]


@dataclass(frozen=True)
class AminoAcid:
    """Stereochemistry of one amino acid within a chain, hydrogens left out.

    Attributes
    ----------
    letter, name : one- and three-letter code
    atoms : names in the order of PDB files, from N, CA, C, O, CB on; no OXT
    bonds, angles : all within the residue
    planes : groups of atoms in one plane
    chiral_centres : CA, CB of I, T and V, CG of L; the latter two fix the names of equal branches
    chi : four atoms of each side-chain torsion
    symmetric : the last torsion is the same again after 180 degrees
    flips : pairs of atoms that this half turn, or a mere change of names, swaps
    placements : side-chain atoms beyond CB, parents first
    rotamers : the most frequent first; none for A and G
    """

    letter: str
    name: str
    atoms: tuple[str, ...]
    bonds: tuple[Bond, ...]
    angles: tuple[Angle, ...]
    planes: tuple[tuple[str, ...], ...]
    chiral_centres: tuple[ChiralCentre, ...]
    chi: tuple[tuple[str, str, str, str], ...]
    symmetric: bool
    flips: tuple[tuple[str, str], ...]
    placements: tuple[Placement, ...]
    rotamers: tuple[Rotamer, ...]


@dataclass(frozen=True)
class PeptideLink:
    """The bond C-N to the next residue and the angles at it; atoms of the next residue are written `+N`, `+CA`, `+CD`.

    Attributes
    ----------
    bond : Bond
    angles : tuple of Angle
    plane : atoms of the planar peptide
    """

    bond: Bond
    angles: tuple[Angle, ...]
    plane: tuple[str, ...]


_PLANE = ("CA", "C", "O", "+N", "+CA")
PEPTIDE = PeptideLink(
    Bond(("C", "+N"), 1.329, 0.014),
    (
        Angle(("CA", "C", "+N"), 116.2, 2.0),
        Angle(("O", "C", "+N"), 123.0, 1.6),
        Angle(("C", "+N", "+CA"), 121.7, 1.8),
    ),
    _PLANE,
)
"""Link to any residue but proline."""

PEPTIDE_PROLINE = PeptideLink(
    Bond(("C", "+N"), 1.341, 0.016),
    (
        Angle(("CA", "C", "+N"), 116.9, 1.5),
        Angle(("O", "C", "+N"), 122.0, 1.4),
        Angle(("C", "+N", "+CA"), 122.6, 5.0),
        Angle(("C", "+N", "+CD"), 125.0, 4.1),
    ),
    (*_PLANE, "+CD"),
)
"""Link to proline."""

C_OXT = 1.25
"""Bond of the second oxygen of a C-terminus, which is opposite to O, angstrom."""


@cache
def amino_acids() -> Mapping[str, AminoAcid]:
    """The 20 amino acids by one-letter code."""
    table = json.loads(DATA.read_text())["amino_acids"]
    return MappingProxyType({letter: _amino_acid(letter, row) for letter, row in table.items()})


def backbone_region(phi: FloatArray, psi: FloatArray) -> IntArray:
    """Index (...) into `BACKBONE_REGIONS` of angles in degrees (-180 to 180); extended where one is NaN."""
    helical = (phi < 0) & (psi > -100) & (psi < 50)
    return np.where(phi >= 0, 2, np.where(helical, 0, 1))


def _amino_acid(letter: str, row: dict[str, Any]) -> AminoAcid:
    return AminoAcid(
        letter=letter,
        name=row["name"],
        atoms=tuple(row["atoms"]),
        bonds=tuple(Bond((a, b), length, sd) for a, b, length, sd in row["bonds"]),
        angles=tuple(Angle((a, b, c), value, sd) for a, b, c, value, sd in row["angles"]),
        planes=tuple(map(tuple, row["planes"])),
        chiral_centres=tuple(ChiralCentre((a, b, c, d), volume) for a, b, c, d, volume in row["chiral_centres"]),
        chi=tuple((a, b, c, d) for a, b, c, d in row["chi"]),
        symmetric=row["symmetric"],
        flips=tuple((a, b) for a, b in row["flips"]),
        placements=tuple(
            Placement(atom, (first, second, third), length, angle, torsion, chi)
            for atom, first, second, third, length, angle, torsion, chi in row["placements"]
        ),
        rotamers=tuple(
            Rotamer(tuple(chi), tuple(sd), (helical, extended, positive))
            for chi, sd, (helical, extended, positive) in row["rotamers"]
        ),
    )
