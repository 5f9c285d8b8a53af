"""Half maps with noise, whose Fourier shell correlation falls as that of a reconstruction does."""

from __future__ import annotations

import numpy as np
import scipy.fft

from cryo2struct.density.fourier import frequencies, radial_power
from cryo2struct.objects import DensityMap, FloatArray

CRITERION = 0.143  # correlation at the resolution (Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721-745)
WIDTH = 0.06  # of 1 / resolution; how softly the correlation falls


def half_maps(clean: DensityMap, resolution: float, generator: np.random.Generator) -> tuple[DensityMap, DensityMap]:
    """Two maps, each with Gaussian noise of its own everywhere.

    Their Fourier shell correlation P / (P + N), for powers P of the map and N of the noise, is a logistic function of
    the frequency, `CRITERION` at 1 / resolution. Beyond the resolution the noise is white.

    Parameters
    ----------
    clean : DensityMap
        Without noise; with power up to 1 / resolution.
    resolution : angstrom
    generator : numpy.random.Generator
    """
    shells, power = radial_power(clean.values, clean.frame.voxel)
    correlation = wanted_correlation(shells, resolution)
    noise_power = power * (1 - correlation) / correlation
    # Of 1 / resolution itself, not of the shell behind it: the power falls steeply there.
    noise_power[int(np.searchsorted(shells, 1 / resolution)) :] = np.interp(1 / resolution, shells, noise_power)
    # White noise of variance 1 has the power of the number of voxels.
    amplitude = np.sqrt(noise_power / clean.values.size)
    first, second = (_with_noise(clean, shells, amplitude, generator) for _ in range(2))
    return first, second


def wanted_correlation(frequency: FloatArray, resolution: float) -> FloatArray:
    """Correlation at frequencies in 1 / angstrom: nearly 1 at 0, `CRITERION` at 1 / resolution."""
    middle = 1 - WIDTH * np.log(1 / CRITERION - 1)
    steps: FloatArray = (np.asarray(frequency) * resolution - middle) / WIDTH
    return 1 / (1 + np.exp(np.clip(steps, -40, 40)))


def _with_noise(
    clean: DensityMap, shells: FloatArray, amplitude: FloatArray, generator: np.random.Generator
) -> DensityMap:
    """The map and Gaussian noise whose Fourier terms have this amplitude (S,) in these shells (S,)."""
    values = clean.values
    spectrum = scipy.fft.rfftn(generator.standard_normal(values.shape, dtype=np.float32), workers=-1)
    spectrum *= np.interp(frequencies(values.shape, clean.frame.voxel), shells, amplitude).astype(np.float32)
    noise = scipy.fft.irfftn(spectrum, s=values.shape, overwrite_x=True, workers=-1)
    noise += values
    return DensityMap(noise.astype(np.float32, copy=False), clean.frame, clean.header)
