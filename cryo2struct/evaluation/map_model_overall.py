"""CC_mask and CC_box alone, in little memory: for maps too large for all of the scores of `map_model`.

The model's map is summed on a grid as fine as its terms up to the resolution need, in single precision, and taken to
the map's own grid axis by axis; `map_model` sums on a finer grid than the map's, in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryo2struct.evaluation.map_model import ALIKE, OUTSIDE, as_atoms, in_box, require_length
from cryo2struct.evaluation.map_model_regions import Mask, molecule_mask
from cryo2struct.objects import DensityMap, FloatArray, GridFrame

FINER = 1.3  # samples of the fine grid per sample that the highest term needs
SLAB_BYTES = 8 * 2**20

Complex = NDArray[np.complex64]


def cc_mask_and_box(structure: gemmi.Structure, density: DensityMap, resolution: float) -> tuple[float, float]:
    """`cc_mask` and `cc_box` of `map_model`, within 0.001.

    Parameters
    ----------
    structure : gemmi.Structure
        As for `map_model`: the first model, all of its atoms that are in the map's box.
    density : DensityMap
    resolution : angstrom

    Returns
    -------
    cc_mask, cc_box : 0 where the map is flat or no atom is in it

    Raises
    ------
    UsageError
        The resolution is no length.
    """
    require_length(resolution)
    frame = density.frame
    everything = [atom for chain in structure[0] for residue in chain for atom in residue]
    near = in_box(np.array([atom.pos.tolist() for atom in everything]), frame, OUTSIDE)
    atoms = [atom for atom, kept in zip(everything, near.tolist(), strict=True) if kept]
    if not atoms:
        return 0.0, 0.0
    model = _model_map(atoms, frame, resolution)
    mask = molecule_mask(frame, as_atoms(atoms))
    return _correlation(density.values, model, mask), _correlation(density.values, model, None)


def _model_map(atoms: list[gemmi.Atom], frame: GridFrame, resolution: float) -> NDArray[np.float32]:
    """Map (z, y, x) of the terms up to a resolution without their mean, but for a factor."""
    cell = np.array(frame.shape) * frame.voxel[::-1]  # z, y, x
    highest = np.minimum((cell / resolution).astype(int), (np.array(frame.shape) - 1) // 2)
    sizes = [scipy.fft.next_fast_len(int(np.ceil(FINER * (2 * h + 1))), real=True) for h in highest]
    values, blur = _potential(atoms, frame.origin, cell, sizes)
    terms = _low_rows(values, highest)
    del values
    terms = _low_sections(terms, int(highest[0]))
    squares = [(np.r_[0 : h + 1, -h:0] / length) ** 2 for h, length in zip(highest[:2], cell[:2], strict=True)]
    squares.append((np.arange(highest[2] + 1) / cell[2]) ** 2)
    for section, along_z in zip(terms, squares[0], strict=True):
        total = along_z + squares[1][:, None] + squares[2]
        section *= np.where((total <= resolution**-2) & (total > 0), np.exp(blur * total / 4), 0).astype(np.float32)
    return _to_grid(terms, highest, frame.shape)


def _potential(
    atoms: list[gemmi.Atom], origin: FloatArray, cell: FloatArray, sizes: list[int]
) -> tuple[NDArray[np.float32], float]:
    """Potential (z, y, x) of isotropic atoms in the periodic cell, blurred, and by what B factor."""
    # A Gaussian of B = 8 pi^2 (step / 1.1)^2 is wide enough for the grid (Refmac's rule).
    widest = float((cell / sizes).max())
    blur = max(0.0, 8 * np.pi**2 * (widest / 1.1) ** 2 - min(max(atom.b_iso, 0.0) for atom in atoms))
    residue = gemmi.Residue()
    to_origin = gemmi.Position(*(-origin).tolist())
    for atom in atoms:
        copy = atom.clone()
        copy.pos = atom.pos + to_origin
        copy.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
        copy.b_iso = max(atom.b_iso, 0.0)
        residue.add_atom(copy)
    chain, model = gemmi.Chain("A"), gemmi.Model(1)
    chain.add_residue(residue)
    model.add_chain(chain)
    calculator = gemmi.DensityCalculatorE()
    c, b, a = cell.tolist()
    calculator.grid.unit_cell = gemmi.UnitCell(a, b, c, 90, 90, 90)
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(*sizes[::-1])
    calculator.blur = blur
    calculator.add_model_density_to_grid(model)
    return np.asarray(calculator.grid.array, dtype=np.float32).transpose(2, 1, 0), blur


def _low_rows(values: NDArray[np.float32], highest: NDArray[np.int64]) -> Complex:
    """Fourier terms (z, 2 hy + 1, hx + 1) along y and x with indices up to the highest; others take no memory."""
    _, y, x = highest.tolist()
    rows = np.r_[0 : y + 1, -y:0]
    terms = np.empty((len(values), len(rows), x + 1), dtype=np.complex64)
    for part in _slabs(len(values), values[0].nbytes * 2):
        lines = scipy.fft.rfft(values[part], axis=2, workers=-1)[:, :, : x + 1]
        terms[part] = scipy.fft.fft(lines, axis=1, workers=-1)[:, rows]
    return terms


def _low_sections(terms: Complex, highest: int) -> Complex:
    """Fourier terms (2 hz + 1, 2 hy + 1, hx + 1) of these along z."""
    low = np.empty((2 * highest + 1, *terms.shape[1:]), dtype=np.complex64)
    for part in _slabs(terms.shape[1], terms[:, 0].nbytes):
        low[:, part] = scipy.fft.fft(terms[:, part], axis=0, workers=-1)[np.r_[0 : highest + 1, -highest:0]]
    return low


def _to_grid(terms: Complex, highest: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The map (z, y, x) of such terms."""
    z, y, _ = highest.tolist()
    spread = np.empty((shape[0], *terms.shape[1:]), dtype=np.complex64)
    for part in _slabs(terms.shape[1], 8 * shape[0] * terms.shape[2]):
        spread[:, part] = scipy.fft.ifft(_padded(terms[:, part], 0, z, shape[0]), axis=0, workers=-1)
    values = np.empty(shape, dtype=np.float32)
    for part in _slabs(shape[0], 8 * shape[1] * shape[2]):
        lines = scipy.fft.ifft(_padded(spread[part], 1, y, shape[1]), axis=1, workers=-1)
        values[part] = scipy.fft.irfft(lines, n=shape[2], axis=2, workers=-1)
    return values


def _padded(terms: Complex, axis: int, highest: int, size: int) -> Complex:
    """Terms of indices 0 .. highest, -highest .. -1 along an axis among `size`."""
    shape = list(terms.shape)
    shape[axis] = size
    padded = np.zeros(shape, dtype=np.complex64)
    there, here = np.moveaxis(padded, axis, 0), np.moveaxis(terms, axis, 0)
    there[: highest + 1] = here[: highest + 1]
    if highest:
        there[-highest:] = here[-highest:]
    return padded


def _slabs(length: int, bytes_each: int) -> Iterator[slice]:
    thickness = max(1, SLAB_BYTES // max(bytes_each, 1))
    return (slice(start, start + thickness) for start in range(0, length, thickness))


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32], mask: Mask | None) -> float:
    """Pearson's correlation over a mask or all voxels, section by section; 0 where either is flat or empty."""

    def sections() -> Iterator[tuple[FloatArray, FloatArray]]:
        for number, pair in enumerate(zip(first, second, strict=True)):
            chosen = slice(None) if mask is None else mask[number]
            yield pair[0][chosen].astype(np.float64), pair[1][chosen].astype(np.float64)

    number, sums, low, high = 0, np.zeros(2), np.full(2, np.inf), np.full(2, -np.inf)
    for pair in sections():
        if pair[0].size:
            number += pair[0].size
            sums += [part.sum() for part in pair]
            low = np.minimum(low, [part.min() for part in pair])
            high = np.maximum(high, [part.max() for part in pair])
    if not number or (high - low <= ALIKE * np.maximum(np.abs(low), np.abs(high))).any():
        return 0.0
    mean = sums / number
    products = np.zeros(3)
    for one, two in sections():
        one, two = one - mean[0], two - mean[1]
        products += (one * two).sum(), (one * one).sum(), (two * two).sum()
    return float(np.clip(products[0] / np.sqrt(products[1] * products[2]), -1, 1))
