"""Connected blobs of a density that is mostly empty, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray, GridFrame, IntArray

HALF = 0.5  # of the peak of a connected piece: what reaches it is a blob
APART = 2.5  # angstrom; a lower peak this near to a higher one is part of it
FULL = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class Blobs:
    """Blobs (B) of a density, the highest first.

    Attributes
    ----------
    peak : (B, 3) voxel z, y, x of the highest value
    peaks : (B,) arrays (P, 3) of all places within `APART` of which nothing is higher, the highest first
    height : (B,) that value
    volume : (B,) cubic angstrom that reach half of the height
    elongation : (B,) longest over middle standard deviation of the blob along its principal axes, 1 for a ball
    flatness : (B,) middle over shortest
    labels : (z, y, x) int32, 1-based number of the blob of each voxel, 0 for none
    """

    peak: IntArray
    peaks: tuple[IntArray, ...]
    height: FloatArray
    volume: FloatArray
    elongation: FloatArray
    flatness: FloatArray
    labels: NDArray[np.int32]


def blobs(values: FloatArray, least: float, frame: GridFrame) -> Blobs:
    """Blobs whose highest value is at least `least`.

    What reaches half of `least` and hangs together is a piece; what reaches half of the highest value of its piece and
    hangs together is a blob.

    Parameters
    ----------
    values : (z, y, x)
    least : above 0
    frame : GridFrame
    """
    pieces, _ = scipy.ndimage.label(values > HALF * least, FULL)
    index = np.flatnonzero(pieces)
    piece, height = pieces.ravel()[index], values.ravel()[index]
    top = np.zeros(pieces.max() + 1, dtype=values.dtype)
    np.maximum.at(top, piece, height)
    kept = (top[piece] >= least) & (height >= HALF * top[piece])
    chosen = np.zeros(values.shape, dtype=np.bool_)
    chosen.ravel()[index[kept]] = True
    scipy.ndimage.label(chosen, FULL, output=pieces)
    return _measured(pieces, values, least, frame)


def _measured(labels: NDArray[np.int32], values: FloatArray, least: float, frame: GridFrame) -> Blobs:
    index = np.flatnonzero(labels)
    label, height = labels.ravel()[index], values.ravel()[index]
    order = np.lexsort((height, label))
    last = np.flatnonzero(np.diff(label[order], append=label.max(initial=0) + 1))
    peaks = order[last]  # row of the highest voxel of each label
    found = height[peaks] >= least
    rank = np.argsort(-height[peaks][found], kind="stable")
    peaks = peaks[found][rank]
    renumber = np.zeros(labels.max(initial=0) + 1, dtype=np.int32)
    renumber[label[peaks]] = np.arange(1, len(peaks) + 1)
    labels = renumber[labels]
    inside = renumber[label] > 0
    row = renumber[label[inside]] - 1
    zyx = np.column_stack(np.unravel_index(index[inside], values.shape))
    number = np.bincount(row, minlength=len(peaks))
    spread = _spreads(row, frame.to_xyz(zyx), height[inside].astype(np.float64), len(peaks), frame.voxel)
    return Blobs(
        peak=np.column_stack(np.unravel_index(index[peaks], values.shape)),
        peaks=_all_peaks(labels, values, len(peaks), frame),
        height=height[peaks],
        volume=number * float(np.prod(frame.voxel)),
        elongation=spread[:, 2] / spread[:, 1],
        flatness=spread[:, 1] / spread[:, 0],
        labels=labels,
    )


def _all_peaks(labels: NDArray[np.int32], values: FloatArray, number: int, frame: GridFrame) -> tuple[IntArray, ...]:
    size = [2 * max(int(APART / float(voxel)), 1) + 1 for voxel in frame.voxel[::-1]]
    zyx = np.argwhere((labels > 0) & (values == scipy.ndimage.maximum_filter(values, size, mode="constant")))
    label, height = labels[tuple(zyx.T)], values[tuple(zyx.T)]
    order = np.lexsort((-height, label))
    return tuple(np.split(zyx[order], np.searchsorted(label[order], np.arange(2, number + 1)))) if number else ()


def _spreads(row: IntArray, xyz: FloatArray, weight: FloatArray, number: int, voxel: FloatArray) -> FloatArray:
    """Standard deviations (number, 3) along the principal axes, the shortest first; a voxel has its own width."""
    total = np.bincount(row, weight, minlength=number)
    centre = np.column_stack([np.bincount(row, weight * xyz[:, axis], minlength=number) for axis in range(3)])
    away = xyz - (centre / total[:, None])[row]
    moments = np.empty((number, 3, 3))
    for one in range(3):
        for other in range(3):
            moments[:, one, other] = np.bincount(row, weight * away[:, one] * away[:, other], minlength=number) / total
    moments += np.diag(np.asarray(voxel, dtype=np.float64) ** 2 / 12)
    return np.sqrt(np.linalg.eigvalsh(moments)) if number else np.ones((0, 3))
