"""Real-space refinement: the order of its rounds, the weight of the map, and what it does when it fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import gemmi
import numpy as np

from cryo2struct.errors import UsageError
from cryo2struct.objects import DensityMap, FloatArray
from cryo2struct.refinement.energy import Energy, Weights
from cryo2struct.refinement.flips import flip_peptides
from cryo2struct.refinement.geometry import Geometry, geometry
from cryo2struct.refinement.neighbours import Neighbours
from cryo2struct.refinement.target import Target, charges, crop
from cryo2struct.refinement.topology import coordinates, topology

Mode = Literal["none", "backbone", "full"]
MODES: tuple[Mode, ...] = ("none", "backbone", "full")

WIDTH = 0.22
"""Standard deviation of the atoms' Gaussians as a share of the resolution."""

DENSITY = 12.0
"""Weight of a map at 3 angstrom where the model explains half of it; a map holds 1 / resolution^3 data per volume."""

MOST_EXPLAINED = 0.85
"""The weight rises no more with the share of the map that is explained."""

FLIP_ROUNDS, ROUNDS, STEPS = 3, 6, 80
"""Rounds after which peptides are turned, all rounds, and the steps of a round."""

BOND_LIMIT, ANGLE_LIMIT = 0.02, 2.0
"""The map's weight is halved where the rmsd of bonds (angstrom) or angles (degrees) is above this."""

LARGEST_FALL = 0.02
"""Fall of the correlation that fewer unusual residues are worth: predicted positions may fit a map and be no peptides.
It rises by as much on the average of simulated maps."""

WORST_BONDS, WORST_ANGLES = 0.03, 3.0
"""A refinement that leaves larger rmsds, and larger ones than before, has failed."""


@dataclass(frozen=True)
class RefinedModel:
    """A model after refinement.

    Attributes
    ----------
    structure : gemmi.Structure
        A copy of what was given, with new coordinates where the refinement succeeded.
    mode : "none", "backbone" or "full"
    refined : bool
    note : one line on why the model was kept as it was, or None
    flipped : number of peptides turned
    before, after : Geometry
    correlation_before, correlation_after : correlation of the map with Gaussians at the atoms, None for mode "none"
    """

    structure: gemmi.Structure
    mode: Mode
    refined: bool
    note: str | None
    flipped: int
    before: Geometry
    after: Geometry
    correlation_before: float | None
    correlation_after: float | None


def refine(structure: gemmi.Structure, density: DensityMap, resolution: float, mode: Mode = "full") -> RefinedModel:
    """Move the atoms of the first model of a structure to fit a map, held by restraints.

    Parameters
    ----------
    structure : gemmi.Structure
        Amino acids with all heavy atoms or some. Isolated residues, C-alphas alone and all else keep their places.
    density : DensityMap
        The original map, in the frame of the structure.
    resolution : angstrom
    mode : "full", "backbone" or "none"
        With "backbone" the map draws N, CA, C, O and CB alone; side chains follow.

    Returns
    -------
    RefinedModel
        Of the model as it was, with a note, where the refinement diverged or fits the map worse.

    Raises
    ------
    UsageError
        The mode is none of the three, or the resolution is not from 0.5 to 20 angstrom.
    InputError
        The map does not cover the model.
    """
    if mode not in MODES:
        raise UsageError(f"--refine {mode}: give one of {', '.join(MODES)}")
    if not 0.5 <= resolution <= 20:
        raise UsageError(f"--resolution {resolution}: give angstrom from 0.5 to 20")
    restraints = topology(structure)
    neighbours = Neighbours(restraints.elements, restraints.bonds)
    start = coordinates(structure)
    before = geometry(start, restraints, neighbours)
    kept = RefinedModel(structure.clone(), mode, False, None, 0, before, before, None, None)
    if mode == "none":
        return kept
    if not restraints.moving.any():
        return replace(
            kept, note="refinement: no two residues with N, CA and C are linked; the model is kept as it was"
        )
    charge = charges(restraints.elements)
    if mode == "backbone":
        charge = np.where(restraints.backbone, charge, 0.0)
    part = crop(density, start)
    target = Target(part, charge, WIDTH * resolution)
    kept = replace(kept, correlation_before=_correlation(target, neighbours, start))
    energy = Energy(restraints, neighbours, target, Weights())
    xyz, flipped = _move(start, energy, DENSITY * (3 / resolution) ** 3)
    if not np.isfinite(xyz).all():
        return replace(kept, note="refinement: diverged; the model is kept as it was")
    after, correlation = geometry(xyz, restraints, neighbours), _correlation(target, neighbours, xyz)
    kept = replace(kept, correlation_after=correlation)
    if why := _worse(kept, after):
        return replace(kept, note=f"refinement: {why}; the model is kept as it was")
    moved = structure.clone()
    for site, place in zip(moved[0].all(), xyz.tolist(), strict=True):
        site.atom.pos = gemmi.Position(*place)
    return replace(kept, structure=moved, refined=True, flipped=flipped, after=after)


def _move(xyz: FloatArray, energy: Energy, density: float) -> tuple[FloatArray, int]:
    """Coordinates (A, 3) after all rounds, not finite where they diverged, and the number of peptides turned.

    The weight of the map is `density` times the ratio of what the model explains of it to the rest, its error.
    """
    flipped = 0
    for number in range(ROUNDS):
        explained = min(max(_correlation(energy.target, energy.neighbours, xyz), 0) ** 2, MOST_EXPLAINED)
        energy.weights = replace(energy.weights, density=density * explained / (1 - explained))
        xyz = energy.minimise(xyz, STEPS)
        if not np.isfinite(xyz).all():
            break
        found = geometry(xyz, energy.topology, energy.neighbours)
        if found.bond_rmsd > BOND_LIMIT or found.angle_rmsd > ANGLE_LIMIT:
            density /= 2
        if number < FLIP_ROUNDS:
            energy.prepare(xyz)
            xyz, turned = flip_peptides(xyz, energy.topology, energy.target, energy.weights)
            flipped += turned
    return xyz, flipped


def _correlation(target: Target, neighbours: Neighbours, xyz: FloatArray) -> float:
    return target.correlation(xyz, neighbours.near(xyz, target.reach))


def _worse(model: RefinedModel, after: Geometry) -> str | None:
    """What is wrong with a refined model, None where nothing is; `model` has the correlations and the old geometry."""
    old, new = model.correlation_before or 0.0, model.correlation_after or 0.0
    if not new >= old - (LARGEST_FALL if (after.unusual or 0) < (model.before.unusual or 0) else 0):
        return f"the map's correlation fell from {old:.3f} to {new:.3f}"
    if after.bond_rmsd > max(WORST_BONDS, model.before.bond_rmsd):
        return f"bonds are {after.bond_rmsd:.3f} A off after it"
    if after.angle_rmsd > max(WORST_ANGLES, model.before.angle_rmsd):
        return f"angles are {after.angle_rmsd:.1f} degrees off after it"
    return None
