"""What a piece of density is likely to be, by simple rules on its size, height and shape.

The rules are applied in this order; each value was chosen on maps simulated from structures whose ligands are known.
They name a likely kind for a reader to look at, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ion or water", "ligand", "sugar or nucleic acid", "lipid belt", "noise"]

FAR = 8.0  # angstrom from the molecule of the enhanced map; small density beyond touches nothing
SMALL = 60.0  # angstrom^3 at half height; an atom at 4 angstrom resolution has 45
LARGE = 1000.0  # angstrom^3; ligands are smaller
THIN = 2.5  # longest over middle width; sugar chains and nucleic acid are long
WEAK = 0.6  # of the molecule's strong density; lipid belts are weaker, nucleic acid is not


@dataclass(frozen=True)
class Shape:
    """What the rules look at.

    Attributes
    ----------
    volume : cubic angstrom at half height
    height : of the strong density of the molecule
    elongation : longest over middle width
    distance : angstrom to the molecule
    """

    volume: float
    height: float
    elongation: float
    distance: float


def likely_kind(shape: Shape) -> Kind:
    """The first rule that holds."""
    if shape.distance > FAR and shape.volume < LARGE:
        return "noise"
    if shape.volume <= SMALL:
        return "ion or water"
    if shape.volume >= LARGE:
        return "lipid belt" if shape.height < WEAK else "sugar or nucleic acid"
    return "sugar or nucleic acid" if shape.elongation >= THIN else "ligand"
