"""Where a training crop lies in a structure, and the labels of what is in it.

A crop is 48^3 voxels of 1 A, the middle of a box of 64^3. Coordinates are those of the box unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cryo2struct.dataset.pack import NUCLEOTIDE, PackStructure

BOX, CROP = 64, 48
MARGIN = (BOX - CROP) // 2
Array = NDArray[Any]


def alpha_carbons(structure: PackStructure, atom_names: list[str]) -> Array:
    """Indices of the C-alphas of amino acids among the atoms."""
    is_alpha = (np.array(atom_names) == "CA")[structure.name]
    return np.flatnonzero(is_alpha & (structure.aa[structure.residue] <= 20))


def random_rotation(rng: Generator) -> Array:
    """Uniformly random proper rotation (3, 3)."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return (q * np.linalg.det(q)).astype(np.float32)


def nucleotide_atoms(structure: PackStructure) -> Array:
    """Indices of the atoms of nucleotides."""
    return np.flatnonzero(structure.aa[structure.residue] == NUCLEOTIDE)


def draw_centre(xyz: Array, anchors: Array, rng: Generator) -> tuple[int, Array]:
    """One of the anchors (indices of atoms) and a point within 10 A of it per axis: of two draws the one with more
    anchors around.

    With C-alphas that labels a quarter more residues per crop than a single draw, at the same cost.
    """
    atoms = rng.choice(anchors, 2)
    points = xyz[atoms] + rng.uniform(-10, 10, (2, 3)).astype(np.float32)
    around = [(np.abs(xyz[anchors] - point) < CROP / 2).all(axis=1).sum() for point in points]
    best = int(np.argmax(around))
    return int(atoms[best]), points[best]


def label_atoms(
    structure: PackStructure, atom_names: list[str], drawn: dict[str, Array], xyz: Array
) -> dict[str, Array]:
    """Labels of one crop: voxel classes, filled cells, and the table of C-alphas (see `CropBatch`)."""
    names = np.array(atom_names)
    kept = drawn["inside"][drawn["kept"]]
    voxel = np.rint(xyz[kept] - MARGIN).astype(np.int64)[:, ::-1]
    in_crop = ((voxel >= 0) & (voxel < CROP)).all(axis=1)
    kept, voxel = kept[in_crop], voxel[in_crop]
    residue_class = structure.aa[structure.residue[kept]]
    name = names[structure.name[kept]]
    atoms = np.zeros((CROP,) * 3, dtype=np.uint8)
    for label, atom in ((3, "C"), (2, "N"), (1, "CA")):  # CA last: it wins a shared voxel
        here = voxel[(name == atom) & (residue_class <= 20)]
        atoms[here[:, 0], here[:, 1], here[:, 2]] = label
    filled = np.zeros((CROP // 2,) * 3, dtype=np.uint8)
    for label, chosen in ((1, residue_class < NUCLEOTIDE), (2, residue_class >= NUCLEOTIDE)):
        cell = voxel[chosen] // 2
        filled[cell[:, 0], cell[:, 1], cell[:, 2]] = label
    ca = (name == "CA") & (residue_class <= 20)
    residue = structure.residue[kept[ca]]
    cell = voxel[ca] // 2
    centre = (2 * cell[:, ::-1] + 0.5 + MARGIN).astype(np.float32)
    ca_of = np.full(len(structure.aa), -1)
    all_ca = alpha_carbons(structure, atom_names)
    ca_of[structure.residue[all_ca]] = all_ca
    linked = np.append(structure.linked, False)
    ca_of = np.append(ca_of, -1)
    here = xyz[kept[ca]]
    following = np.where(linked[residue + 1], ca_of[residue + 1], -1)
    preceding = np.where(linked[residue], ca_of[residue - 1], -1)
    aa = structure.aa[residue].astype(np.int64)
    backbone = {}
    for atom in ("N", "C", "O"):
        rows = np.flatnonzero(structure.name == atom_names.index(atom))
        place = np.full((len(structure.aa), 3), np.nan, dtype=np.float32)
        place[structure.residue[rows]] = xyz[rows]
        backbone[atom.lower()] = place[residue] - here
    return {
        "atoms": atoms,
        "filled": filled,
        "ca_cell": cell,
        "aa": np.where(aa < 20, aa, -1),
        "ss": structure.ss[residue].astype(np.int64),
        "offset": here - centre,
        **backbone,
        "next": _direction(xyz, following, here),
        "prev": _direction(xyz, preceding, here),
    }


def _direction(xyz: Array, to: Array, start: Array) -> Array:
    vector = xyz[to] - start
    vector[to < 0] = np.nan
    return (vector / np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-6)).astype(np.float32)
