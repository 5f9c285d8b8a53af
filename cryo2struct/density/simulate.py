"""Density of atoms on a grid, as electrons see them."""

from __future__ import annotations

import gemmi
import numpy as np
import scipy.fft

from cryo2struct.density.fourier import frequencies
from cryo2struct.errors import InputError, UsageError
from cryo2struct.objects import DensityMap, FloatArray, GridFrame

MARGIN = 8.0  # angstrom around the box in which atoms still reach into it, and which keeps its faces apart
EDGE = 0.1  # of 1/resolution: half the width over which the low-pass filter falls
SAMPLES = 3.0  # voxels per resolution unless told otherwise


def box_around(
    structure: gemmi.Structure, resolution: float, voxel: float | None, padding: float, max_voxels: int
) -> GridFrame:
    """Grid around the first model of a structure.

    Voxel 0 lies at a whole number of voxels from 0 0 0, so that NSTART places the map; the edges have even lengths that
    a Fourier transform is fast for.

    Parameters
    ----------
    structure : gemmi.Structure
        With at least one atom.
    resolution : angstrom
    voxel : angstrom, or None for a third of the resolution
    padding : least distance of atoms and faces, angstrom
    max_voxels : int

    Raises
    ------
    UsageError
        A length is out of its range.
    InputError
        The box would have more voxels than `max_voxels`.
    """
    voxel = resolution / SAMPLES if voxel is None else voxel
    if not 0.5 <= resolution <= 20:
        raise UsageError(f"--resolution {resolution}: give angstrom from 0.5 to 20")
    coarsest = resolution / (2 * (1 + EDGE))
    if not 0.1 <= voxel <= coarsest:
        raise UsageError(
            f"--voxel {voxel}: give angstrom from 0.1 to {coarsest:.3g}, as --resolution {resolution:g} needs"
        )
    if not 0 <= padding <= 200:
        raise UsageError(f"--padding {padding}: give angstrom from 0 to 200")
    places = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    first = np.floor((places.min(axis=0) - padding) / voxel)
    lengths = np.ceil((places.max(axis=0) + padding) / voxel) - first + 1
    x, y, z = (2 * scipy.fft.next_fast_len(int(np.ceil(length / 2)), real=True) for length in lengths)
    if x * y * z > max_voxels:
        raise InputError(
            f"model: its box of {x}x{y}x{z} voxels has more than {max_voxels}; "
            "give a larger --voxel, or raise --max-voxels"
        )
    return GridFrame((z, y, x), np.full(3, float(voxel)), first * voxel)


def simulate(structure: gemmi.Structure, frame: GridFrame, resolution: float) -> DensityMap:
    """Electrostatic potential of the first model of a structure.

    Electron form factors (International Tables C, 4.3.2.2, as in gemmi), occupancies and isotropic B factors of the
    atoms, then a low-pass filter that falls as a raised cosine from 0.9 to 1.1 / resolution. It is one half at
    1 / resolution, which is the weight sqrt(2 FSC / (1 + FSC)) of a map where its FSC is 0.143 (Rosenthal & Henderson
    2003, J. Mol. Biol. 333, 721-745). Atoms farther than 8 angstrom from the box are left out.

    Parameters
    ----------
    structure : gemmi.Structure
    frame : GridFrame
        Voxels of at most half the resolution, or the filter's edge is lost.
    resolution : angstrom

    Returns
    -------
    DensityMap
        Form factors (angstrom) per cubic angstrom.
    """
    voxel = np.asarray(frame.voxel, dtype=np.float64)
    padding = np.ceil(MARGIN / voxel).astype(int)
    sizes = [scipy.fft.next_fast_len(int(size), real=True) for size in np.array(frame.shape[::-1]) + 2 * padding]
    atoms = _shifted(structure[0], padding * voxel - frame.origin, np.array(sizes) * voxel)
    blur = _blur(atoms, float(voxel.max()))
    values = _potential(atoms, sizes, voxel, blur)
    spectrum = scipy.fft.rfftn(values)
    spacing = frequencies(values.shape, voxel)
    spectrum *= np.exp(blur * spacing**2 / 4) * low_pass(spacing, resolution)
    values = scipy.fft.irfftn(spectrum, s=values.shape)
    x, y, z = padding
    box = values[z : z + frame.shape[0], y : y + frame.shape[1], x : x + frame.shape[2]]
    return DensityMap(np.ascontiguousarray(box, dtype=np.float32), frame)


def low_pass(frequency: FloatArray, resolution: float) -> FloatArray:
    """Factor 1 to 0.9 / resolution, 0 from 1.1 / resolution on, a raised cosine between; frequency in 1 / angstrom."""
    fall = np.clip((frequency * resolution - 1 + EDGE) / (2 * EDGE), 0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * fall)


def _shifted(model: gemmi.Model, shift: FloatArray, edges: FloatArray) -> gemmi.Model:
    """A copy of a model with all atoms moved, without those that are then outside 0 .. edges (3,)."""
    moved = model.clone()
    moved.transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift)))
    for chain in moved:
        for residue in chain:
            for index in reversed(range(len(residue))):
                place = residue[index].pos.tolist()
                if not all(0 <= value < edge for value, edge in zip(place, edges, strict=True)):
                    del residue[index]
    return moved


def _blur(model: gemmi.Model, voxel: float) -> float:
    """B factor added to all atoms while they are on the grid, so that the sharpest is wide enough for its voxels.

    The rule is that of Refmac: a Gaussian of B = 8 pi^2 (voxel / 1.1)^2 is.
    """
    smallest = min((atom.b_iso for chain in model for residue in chain for atom in residue), default=0.0)
    return max(0.0, 8 * np.pi**2 * (voxel / 1.1) ** 2 - smallest)


def _potential(model: gemmi.Model, sizes: list[int], voxel: FloatArray, blur: float) -> FloatArray:
    """Blurred potential (z, y, x) of atoms in a periodic box of sizes x, y, z."""
    calculator = gemmi.DensityCalculatorE()
    a, b, c = (np.array(sizes) * voxel).tolist()
    calculator.grid.unit_cell = gemmi.UnitCell(a, b, c, 90, 90, 90)
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(*sizes)
    calculator.blur = blur
    calculator.add_model_density_to_grid(model)
    return np.asarray(calculator.grid.array, dtype=np.float32).transpose(2, 1, 0)
