"""Ramachandran classes and regions of residues.

The contours of the Top8000 set (Williams et al. 2018, Protein Science 27, 293-315) are known here at 400 pairs of phi
and psi for each class, and interpolated between them. `ramachandran.npy` holds these pairs (degrees) and the values
there, (6, 400, 3) float32, in the order of `CLASSES`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from cryo2struct.evaluation.main_chain import MainChain
from cryo2struct.objects import FloatArray, IntArray

CLASSES = ("general", "glycine", "cis-proline", "trans-proline", "pre-proline", "isoleucine or valine")
GENERAL, GLYCINE, CIS_PROLINE, TRANS_PROLINE, PRE_PROLINE, ISOLEUCINE_VALINE = range(len(CLASSES))

REGIONS = ("outlier", "allowed", "favored")
FAVORED = 0.02
ALLOWED = np.array([0.0005, 0.001, 0.002, 0.001, 0.001, 0.001])
"""Least value of a region; that of the allowed one by class."""

FLOOR = 1e-5  # lower values count as this
LENGTH = np.radians(120)
"""Scale of the interpolation; any value from 80 degrees up does equally well in leave-one-out tests of the points."""


def ramachandran_classes(chain: MainChain) -> IntArray:
    """Index into `CLASSES` of each residue (R,)."""
    glycine, proline = chain.named("GLY"), chain.named("PRO")
    before_proline = np.roll(proline & chain.linked, -1)
    conditions = [glycine, proline & (np.abs(chain.omega) <= 90), proline, before_proline, chain.named("ILE", "VAL")]
    choices = [GLYCINE, CIS_PROLINE, TRANS_PROLINE, PRE_PROLINE, ISOLEUCINE_VALINE]
    return np.select(conditions, choices, GENERAL)


def ramachandran_regions(classes: IntArray, phi: FloatArray, psi: FloatArray) -> IntArray:
    """Index into `REGIONS` of each residue (R,), -1 where an angle (degrees) is NaN."""
    values = np.full(len(classes), np.nan)
    known = np.isfinite(phi) & np.isfinite(psi)
    for kind in range(len(CLASSES)):
        rows = known & (classes == kind)
        values[rows] = contour(kind, phi[rows], psi[rows])
    region = (values >= ALLOWED[classes]).astype(np.int64) + (values >= FAVORED)
    return np.where(known, region, -1)


def contour(kind: int, phi: FloatArray, psi: FloatArray) -> FloatArray:
    """Value of the contours of a class at angles (P,) in degrees: the share of good residues that lie further out.

    The logarithm is interpolated by kriging with a Matern covariance (smoothness 3/2) of the distance on the torus.
    """
    points, weights = _fitted(kind)
    covariance = _covariance(np.radians(np.column_stack([phi, psi])), points)
    return np.asarray(FLOOR * np.exp(covariance @ weights))


@cache
def _fitted(kind: int) -> tuple[FloatArray, FloatArray]:
    """Angles (400, 2) in radians and weights (400,) of the points of a class."""
    with (resources.files("cryo2struct.evaluation") / "ramachandran.npy").open("rb") as file:
        table = np.load(file)[kind].astype(np.float64)
    points = np.radians(table[:, :2])
    covariance = _covariance(points, points) + 1e-9 * np.eye(len(points))
    return points, cho_solve(cho_factor(covariance), np.log(np.maximum(table[:, 2], FLOOR) / FLOOR))


def _covariance(first: FloatArray, second: FloatArray) -> FloatArray:
    """(P, Q) between angles (P, 2) and (Q, 2) in radians."""
    half = np.sin((first[:, None] - second) / 2)
    scaled = np.sqrt(3) * 2 * np.sqrt((half**2).sum(axis=-1)) / LENGTH
    return np.asarray((1 + scaled) * np.exp(-scaled))


def percentages(regions: IntArray) -> dict[str, float | int | None]:
    """Number of residues with both angles and percentage of them in each region, None without residues."""
    counted = regions[regions >= 0]

    def percent(chosen: NDArray[np.bool_]) -> float | None:
        return 100 * float(chosen.mean()) if len(chosen) else None

    return {
        "n": len(counted),
        "percent_favored": percent(counted == 2),
        "percent_allowed": percent(counted == 1),
        "percent_outliers": percent(counted == 0),
    }
