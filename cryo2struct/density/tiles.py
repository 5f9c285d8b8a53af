"""Cutting a box into overlapping tiles and blending what was predicted in them.

Near its faces a tile lacks the neighbourhood that a network needs, hence the overlap: there each tile's word counts
the less the nearer a voxel is to the tile's face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import FloatArray

Start = tuple[int, int, int]


@dataclass(frozen=True)
class Tiling:
    """Cubic tiles that cover a box.

    Attributes
    ----------
    shape : (z, y, x) of the box in voxels
    size : edge of a tile in voxels
    overlap : least number of voxels that neighbouring tiles share along an axis
    multiple : all starts are multiples of it; `size` and `overlap` must be, too
    """

    shape: tuple[int, int, int]
    size: int
    overlap: int
    multiple: int = 2

    def __post_init__(self) -> None:
        if self.size % self.multiple or self.overlap % self.multiple or not 0 <= self.overlap < self.size:
            raise ValueError(
                f"tiles of {self.size} with overlap {self.overlap} do not fit multiples of {self.multiple}"
            )

    def starts(self, occupied: NDArray[np.bool_] | None = None) -> list[Start]:
        """First voxel (z, y, x) of every tile, or of those that contain an occupied voxel.

        Parameters
        ----------
        occupied : bool (z, y, x), or None for all tiles
        """
        z, y, x = (self._axis_starts(length) for length in self.shape)
        every = list(product(z, y, x))
        if occupied is None:
            return every
        return [start for start in every if occupied[self._inside(start)].any()]

    def cut(self, values: FloatArray, start: Start, fill: float = 0.0) -> FloatArray:
        """One tile (size, size, size) of a box (z, y, x), `fill` where it hangs over."""
        inside = values[self._inside(start)]
        if inside.shape == (self.size,) * 3:
            return inside
        tile = np.full((self.size,) * 3, fill, dtype=values.dtype)
        tile[tuple(slice(length) for length in inside.shape)] = inside
        return tile

    def coarser(self, factor: int) -> Tiling:
        """The same tiles on a grid whose cells are `factor` voxels wide; `factor` divides `multiple`."""
        if self.multiple % factor:
            raise ValueError(f"tiles at multiples of {self.multiple} do not fit cells of {factor} voxels")
        shape = (-(-self.shape[0] // factor), -(-self.shape[1] // factor), -(-self.shape[2] // factor))
        return Tiling(shape, self.size // factor, self.overlap // factor, self.multiple // factor)

    def window(self) -> NDArray[np.float32]:
        """Weights (size, size, size): 1 inside, falling as a raised cosine over the overlap, nowhere 0."""
        distance = np.minimum(np.arange(self.size), np.arange(self.size)[::-1]) + 0.5
        ramp = np.sin(np.pi / 2 * np.minimum(distance / max(self.overlap, 1), 1.0)) ** 2
        return (ramp[:, None, None] * ramp[:, None] * ramp).astype(np.float32)

    def _axis_starts(self, length: int) -> list[int]:
        if length <= self.size:
            return [0]
        # The last tile ends at the box, or less than one multiple behind it; the others are spread evenly.
        last = -(-(length - self.size) // self.multiple)
        steps = -(-last * self.multiple // (self.size - self.overlap))
        return [index * last // steps * self.multiple for index in range(steps + 1)]

    def _inside(self, start: Start) -> tuple[slice, slice, slice]:
        z, y, x = (slice(first, first + self.size) for first in start)
        return z, y, x


class Blend:
    """Weighted mean of tiles that overlap.

    Parameters
    ----------
    tiling : Tiling
    channels : int
    """

    def __init__(self, tiling: Tiling, channels: int) -> None:
        self.tiling = tiling
        self._window = tiling.window()
        self._sum = np.zeros((channels, *tiling.shape), dtype=np.float32)
        self._weight = np.zeros(tiling.shape, dtype=np.float32)

    def add(self, tile: FloatArray, start: Start) -> None:
        """Put in what was predicted in the tile (channels, size, size, size) at `start`."""
        slices = self.tiling._inside(start)
        weight = self._weight[slices]
        depth, height, width = weight.shape
        window = self._window[:depth, :height, :width]
        weight += window
        self._sum[(slice(None), *slices)] += tile[:, :depth, :height, :width] * window

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Voxels (z, y, x) that lie in at least one tile put in."""
        return self._weight > 0

    def result(self, fill: float = 0.0) -> NDArray[np.float32]:
        """The mean (channels, z, y, x), `fill` where no tile was put in. The blend is used up by it."""
        covered = self.covered
        for channel in self._sum:
            np.divide(channel, self._weight, out=channel, where=covered)
            channel[~covered] = fill
        return self._sum


def cut_tiles(
    values: FloatArray, tiling: Tiling, occupied: NDArray[np.bool_] | None = None, fill: float = 0.0
) -> Iterator[tuple[Start, FloatArray]]:
    """Start and values of every tile that contains an occupied voxel.

    Parameters
    ----------
    values : (z, y, x)
    tiling : Tiling of that box
    occupied : bool (z, y, x), or None for all tiles
    fill : value outside the box
    """
    for start in tiling.starts(occupied):
        yield start, tiling.cut(values, start, fill)
