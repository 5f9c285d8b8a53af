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

SMOOTHING = (2.0, 4.0)  # standard deviations of a Gaussian in A: noise averages out over it, protein does not
LEAST_EDGE = 32  # A; in a smaller box the wider Gaussian leaves too few independent values
LARGEST_SAMPLE = 1_000_000  # values that statistics are taken from
MARGIN = 3.0  # A by which the occupied part is widened: side chains at the surface, and the blur above
SIGMAS = 3.0
SIGMAS_OF_A_MOLECULE = 12.0  # noise reaches 5, molecules 20 to 300; boxes without solvent give 2 to 9
LEAST_PIECE = 300.0  # A^3, two residues; what is smaller is a peak of the noise
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
    flat = sample(values)
    spread = float(flat.std())
    level = _mode(flat, spread)
    below = level - flat[flat < level - 1e-3 * spread].astype(np.float64)
    # Fewer than one voxel in a thousand below the level: no noise to speak of.
    sigma = float(np.sqrt(np.mean(below**2))) if len(below) > 1e-3 * len(flat) else 0.0
    return Background(level, sigma)


def occupied(values: FloatArray, voxel: float = 1.0) -> NDArray[np.bool_]:
    """Voxels that may belong to a molecule.

    The map is smoothed by a Gaussian of 2 A, or of 4 A if nothing stands out then, as in raw half maps; what lies
    `SIGMAS` x the noise of the smoothed map above its background is occupied, pieces below `LEAST_PIECE` left out, and
    so is everything within 3 A of that. The rule serves maps with noise everywhere and maps that are zeroed outside a
    mask, where there is next to no noise and thus nearly the whole inside of the mask is occupied.

    Parameters
    ----------
    values : (z, y, x)
    voxel : angstrom, at most about 4

    Returns
    -------
    bool (z, y, x)
    """
    # The wider Gaussian needs some room.
    for sigma in SMOOTHING if min(values.shape) * voxel >= LEAST_EDGE else SMOOTHING[:1]:
        smooth = scipy.ndimage.gaussian_filter(np.asarray(values, dtype=np.float32), sigma / voxel, mode="mirror")
        ground = background(smooth)
        if smooth.max() - ground.level > SIGMAS_OF_A_MOLECULE * ground.sigma:
            strong = float(np.percentile(sample(smooth), 99.9)) - ground.level
            mask = smooth > ground.level + max(SIGMAS * ground.sigma, LEAST_LEVEL * strong)
            return _widen(_without_specks(mask, LEAST_PIECE / voxel**3), round(MARGIN / voxel))
    return np.ones(values.shape, dtype=np.bool_)


def molecule_volume(values: FloatArray, inside: NDArray[np.bool_], voxel: float) -> float:
    """Volume of the molecule in cubic angstrom.

    Of the map smoothed by a Gaussian of 2 A, what reaches half of the usual level of the inside (the 75th percentile of
    what is above the background): a blurred edge lies at half height. How near it comes to the volume
    of known models: benchmarks/volume.py.

    Parameters
    ----------
    values : (z, y, x)
    inside : bool (z, y, x), as of `occupied`
    voxel : angstrom
    """
    if not inside.any():
        return 0.0
    level = np.float32(background(values).level)
    margin = int(np.ceil(4 * SMOOTHING[0] / voxel))
    (found,) = scipy.ndimage.find_objects(inside.view(np.int8))
    box = tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in found)
    smooth = scipy.ndimage.gaussian_filter(np.asarray(values[box], dtype=np.float32), SMOOTHING[0] / voxel)
    height = smooth[inside[box]] - level
    height = height[height > 0]
    if len(height) == 0:
        return 0.0
    return float(np.count_nonzero(height > 0.5 * np.percentile(height, 75)) * voxel**3)


def sample(values: FloatArray) -> NDArray[np.float32]:
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


def _without_specks(mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """A mask without the connected pieces of fewer than `least` voxels."""
    pieces, _ = scipy.ndimage.label(mask)
    keep = np.bincount(pieces.ravel()) >= least
    keep[0] = False
    return keep[pieces]
