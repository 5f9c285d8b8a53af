"""What two half maps agree on: resolution, noise, and a map weighted and sharpened by it, also from place to place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.density.fourier import crossing, frequencies, fsc, radial_power, weighted
from cryo2struct.density.normalise import background
from cryo2struct.enhancement.bfactor import FLOOR, masked, sharpening_b
from cryo2struct.errors import InputError
from cryo2struct.io.maps import describe_grid, same_grid
from cryo2struct.objects import DensityMap, FloatArray, GridFrame

CRITERION = 0.143  # correlation at the resolution (Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721-745)
LOCAL_CRITERION = 0.5  # the correlation in a window has an error of about 0.1
WINDOW = 8.0  # A; standard deviation of the Gaussian window that local correlations are taken in
CELL = 3.0  # A, about; grid of the local correlations
BAND = 0.03  # 1 / angstrom between the middles of neighbouring bands
SOFT = 3.0  # A; standard deviation of the Gaussian that softens the borders of masks
BEYOND = 1.2  # times 1 / resolution, where the last band ends: parts may be better than the whole


@dataclass(frozen=True)
class HalfMaps:
    """Two half maps of one reconstruction, neither masked nor sharpened, on one grid.

    Raises
    ------
    InputError
        They are on different grids, or are the same map.
    """

    first: DensityMap
    second: DensityMap

    def __post_init__(self) -> None:
        if not same_grid(self.first.frame, self.second.frame):
            grids = f"{describe_grid(self.first.frame)}, and {describe_grid(self.second.frame)}"
            raise InputError(f"--half2: its grid is not that of --half1 ({grids}); give the two of one reconstruction")
        if np.array_equal(self.first.values, self.second.values):
            raise InputError("--half2: holds the same values as --half1; give the two halves of a reconstruction")

    @cached_property
    def mean(self) -> DensityMap:
        """The mean of the two."""
        values = (self.first.values + self.second.values) * np.float32(0.5)
        return DensityMap(values, self.first.frame, self.first.header)

    def require_grid_of(self, density: DensityMap) -> None:
        """Refuse a map on another grid; raises InputError."""
        if not same_grid(self.first.frame, density.frame):
            grids = f"{describe_grid(self.first.frame)}, and {describe_grid(density.frame)}"
            raise InputError(f"--half1: its grid is not that of MAP ({grids}); give half maps of MAP, or leave MAP out")

    def noise(self) -> float:
        """Standard deviation of the noise of the mean: that of half the difference."""
        return float(np.std(self.first.values - self.second.values, dtype=np.float64)) / 2


@dataclass(frozen=True)
class Agreement:
    """Fourier shell correlation of two half maps.

    Attributes
    ----------
    frequency : (S,) 1 / angstrom
    fsc : (S,)
    resolution : angstrom at correlation 0.143; that of the voxels where it stays above
    """

    frequency: FloatArray
    fsc: FloatArray
    resolution: float


def agreement(halves: HalfMaps, mask: FloatArray | None = None) -> Agreement:
    """Correlation of the two half maps inside a mask (z, y, x) with soft borders, or None for the whole box.

    Raises
    ------
    InputError
        They have no more in common than noise has.
    """
    one, two = (half.values for half in (halves.first, halves.second))
    if mask is not None:
        one, two = (values - values.mean(dtype=np.float64).astype(np.float32) for values in (one, two))
        # One level for both: noise moves that of each, and a mask would show the difference.
        level = np.float32(background((one + two) / 2).level)
        one, two = (one - level) * mask, (two - level) * mask
    frequency, curve = fsc(one, two, halves.first.frame.voxel)
    # The term at 0 is the mean of the box.
    found = crossing(frequency[1:], curve[1:], CRITERION)
    if found is not None and found >= 1 / frequency[1]:
        raise InputError("--half2: does not correlate with --half1 at any resolution; give the two halves of one map")
    return Agreement(frequency, curve, found if found is not None else float(1 / frequency[-1]))


def softened(inside: NDArray[np.bool_], frame: GridFrame) -> NDArray[np.float32]:
    """A mask (z, y, x) with borders so soft that they correlate nothing by themselves."""
    soft: NDArray[np.float32] = scipy.ndimage.gaussian_filter(
        inside.astype(np.float32), SOFT / frame.voxel[::-1], mode="nearest"
    )
    return soft


def figure_of_merit(correlation: FloatArray) -> FloatArray:
    """Correlation of the mean of two half maps with the perfect map, sqrt(2 FSC / (1 + FSC)), 0 for FSC below 0.

    Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721-745: C_ref, the weight of the Fourier terms of a mean map.
    """
    positive = np.clip(correlation, 0, 1)
    merit: FloatArray = np.sqrt(2 * positive / (1 + positive))
    return merit


@dataclass(frozen=True)
class LocalAgreement:
    """Correlation of two half maps around each place, in bands of frequencies.

    Attributes
    ----------
    middles : (K,) frequencies in the middle of the bands, 1 / angstrom; the first one is 0
    correlation : float32 (K, z, y, x), least of that band and those below it; 1 in the first one
    frame : GridFrame of the correlations
    """

    middles: FloatArray
    correlation: NDArray[np.float32]
    frame: GridFrame

    def resolution(self) -> DensityMap:
        """Angstrom at which the correlation falls below 0.5 at each place; that of the last band where it does not."""
        shape = self.correlation.shape[1:]
        result = np.full(shape, self.middles[-1], dtype=np.float64)
        for k in range(len(self.middles) - 1, 0, -1):
            above, below = self.correlation[k - 1], self.correlation[k]
            part = (above - LOCAL_CRITERION) / np.maximum(above - below, 1e-6)
            falls = (above >= LOCAL_CRITERION) & (below < LOCAL_CRITERION)
            result[falls] = self.middles[k - 1] + part[falls] * (self.middles[k] - self.middles[k - 1])
        return DensityMap((1 / np.maximum(result, self.middles[1] / 2)).astype(np.float32), self.frame)


def local_agreement(
    halves: HalfMaps,
    resolution: float,
    b_factor: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LocalAgreement:
    """Correlate two half maps around each place (Cardone, Heymann & Steven 2013, J. Struct. Biol. 184, 226-236).

    Both are filtered to one band of frequencies after the other; then sums of their products and squares are taken with
    a Gaussian weight of 8 A around each place. In this order, that of Penczek 2020 (IUCrJ 7, 995-1008), the window adds
    no correlation of its own.

    Parameters
    ----------
    halves : HalfMaps
    resolution : angstrom, of the whole
    b_factor : A^2, applied before, so that no frequency outweighs the others of its band
    progress : called with bands done and bands in all
    """
    frame = halves.first.frame
    middles = _middles(resolution, float(frame.voxel.max()))
    factors = [max(1, round(CELL / voxel)) for voxel in frame.voxel[::-1]]
    sigmas = [WINDOW / (factor * voxel) for factor, voxel in zip(factors, frame.voxel[::-1], strict=True)]

    def window(product: FloatArray) -> FloatArray:
        for axis, factor in enumerate(factors):
            product = np.add.reduceat(product, np.arange(0, product.shape[axis], factor), axis=axis)
        averaged: FloatArray = scipy.ndimage.gaussian_filter(product, sigmas, mode="constant")
        return averaged

    correlation: list[FloatArray] = []
    bands = (_bands(half.values, frame, middles, b_factor) for half in (halves.first, halves.second))
    for k, (one, two) in enumerate(zip(*bands, strict=True)):
        own = np.sqrt(window(one * one) * window(two * two))
        here = np.divide(window(one * two), own, out=np.zeros_like(own), where=own > 0)
        correlation.append(np.minimum(correlation[-1], here) if k else np.ones_like(here))
        progress(k + 1, len(middles))
    cells = (correlation[0].shape[0], correlation[0].shape[1], correlation[0].shape[2])
    steps = np.array(factors[::-1])
    coarse = GridFrame(cells, frame.voxel * steps, frame.origin + frame.voxel * (steps - 1) / 2)
    return LocalAgreement(middles, np.array(correlation, dtype=np.float32), coarse)


def apply_local(
    values: FloatArray,
    frame: GridFrame,
    local: LocalAgreement,
    b_factor: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Sharpen a map, and weight each band of its frequencies by the figure of merit that the band has at each place.

    Where half maps no longer agree the weight is 0: the map is low-pass filtered to its local resolution. Beyond the
    last band 2 % of the terms stay, more than what the weights, which vary in space, spill there.

    Parameters
    ----------
    values : (z, y, x)
    frame : GridFrame of the values
    local : LocalAgreement
    b_factor : A^2, below 0 sharpens
    progress : called with bands done and bands in all
    """
    scale = (frame.voxel / local.frame.voxel)[::-1]
    offset = local.frame.to_index(frame.origin)
    result = np.zeros(values.shape, dtype=np.float32)
    for k, band in enumerate(_bands(values, frame, local.middles, b_factor)):
        merit = figure_of_merit(local.correlation[k])
        band *= scipy.ndimage.affine_transform(
            merit, scale, offset, values.shape, output=np.float32, order=1, mode="nearest"
        )
        result += band
        progress(k + 1, len(local.middles))
    end = float(local.middles[-1])

    def beyond(s: FloatArray) -> FloatArray:
        last = np.minimum(s, end + BAND)
        return np.float32(FLOOR / BAND) * np.maximum(last - end, 0) * np.exp(-b_factor / 4 * last**2)

    result += weighted(values, frame.voxel, beyond)
    return result


def weighted_b(halves: HalfMaps, agreed: Agreement, resolution: float, mask: FloatArray | None = None) -> float:
    """B factor in A^2 that takes the mean of two half maps, weighted by the figure of merit, to the target.

    See `cryo2struct.enhancement.bfactor.sharpening_b`.
    """
    frequency, power = radial_power(masked(halves.mean.values, mask), halves.mean.frame.voxel)
    return sharpening_b(frequency, power * figure_of_merit(agreed.fsc) ** 2, resolution)


@dataclass(frozen=True)
class Study:
    """What two half maps say of their map.

    Attributes
    ----------
    resolution : angstrom, FSC 0.143 within the occupied part
    noise : standard deviation, map units, of their mean
    local : resolution in angstrom at each place, FSC 0.5 in a window
    """

    resolution: float
    noise: float
    local: DensityMap


def study(halves: HalfMaps, inside: NDArray[np.bool_]) -> Study:
    """Resolution, noise and local resolution; `inside` (z, y, x) is the occupied part. Raises InputError."""
    soft = softened(inside, halves.first.frame)
    agreed = agreement(halves, soft)
    b_factor = weighted_b(halves, agreed, agreed.resolution, soft)
    local = local_agreement(halves, agreed.resolution, b_factor)
    return Study(agreed.resolution, halves.noise(), local.resolution())


def _middles(resolution: float, voxel: float) -> FloatArray:
    """Middles of bands from 0 to the last one, which ends beyond the resolution or at the Nyquist frequency."""
    end = min(BEYOND / resolution, 0.5 / voxel)
    return np.arange(max(2, int(end / BAND))) * BAND


def _bands(values: FloatArray, frame: GridFrame, middles: FloatArray, b_factor: float) -> Iterator[FloatArray]:
    """A map sharpened and filtered to each band; their sum is the sharpened map up to the last middle.

    The weights are triangles, 1 in the middle of a band and 0 in the middles of its neighbours, so that they sum to 1.
    """
    s = frequencies(values.shape, frame.voxel)
    spectrum = scipy.fft.rfftn(np.asarray(values, dtype=np.float32), workers=-1)
    spectrum *= np.exp(-b_factor / 4 * np.minimum(s, float(middles[-1]) + BAND) ** 2)
    for middle in middles:
        triangle = np.maximum(1 - np.abs(s - np.float32(middle)) / np.float32(BAND), 0)
        band: FloatArray = scipy.fft.irfftn(spectrum * triangle, s=values.shape, overwrite_x=True, workers=-1)
        yield band
