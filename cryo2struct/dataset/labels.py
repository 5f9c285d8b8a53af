"""Labels of voxels: which main-chain atom, amino acid and secondary structure is there; codes of Cryo2StructData.

N. Giri, L. Wang & J. Cheng 2024, "Cryo2StructData: a large labeled cryo-EM density map dataset for AI-based modeling of
protein structures", Scientific Data 11, 458.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryo2struct.dssp import backbone_of, secondary_structure
from cryo2struct.objects import FloatArray, GridFrame, IntArray
from cryo2struct.residues import modelled_residues

ATOM_CODES = {"CA": 1, "N": 2, "C": 3}
AMINO_ACID_CODES = {
    letter: code for code, letter in enumerate("ARNDCQEGHILKMFPSTWYV", 1)
}  # ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL
VOXEL_DIGITS = 5  # after the point, angstrom; the rest is rounding
COIL_CODE = 1  # helix 2, strand 3
KINDS = ("atom", "atom_ca", "amino", "sec_struc")
"""Kinds of labels; with `_emd_normalized_map.mrc` they are the names of the files."""

HIGHEST_CODE = {"atom": 3, "atom_ca": 1, "amino": 20, "sec_struc": 3}


@dataclass(frozen=True)
class LabelledAtoms:
    """Atoms N, CA and C of the residues of a model that have a C-alpha; each residue's in this order.

    Attributes
    ----------
    xyz : (A, 3) angstrom
    atom : (A,) values of `ATOM_CODES`
    amino : (A,) values of `AMINO_ACID_CODES`, 0 for a residue of another or unknown type
    secondary : (A,) `COIL_CODE`, 2 for helix, 3 for strand
    """

    xyz: FloatArray
    atom: IntArray
    amino: IntArray
    secondary: IntArray

    def codes(self, kind: str) -> tuple[IntArray, IntArray]:
        """Rows of the atoms that a kind of labels shows, and their codes."""
        rows = np.flatnonzero((self.atom == ATOM_CODES["CA"]) | (kind == "atom"))
        if kind == "atom_ca":
            return rows, np.ones_like(rows)
        return rows, {"atom": self.atom, "amino": self.amino, "sec_struc": self.secondary}[kind][rows]


def labelled_atoms(structure: gemmi.Structure) -> LabelledAtoms:
    """Main-chain atoms of the first model of a structure; of alternate conformers those of the first.

    Secondary structure is that of `evaluation.dssp`: residues without all atoms of the main chain are coil.
    """
    residues = modelled_residues(structure)
    backbone = backbone_of(structure)
    letters = (gemmi.find_tabulated_residue(residue.name).one_letter_code.upper() for _, residue, _ in residues)
    amino = np.array([AMINO_ACID_CODES.get(letter, 0) for letter in letters], dtype=np.int64)
    secondary = np.maximum(secondary_structure(backbone), 0) + COIL_CODE
    order = ("N", "CA", "C")
    xyz = backbone.xyz[:, : len(order)].reshape(-1, 3)
    there = np.isfinite(xyz).all(axis=1)
    atom = np.tile([ATOM_CODES[name] for name in order], len(residues))
    return LabelledAtoms(
        xyz[there], atom[there], np.repeat(amino, len(order))[there], np.repeat(secondary, len(order))[there]
    )


def nearest_voxels(xyz: FloatArray, frame: GridFrame) -> IntArray:
    """Indices (A, 3) z, y, x of the voxels whose centres are nearest to points (A, 3), also outside the map."""
    return np.floor(frame.to_index(xyz) + 0.5).astype(np.int64)


def published_voxels(xyz: FloatArray, frame: GridFrame) -> IntArray:
    """Indices (A, 3) z, y, x as the published data set has them: ceil(floor(x - origin) / voxel), in single precision.

    The centre of such a voxel is up to one voxel from the atom along each axis.
    """
    steps = np.floor(np.asarray(xyz, dtype=np.float32) - frame.origin.astype(np.float32)).astype(np.float64)
    # A voxel of 0.9999999 A that should be 1 would move every label by one.
    return np.ceil(steps / np.round(frame.voxel, VOXEL_DIGITS))[:, ::-1].astype(np.int64)


@dataclass(frozen=True)
class Labels:
    """Labels of a map.

    Attributes
    ----------
    frame : GridFrame
    voxels : kind to (L, 3) indices z, y, x, each once
    codes : kind to (L,) code of each
    counts : kind to what became of its atoms: `labels`, `outside` the map, `shared` with another atom and lost
    """

    frame: GridFrame
    voxels: dict[str, IntArray]
    codes: dict[str, IntArray]
    counts: dict[str, dict[str, int]]

    def grids(self) -> Iterator[tuple[str, NDArray[np.int8]]]:
        """Each kind and its labels (z, y, x); one array serves them all, so that it is to be used at once."""
        grid = np.zeros(self.frame.shape, dtype=np.int8)
        for kind in KINDS:
            where = tuple(self.voxels[kind].T)
            grid[where] = self.codes[kind]
            yield kind, grid
            grid[where] = 0


def label(atoms: LabelledAtoms, frame: GridFrame, *, published: bool) -> Labels:
    """Labels of the voxels of a grid.

    Of two atoms in one voxel a C-alpha stays before another atom, else the one that comes later; by the published
    formula the one that comes later.

    Parameters
    ----------
    atoms : LabelledAtoms
    frame : GridFrame
    published : by `published_voxels`, else by `nearest_voxels`
    """
    index = (published_voxels if published else nearest_voxels)(atoms.xyz, frame)
    inside = np.asarray(((index >= 0) & (index < np.array(frame.shape))).all(axis=1))
    voxels, codes, counts = {}, {}, {}
    for kind in KINDS:
        rows, values = atoms.codes(kind)
        rows, values = rows[values != 0], values[values != 0]
        kept = inside[rows]
        outside = int((~kept).sum())
        rows, values = rows[kept], values[kept]
        # The last writer stays.
        order = np.arange(len(rows)) if published else np.argsort(atoms.atom[rows] == ATOM_CODES["CA"], kind="stable")
        flat = np.ravel_multi_index(tuple(index[rows[order]].T), frame.shape)
        _, last = np.unique(flat[::-1], return_index=True)
        chosen = order[len(order) - 1 - last]
        voxels[kind], codes[kind] = index[rows[chosen]], values[chosen]
        counts[kind] = {"labels": len(chosen), "outside": outside, "shared": len(rows) - len(chosen)}
    return Labels(frame, voxels, codes, counts)
