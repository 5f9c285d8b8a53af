"""The record of a map and its model from which networks are trained, beside simulated maps."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.dataset.pack import Array, PackStructure
from cryo2struct.dataset.packing import cleaned, pack_structure
from cryo2struct.dataset.records import TrainingRecord
from cryo2struct.density.resample import border_median
from cryo2struct.errors import InputError
from cryo2struct.evaluation.ca import heavy_atoms
from cryo2struct.io.outputs import atomic_path
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.residues import modelled_residues

CONTEXT_REACH = 4.0  # angstrom around an atom in which density is taken for its own


def training_record(
    density: DensityMap, structure: gemmi.Structure, context: gemmi.Structure | None = None
) -> TrainingRecord:
    """Record of a map and the part of its model that lies in it.

    The solvent level is taken off and the standard deviation set to 1. Density of a `context` is set to 0: without
    labels it would count as "no residue".

    Parameters
    ----------
    density : resampled to about 1 angstrom, in any units
    structure : model of the map, in its frame
    context : structure of neighbours in the map that are not part of the model

    Raises
    ------
    InputError
        No C-alpha of the model lies in the map.
    """
    inside = _inside(cleaned(structure), density.frame)
    if not modelled_residues(inside):
        raise InputError("no C-alpha of the model lies in the map; give the model of this map")
    density = DensityMap(density.values - np.float32(border_median(density.values)), density.frame)
    values = density.values
    if context is not None:
        values = without_context(density, heavy_atoms(structure), heavy_atoms(context))
    values /= np.float32(max(float(values.std()), 1e-30))
    np.clip(values, -6e4, 6e4, out=values)  # float16 ends at 65504
    packed, names = pack_structure(inside, density.frame.origin)
    return TrainingRecord(values.astype(np.float16), density.frame.voxel.astype(np.float32), packed, names)


def write_record(path: Path, record: TrainingRecord) -> None:
    """Write what `records.read_record` reads; equal records give equal bytes. Raises OutputError."""
    arrays: dict[str, Array] = {f.name: getattr(record.structure, f.name) for f in fields(PackStructure)}
    arrays |= {"values": record.values, "voxel": record.voxel, "atom_names": np.array(record.atom_names)}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)  # so that maps can be mapped from the disk


def without_context(density: DensityMap, model: Array, context: Array) -> Array:
    """Values (z, y, x), 0 where an atom of the context (N, 3) is near, and nearer than any of the model (M, 3)."""
    index = np.stack(np.nonzero(density.values), axis=1)
    xyz = density.frame.to_xyz(index)
    to_context = cKDTree(context).query(xyz, distance_upper_bound=CONTEXT_REACH)[0]
    index, xyz, to_context = (array[to_context < np.inf] for array in (index, xyz, to_context))
    nearer = to_context < cKDTree(model).query(xyz)[0]
    values = density.values.copy()
    values[tuple(index[nearer].T)] = 0
    return values


def _inside(structure: gemmi.Structure, frame: GridFrame) -> gemmi.Structure:
    """The structure itself, without its residues that do not lie in the map with all atoms."""
    for chain in structure[0]:
        for number in reversed(range(len(chain))):
            index = frame.to_index([atom.pos.tolist() for atom in chain[number]])
            if not ((index >= 0) & (index <= np.array(frame.shape) - 1)).all():
                del chain[number]
    structure.remove_empty_chains()
    return structure
