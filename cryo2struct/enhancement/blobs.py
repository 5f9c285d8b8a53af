"""Connected blobs of a density that is mostly empty, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray, GridFrame, IntArray

HALF = 0.5  # of the peak of a connected piece: what reaches it is a blob
APART = 2.5  # angstrom; a lower peak this near to a higher one is part of it
FULL = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class Blobs:
    """Blobs (B) of a density, the highest first.

    Attributes
    ----------
    peaks : (B,) arrays (P, 3) of voxels z, y, x that are higher than their neighbours, the highest first; those nearer
        than `APART` to a higher one of the same blob are left out
    height : (B,) highest value
    volume : (B,) cubic angstrom that reach half of the height
    elongation : (B,) longest over middle standard deviation of the blob along its principal axes, 1 for a ball
    labels : (z, y, x) int32, 1-based number of the blob of each voxel, 0 for none
    """

    peaks: tuple[IntArray, ...]
    height: FloatArray
    volume: FloatArray
    elongation: FloatArray
    labels: NDArray[np.int32]

    def of_volume(self, least: float) -> Blobs:
        """Those of at least so many cubic angstrom."""
        (rows,) = np.nonzero(self.volume >= least)
        number = np.zeros(len(self.volume) + 1, dtype=np.int32)
        number[rows + 1] = np.arange(1, len(rows) + 1)
        return Blobs(
            peaks=tuple(self.peaks[row] for row in rows),
            height=self.height[rows],
            volume=self.volume[rows],
            elongation=self.elongation[rows],
            labels=number[self.labels],
        )


def blobs(values: FloatArray, least: float, frame: GridFrame) -> Blobs:
    """Blobs whose highest value is at least `least`.

    What reaches half of `least` and hangs together is a piece; what reaches half of the highest value of its piece and
    hangs together is a blob. So is what is left of the piece around further peaks, by the same rule: an ion beside a
    nucleic acid.

    Parameters
    ----------
    values : (z, y, x)
    least : above 0
    frame : GridFrame
    """
    summits = _summits(values, least)
    labels = _upper_halves(values, least, values > HALF * least)
    missed = summits[labels[tuple(summits.T)] == 0]
    if len(missed):
        rest = np.argwhere((values > HALF * least) & (labels == 0))
        # What is nearer to the peak of a blob that was found surrounds that one.
        _, nearest = cKDTree(frame.to_xyz(summits)).query(frame.to_xyz(rest))
        mask = np.zeros(values.shape, dtype=np.bool_)
        mask[tuple(rest[labels[tuple(summits[nearest].T)] == 0].T)] = True
        others = _upper_halves(values, least, mask)
        labels += np.where(others > 0, others + labels.max(), 0)
    return _measured(labels, summits[labels[tuple(summits.T)] > 0], values, frame)


def _summits(values: FloatArray, least: float) -> IntArray:
    """Voxels (S, 3) of at least `least` that no neighbour exceeds, the highest first."""
    padded = np.pad(values, 1, constant_values=-np.inf)
    index = np.flatnonzero(padded >= least)
    height = padded.ravel()[index]
    steps = np.asarray(np.ravel_multi_index(tuple(np.indices((3, 3, 3)).reshape(3, -1)), padded.shape))
    top = np.ones(len(index), dtype=np.bool_)
    for step in steps - steps[13]:
        top &= height >= padded.ravel()[index + step]
    order = np.argsort(-height[top], kind="stable")
    return np.column_stack(np.unravel_index(index[top][order], padded.shape)) - 1


def _upper_halves(values: FloatArray, least: float, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Labels of what reaches half of the highest value of its piece of a mask, if that is at least `least`."""
    pieces, number = scipy.ndimage.label(mask, FULL)
    index = np.flatnonzero(pieces)
    piece, height = pieces.ravel()[index], values.ravel()[index]
    top = np.zeros(number + 1, dtype=values.dtype)
    np.maximum.at(top, piece, height)
    low = (top[piece] < least) | (height < HALF * top[piece])
    pieces.ravel()[index[low]] = 0
    scipy.ndimage.label(pieces, FULL, output=pieces)
    return pieces


def _measured(labels: NDArray[np.int32], summits: IntArray, values: FloatArray, frame: GridFrame) -> Blobs:
    """Measure the labels that have a summit (S, 3), which stand from high to low."""
    found, first, of = np.unique(labels[tuple(summits.T)], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # the first summit of a label is its highest
    renumber = np.zeros(labels.max(initial=0) + 1, dtype=np.int32)
    renumber[found] = rank + 1
    labels = renumber[labels]
    number = len(found)
    height = values[tuple(summits[np.sort(first)].T)]
    index = np.flatnonzero(labels)
    row, value = labels.ravel()[index] - 1, values.ravel()[index]
    high = value >= HALF * height[row]
    index, row, value = index[high], row[high], value[high]
    xyz = frame.to_xyz(np.column_stack(np.unravel_index(index, values.shape)))
    spread = _spreads(row, xyz, value.astype(np.float64), number, frame.voxel)
    return Blobs(
        peaks=tuple(_apart(summits[rank[of] == blob], frame) for blob in range(number)),
        height=height,
        volume=np.bincount(row, minlength=number) * float(np.prod(frame.voxel)),
        elongation=spread[:, 2] / spread[:, 1],
        labels=labels,
    )


def _apart(summits: IntArray, frame: GridFrame) -> IntArray:
    """Summits (S, 3), from high to low, without those that are near to a higher one."""
    tree = cKDTree(frame.to_xyz(summits))
    kept = np.ones(len(summits), dtype=np.bool_)
    for row, near in enumerate(tree.query_ball_point(tree.data, APART, return_sorted=True)):
        if kept[row]:
            kept[[other for other in near if other > row]] = False
    return summits[kept]


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
