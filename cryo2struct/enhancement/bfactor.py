"""Global sharpening or blurring of a map by the slope of its Guinier plot."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cryo2struct.density.fourier import LEAST_POWER, radial_power, weighted
from cryo2struct.density.normalise import background
from cryo2struct.errors import InputError
from cryo2struct.objects import FloatArray

LOWEST = 0.1  # 1 / angstrom; at lower frequencies amplitudes tell the molecule's outline (Rosenthal & Henderson 2003)
LEAST_SHELLS = 4
TARGET = 5.9  # B factor that is left, per squared resolution
EDGE = 0.2  # of 1 / resolution; over it what lies beyond the resolution is cut
FLOOR = 0.02  # weight that is left to it: correlations of shells stay what they were


def guinier_b(frequency: FloatArray, power: FloatArray, resolution: float) -> float:
    """Overall B factor of a map in A^2, from the slope of its Guinier plot.

    A line is fitted to the logarithm of the root mean square amplitude of each shell against s^2, from 10 A to the
    resolution (Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721-745), each shell weighted by its width in s^2, so
    that each stretch of the line counts alike.

    Parameters
    ----------
    frequency : (S,) of shells, 1 / angstrom
    power : (S,) mean squared amplitude
    resolution : angstrom

    Raises
    ------
    InputError
        Too few shells with power lie between 10 A and the resolution.
    """
    used = (frequency >= LOWEST) & (frequency <= 1 / resolution) & (power > LEAST_POWER * power[1:].max(initial=0))
    if used.sum() < LEAST_SHELLS:
        raise InputError(
            f"map: {int(used.sum())} Fourier shells with density between 10 A and the resolution {resolution:.3g} A, "
            f"{LEAST_SHELLS} are needed for a B factor; check --resolution and the voxel size"
        )
    s = frequency[used]
    # polyfit squares its weights.
    slope = np.polyfit(s**2, 0.5 * np.log(power[used]), 1, w=np.sqrt(s))[0]
    return float(-4 * slope)


def sharpening_b(frequency: FloatArray, power: FloatArray, resolution: float) -> float:
    """B factor in A^2 that takes the overall B factor of a map to the target, 5.9 d^2 for a resolution of d; below 0
    sharpens.

    The target is what phenix.auto_sharpen takes for the map of a model (`target_b_iso_ratio`; the program: Terwilliger
    et al. 2018, Acta Cryst. D74, 545-559). With a level plot, B = 0, noise near the resolution stands out. Parameters
    and refusal are those of `guinier_b`.
    """
    return TARGET * resolution**2 - guinier_b(frequency, power, resolution)


def sharpening(b_factor: float, resolution: float, s: FloatArray) -> FloatArray:
    """Weight of Fourier terms of frequency s (1 / angstrom): exp(-B s^2 / 4), cut softly beyond the resolution.

    The cut falls exponentially from 1 at 1 / resolution to 0.02 a fifth farther, slowly within one shell.
    """
    beyond = np.clip((s * resolution - 1) / EDGE, 0, 1)
    # No stronger beyond the cut than at its end.
    weight: FloatArray = np.exp(
        -b_factor / 4 * np.minimum(s, (1 + EDGE) / resolution) ** 2 + np.log(FLOOR).astype(np.float32) * beyond
    )
    return weight


def masked(values: FloatArray, mask: FloatArray | None) -> FloatArray:
    """A map without its background's level, times a mask, so that the mask itself does not show; as it is for None."""
    return values if mask is None else (values - np.float32(background(values).level)) * mask


def sharpen_by_slope(
    values: FloatArray, voxel: ArrayLike, resolution: float, mask: FloatArray | None = None
) -> tuple[FloatArray, float]:
    """A map brought to the target, and the B factor in A^2 that was applied.

    Parameters
    ----------
    values : (z, y, x)
    voxel : one number, or (3,) along x, y, z, in angstrom
    resolution : angstrom
    mask : (z, y, x) 0 to 1, or None
        The slope is that of the map inside it.
    """
    b_factor = sharpening_b(*radial_power(masked(values, mask), voxel), resolution)
    return weighted(values, voxel, lambda s: sharpening(b_factor, resolution, s)), b_factor
