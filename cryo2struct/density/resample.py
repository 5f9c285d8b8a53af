"""Fourier resampling of maps to the voxel size that the networks were trained on.

A map is taken as one period of a band-limited function, and the same function is sampled at another spacing: exact,
while linear or spline interpolation would blur the highest frequencies. The three axes are independent, so that they
are done one after the other, a slab at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from cryo2struct.objects import DensityMap, FloatArray, GridFrame

VOXEL = 1.0  # angstrom; what the classifier sees
TOLERANCE = 0.002  # relative; a voxel this near to the wanted one is as good as equal to it
LARGEST_PRIME = 31  # a Fourier transform is fast for lengths that are products of small primes
SLAB_BYTES = 64 * 2**20


@dataclass(frozen=True)
class AxisPlan:
    """How one axis is resampled.

    Attributes
    ----------
    samples : samples given
    padded : samples after padding, even
    resampled : samples over the same length afterwards, even
    kept : the first of them, which are those that reach to the last sample given
    """

    samples: int
    padded: int
    resampled: int
    kept: int

    @property
    def ratio(self) -> float:
        """New voxel / old voxel."""
        return self.padded / self.resampled


def resample(density: DensityMap, voxel: float = VOXEL, *, workers: int = -1) -> DensityMap:
    """Sample a map at about `voxel`, the centre of voxel 0 staying where it is.

    The box is padded with the median of its faces: that is the solvent level of a map with noise everywhere and 0 in
    a map that is zeroed outside a mask, so that neither gets a step at its faces.

    Parameters
    ----------
    density : DensityMap
    voxel : wanted voxel size in angstrom; the frame of the result has the exact one, within 0.2 % where a padding
        of up to an eighth of the box allows it
    workers : threads of the Fourier transform, -1 for all cores

    Returns
    -------
    DensityMap
        float32, with the header of the input. Memory beside the input, the result included: 0.5 GB for 400^3 voxels of
        0.8 angstrom, 1.3 GB for 400^3 of 1.4 angstrom (560^3 afterwards).
    """
    frame = density.frame
    plans = _plan_axes(frame, voxel)
    values = np.asarray(density.values, dtype=np.float32)
    values = _resample_axes(values, plans, border_median(values), workers)
    spacing = np.asarray(frame.voxel, dtype=np.float64) * [plan.ratio for plan in reversed(plans)]
    shape = (plans[0].kept, plans[1].kept, plans[2].kept)
    return DensityMap(values, GridFrame(shape, spacing, frame.origin), density.header)


def resample_back(
    values: FloatArray, frame: GridFrame, level: float, voxel: float = VOXEL, *, workers: int = -1
) -> FloatArray:
    """Values on the grid `frame`, from those on the grid that `resample` makes of it.

    What `resample` made of a map comes back as the map was, up to frequencies that the coarser of the two grids does
    not hold and up to ringing into the padding.

    Parameters
    ----------
    values : (z, y, x)
    frame : GridFrame
    level : what surrounds the box
    voxel : as `resample` was called with
    workers : threads of the Fourier transform, -1 for all cores

    Returns
    -------
    float32 (z, y, x) of `frame`
    """
    there = _plan_axes(frame, voxel)
    plans = [AxisPlan(plan.kept, plan.resampled, plan.padded, plan.samples) for plan in there]
    return _resample_axes(np.asarray(values, dtype=np.float32), plans, level, workers)


def mirrored(density: DensityMap, box: GridFrame) -> DensityMap:
    """A map flipped along x about the middle of `box`: of its own frame, or of the map that it was resampled from."""
    frame = density.frame
    ends = [f.origin[0] + (f.shape[2] - 1) * f.voxel[0] for f in (frame, box)]
    origin = np.array([box.origin[0] + ends[1] - ends[0], *frame.origin[1:]])
    values = np.ascontiguousarray(density.values[:, :, ::-1])
    return DensityMap(values, GridFrame(frame.shape, frame.voxel, origin), density.header)


def plan_axis(samples: int, spacing: float, voxel: float) -> AxisPlan:
    """The shortest padding that gives the wanted voxel within `TOLERANCE`, or the one that comes nearest to it.

    Parameters
    ----------
    samples : int
    spacing, voxel : given and wanted distance of samples in angstrom
    """
    longest = samples + max(16, samples // 8)
    best, smallest_error = None, np.inf
    for padded in _fast_even_lengths(samples, longest):
        length = padded * spacing / voxel
        for resampled in _fast_even_lengths(max(2, int(0.9 * length)), int(1.1 * length) + 2):
            error = abs(length / resampled - 1)
            if error < smallest_error - 1e-12:
                best, smallest_error = (padded, resampled), error
        if smallest_error <= TOLERANCE:
            break
    assert best is not None  # there is a power of two or three times one in every such range
    padded, resampled = best
    reach = int(np.ceil((samples - 1) * resampled / padded - 1e-9)) + 1
    return AxisPlan(samples, padded, resampled, min(reach, resampled))


def border_median(values: FloatArray) -> float:
    """Median of the six faces of a box (z, y, x)."""
    faces = [values[0], values[-1], values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]]
    return float(np.median(np.concatenate([face.ravel() for face in faces])))


def _fast_even_lengths(low: int, high: int) -> list[int]:
    return [n for n in range(low + low % 2, high + 1, 2) if _largest_prime(n) <= LARGEST_PRIME]


def _largest_prime(number: int) -> int:
    largest, divisor = 1, 2
    while number > 1:
        while number % divisor == 0:
            number //= divisor
            largest = divisor
        divisor += 1
    return largest


def _plan_axes(frame: GridFrame, voxel: float) -> list[AxisPlan]:
    """Plans for z, y, x."""
    return [plan_axis(samples, spacing, voxel) for samples, spacing in zip(frame.shape, frame.voxel[::-1], strict=True)]


def _resample_axes(values: FloatArray, plans: list[AxisPlan], level: float, workers: int) -> FloatArray:
    # Axes that lose samples go first: the later steps then have less to do.
    for axis in sorted(range(3), key=lambda axis: plans[axis].kept / plans[axis].samples):
        values = _resample_axis(values, axis, plans[axis], level, workers)
    return values


def _resample_axis(values: FloatArray, axis: int, plan: AxisPlan, level: float, workers: int) -> FloatArray:
    if plan.padded == plan.resampled:
        return values
    shape = list(values.shape)
    shape[axis] = plan.kept
    result = np.empty(shape, dtype=np.float32)
    across = 1 if axis == 0 else 0
    bytes_per_layer = 8 * max(plan.padded, plan.resampled) * (values.size // values.shape[axis]) // values.shape[across]
    thickness = max(1, SLAB_BYTES // bytes_per_layer)
    for start in range(0, values.shape[across], thickness):
        slab = (slice(None),) * across + (slice(start, start + thickness),)
        spectrum = scipy.fft.rfft(values[slab] - np.float32(level), n=plan.padded, axis=axis, workers=workers)
        spectrum = _crop_or_pad(spectrum, axis, plan)
        lines = scipy.fft.irfft(spectrum, n=plan.resampled, axis=axis, overwrite_x=True, workers=workers)
        kept = (slice(None),) * axis + (slice(plan.kept),)
        result[slab] = lines[kept] * np.float32(plan.resampled / plan.padded) + np.float32(level)
    return result


def _crop_or_pad(spectrum: np.ndarray, axis: int, plan: AxisPlan) -> np.ndarray:
    """The half spectrum of a longer or shorter transform of the same function.

    The highest term of an even length stands for the frequencies +n/2 and -n/2 together: it is halved when the longer
    half spectrum counts both, and doubled when two terms fall together, so that going there and back changes nothing.
    """
    terms = np.moveaxis(spectrum, axis, 0)
    shorter = min(plan.padded, plan.resampled) // 2
    shape = (plan.resampled // 2 + 1, *terms.shape[1:])
    result = np.zeros(shape, dtype=terms.dtype)
    result[: shorter + 1] = terms[: shorter + 1]
    result[shorter] *= 0.5 if plan.resampled > plan.padded else 2.0
    return np.moveaxis(result, 0, axis)
