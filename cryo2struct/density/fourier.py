"""Fourier shells: power, correlation and resolution by spatial frequency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import ArrayLike, NDArray

from cryo2struct.density.normalise import background, occupied
from cryo2struct.objects import FloatArray, IntArray

SIGNAL_RATIO = 1.35  # power of molecule + noise per power of noise, where a half-map FSC is 0.143
SIGNAL_DEPTH = 3.0  # angstrom; softness of the two regions whose power is compared
FLAT = 1e-3  # of a map's standard deviation; what differs less from the background holds no noise
LEAST_BACKGROUND = 0.1  # of the box
LEAST_POWER = 1e-10  # of the strongest shell; weaker ones are rounding errors
CUT_WIDTH = 0.08  # relative; the fall of power is taken from 8 % below a frequency to 8 % above it
CUT_DECADES = 0.7  # a fall this deep over that width is a filter's
CUT_TO_RESOLUTION = 1.06  # where power falls most steeply, d = resolution / 1.06
LOWEST = 0.1  # 1 / angstrom; below it power says more of the molecule's outline than of the resolution
OUTLINE = 0.04  # 1 / angstrom; terms below it say where the molecule ends
FALL_OFF = 0.05  # of the power at `LOWEST`, where there is neither noise around the molecule nor a filter to go by
FLOOR = 0.2  # of the power at `LOWEST`; if that of the highest shells is less, it is taken for noise


def frequencies(shape: Sequence[int], voxel: ArrayLike) -> FloatArray:
    """Spatial frequency (z, y, x // 2 + 1) of each term of a real Fourier transform, in 1 / angstrom.

    Parameters
    ----------
    shape : (z, y, x)
    voxel : one number, or (3,) along x, y, z, in angstrom
    """
    x, y, z = _voxel(voxel)
    axes = scipy.fft.fftfreq(shape[0], z), scipy.fft.fftfreq(shape[1], y), scipy.fft.rfftfreq(shape[2], x)
    along_z, along_y, along_x = (np.square(axis).astype(np.float32) for axis in axes)
    return np.sqrt(along_z[:, None, None] + along_y[:, None] + along_x)


def shell_frequencies(shape: Sequence[int], voxel: ArrayLike) -> FloatArray:
    """Middles of the shells in 1 / angstrom: 1 / the longest edge apart, from 0 to the lowest Nyquist frequency."""
    spacing = _voxel(voxel)
    step = 1 / float((np.array(shape[::-1]) * spacing).max())
    return np.arange(int(0.5 / spacing.max() / step + 1e-6) + 1) * step


def radial_power(values: FloatArray, voxel: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean squared modulus of the Fourier terms in each shell.

    Returns
    -------
    frequency : (S,) as of `shell_frequencies`
    power : (S,)
    """
    spectrum = _transform(values)
    (power,) = _shell_sums([(spectrum, spectrum)], values.shape, voxel)
    number = _shell_sizes(values.shape, voxel)
    return shell_frequencies(values.shape, voxel), power / np.maximum(number, 1)


def fsc(first: FloatArray, second: FloatArray, voxel: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Fourier shell correlation of two maps on one grid (Harauz & van Heel 1986, Optik 73, 146-156).

    Parameters
    ----------
    first, second : (z, y, x)
    voxel : one number, or (3,) along x, y, z, in angstrom

    Returns
    -------
    frequency : (S,) as of `shell_frequencies`
    correlation : (S,) 0 in shells without power
    """
    if first.shape != second.shape:
        raise ValueError(f"maps of {first.shape} and {second.shape} voxels have no shells in common")
    one, two = _transform(first), _transform(second)
    cross, own, other = _shell_sums([(one, two), (one, one), (two, two)], first.shape, voxel)
    norm = np.sqrt(own * other)
    return shell_frequencies(first.shape, voxel), np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)


def crossing(d_inv: FloatArray, curve: FloatArray, level: float) -> float | None:
    """Where a curve first falls below a level, in angstrom, by linear interpolation between shells; None: nowhere."""
    below = np.flatnonzero(curve < level)
    if not len(below):
        return None
    at = int(below[0])
    if at == 0:
        return float(1 / d_inv[0])
    part = (curve[at - 1] - level) / (curve[at - 1] - curve[at])
    return float(1 / (d_inv[at - 1] + part * (d_inv[at] - d_inv[at - 1])))


def estimate_resolution(values: FloatArray, voxel: float) -> float:
    """Resolution of a map in angstrom, from the map alone.

    Two signs of it are looked for. (1) Where the map has noise around the molecule: the frequency from which on the
    occupied part has hardly more power per voxel than the background (`SIGNAL_RATIO`); filters and sharpening act on
    both and cancel. (2) The cut of a low-pass filter or of FSC weighting, which also masked maps have: the frequency
    at which the power falls most steeply, if it falls by `CUT_DECADES` there. With both, the coarser counts. With
    neither, the resolution is where power has fallen to 1/20 of that at 10 angstrom or nearly to that of the highest
    shells, at best that of the voxels; it is a guess then, often 20 % off.

    Parameters
    ----------
    values : (z, y, x)
    voxel : angstrom
    """
    signs = [sign for sign in (_from_noise(values, voxel), _from_cut(values, voxel)) if sign is not None]
    return max(signs) if signs else _from_fall_off(values, voxel)


def _from_noise(values: FloatArray, voxel: float) -> float | None:
    inside = occupied(values, voxel)
    ground = background(values)
    departure = scipy.ndimage.uniform_filter(np.abs(values - np.float32(ground.level)), 5, mode="mirror")
    outside = ~inside & (departure > FLAT * float(values.std()))
    if outside.mean() < LEAST_BACKGROUND or not inside.any():
        return None
    depth = SIGNAL_DEPTH / voxel
    white = _whitened(values, voxel)
    signal, noise = (_region_power(white, region, depth, voxel) for region in (inside, outside))
    shell = shell_frequencies(values.shape, voxel)
    ratio = np.divide(_smooth(signal), _smooth(noise), out=np.ones_like(noise), where=_smooth(noise) > 0)
    start = int(np.searchsorted(shell, LOWEST))
    weak = start + np.nonzero(ratio[start:] < SIGNAL_RATIO)[0]
    if len(weak) == 0:
        # What is outside is no noise like that inside: a soft mask has weakened it.
        return None
    last, first = ratio[weak[0] - 1], ratio[weak[0]]
    part = (last - SIGNAL_RATIO) / (last - first) if last > SIGNAL_RATIO else 1.0
    return float(1 / (shell[weak[0] - 1] + part * shell[1]))


def _whitened(values: FloatArray, voxel: float) -> FloatArray:
    """The map with equal power in all shells: a region cut out of it does not spill strong shells into weak ones."""
    spectrum = _transform(values - np.float32(values.mean()))
    (power,) = _shell_sums([(spectrum, spectrum)], values.shape, voxel)
    power /= np.maximum(_shell_sizes(values.shape, voxel), 1)
    scale = 1 / np.sqrt(np.maximum(power, LEAST_POWER * power.max()))
    shell = shell_frequencies(values.shape, voxel)
    spectrum *= np.interp(frequencies(values.shape, voxel), shell, scale).astype(np.float32)
    white: FloatArray = scipy.fft.irfftn(spectrum, s=values.shape, workers=-1)
    return white


def _region_power(values: FloatArray, region: NDArray[np.bool_], depth: float, voxel: float) -> FloatArray:
    """Radial power per voxel of a region whose borders are softened, so that they add nothing at high frequency."""
    soft = scipy.ndimage.gaussian_filter(region.astype(np.float32), depth, mode="constant")
    weight = np.clip(2 * soft - 1, 0, 1)
    total = float(weight.sum())
    if total == 0:
        return np.zeros(len(shell_frequencies(values.shape, voxel)))
    mean = float((values * weight).sum()) / total
    return radial_power((values - np.float32(mean)) * weight, voxel)[1] / float((weight**2).sum())


def _from_cut(values: FloatArray, voxel: float) -> float | None:
    shell, power = radial_power(values - np.float32(background(values).level), voxel)
    decades = _smooth(np.log10(np.maximum(power, np.finfo(np.float64).tiny)))
    frequency = np.arange(1.4 * LOWEST, shell[-1] / (1 + CUT_WIDTH / 2), 0.002)
    if len(frequency) == 0:
        return None
    before = np.interp(frequency * (1 - CUT_WIDTH), shell, decades)
    fall = before - np.interp(frequency * (1 + CUT_WIDTH), shell, decades)
    # Behind a cut comes the emptiness of rounding errors: how deep it is does not matter.
    steepest = int(np.argmax(np.minimum(fall, 2.5)))
    return float(CUT_TO_RESOLUTION / frequency[steepest]) if fall[steepest] > CUT_DECADES else None


def _from_fall_off(values: FloatArray, voxel: float) -> float:
    shell, power = radial_power(values - np.float32(background(values).level), voxel)
    start = min(int(np.searchsorted(shell, LOWEST)), len(shell) - 1)
    power = _smooth(power)
    floor = float(np.median(power[-max(len(power) // 10, 1) :]))
    least = max(FALL_OFF * power[start], SIGNAL_RATIO * floor if floor < FLOOR * power[start] else 0)
    weak = np.nonzero(power[start:] < least)[0]
    return float(1 / shell[start + weak[0]] if len(weak) else 1 / shell[-1])


def _smooth(profile: FloatArray) -> FloatArray:
    return scipy.ndimage.uniform_filter1d(profile, 3, mode="nearest")


def sharpen(values: FloatArray, voxel: ArrayLike, b_factor: float) -> NDArray[np.float32]:
    """The density with its Fourier terms multiplied by exp(-B s^2 / 4): below 0 sharpens, above 0 blurs.

    Voxels that are exactly 0, as a mask leaves them, stay 0.

    Parameters
    ----------
    values : (z, y, x)
    voxel : one number, or (3,) along x, y, z, in angstrom
    b_factor : angstrom^2
    """
    changed = weighted(values, voxel, lambda s: np.exp(-b_factor / 4 * s**2))
    return np.asarray(np.where(values == 0, 0, changed), dtype=np.float32)


def weighted(values: FloatArray, voxel: ArrayLike, weight: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """The density with its Fourier terms multiplied by a weight that depends on their frequency in 1 / angstrom."""
    spectrum = _transform(values)
    spectrum *= weight(frequencies(values.shape, voxel)).astype(np.float32, copy=False)
    changed: FloatArray = scipy.fft.irfftn(spectrum, s=values.shape, overwrite_x=True, workers=-1)
    return changed


def nearest_filtered(values: FloatArray, reference: FloatArray, voxel: ArrayLike) -> NDArray[np.float32]:
    """A map filtered so that it comes as near as possible to another: one factor per shell, least squares.

    Whatever sharpening, blurring or scale differs between the two is undone; noise of `reference` that `values` do not
    have stays out. Both are best about their solvent levels. Terms beyond the last shell are left out.

    Parameters
    ----------
    values, reference : (z, y, x)
    voxel : one number, or (3,) along x, y, z, in angstrom
    """
    spectrum, other = _transform(values), _transform(reference)
    cross, own = _shell_sums([(spectrum, other), (spectrum, spectrum)], values.shape, voxel)
    del other
    shell = shell_frequencies(values.shape, voxel)
    # Few terms lie in the lowest shells: they share a factor.
    low = min(int(np.searchsorted(shell, OUTLINE)) + 1, len(shell))
    cross[:low], own[:low] = cross[:low].sum(), own[:low].sum()
    cross, own = _smooth(cross), _smooth(own)
    factor = np.divide(cross, own, out=np.zeros_like(cross), where=own > 0)
    spectrum *= np.interp(frequencies(values.shape, voxel), shell, factor, right=0).astype(np.float32)
    return np.asarray(scipy.fft.irfftn(spectrum, s=values.shape, overwrite_x=True, workers=-1), dtype=np.float32)


def _voxel(voxel: ArrayLike) -> FloatArray:
    return np.broadcast_to(np.asarray(voxel, dtype=np.float64), 3)


def _transform(values: FloatArray) -> NDArray[np.complexfloating]:
    return scipy.fft.rfftn(np.asarray(values, dtype=np.float32), workers=-1)


def _shell_sums(
    pairs: Sequence[tuple[NDArray[np.complexfloating], NDArray[np.complexfloating]]],
    shape: Sequence[int],
    voxel: ArrayLike,
) -> list[FloatArray]:
    """Sum of Re(a conj b) over each shell, for each pair (a, b) of half spectra; plane by plane to save memory."""
    sums: list[FloatArray] = [np.zeros(len(shell_frequencies(shape, voxel))) for _ in pairs]
    for plane, (index, multiplicity) in enumerate(_shell_planes(shape, voxel)):
        for total, (first, second) in zip(sums, pairs, strict=True):
            product = (first[plane].real * second[plane].real + first[plane].imag * second[plane].imag) * multiplicity
            total += np.bincount(index, product.ravel(), minlength=len(total) + 1)[: len(total)]
    return sums


def _shell_sizes(shape: Sequence[int], voxel: ArrayLike) -> FloatArray:
    sizes = np.zeros(len(shell_frequencies(shape, voxel)))
    for index, multiplicity in _shell_planes(shape, voxel):
        sizes += np.bincount(index, multiplicity.ravel(), minlength=len(sizes) + 1)[: len(sizes)]
    return sizes


def _shell_planes(shape: Sequence[int], voxel: ArrayLike) -> Iterator[tuple[IntArray, FloatArray]]:
    """Shell of each term of each z plane of a half spectrum (past the last: their number), and how often it counts.

    A term stands for its conjugate, too, unless that one is in the half spectrum.
    """
    x, y, z = _voxel(voxel)
    shell = shell_frequencies(shape, voxel)
    step = shell[1] if len(shell) > 1 else 1.0
    squares = scipy.fft.fftfreq(shape[1], y)[:, None] ** 2 + scipy.fft.rfftfreq(shape[2], x) ** 2
    multiplicity = np.full(squares.shape, 2.0)
    multiplicity[:, 0] = 1
    if shape[2] % 2 == 0:
        multiplicity[:, -1] = 1
    for along_z in scipy.fft.fftfreq(shape[0], z):
        index = np.rint(np.sqrt(squares + along_z**2) / step).astype(np.int64)
        yield np.minimum(index, len(shell)).ravel(), multiplicity
