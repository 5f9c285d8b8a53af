"""Least-squares superposition of points on points, for many weightings at once."""

from __future__ import annotations

import numpy as np

from cryo2struct.objects import FloatArray


def superpose(moving: FloatArray, fixed: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Proper rotations and translations that bring points nearest to others.

    Source: W. Kabsch 1976, Acta Cryst. A32, 922-923.

    Parameters
    ----------
    moving, fixed : (L, 3) in angstrom
    weights : (B, L)
        One superposition per row; its sum is positive.

    Returns
    -------
    rotations : (B, 3, 3)
    translations : (B, 3)
        `rotation @ moving + translation` lies on `fixed`.
    """
    weights = weights / weights.sum(axis=1, keepdims=True)
    from_centres, to_centres = weights @ moving, weights @ fixed
    products = (fixed[:, :, None] * moving[:, None, :]).reshape(-1, 9)
    covariances = (weights @ products).reshape(-1, 3, 3) - to_centres[:, :, None] * from_centres[:, None, :]
    left, _, right = np.linalg.svd(covariances)
    left[:, :, 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
    rotations = left @ right
    return rotations, to_centres - (rotations @ from_centres[:, :, None])[:, :, 0]


def superposition_rmsd(moving: FloatArray, fixed: FloatArray) -> float | None:
    """Root mean square distance (angstrom) of points (L, 3) after superposition, None without points."""
    if not len(moving):
        return None
    middle = fixed.mean(axis=0)
    moving, fixed = moving - moving.mean(axis=0), fixed - middle
    rotations, translations = superpose(moving, fixed, np.ones((1, len(moving))))
    moved = moving @ rotations[0].T + translations[0]
    return float(np.sqrt(((moved - fixed) ** 2).sum(axis=1).mean()))
