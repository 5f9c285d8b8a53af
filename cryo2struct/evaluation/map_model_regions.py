"""Which voxels of a map belong to a molecule, to a residue, to the highest values: the regions of map-model scores."""

from __future__ import annotations

from itertools import product

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryo2struct.density.structure_factors import Atoms, form_factors, squared_frequencies
from cryo2struct.objects import FloatArray, GridFrame, IntArray

Mask = NDArray[np.bool_]

SOLVENT_RADIUS = 1.1  # angstrom
SHRINK_RADIUS = 0.9  # angstrom
VDW_RADII = {
    **{"C": 1.775, "N": 1.5, "O": 1.45, "S": 1.8, "P": 1.9, "Mg": 1.73, "Zn": 1.39, "Ca": 1.95, "Na": 2.27},
    **{"Cl": 1.75, "Fe": 1.26, "Se": 1.9, "H": 1.2, "D": 1.2},
}
"""Van der Waals radii of Phenix's masks in angstrom; other elements have gemmi's."""
RADII = (3.0, 10.0)  # angstrom; least and largest radius of an atom in scores of its surroundings


def molecule_mask(frame: GridFrame, atoms: Atoms, enlarged: float = 0.0) -> Mask:
    """Voxels (z, y, x) inside the solvent-accessible surface, shrunk, as Phenix masks a molecule; periodic.

    Parameters
    ----------
    frame : GridFrame
    atoms : Atoms
    enlarged : angstrom added to all radii
    """
    names, kind = np.unique(atoms.elements, return_inverse=True)
    radii = np.array([VDW_RADII.get(str(name), gemmi.Element(str(name)).vdw_r) for name in names])
    inside = _near_atoms(frame, atoms.xyz, radii[kind] + SOLVENT_RADIUS + enlarged)
    outside = ~inside
    voxel = np.asarray(frame.voxel)[::-1]
    reach = [range(-int(SHRINK_RADIUS / size), int(SHRINK_RADIUS / size) + 1) for size in voxel]
    for shift in product(*reach):
        if 0 < float(((np.array(shift) * voxel) ** 2).sum()) < SHRINK_RADIUS**2:
            inside &= ~np.roll(outside, shift, axis=(0, 1, 2))
    return inside


def smooth_mask(frame: GridFrame, mask: Mask, width: float) -> FloatArray:
    """A mask (z, y, x) convolved with a Gaussian of standard deviation `width` angstrom; nothing below 0."""
    terms = scipy.fft.rfftn(mask.astype(np.float64), workers=-1) * low_indices(frame)
    terms *= np.exp(-2 * np.pi**2 * width**2 * squared_frequencies(frame))
    return np.maximum(scipy.fft.irfftn(terms, s=frame.shape, workers=-1), 0)


def low_indices(frame: GridFrame) -> Mask:
    """Fourier terms (z, y, x // 2 + 1) whose indices are all up to (n - 1) // 2."""
    along_z, along_y, along_x = (
        np.minimum(np.arange(size), size - np.arange(size)) <= (size - 1) // 2 for size in frame.shape
    )
    along_x = along_x[: frame.shape[2] // 2 + 1]
    return along_z[:, None, None] & along_y[:, None] & along_x


def highest(values: FloatArray, number: int) -> Mask:
    """Voxels with at least the (number + 1)-th highest value."""
    rank = max(values.size - number - 1, 0)
    return np.asarray(values >= np.partition(values, rank, axis=None)[rank])


def points_around(frame: GridFrame, xyz: FloatArray, radius: float) -> IntArray:
    """Flat indices, each once, of the voxels within `radius` angstrom of any of the points (N, 3); periodic."""
    place = frame.to_index(xyz)
    voxel = np.asarray(frame.voxel)[::-1]
    nearest = np.rint(place).astype(np.int64)
    reach = np.floor(radius / voxel + 0.5).astype(int)
    indices, squares = [], []
    for axis, size in enumerate(frame.shape):
        index = nearest[:, axis, None] + np.arange(-reach[axis], reach[axis] + 1)
        squares.append(((index - place[:, axis, None]) * voxel[axis]) ** 2)
        indices.append(index % size)
    z, y, x = squares
    atom, i, j, k = np.nonzero(z[:, :, None, None] + y[:, None, :, None] + x[:, None, None, :] <= radius**2)
    voxels = tuple(index[atom, part] for index, part in zip(indices, (i, j, k), strict=True))
    flat = np.sort(np.ravel_multi_index(voxels, frame.shape))  # faster than the hashes of numpy.unique
    return np.asarray(flat[np.flatnonzero(np.diff(flat, prepend=-1))])


def atom_radius(atoms: Atoms, resolution: float) -> float:
    """Radius around atoms in which the scores of chains and residues compare, in angstrom.

    The resolution, or twice the radius at which the image of a carbon atom with the mean B factor of the atoms, cut at
    the resolution, has its first inflection, whichever is larger; from 3 to 10.
    """
    frequency = np.linspace(0, 1 / resolution, 1000)
    (height,), (width,) = form_factors(np.array(["C"]))
    amplitude = (height * np.exp(-(frequency[:, None] ** 2) / 4 * (width + atoms.b.mean()))).sum(axis=1)
    radius = np.arange(0, RADII[1], 0.01)
    image = np.sinc(2 * radius[:, None] * frequency) @ (amplitude * frequency**2)
    bends = np.nonzero(np.diff(image, 2) > 0)[0]
    inflection = float(radius[bends[0] + 1]) if len(bends) else RADII[1]
    return float(np.clip(max(resolution, 2 * inflection), *RADII))


def _near_atoms(frame: GridFrame, xyz: FloatArray, radii: FloatArray) -> Mask:
    """Voxels nearer to any atom than that atom's radius."""
    grid = gemmi.Int8Grid(*frame.shape[::-1])
    a, b, c = (np.array(frame.shape[::-1]) * frame.voxel).tolist()
    grid.set_unit_cell(gemmi.UnitCell(a, b, c, 90, 90, 90))
    for place, radius in zip((xyz - frame.origin).tolist(), radii.tolist(), strict=True):
        grid.set_points_around(gemmi.Position(*place), radius, 1)
    return np.ascontiguousarray(np.asarray(grid.array, dtype=np.bool_).transpose(2, 1, 0))
