"""The methods of enhancement behind one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cryo2struct import preflight
from cryo2struct.enhancement.bfactor import sharpen_by_slope
from cryo2struct.errors import UsageError
from cryo2struct.objects import DensityMap, FloatArray
from cryo2struct.record import Recorder
from cryo2struct.settings import Settings

Method = Literal["neural", "bfactor"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Enhanced:
    """An enhanced map and how it was made.

    Attributes
    ----------
    density : DensityMap
        On the grid of the map that was given.
    label : what stands in the header of its file
    facts : method, resolution and what else the method found, for records
    """

    density: DensityMap
    label: str
    facts: dict[str, Any]


def enhance(
    density: DensityMap,
    settings: Settings,
    *,
    method: str = "neural",
    mask: NDArray[np.bool_] | None = None,
    record: Recorder | None = None,
) -> Enhanced:
    """Enhance a map.

    The result is scaled about the background's level so that its root mean square departure from it is that of the
    original within the occupied part of the map.

    Parameters
    ----------
    density : DensityMap
    settings : Settings
        Of these `map.resolution`, `map.contour`, `device`, `threads` and the group `enhancement`.
    method : one of `METHODS`
    mask : bool (z, y, x), optional
        Where the molecule is; on the grid of the map.
    record : Recorder, optional

    Raises
    ------
    UsageError
        There is no such method.
    InputError
        The map does not allow the method.
    NothingToBuildError
        No part of the map looks occupied.
    """
    if method not in METHODS:
        raise UsageError(f"--method {method}: not known; give one of {', '.join(METHODS)}")
    record = record or Recorder()
    with record.step("check map"):
        found = preflight.look(density, settings, mask)
        preflight.require_density(found)
        source = "estimated from the map" if found.estimated else "given"
        facts: dict[str, Any] = {"method": method, "resolution": round(found.resolution, 2)}
        facts["resolution_source"] = source
        record.say(f"resolution {found.resolution:.2f} A ({source})")
    with record.step("sharpen"):
        values, b_factor = sharpen_by_slope(density.values, density.frame.voxel, found.resolution, mask)
    facts["b_factor"] = round(b_factor, 1)
    record.say(f"B factor {b_factor:.1f} A^2")
    inside = found.region.on(density.frame)
    values = _scaled(values, density.values, inside, found.level, found.level)
    label = f"enhanced: bfactor {b_factor:.0f} A^2 to {found.resolution:.2f} A; not for deposition"
    return Enhanced(DensityMap(values, density.frame, density.header), label, facts)


def _scaled(
    values: FloatArray, original: NDArray[np.float32], inside: NDArray[np.bool_], zero: float, level: float
) -> NDArray[np.float32]:
    """Values, whose background is `zero`, brought to the background and the contrast of the original."""
    departure = values[inside].astype(np.float64) - zero
    own = np.sqrt(np.mean(departure**2))
    wanted = np.sqrt(np.mean((original[inside].astype(np.float64) - level) ** 2))
    factor = wanted / own if own > 0 else 0.0
    result = (values - np.float32(zero)) * np.float32(factor) + np.float32(level)
    return np.asarray(np.where(original == 0, 0, result), dtype=np.float32)
