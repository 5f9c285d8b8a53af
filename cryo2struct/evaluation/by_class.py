"""Q-scores of one model in several maps, by what its atoms belong to.

How enhancement changes protein and ligands: of atoms that stay where they are, the means of each class in the original
and in each enhanced map stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import gemmi
import numpy as np

from cryo2struct.errors import InputError
from cryo2struct.evaluation.atoms import AtomClass
from cryo2struct.evaluation.q_score import SIGMA, QScores, q_scores
from cryo2struct.objects import DensityMap, FloatArray, IntArray

ALL = "all"


@dataclass(frozen=True)
class QByClass:
    """Mean Q of the atoms of each class in each map.

    Attributes
    ----------
    maps : names of the M maps
    classes : the C classes that the model has, and "all"
    atoms : (C,) number of atoms
    q : (C, M)
    notes : what a reader of the numbers has to know
    """

    maps: tuple[str, ...]
    classes: tuple[str, ...]
    atoms: IntArray
    q: FloatArray
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Plain values: atoms and Q by class, Q by map."""
        rows = {
            name: {"atoms": int(count), "q": dict(zip(self.maps, values.tolist(), strict=True))}
            for name, count, values in zip(self.classes, self.atoms, self.q, strict=True)
        }
        return {"classes": rows, "notes": list(self.notes)}

    def table(self) -> list[tuple[str, ...]]:
        """Lines of cells to print, the headings first."""
        rows = [
            (name, str(count), *(f"{value:.3f}" for value in values))
            for name, count, values in zip(self.classes, self.atoms, self.q, strict=True)
        ]
        return [("class", "atoms", *self.maps), *rows]


def q_by_class(structure: gemmi.Structure, maps: Mapping[str, DensityMap], sigma: float = SIGMA) -> QByClass:
    """Q-scores of a model by class in several maps.

    Parameters
    ----------
    structure : gemmi.Structure
        Its first model; see `q_scores`.
    maps : name -> DensityMap
        In the order in which they are shown; they may be on different grids.
    sigma : width of the reference Gaussian in angstrom

    Raises
    ------
    InputError
        The model has no atoms.
    """
    scores = {name: q_scores(structure, density, sigma) for name, density in maps.items()}
    first = next(iter(scores.values()))
    if not first.classes:
        raise InputError("model: it has no atoms but hydrogen: give one with atoms")
    labels = np.array(first.classes, dtype=object)
    chosen = [(name, labels == name) for name in get_args(AtomClass) if (labels == name).any()]
    chosen.append((ALL, np.ones(len(labels), dtype=np.bool_)))
    return QByClass(
        maps=tuple(scores),
        classes=tuple(name for name, _ in chosen),
        atoms=np.array([mask.sum() for _, mask in chosen]),
        q=np.array([[float(score.values[mask].mean()) for score in scores.values()] for _, mask in chosen]),
        notes=tuple(_notes(scores)),
    )


def _notes(scores: Mapping[str, QScores]) -> list[str]:
    return [f"{name}: {note}" for name, score in scores.items() for note in score.notes]
