"""Cutting a box into overlapping tiles and blending what was predicted in them.

Near its faces a tile lacks the neighbourhood that a network needs, hence the overlap: there each tile's word counts
the less the nearer a voxel is to the tile's face.
"""

from __future__ import annotations

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
    """Weighted mean of overlapping tiles at chosen voxels only, so that memory follows the occupied part of a map.

    Parameters
    ----------
    tiling : Tiling
    chosen : bool (z, y, x), the voxels to keep
    channels : int

    Attributes
    ----------
    index : (M, 3) int32, z, y, x of the chosen voxels
    """

    def __init__(self, tiling: Tiling, chosen: NDArray[np.bool_], channels: int) -> None:
        self.index = np.argwhere(chosen).astype(np.int32)
        self._chosen = chosen
        # Rows rise along x: the first one of every line is enough, a table of the whole box is not needed.
        per_line = np.count_nonzero(chosen, axis=2)
        self._first_row = (np.cumsum(per_line) - per_line.ravel()).reshape(per_line.shape)
        self._window = tiling.window()
        self._sum = np.zeros((len(self.index), channels), dtype=np.float32)
        self._weight = np.zeros(len(self.index), dtype=np.float32)

    def add(self, tile: FloatArray, start: Start) -> None:
        """Put in what was predicted in the tile (channels, size, size, size) at `start`."""
        z, y, x = start
        size = tile.shape[1]
        lines = self._chosen[z : z + size, y : y + size, : x + size]
        here = np.nonzero(lines[:, :, x:])
        first = self._first_row[z : z + size, y : y + size] + np.count_nonzero(lines[:, :, :x], axis=2)
        within = np.cumsum(lines[:, :, x:], axis=2, dtype=np.int32)[here] - 1
        rows = first[here[:2]] + within
        weight = self._window[here]
        self._sum[rows] += np.moveaxis(tile, 0, -1)[here] * weight[:, None]
        self._weight[rows] += weight

    def result(self) -> NDArray[np.float32]:
        """The mean (M, channels) at the rows of `index`."""
        return (self._sum / np.maximum(self._weight, 1e-12)[:, None]).astype(np.float32, copy=False)
