"""Where a map holds something, told from the map alone.

The mean and standard deviation of a tile are taken by the network; here only the question is answered which voxels are
worth looking at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray

SMOOTHING = (2.0, 4.0)  # standard deviations of a Gaussian in voxels: noise averages out over it, protein does not
LEAST_EDGE = 32  # voxels; in a smaller box the wider Gaussian leaves too few independent values
LARGEST_SAMPLE = 4_000_000  # values that statistics are taken from
MARGIN = 3  # voxels by which the occupied part is widened: side chains at the surface, and the blur above
SIGMAS = 3.0
SIGMAS_OF_A_MOLECULE = 12.0  # noise reaches 5, molecules 20 to 300; boxes without solvent give 2 to 9
LEAST_LEVEL = 0.02  # of the 99.9th percentile: ringing about a zeroed background stays below it


@dataclass(frozen=True)
class Background:
    """Level and standard deviation of what surrounds the molecule, in the units of the map."""

    level: float
    sigma: float


def background(values: FloatArray) -> Background:
    """Solvent level and noise of a map.

    The level is the most frequent value (the maximum of a histogram about the median): solvent, or the constant outside
    a mask. Molecules only add to it, so that the noise is the root mean square of the values *below* it; those equal to
    it up to rounding (0.1 % of the map's standard deviation) are a mask's constant and are left out, as they say
    nothing of noise.

    Parameters
    ----------
    values : (z, y, x) or any other shape
    """
    flat = _sample(values)
    spread = float(flat.std())
    level = _mode(flat, spread)
    below = level - flat[flat < level - 1e-3 * spread].astype(np.float64)
    # Fewer than one voxel in a thousand below the level: no noise to speak of.
    sigma = float(np.sqrt(np.mean(below**2))) if len(below) > 1e-3 * len(flat) else 0.0
    return Background(level, sigma)


def occupied(values: FloatArray) -> NDArray[np.bool_]:
    """Voxels that may belong to a molecule.

    The map is smoothed by a Gaussian of 2 voxels, or of 4 if nothing stands out then, as in raw half maps; what lies
    `SIGMAS` x the noise of the smoothed map above its background is occupied, and everything within 3 voxels of that.
    The rule serves maps with noise everywhere and maps that are zeroed outside a mask, where there is next to no noise
    and thus nearly the whole inside of the mask is occupied.

    Parameters
    ----------
    values : (z, y, x), voxel of about 1 angstrom

    Returns
    -------
    bool (z, y, x)
    """
    # The wider Gaussian needs some room.
    for sigma in SMOOTHING if min(values.shape) >= LEAST_EDGE else SMOOTHING[:1]:
        smooth = scipy.ndimage.gaussian_filter(np.asarray(values, dtype=np.float32), sigma, mode="mirror")
        ground = background(smooth)
        if smooth.max() - ground.level > SIGMAS_OF_A_MOLECULE * ground.sigma:
            strong = float(np.percentile(_sample(smooth), 99.9)) - ground.level
            mask = smooth > ground.level + max(SIGMAS * ground.sigma, LEAST_LEVEL * strong)
            return _widen(mask, MARGIN)
    return np.ones(values.shape, dtype=np.bool_)


def _sample(values: FloatArray) -> NDArray[np.float32]:
    """Values of a map, of a large one every few: an odd step does not stay in one plane of an even box."""
    flat = np.asarray(values, dtype=np.float32).ravel()
    return flat[:: len(flat) // LARGEST_SAMPLE | 1]


def _mode(flat: FloatArray, spread: float) -> float:
    """Centre of the fullest of narrow bins; the median of a constant map."""
    middle = float(np.median(flat))
    if spread == 0:
        return middle
    # Bins of a fiftieth of the standard deviation, seen through a window of five of them. Double precision about the
    # median: a map may be a small ripple on a large constant.
    departure = flat.astype(np.float64) - middle
    counts, edges = np.histogram(departure, bins=200, range=(-2 * spread, 2 * spread))
    fullest = int(np.argmax(np.convolve(counts, np.ones(5), "same")))
    low, high = edges[max(fullest - 2, 0)], edges[min(fullest + 3, len(counts))]
    return middle + float(np.median(departure[(departure >= low) & (departure <= high)]))


def _widen(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """A mask with a margin of about `radius` voxels; steps over faces and over edges in turn are nearly a ball's."""
    for step in range(radius):
        mask = scipy.ndimage.binary_dilation(mask, scipy.ndimage.generate_binary_structure(3, 1 + step % 2))
    return mask
