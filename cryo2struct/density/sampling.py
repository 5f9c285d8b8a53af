"""Values of a map between its voxels."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import ArrayLike

from cryo2struct.objects import DensityMap, FloatArray


def values_at(density: DensityMap, xyz: ArrayLike) -> FloatArray:
    """Trilinear values (N,) of a map at points (N, 3) in angstrom, 0 outside its box."""
    index = density.frame.to_index(np.asarray(xyz, dtype=np.float64).reshape(-1, 3))
    values = scipy.ndimage.map_coordinates(density.values, index.T, order=1, mode="constant", output=np.float64)
    return np.asarray(values)
