"""C-alpha candidates: maxima of the predicted probability, placed between the voxels."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from scipy.spatial import cKDTree

from cryo2struct.objects import Candidates, FloatArray, IntArray, Prediction
from cryo2struct.settings import PickingSettings

CA, N, C = 1, 2, 3
SLAB = 64  # planes whose probabilities are in memory as a box at a time
LEAST_HEIGHT = 0.01  # of the smoothed probability at a maximum


def pick_candidates(prediction: Prediction, settings: PickingSettings) -> Candidates:
    """Candidates by non-maximum suppression with probability-weighted sub-voxel positions.

    Local maxima of the smoothed C-alpha probability are taken in falling order, each suppressing those nearer than
    `separation`. A candidate lies at the centre of the probability within `radius`; its presence probability is a
    calibrated function of the probability found there.

    Returns
    -------
    Candidates
        In falling order of presence; empty arrays when nothing reaches the threshold.
    """
    peaks = _suppressed_maxima(prediction, settings)
    centre, mass = _centres(prediction, peaks, settings.radius / float(np.mean(prediction.frame.voxel)))
    presence = calibrated_presence(mass, settings)
    keep = np.flatnonzero(presence >= settings.threshold)
    keep = keep[np.argsort(-presence[keep], kind="stable")]
    index = centre[keep]
    rows = _nearest_cells(prediction, index)
    heads = {name: value[rows].astype(np.float64) for name, value in prediction.heads.items()}
    aa = heads["aa"] / np.maximum(heads["aa"].sum(axis=1, keepdims=True), 1e-9)
    return Candidates(
        xyz=prediction.frame.to_xyz(index),
        ca_prob=presence[keep],
        aa_prob=aa,
        next_vec=_unit(heads["next"]),
        prev_vec=_unit(heads["prev"]),
        ss_prob=heads["ss"],
        nonprotein_prob=heads["nonprotein"][:, 0],
    )


def calibrated_presence(mass: FloatArray, settings: PickingSettings) -> FloatArray:
    """Probability that a C-alpha is within 2 A, from the probability `mass` (N,) summed around the maximum."""
    bounded = np.clip(mass, 1e-4, None)
    log_odds = np.log(bounded) - np.log(np.maximum(1.05 - bounded, 0.05))
    return 1 / (1 + np.exp(-(settings.presence_slope * log_odds + settings.presence_offset)))


def _maxima(prediction: Prediction, smoothing: float) -> tuple[IntArray, FloatArray]:
    """Local maxima (P, 3) of the smoothed C-alpha probability and its values (P,), sought slab by slab."""
    planes = prediction.voxels[:, 0]  # rising
    halo = int(4 * smoothing + 0.5) + 2  # what the Gaussian reaches, as scipy cuts it, and the neighbour
    found, heights = [], []
    for start in range(int(planes[0]), int(planes[-1]) + 1, SLAB):
        first, last = np.searchsorted(planes, [start - halo, start + SLAB + halo])
        if first == last:
            continue
        voxels = prediction.voxels[first:last]
        low = voxels.min(axis=0) - halo
        dense = np.zeros(voxels.max(axis=0) - low + halo + 1, dtype=np.float32)
        dense[tuple((voxels - low).T)] = prediction.atoms[first:last, CA]
        smooth = scipy.ndimage.gaussian_filter(dense, smoothing)
        maxima = np.argwhere((smooth == scipy.ndimage.maximum_filter(smooth, size=3)) & (smooth > LEAST_HEIGHT))
        plane = maxima[:, 0] + low[0]
        maxima = maxima[(plane >= start) & (plane < start + SLAB)]
        heights.append(smooth[tuple(maxima.T)])
        found.append(maxima + low)
    return np.concatenate(found), np.concatenate(heights)


def _suppressed_maxima(prediction: Prediction, settings: PickingSettings) -> IntArray:
    """Voxels (P, 3) of the maxima that survive suppression, in falling order."""
    maxima, height = _maxima(prediction, settings.smoothing)
    maxima = maxima[np.argsort(-height, kind="stable")]
    position = maxima[:, ::-1] * prediction.frame.voxel
    suppressed = np.zeros(len(maxima), dtype=bool)
    neighbours = cKDTree(position).query_ball_point(position, settings.separation) if len(maxima) else []
    for i, near in enumerate(neighbours):
        if not suppressed[i]:
            suppressed[[j for j in near if j > i]] = True
    return maxima[~suppressed]


def _centres(prediction: Prediction, peaks: IntArray, radius: float) -> tuple[FloatArray, FloatArray]:
    """Probability-weighted centre (P, 3) and sum (P,) of the probability within `radius` voxels of each peak.

    A voxel between two peaks belongs to the nearer one.
    """
    reach = int(np.ceil(radius))
    steps = np.argwhere(np.ones((2 * reach + 1,) * 3)) - reach
    steps = steps[(steps**2).sum(axis=1) <= radius**2]
    around = peaks[:, None] + steps
    weight = _probability_at(prediction, around)
    if len(peaks) > 1:
        nearest = cKDTree(peaks).query(around.reshape(-1, 3))[1].reshape(around.shape[:2])
        weight = np.where(nearest == np.arange(len(peaks))[:, None], weight, 0)
    mass = weight.sum(axis=1)
    centre = (around * weight[..., None]).sum(axis=1) / np.maximum(mass, 1e-12)[:, None]
    return centre, mass


def _probability_at(prediction: Prediction, voxels: IntArray) -> FloatArray:
    """C-alpha probability (...) at voxels (..., 3), 0 where nothing was predicted."""
    if voxels.size == 0:
        return np.zeros(voxels.shape[:-1])
    # Flat indices in a box that holds both; those of the predicted voxels rise.
    low = np.minimum(prediction.voxels.min(axis=0), voxels.reshape(-1, 3).min(axis=0))
    size = np.maximum(prediction.voxels.max(axis=0), voxels.reshape(-1, 3).max(axis=0)) - low + 1
    strides = np.array([size[1] * size[2], size[2], 1], dtype=np.int64)
    known, wanted = (prediction.voxels - low) @ strides, (voxels - low) @ strides
    row = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[row] == wanted, prediction.atoms[row, CA].astype(np.float64), 0.0)


def _nearest_cells(prediction: Prediction, index: FloatArray) -> IntArray:
    """Row of the predicted cell that holds, or is nearest to, each voxel index (N, 3)."""
    if len(index) == 0:
        return np.zeros(0, dtype=np.int64)
    rows: IntArray = cKDTree(prediction.cells * 2 + 0.5).query(index)[1]
    return rows


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > 1e-3, vectors / np.maximum(length, 1e-3), np.nan)
