"""The original density put back into an enhanced map where it is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.density.normalise import background
from cryo2struct.enhancement.guard import Guard
from cryo2struct.enhancement.matching import filtered_alike
from cryo2struct.errors import InputError
from cryo2struct.objects import DensityMap

AROUND = 1.0  # angstrom around the mask that are the original's as well
EDGE = 3.0  # angstrom over which the original fades out beyond that


def keep(original: DensityMap, enhanced: DensityMap, mask: NDArray[Any] | Guard) -> DensityMap:
    """Blend the original, at the scale of the enhanced map, back into it.

    Parameters
    ----------
    original, enhanced : DensityMap
        On one grid.
    mask : (z, y, x) or Guard
        The original is kept where it is above 0, or where a list says that density was removed.

    Returns
    -------
    DensityMap
        With the header of `enhanced`; its values far from the mask are those of `enhanced`.

    Raises
    ------
    InputError
        The grids differ, the mask has another shape, or one of the maps is constant.
    """
    wanted = (mask.removed_blobs if isinstance(mask, Guard) else mask) > 0
    if wanted.shape != enhanced.values.shape:
        raise InputError("mask: its grid is not that of the map: resample it")
    kept = filtered_alike(original, enhanced)
    if not wanted.any():
        return enhanced
    spacing = np.asarray(enhanced.frame.voxel)[::-1]
    values = enhanced.values.copy()
    reach = np.ceil((AROUND + EDGE) / spacing).astype(int) + 1
    (found,) = scipy.ndimage.find_objects(wanted.view(np.int8))
    box = tuple(slice(max(part.start - far, 0), part.stop + far) for part, far in zip(found, reach, strict=True))
    away = scipy.ndimage.distance_transform_edt(~wanted[box], spacing)
    weight = (0.5 + 0.5 * np.cos(np.pi * np.clip((away - AROUND) / EDGE, 0, 1))).astype(np.float32)
    values[box] += weight * (kept[box] + np.float32(background(enhanced.values).level) - values[box])
    return DensityMap(values, enhanced.frame, enhanced.header)
