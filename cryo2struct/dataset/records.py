"""Reader of a data set for training: the `training.npz` of each entry, see `record_writing`. Needs numpy alone."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from cryo2struct.dataset.pack import DAMAGE, Array, PackStructure
from cryo2struct.errors import InputError

RECORD_FILE = "training.npz"
SPLITS_FILE = "splits.csv"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TrainingRecord:
    """An experimental map and the structure in it.

    Attributes
    ----------
    values : (z, y, x) float16, 0 at the level of the solvent, standard deviation 1; of a file: mapped from the disk
    voxel : (3,) float32, voxel size along x, y, z, about 1 angstrom
    structure : coordinates from the centre of voxel 0
    atom_names : what `structure.name` points to
    """

    values: Array
    voxel: Array
    structure: PackStructure
    atom_names: tuple[str, ...]


class TrainingSet:
    """The records of the entries of a data set that may be trained on; their maps stay on the disk.

    All entries of the folder; where it has a `splits.csv`, those of the split "train".

    Attributes
    ----------
    maps : list of TrainingRecord, by the names of their entries; all have the `atom_names` of the set
    atom_names : list of str

    Raises
    ------
    InputError
        There is no folder or no entry, `splits.csv` is no such table or names none of the entries for training, or a
        record is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such data set: set data.real to a folder of `dataset build`, or to null")
        paths = sorted(folder.glob(f"*/{RECORD_FILE}"))
        if not paths:
            raise InputError(f"{folder}: holds no */{RECORD_FILE}: make it with `cryo2struct dataset build`")
        if (folder / SPLITS_FILE).exists():
            chosen = {name for name, split in read_splits(folder / SPLITS_FILE).items() if split == "train"}
            paths = [path for path in paths if path.parent.name in chosen]
            if not paths:
                raise InputError(f"{folder / SPLITS_FILE}: no entry is in the split train: split again")
        records = [read_record(path) for path in paths]
        self.atom_names = list(dict.fromkeys(name for record in records for name in record.atom_names))
        self.maps = [_renamed(record, self.atom_names) for record in records]


def read_record(path: Path) -> TrainingRecord:
    """Read the record of one entry; raises InputError where it is missing or damaged."""
    try:
        with path.open("rb") as handle, np.load(handle) as archive:
            structure = PackStructure(**{f.name: archive[f.name] for f in fields(PackStructure)})
            names, voxel = tuple(str(name) for name in archive["atom_names"]), archive["voxel"]
        values = _mapped(path, "values.npy")
        if values.ndim != 3 or voxel.shape != (3,) or not (voxel > 0).all():
            raise ValueError("values")
        if not {"CA", "N", "C", "O"} <= set(names) or int(structure.name.max()) >= len(names):
            raise ValueError("atom_names")
    except DAMAGE as error:
        raise InputError(f"{path}: no training record, or damaged ({type(error).__name__}): build it again") from None
    return TrainingRecord(values, voxel, structure, names)


def read_splits(path: Path) -> dict[str, str]:
    """Split of each entry, by name, of the `splits.csv` of a data set; raises InputError where it is no such table."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}): split again") from None
    for number, row in enumerate(rows, start=2):
        if not row.get("name") or row.get("split") not in SPLITS:
            raise InputError(f"{path}: row {number}: split is {row.get('split')!r}: give one of {', '.join(SPLITS)}")
    return {row["name"]: row["split"] for row in rows}


def _mapped(path: Path, member: str) -> Array:
    """An array of an npz file that is not compressed, mapped from the disk: `np.load` maps files of one array alone."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as handle:
        place = archive.getinfo(member)
        if place.compress_type != zipfile.ZIP_STORED:
            raise ValueError("compressed")
        # Before the data stands a header of 30 bytes, of which the last four tell the lengths of a name and of extras.
        handle.seek(place.header_offset + 26)
        name, extra = (int.from_bytes(handle.read(2), "little") for _ in range(2))
        handle.seek(name + extra, 1)
        version = np.lib.format.read_magic(handle)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read_header(handle)
        mapped: Array = np.memmap(path, kind, "r", handle.tell(), shape, "F" if fortran else "C")
        return mapped


def _renamed(record: TrainingRecord, atom_names: list[str]) -> TrainingRecord:
    number = np.array([atom_names.index(name) for name in record.atom_names], dtype=np.uint16)
    structure = replace(record.structure, name=number[record.structure.name])
    return replace(record, structure=structure, atom_names=tuple(atom_names))
