"""Fourier shell correlation of a map with the atoms of a model.

The shells, the smoothing of the curve and where it crosses a level are those of mmtbx.maps.mtriage (P. V. Afonine et
al. 2018, "New tools for the analysis and validation of cryo-EM maps and atomic models", Acta Cryst. D74, 814-840).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from cryo2struct.density.structure_factors import Complex, squared_frequencies
from cryo2struct.evaluation.map_model_regions import low_indices
from cryo2struct.objects import FloatArray, GridFrame, IntArray

SHELL_WIDTH = 0.005  # angstrom
WINDOW, DEGREE = 21, 2  # of the smoothing, in shells
SMOOTHED_TO = 15.0  # angstrom; shells of lower resolution stay as they are
FEWEST_SHELLS = 10  # so few stay as they are
NEIGHBOURS = 5  # shells to each side through which a parabola is laid
FARTHEST_ROOT = 0.25  # angstrom


@dataclass(frozen=True)
class MapModelFsc:
    """The curve, from low to high resolution, and where it falls below 0.5 and 0.143.

    Attributes
    ----------
    d_inv : (S,) 1 / angstrom
    fsc : (S,)
    d_fsc_model_05, d_fsc_model_0143 : angstrom; None where the curve stays above, or where there is none
    """

    d_inv: FloatArray
    fsc: FloatArray
    d_fsc_model_05: float | None
    d_fsc_model_0143: float | None

    def as_dict(self) -> dict[str, float | dict[str, list[float]] | None]:
        """The crossings, and the curve with six decimals."""
        curve = {"d_inv": np.round(self.d_inv, 6).tolist(), "fsc": np.round(self.fsc, 6).tolist()}
        return {"d_fsc_model_05": self.d_fsc_model_05, "d_fsc_model_0143": self.d_fsc_model_0143, "curve": curve}


@dataclass(frozen=True)
class Shells:
    """Fourier terms by shell: `order` are flat indices into a half spectrum, `starts` where shells begin in it.

    `d` (S,) is the mean of each shell in angstrom; shells are sorted by it, ascending.
    """

    order: IntArray
    starts: IntArray
    d: FloatArray


def shells_of(frame: GridFrame) -> Shells:
    """Shells of 100 terms or a few more where d > 10 angstrom, of 250 where d > 5, of 500 elsewhere.

    Each pair of conjugate terms counts once, the mean of the map and indices above (n - 1) // 2 do not. What is left at
    low resolution joins the last shell.
    """
    used = low_indices(frame)
    half = (np.array(size, dtype=int) for size in ((frame.shape[0] - 1) // 2, (frame.shape[1] - 1) // 2))
    last_z, last_y = half
    used[last_z + 1 :, :, 0] = False
    used[0, last_y + 1 :, 0] = False
    used[0, 0, 0] = False
    order = np.flatnonzero(used)
    squares = squared_frequencies(frame).ravel()[order]
    sorting = np.argsort(-squares, kind="stable")
    order, d = order[sorting], 1 / np.sqrt(squares[sorting])
    starts, start = [], 0
    while start < len(d):
        least = 100 if d[start] > 10 else 250 if d[start] > 5 else 500
        starts.append(start)
        start += least if len(d) - start < least or d[start + least - 1] - d[start] > SHELL_WIDTH else least + 1
        if len(d) - start < least:
            break
    first = np.array(starts, dtype=np.int64)
    sizes = np.diff(np.append(first, len(d)))
    return Shells(order, first, np.add.reduceat(d, first) / sizes if len(first) else np.empty(0))


def map_model_fsc(values: FloatArray, model: Complex, shells: Shells) -> MapModelFsc:
    """Correlation of a map with Fourier terms of a model.

    Parameters
    ----------
    values : (z, y, x)
    model : (z, y, x // 2 + 1) as of `structure_factors`
    shells : of the same grid
    """
    of_map = scipy.fft.rfftn(values.astype(np.float64), workers=-1).ravel()[shells.order]
    of_model = model.ravel()[shells.order]
    cross = np.add.reduceat((of_map * of_model.conj()).real, shells.starts)
    norm = np.sqrt(
        np.add.reduceat(np.abs(of_map) ** 2, shells.starts) * np.add.reduceat(np.abs(of_model) ** 2, shells.starts)
    )
    fsc = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
    fsc = smoothed(fsc, shells.d)[::-1]
    d = shells.d[::-1]
    return MapModelFsc(1 / d, fsc, crossing(d, fsc, 0.5), crossing(d, fsc, 0.143))


def smoothed(fsc: FloatArray, d: FloatArray) -> FloatArray:
    """A curve, sorted by d, after a Savitzky-Golay filter where d <= 15 angstrom."""
    fine = d <= SMOOTHED_TO
    if len(d) <= FEWEST_SHELLS or np.count_nonzero(fine) < 2:
        return fsc
    padded = np.pad(fsc[fine], WINDOW // 2, mode="reflect")
    result = fsc.copy()
    result[fine] = np.convolve(padded, scipy.signal.savgol_coeffs(WINDOW, DEGREE), mode="valid")
    return result


def crossing(d: FloatArray, fsc: FloatArray, level: float) -> float | None:
    """Where a curve, from low to high resolution, first falls below a level, in angstrom; None where it does not.

    A parabola through the shells around gives the place; the shell's own d where it has no root near.
    """
    below: NDArray[np.int64] = np.flatnonzero(fsc < level)
    if not len(below):
        return None
    at = int(below[0])
    part = slice(max(at - NEIGHBOURS, 0), at + NEIGHBOURS + 1)
    if len(d[part]) > DEGREE:
        roots = np.roots(np.polyfit(1 / d[part], fsc[part] - level, DEGREE))
        places = 1 / roots.real[(np.abs(roots.imag) < 1e-12) & (roots.real > 0)]
        if len(places):
            nearest = float(places[np.argmin(np.abs(places - d[at]))])
            if abs(nearest - d[at]) <= FARTHEST_ROOT:
                return nearest
    return float(d[at])
