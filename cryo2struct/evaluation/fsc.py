"""Fourier shell correlation of two maps, such as half maps, and the resolution that it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryo2struct.density import fourier
from cryo2struct.errors import InputError
from cryo2struct.io.maps import describe_grid, same_grid
from cryo2struct.objects import DensityMap, FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.5, 0.143)


@dataclass(frozen=True)
class MapFsc:
    """A curve from low to high resolution, without the mean of the map, and where it falls below 0.5 and 0.143.

    Attributes
    ----------
    d_inv : (S,) 1 / angstrom
    fsc : (S,)
    d_fsc_05, d_fsc_0143 : angstrom; None where the curve stays above
    """

    d_inv: FloatArray
    fsc: FloatArray
    d_fsc_05: float | None
    d_fsc_0143: float | None

    def as_dict(self) -> dict[str, Any]:
        """The crossings, and the curve with six decimals."""
        curve = {"d_inv": np.round(self.d_inv, 6).tolist(), "fsc": np.round(self.fsc, 6).tolist()}
        return {"d_fsc_05": self.d_fsc_05, "d_fsc_0143": self.d_fsc_0143, "curve": curve}


def map_fsc(first: DensityMap, second: DensityMap, mask: DensityMap | None = None) -> MapFsc:
    """Correlate two maps shell by shell (Harauz & van Heel 1986, Optik 73, 146-156).

    Shells are 1 / (longest edge of the box) apart and end at the lowest Nyquist frequency. A mask raises the
    correlation by itself where it is sharp; nothing corrects for that.

    Parameters
    ----------
    first, second : DensityMap
        On one grid.
    mask : DensityMap or None
        On the same grid, 0 to 1; both maps are multiplied by it.

    Raises
    ------
    InputError
        The maps are on different grids, or one has a single value inside the mask.
    """
    if not same_grid(first.frame, second.frame):
        grids = f"{describe_grid(first.frame)}, and {describe_grid(second.frame)}"
        raise InputError(f"MAP2: its grid is not that of MAP1 ({grids}); resample one of them, or see --origin")
    one, two = (density.values if mask is None else density.values * mask.values for density in (first, second))
    for name, values in (("MAP1", one), ("MAP2", two)):
        if values.min() == values.max():
            raise InputError(f"{name}: is {values.min() + 0.0:g} everywhere inside the mask; give another map or mask")
    d_inv, curve = (part[1:] for part in fourier.fsc(one, two, first.frame.voxel))
    half, gold = (fourier.crossing(d_inv, curve, level) for level in LEVELS)
    return MapFsc(d_inv, curve, half, gold)


def draw(figure: Figure, found: MapFsc) -> None:
    """Draw the curve and its crossings into an empty figure."""
    axes = figure.add_subplot()
    axes.plot(found.d_inv, found.fsc)
    for level, place in zip(LEVELS, (found.d_fsc_05, found.d_fsc_0143), strict=True):
        label = f"{level:g}" if place is None else f"{level:g} at {place:.2f} Å"
        (line,) = axes.plot(found.d_inv[[0, -1]], [level, level], linestyle="--", linewidth=1, label=label)
        if place is not None:
            axes.plot(1 / place, level, marker="o", color=line.get_color())
    axes.set_xlabel("1 / resolution (1 / Å)")
    axes.set_ylabel("Fourier shell correlation")
    axes.set_ylim(min(-0.1, float(found.fsc.min())), 1.05)
    axes.grid(alpha=0.3)
    axes.legend()
