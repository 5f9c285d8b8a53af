"""Reader of a map pack: experimental maps with their models, as `real_maps` writes it. Needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from cryo2struct.dataset.pack import DAMAGE, Array, PackStructure
from cryo2struct.errors import InputError


@dataclass(frozen=True)
class MappedStructure:
    """A map and the structure in it.

    Attributes
    ----------
    values : (z, y, x) float16, 0 at the level of the solvent
    voxel : (3,) voxel size along x, y, z, about 1 angstrom
    structure : coordinates from the centre of voxel 0
    """

    values: Array
    voxel: Array
    structure: PackStructure


class MapPack:
    """All maps of a pack, in memory.

    Attributes
    ----------
    maps : list of MappedStructure
    atom_names : list of str, what `PackStructure.name` points to

    Raises
    ------
    InputError
        The file is missing, damaged, or no map pack.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: map pack not found: set data.real to the path of real.npz, or to null")
        try:
            self._read(path)
        except DAMAGE as error:
            raise InputError(f"{path}: no map pack, or damaged ({type(error).__name__}): write it again") from None

    def _read(self, path: Path) -> None:
        with path.open("rb") as handle, np.load(handle) as archive:
            self.atom_names = [str(name) for name in archive["atom_names"]]
            self.maps = []
            for number in range(len(archive["maps"])):
                structure = PackStructure(**{f.name: archive[f"{f.name}_{number}"] for f in fields(PackStructure)})
                values, voxel = archive[f"values_{number}"], archive[f"voxel_{number}"]
                if values.ndim != 3 or voxel.shape != (3,) or not np.isfinite(values).all() or not (voxel > 0).all():
                    raise ValueError("values")
                self.maps.append(MappedStructure(values, voxel, structure))
        if not self.maps or not {"CA", "N", "C", "O"} <= set(self.atom_names):
            raise ValueError("empty")
