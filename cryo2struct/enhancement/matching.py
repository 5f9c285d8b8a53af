"""An enhanced map brought to the scale of its original, so that the two can be compared voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage

from cryo2struct.density.fourier import nearest_filtered
from cryo2struct.density.normalise import background
from cryo2struct.errors import InputError
from cryo2struct.io.maps import describe_grid, same_grid
from cryo2struct.objects import DensityMap, FloatArray

BLUR = 0.8  # angstrom; standard deviation of a Gaussian on both maps: noise averages out and atoms may move a little
REACH = 8.0  # angstrom; standard deviation of the Gaussian over which the scale of the enhanced map is taken
MOLECULE = 0.3  # of the strong density; what reaches it in the enhanced map is the molecule, which sets the scale
STRONG = 99.5  # percentile of a map that is its strong density
PRIOR = 0.02  # weight of the mean scale of the map, of a volume that is filled with molecule
NORMAL = 1.4826  # standard deviation of a normal distribution over its median absolute value
MOST_CHANGE = 2.0  # by which the scale of a place may differ from the mean one


@dataclass(frozen=True)
class Matched:
    """Both maps above the solvent, on the scale of the original.

    Attributes
    ----------
    original : (z, y, x) the original, its solvent level taken off
    enhanced : (z, y, x) the enhanced map, filtered and scaled
    noise : what the two differ by within the molecule, as a standard deviation; at least the original's noise
    strong : height of strong density of the molecule
    """

    original: FloatArray
    enhanced: FloatArray
    noise: float
    strong: float


def matched(original: DensityMap, enhanced: DensityMap) -> Matched:
    """Bring an enhanced map to the scale of its original.

    First one factor per Fourier shell, by least squares: this undoes sharpening. Networks scale each place on its own;
    hence the ratio of both maps within the molecule is taken around each voxel, where the molecule is what is
    strong in the enhanced map: what an enhancement has removed does not count.

    Parameters
    ----------
    original, enhanced : DensityMap
        On one grid.

    Raises
    ------
    InputError
        The grids differ, or one of the maps is constant.
    """
    values = _above_solvent(original, "original map")
    changed = filtered_alike(enhanced, original)
    values, changed = (scipy.ndimage.gaussian_filter(v, BLUR / original.frame.voxel[::-1]) for v in (values, changed))
    strong = _strong(values)
    inside = changed > MOLECULE * strong
    noise = NORMAL * float(np.median(np.abs(values[inside] - changed[inside]))) if inside.any() else 0.0
    return Matched(values, changed, max(noise, background(values).sigma), strong)


def filtered_alike(density: DensityMap, like: DensityMap) -> FloatArray:
    """A map filtered and scaled to be like another one of the same grid; both above their solvent levels.

    Raises
    ------
    InputError
        The grids differ, or one of the maps is constant.
    """
    if not same_grid(density.frame, like.frame):
        grids = f"{describe_grid(density.frame)} and {describe_grid(like.frame)}"
        raise InputError(f"original and enhanced map: their grids differ ({grids}): give maps on one grid")
    reference = _above_solvent(like, "the one map")
    values = nearest_filtered(_above_solvent(density, "the other map"), reference, like.frame.voxel)
    values -= np.float32(background(values).level)
    values *= _scale(reference, values, MOLECULE * _strong(values), like.frame.voxel)
    return values


def _above_solvent(density: DensityMap, name: str) -> FloatArray:
    level = background(density.values).level
    values: FloatArray = density.values - np.float32(level)
    if not values.any():
        raise InputError(f"{name}: all values are {level:g}: nothing to compare")
    return values


def _strong(values: FloatArray) -> float:
    return float(np.percentile(values[::2, ::2, ::2], STRONG))


def _scale(values: FloatArray, changed: FloatArray, threshold: float, voxel: FloatArray) -> FloatArray:
    """What the enhanced map is to be multiplied by at each voxel."""
    inside = changed > threshold
    total = float(changed[inside].sum())
    if total <= 0:
        return np.ones(1, dtype=np.float32)
    mean = float(values[inside].sum()) / total
    prior = PRIOR * total / np.count_nonzero(inside)
    here = _smooth(np.where(inside, values, 0), voxel) + np.float32(prior * mean)
    here /= np.maximum(_smooth(np.where(inside, changed, 0), voxel), 0) + np.float32(prior)
    return np.clip(here, mean / MOST_CHANGE, mean * MOST_CHANGE, out=here)


def _smooth(values: FloatArray, voxel: FloatArray) -> FloatArray:
    """Mean over a Gaussian of `REACH`; by a transform, as the Gaussian is wide."""
    spectrum = scipy.fft.rfftn(values, workers=-1)
    spectrum = scipy.ndimage.fourier_gaussian(
        spectrum, REACH / np.asarray(voxel)[::-1], n=values.shape[2], output=spectrum
    )
    smooth: FloatArray = scipy.fft.irfftn(spectrum, s=values.shape, overwrite_x=True, workers=-1)
    return smooth
