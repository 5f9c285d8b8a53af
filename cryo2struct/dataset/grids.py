"""Sub-grids of the maps and labels of a data set: cores that fill the box, each with a margin of its neighbours.

Networks that take small boxes are trained on these, 32 voxels wide of which the middle 20 count, and what they predict
is put together again from the cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from cryo2struct.dataset.pack import Array
from cryo2struct.density.tiles import Start, Tiling
from cryo2struct.errors import InputError
from cryo2struct.io.maps import read_map
from cryo2struct.io.outputs import atomic_path, make_folder

MAPS = {
    "map": "emd_normalized_map.mrc",
    "atom": "atom_emd_normalized_map.mrc",
    "atom_ca": "atom_ca_emd_normalized_map.mrc",
    "amino": "amino_emd_normalized_map.mrc",
    "sec_struc": "sec_struc_emd_normalized_map.mrc",
}
"""Files of an entry by what they hold: density, float32, and labels, uint8."""


@dataclass(frozen=True)
class SubGrids:
    """Sub-grids of a box; outside of it everything is 0.

    Attributes
    ----------
    shape : (z, y, x) of the box in voxels
    core : edge of the part of a sub-grid that counts
    overlap : voxels around the core, on each side
    """

    shape: tuple[int, int, int]
    core: int = 20
    overlap: int = 6

    def __post_init__(self) -> None:
        if self.core < 1 or self.overlap < 0:
            raise ValueError(f"a core of {self.core} and an overlap of {self.overlap} voxels make no sub-grid")

    @property
    def size(self) -> int:
        """Edge of a sub-grid in voxels."""
        return self.core + 2 * self.overlap

    def starts(self) -> list[Start]:
        """First voxel (z, y, x) of the core of each sub-grid; x changes fastest."""
        z, y, x = (range(0, length, self.core) for length in self.shape)
        return list(product(z, y, x))

    def cut(self, values: Array) -> Iterator[Array]:
        """Sub-grids (size, size, size) of a box (z, y, x), in the order of `starts`."""
        before = np.pad(values, [(self.overlap, 0)] * 3)
        shape = (before.shape[0], before.shape[1], before.shape[2])
        tiling = Tiling(shape, self.size, 0, multiple=1)  # cuts alone: where, is said here
        return (tiling.cut(before, start) for start in self.starts())

    def assemble(self, predictions: Sequence[Array] | Array) -> Array:
        """The box (..., z, y, x) of which each voxel is what the sub-grid says that has it in its core.

        Parameters
        ----------
        predictions : (..., size, size, size) for each sub-grid, in the order of `starts`
        """
        starts = self.starts()
        if len(predictions) != len(starts):
            raise ValueError(f"{len(predictions)} predictions for {len(starts)} sub-grids")
        whole = np.zeros((*predictions[0].shape[:-3], *self.shape), dtype=predictions[0].dtype)
        for start, prediction in zip(starts, predictions, strict=True):
            lengths = [min(self.core, n - first) for n, first in zip(self.shape, start, strict=True)]
            z, y, x = (slice(first, first + n) for first, n in zip(start, lengths, strict=True))
            inside = [slice(self.overlap, self.overlap + n) for n in lengths]
            whole[..., z, y, x] = prediction[..., inside[0], inside[1], inside[2]]
        return whole


def open_grids(entry: Path, kind: str, core: int = 20, overlap: int = 6) -> Array:
    """Sub-grids (N, size, size, size) of a map or of labels, read from the disk where they are looked at.

    They are made when they are asked for first, in the folder `grids` of the entry, and stay there: about
    ((core + 2 overlap) / core)^3 times the size of the map as float32 (density) or uint8 (labels).

    Parameters
    ----------
    entry : folder of an entry of a data set
    kind : "map", "atom", "atom_ca", "amino" or "sec_struc", see `MAPS`
    core, overlap : voxels, see `SubGrids`

    Raises
    ------
    InputError
        The entry lacks the file, or it cannot be read.
    OutputError
        The sub-grids cannot be written.
    """
    path = entry / "grids" / f"{kind}_{core}_{overlap}.npy"
    if not path.is_file():
        density, _ = read_map(entry / MAPS[kind])
        values = density.values if kind == "map" else density.values.astype(np.uint8)
        grids = SubGrids(density.frame.shape, core, overlap)
        make_folder(path.parent)
        with atomic_path(path) as temporary:
            shape = (len(grids.starts()), *3 * (grids.size,))
            written = np.lib.format.open_memmap(temporary, mode="w+", dtype=values.dtype, shape=shape)
            for number, grid in enumerate(grids.cut(values)):
                written[number] = grid
            written.flush()
            del written  # unmapped before it is renamed
    try:
        opened: Array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as fault:
        raise InputError(f"{path}: cannot be read ({fault}); remove it to have it made again") from None
    return opened
