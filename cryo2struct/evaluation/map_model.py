"""How well a model explains a map: correlation with the model's own map, in real space and by Fourier shells.

The scores of phenix.map_model_cc and phenix.mtriage: P. V. Afonine et al. 2018, "New tools for the analysis and
validation of cryo-EM maps and atomic models", Acta Cryst. D74, 814-840.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import gemmi
import numpy as np
import scipy.fft

from cryo2struct.density.structure_factors import Atoms, Complex, squared_frequencies, structure_factors
from cryo2struct.errors import UsageError
from cryo2struct.evaluation.map_model_fsc import MapModelFsc, map_model_fsc, shells_of
from cryo2struct.evaluation.map_model_regions import (
    Mask,
    atom_radius,
    highest,
    molecule_mask,
    points_around,
    smooth_mask,
)
from cryo2struct.objects import DensityMap, FloatArray, GridFrame, IntArray

MAIN_CHAIN = frozenset({"N", "CA", "C", "O", "CB"})
SMOOTHING = 2.0  # radius of the smooth mask in resolutions
OUTSIDE = 3.0  # angstrom from the box; nearer atoms still count, in the periodic image of the box
ALIKE = 1e-6  # of the largest value; values that differ less are one value


@dataclass(frozen=True)
class ResidueCc:
    """Correlation around one residue, or one conformer of it.

    Attributes
    ----------
    chain, number, insertion, name : as in the file; insertion is "" for none
    cc : around all of its atoms
    cc_main_chain : around N, CA, C, O and CB of a residue of a polymer; None where it has none of them
    cc_side_chain : around all other atoms; None without any
    """

    chain: str
    number: int
    insertion: str
    name: str
    cc: float
    cc_main_chain: float | None
    cc_side_chain: float | None


@dataclass(frozen=True)
class ChainCc:
    """Correlation around the atoms of the polymer of a chain (`part` "polymer"), or of all else in it ("other")."""

    chain: str
    part: str
    cc: float
    n_atoms: int

    def as_dict(self) -> dict[str, str | float | int]:
        """The fields by name."""
        return {"chain": self.chain, "part": self.part, "cc": self.cc, "n_atoms": self.n_atoms}


@dataclass(frozen=True)
class MapModel:
    """Scores of a model against a map; correlations are Pearson's, 0 where one of the two maps is flat.

    Attributes
    ----------
    cc_mask : over the voxels inside the molecule
    cc_box : over all voxels
    cc_volume : over as many voxels as are inside the molecule, those of the highest values of the model's map
    cc_peaks : over these and as many of the highest values of the map
    cc_main_chain, cc_side_chain : around such atoms; None where there are none
    cc_per_chain : polymer and other residues of each chain
    per_residue : in the order of the chains; of each, those of the polymer first
    fsc_unmasked, fsc_masked : with the map as it is, and inside a soft mask around the model
    n_mask : voxels inside the molecule
    radius : of the atoms in all scores "around" them, angstrom
    notes : what was wrong with map or model, a line each
    """

    cc_mask: float
    cc_box: float
    cc_volume: float
    cc_peaks: float
    cc_main_chain: float | None
    cc_side_chain: float | None
    cc_per_chain: tuple[ChainCc, ...]
    per_residue: tuple[ResidueCc, ...]
    fsc_unmasked: MapModelFsc
    fsc_masked: MapModelFsc
    n_mask: int
    radius: float
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All but `per_residue`, as it is written."""
        names = ("cc_mask", "cc_box", "cc_volume", "cc_peaks", "cc_main_chain", "cc_side_chain")
        return {
            **{name: getattr(self, name) for name in names},
            "cc_per_chain": [chain.as_dict() for chain in self.cc_per_chain],
            "fsc": {"unmasked": self.fsc_unmasked.as_dict(), "masked": self.fsc_masked.as_dict()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Group:
    """Rows of the atoms of a residue, or of one conformer of it."""

    chain: str
    part: str
    number: int
    insertion: str
    name: str
    main: IntArray
    side: IntArray


def require_length(resolution: float) -> None:
    """Refuse a resolution that is no length; raises UsageError."""
    if not (np.isfinite(resolution) and resolution > 0):
        raise UsageError(f"--resolution {resolution}: give angstrom above 0")


def map_model(structure: gemmi.Structure, density: DensityMap, resolution: float) -> MapModel:
    """Compare a model with a map.

    The model's map has the Fourier terms of the map's box (taken as periodic) up to the resolution, with occupancies
    and isotropic B factors (none below 0) as they are in the file. All atoms of the first model count, hydrogens,
    waters and alternate conformers as well; those over 3 angstrom outside the box are left out. The Fourier shells go
    to the corner of the box.

    Parameters
    ----------
    structure : gemmi.Structure
    density : DensityMap
    resolution : angstrom

    Raises
    ------
    UsageError
        The resolution is no length.
    """
    require_length(resolution)
    frame = density.frame
    atoms, groups, outside = _atoms_in(structure, frame)
    notes = (
        [f"{outside} of {outside + len(atoms)} atoms are over {OUTSIDE:g} A outside the map and left out"]
        if outside
        else []
    )
    values = density.values.astype(np.float64)
    if _flat(values):
        return _nothing([*notes, "the map has no signal, all voxels are alike: all scores are 0"])
    if not len(atoms):
        return _nothing([*notes, "no atom of the model is in the map: all scores are 0"])
    terms = structure_factors(atoms, frame)
    model = _cut(terms, frame, resolution)
    mask = molecule_mask(frame, atoms)
    radius = atom_radius(atoms, resolution)
    residues, chains, parts = _local(values, model, frame, atoms, groups, radius)
    unmasked, masked = _shell_curves(values, terms, frame, atoms, SMOOTHING * resolution)
    return MapModel(
        **_global(values, model, mask),
        cc_main_chain=parts[0],
        cc_side_chain=parts[1],
        cc_per_chain=chains,
        per_residue=residues,
        fsc_unmasked=unmasked,
        fsc_masked=masked,
        n_mask=int(mask.sum()),
        radius=radius,
        notes=tuple(notes),
    )


def correlation(first: FloatArray, second: FloatArray) -> float:
    """Pearson's correlation; 0 where either is flat or empty."""
    if not first.size or _flat(first) or _flat(second):
        return 0.0
    one, two = first - first.mean(), second - second.mean()
    return float(np.clip((one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum()), -1, 1))


def as_atoms(atoms: Sequence[gemmi.Atom]) -> Atoms:
    """Atoms as scatterers; no B factor is below 0."""
    return Atoms(
        np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3),
        np.array([atom.element.name for atom in atoms], dtype=np.str_),
        np.array([atom.occ for atom in atoms]),
        np.array([max(atom.b_iso, 0.0) for atom in atoms]),
    )


def in_box(xyz: FloatArray, frame: GridFrame, margin: float = 0.0) -> Mask:
    """Which points (N, 3) lie between the first and last voxels of a map, or within a margin of that in angstrom."""
    place = np.asarray(xyz).reshape(-1, 3) - frame.origin
    last = (np.array(frame.shape[::-1]) - 1) * frame.voxel
    return np.asarray(((place > -margin) & (place < last + margin)).all(axis=1))


def _flat(values: FloatArray) -> bool:
    low, high = float(values.min()), float(values.max())
    return high - low <= ALIKE * max(abs(low), abs(high))


def _cut(terms: Complex, frame: GridFrame, resolution: float) -> FloatArray:
    """The map (z, y, x) of the terms up to a resolution without their mean."""
    squares = squared_frequencies(frame)
    chosen = (squares <= resolution**-2) & (squares > 0)
    return scipy.fft.irfftn(np.where(chosen, terms, 0), s=frame.shape, workers=-1)


def _global(values: FloatArray, model: FloatArray, mask: Mask) -> dict[str, float]:
    number = int(mask.sum())
    of_model = highest(model, number)
    peaks = of_model | highest(values, number)
    return {
        "cc_mask": correlation(values[mask], model[mask]),
        "cc_box": correlation(values, model),
        "cc_volume": correlation(values[of_model], model[of_model]),
        "cc_peaks": correlation(values[peaks], model[peaks]),
    }


def _local(
    values: FloatArray, model: FloatArray, frame: GridFrame, atoms: Atoms, groups: list[_Group], radius: float
) -> tuple[tuple[ResidueCc, ...], tuple[ChainCc, ...], tuple[float | None, float | None]]:
    """Scores around residues, chains, and main-chain and side-chain atoms of all."""
    values, model = values.ravel(), model.ravel()

    def score(points: IntArray) -> float | None:
        return correlation(values[points], model[points]) if len(points) else None

    main, side = (np.zeros(values.size, dtype=np.bool_) for _ in range(2))
    residues, chains = [], []
    for (chain, part), members in groupby(groups, key=lambda group: (group.chain, group.part)):
        own, rows = np.zeros(values.size, dtype=np.bool_), set[int]()
        for group in members:
            near_main, near_side = (points_around(frame, atoms.xyz[row], radius) for row in (group.main, group.side))
            main[near_main], side[near_side] = True, True
            near = np.union1d(near_main, near_side)
            own[near] = True
            rows.update(group.main, group.side)
            identity = (chain, group.number, group.insertion, group.name)
            residues.append(ResidueCc(*identity, score(near) or 0.0, score(near_main), score(near_side)))
        chains.append(ChainCc(chain, part, score(np.flatnonzero(own)) or 0.0, len(rows)))
    return tuple(residues), tuple(chains), (score(np.flatnonzero(main)), score(np.flatnonzero(side)))


def _shell_curves(
    values: FloatArray, terms: Complex, frame: GridFrame, atoms: Atoms, width: float
) -> tuple[MapModelFsc, MapModelFsc]:
    """Fourier shell correlation without and with the soft mask."""
    shells = shells_of(frame)
    soft = smooth_mask(frame, molecule_mask(frame, atoms, enlarged=width), width)
    return map_model_fsc(values, terms, shells), map_model_fsc(values * soft, terms, shells)


def _atoms_in(structure: gemmi.Structure, frame: GridFrame) -> tuple[Atoms, list[_Group], int]:
    """Atoms of the first model in the box, their groups by chain, part and residue, and how many are outside."""
    chosen: list[gemmi.Atom] = []
    groups: list[_Group] = []
    outside = 0
    for chain in structure[0]:
        by_part = sorted(chain, key=_is_other)
        for residue in by_part:
            near = in_box(np.array([atom.pos.tolist() for atom in residue]), frame, OUTSIDE)
            inside = [atom for atom, kept in zip(residue, near, strict=True) if kept]
            outside += len(residue) - len(inside)
            first = len(chosen)
            chosen += inside
            groups += _conformers(chain.name, residue, inside, first)
    return as_atoms(chosen), groups, outside


def _conformers(chain: str, residue: gemmi.Residue, inside: list[gemmi.Atom], first: int) -> Iterator[_Group]:
    """A group for each conformer: its own atoms and those that all conformers share."""
    other = _is_other(residue)
    altlocs = sorted({atom.altloc for atom in inside if atom.has_altloc()})
    for altloc in altlocs or ["\0"]:
        rows = [n for n, atom in enumerate(inside) if atom.altloc in ("\0", altloc)]
        main = [first + n for n in rows if inside[n].name in MAIN_CHAIN and not other]
        side = [first + n for n in rows if first + n not in main]
        if rows:
            yield _Group(
                chain,
                "other" if other else "polymer",
                int(residue.seqid.num or 0),
                residue.seqid.icode.strip(),
                residue.name,
                np.array(main, dtype=np.int64),
                np.array(side, dtype=np.int64),
            )


def _is_other(residue: gemmi.Residue) -> bool:
    return residue.entity_type in (gemmi.EntityType.NonPolymer, gemmi.EntityType.Water, gemmi.EntityType.Branched)


def _nothing(notes: list[str]) -> MapModel:
    none = MapModelFsc(np.empty(0), np.empty(0), None, None)
    return MapModel(0.0, 0.0, 0.0, 0.0, None, None, (), (), none, none, 0, 0.0, tuple(notes))
