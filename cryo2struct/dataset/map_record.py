"""What training needs of an experimental map and its model, and the file of such records that `MapPack` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.dataset.map_pack import MappedStructure
from cryo2struct.dataset.pack import NUCLEOTIDE, Array, PackStructure
from cryo2struct.density.resample import border_median
from cryo2struct.evaluation.ca import heavy_atoms, modelled_residues
from cryo2struct.evaluation.dssp import backbone_of, secondary_structure
from cryo2struct.io.outputs import atomic_path
from cryo2struct.objects import AMINO_ACIDS, DensityMap, GridFrame

UNKNOWN_RESIDUE, LIGAND = 20, 22
CONTEXT_REACH = 4.0  # angstrom around an atom in which density is taken for its own


def residue_class(name: str, has_alpha: bool) -> int:
    """Class of a residue as of `PackStructure.aa`; ions and sugars are ligands here.

    One that the tables do not know is of a protein when it has a C-alpha, as of `modelled_residues`.
    """
    info = gemmi.find_tabulated_residue(name)
    if info.is_nucleic_acid():
        return NUCLEOTIDE
    letter = info.one_letter_code.upper()
    if letter.isalpha() and letter in AMINO_ACIDS:
        return AMINO_ACIDS.index(letter)
    return UNKNOWN_RESIDUE if info.is_amino_acid() or has_alpha else LIGAND


def pack_structure(structure: gemmi.Structure, frame: GridFrame, atom_names: list[str]) -> PackStructure:
    """First model of a structure without hydrogens, waters and alternate conformers, from the centre of voxel 0.

    Names of atoms that `atom_names` lacks are added to it.
    """
    structure = structure.clone()
    structure.remove_alternative_conformations()
    structure.remove_hydrogens()
    structure.remove_waters()
    backbone = backbone_of(structure)
    kinds = np.maximum(secondary_structure(backbone), 0)
    row_of = {(chain, str(r.seqid), r.name): row for row, (chain, r, _) in enumerate(modelled_residues(structure))}
    residues = [(chain.name, residue) for chain in structure[0] for residue in chain]
    rows = [row_of.get((chain, str(residue.seqid), residue.name), -2) for chain, residue in residues]
    atoms = [(number, atom) for number, (_, residue) in enumerate(residues) for atom in residue]
    atom_names += [name for name in dict.fromkeys(atom.name for _, atom in atoms) if name not in atom_names]
    number_of = {name: number for number, name in enumerate(atom_names)}
    chains = list(dict.fromkeys(chain for chain, _ in residues))
    linked = [
        row > 0 and before == row - 1 and bool(backbone.linked[row])
        for before, row in zip([-2, *rows[:-1]], rows, strict=True)
    ]
    classes = [residue_class(residue.name, row >= 0) for (_, residue), row in zip(residues, rows, strict=True)]
    return PackStructure(
        xyz=np.array([atom.pos.tolist() for _, atom in atoms], dtype=np.float32) - frame.origin.astype(np.float32),
        element=np.array([atom.element.atomic_number for _, atom in atoms], dtype=np.uint8),
        name=np.array([number_of[atom.name] for _, atom in atoms], dtype=np.uint16),
        residue=np.array([number for number, _ in atoms], dtype=np.int32),
        bfactor=np.array([np.mean([atom.b_iso for atom in r] or [0.0]) for _, r in residues], dtype=np.float32),
        aa=np.array(classes, dtype=np.uint8),
        ss=np.array([kinds[row] if row >= 0 else 0 for row in rows], dtype=np.uint8),
        chain=np.array([chains.index(chain) for chain, _ in residues], dtype=np.int32),
        linked=np.array(linked, dtype=bool),
    )


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


def training_record(
    density: DensityMap, structure: gemmi.Structure, context: gemmi.Structure | None, atom_names: list[str]
) -> MappedStructure:
    """A map of about 1 angstrom and its model as training reads them.

    The solvent level is taken off and the standard deviation set to 1.

    Parameters
    ----------
    density : DensityMap
    structure : gemmi.Structure
    context : gemmi.Structure or None
        Neighbours that are in the map but not in the model: their density is set to 0.
    atom_names : list of str
        What the names of atoms point to; those that it lacks are added to it.
    """
    frame = density.frame
    values = density.values - np.float32(border_median(density.values))
    if context is not None:
        values = without_context(DensityMap(values, frame), heavy_atoms(structure), heavy_atoms(context))
    values /= np.float32(max(float(values.std()), 1e-30))
    np.clip(values, -6e4, 6e4, out=values)  # float16 ends at 65504
    return MappedStructure(
        values.astype(np.float16), frame.voxel.astype(np.float32), pack_structure(structure, frame, atom_names)
    )


def write_map_pack(
    path: Path, maps: Sequence[tuple[str, MappedStructure]], atom_names: list[str], *, compressed: bool = True
) -> None:
    """Write what `MapPack` reads; raises OutputError."""
    arrays: dict[str, Array] = {"maps": np.array([name for name, _ in maps]), "atom_names": np.array(atom_names)}
    for number, (_, one) in enumerate(maps):
        arrays |= {f"values_{number}": one.values, f"voxel_{number}": one.voxel}
        arrays |= {f"{f.name}_{number}": getattr(one.structure, f.name) for f in fields(PackStructure)}
    save = np.savez_compressed if compressed else np.savez
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        save(stream, allow_pickle=False, **arrays)
