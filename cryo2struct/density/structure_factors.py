"""Fourier terms of atoms, exact to the corner of the box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, GridFrame, IntArray

Complex = NDArray[np.complex128]

FINER = 1.5  # samples per voxel, where voxels are cubes
ALIAS = 3e-3  # largest share of the amplitude at the highest index that sampling folds in from beyond
TAIL = 1e-3  # of the amplitude at the corner; what is less of an atom's density is cut off


@dataclass(frozen=True)
class Atoms:
    """Atoms as scatterers.

    Attributes
    ----------
    xyz : (N, 3) angstrom
    elements : (N,) names as gemmi writes them
    occupancy : (N,)
    b : (N,) isotropic B factors in angstrom^2
    """

    xyz: FloatArray
    elements: NDArray[np.str_]
    occupancy: FloatArray
    b: FloatArray

    def __len__(self) -> int:
        return len(self.xyz)


def structure_factors(atoms: Atoms, frame: GridFrame) -> Complex:
    """Fourier terms of the electrostatic potential of atoms in the periodic box of a map.

    Electron form factors of International Tables C, 4.3.2.2 (five Gaussians, from gemmi). The atoms' densities are
    summed on a grid somewhat finer than the map's, in double precision and wide enough that terms far weaker than the
    first are right as well: Fourier shells up to the corner of the box are correlated with them.

    Parameters
    ----------
    atoms : Atoms
        Those outside the box count at their place in the periodic images of the box.
    frame : GridFrame

    Returns
    -------
    (z, y, x // 2 + 1)
        As scipy.fft.rfftn gives them for the potential on the grid, in angstrom per cubic angstrom; indices above
        (n - 1) // 2 are 0.
    """
    shape = np.array(frame.shape)
    voxel = np.asarray(frame.voxel, dtype=np.float64)[::-1]
    # All atoms are made as sharp as the grid bears, or as blurred as it needs; the terms tell of neither in the end.
    decay = 4 * np.log(1 / ALIAS)
    sharpest = decay / (FINER**2 - FINER) * float(np.prod(voxel)) ** (2 / 3)
    finer = 0.5 + np.sqrt(0.25 + decay * voxel**2 / sharpest)
    sizes = np.array([scipy.fft.next_fast_len(int(np.ceil(size)), real=True) for size in finer * shape])
    step = shape * voxel / sizes
    heights, widths = form_factors(atoms.elements)
    heights, widths = heights * atoms.occupancy[:, None], widths + atoms.b[:, None]
    blur = sharpest - float(widths.min()) if len(atoms) else 0.0
    tail = TAIL * np.exp(-sharpest / 4 * float((0.25 / voxel**2).sum()))
    peaks = heights * (4 * np.pi / (widths + blur)) ** 1.5
    logs = np.log(np.maximum(np.abs(peaks) / tail, 1))
    reach = np.sqrt((logs * (widths + blur)).max(axis=1))[:, None] / (2 * np.pi) / step
    places = (atoms.xyz - frame.origin)[:, ::-1] / step
    low, high = np.ceil(places - reach).astype(int), np.floor(places + reach).astype(int) + 1
    rates = (2 * np.pi * step) ** 2 / (widths + blur)[:, :, None]
    values = np.zeros(sizes)
    for atom in range(len(atoms)):
        _add_atom(values, places[atom], peaks[atom], rates[atom], low[atom], high[atom])
    terms = _low_terms(values, frame.shape) * float(np.prod(shape / sizes))
    terms *= np.exp(blur / 4 * squared_frequencies(frame))
    return terms


def form_factors(elements: NDArray[np.str_]) -> tuple[FloatArray, FloatArray]:
    """Heights (N, 5) in angstrom and widths (N, 5) in angstrom^2 of the Gaussians of electron form factors."""
    names, kind = np.unique(elements, return_inverse=True)
    table = np.array([_coefficients(str(name)) for name in names]).reshape(-1, 10)
    return table[kind, :5], table[kind, 5:]


def squared_frequencies(frame: GridFrame) -> FloatArray:
    """s^2 (z, y, x // 2 + 1) in 1 / angstrom^2 of each Fourier term, in double precision."""
    (z, y, x), (voxel_x, voxel_y, voxel_z) = frame.shape, frame.voxel
    along_z, along_y = scipy.fft.fftfreq(z, voxel_z), scipy.fft.fftfreq(y, voxel_y)
    return along_z[:, None, None] ** 2 + along_y[:, None] ** 2 + scipy.fft.rfftfreq(x, voxel_x) ** 2


def _coefficients(element: str) -> list[float]:
    # gemmi has no table beyond californium; the heaviest it has stands in.
    table = gemmi.Element(element).c4322 or gemmi.Element("Cf").c4322
    return list(table.get_coefs())


def _add_atom(
    values: FloatArray, place: FloatArray, peaks: FloatArray, rates: FloatArray, low: IntArray, high: IntArray
) -> None:
    """Add Gaussians around a place between two corners, all in steps of the grid.

    They are peaks (5,) times exp(-rates (5, 3) times the squared distance along each axis).
    """
    along_z, along_y, along_x = (
        np.exp(-rates[:, axis, None] * (np.arange(low[axis], high[axis]) - place[axis]) ** 2) for axis in range(3)
    )
    plane = (along_y[:, :, None] * along_x[:, None, :]).reshape(len(peaks), -1)
    block = ((along_z * peaks[:, None]).T @ plane).reshape(high - low)
    pieces = [list(_pieces(*ends)) for ends in zip(low.tolist(), high.tolist(), values.shape, strict=True)]
    for parts in product(*pieces):
        values[tuple(there for there, _ in parts)] += block[tuple(here for _, here in parts)]


def _pieces(low: int, high: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Where the pieces of low .. high lie on a periodic axis, and in what was put there."""
    for start in range(low - low % size, high, size):
        first, last = max(low, start), min(high, start + size)
        yield slice(first - start, last - start), slice(first - low, last - low)


def _low_terms(values: FloatArray, shape: tuple[int, int, int]) -> Complex:
    """Fourier terms of a finer grid with indices up to (n - 1) // 2; what is cut off is not even computed."""
    terms: Complex = np.zeros((*shape[:2], shape[2] // 2 + 1), dtype=np.complex128)
    z, y, x = ((size - 1) // 2 for size in shape)
    part = scipy.fft.rfft(values, axis=2, workers=-1)[:, :, : x + 1]
    part = scipy.fft.fft(part, axis=1, workers=-1)[:, _signed(y)]
    part = scipy.fft.fft(part, axis=0, workers=-1)[_signed(z)]
    terms[np.ix_(_signed(z), _signed(y), np.arange(x + 1))] = part
    return terms


def _signed(highest: int) -> NDArray[np.int64]:
    """Indices 0 .. highest and -highest .. -1."""
    return np.r_[0 : highest + 1, -highest:0]
