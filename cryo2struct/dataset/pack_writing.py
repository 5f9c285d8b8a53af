"""A structure pack from files of structures; `pack` reads it. Its arrays are those of docs/dataset-splits.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from cryo2struct.dataset.pack import NUCLEOTIDE, Array, PackStructure
from cryo2struct.dataset.pack_rules import why_predicted, why_unfit
from cryo2struct.dataset.packing import cleaned, pack_structure
from cryo2struct.errors import InputError
from cryo2struct.io.models import read_structure
from cryo2struct.io.outputs import atomic_path
from cryo2struct.objects import AMINO_ACIDS

SUFFIXES = (".cif", ".mmcif", ".pdb", ".ent")
COMMON_NAMES = 254  # of atoms; the others share one more, "*"
NO_BASE, OTHER_BASE = 255, 5


@dataclass(frozen=True)
class NamedStructure:
    """A structure to be packed, and what a pack holds of it beside `PackStructure`.

    Attributes
    ----------
    id : PDB code, or what the file is called
    source : file
    resolution : angstrom, NaN unknown
    centre : (3,) of its box in the frame of the file
    structure : coordinates from the centre
    atom_names : what `structure.name` points to
    residue_names : of each residue
    numbers : of each residue, by the author
    """

    id: str
    source: str
    resolution: float
    centre: Array
    structure: PackStructure
    atom_names: tuple[str, ...]
    residue_names: list[str]
    numbers: Array


def structure_files(folder: Path) -> dict[str, list[Path]]:
    """Files of structures below a folder by their id: the name without `pdb` before a code and without endings.

    Raises
    ------
    InputError
        There is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one with mmCIF or PDB files")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        name, dot, ending = path.name.lower().removesuffix(".gz").rpartition(".")
        if path.is_file() and dot + ending in SUFFIXES:
            found.setdefault(name[3:] if len(name) == 7 and name.startswith("pdb") else name, []).append(path)
    if not found:
        raise InputError(f"{folder}: holds no file {', '.join('*' + suffix for suffix in SUFFIXES)} (.gz)")
    return found


def read_for_pack(task: tuple[str, list[Path], float | None]) -> NamedStructure:
    """The best of the files of one id: one with ligands or a known resolution, then that of most atoms.

    Parameters
    ----------
    task : id, files, resolution in angstrom of structures that do not tell theirs, or None

    Raises
    ------
    InputError
        Why none of the files is fit.
    """
    name, paths, resolution = task
    fit, faults = [], []
    for path in paths:
        try:
            fit.append(_read(name, path, resolution))
        except InputError as error:
            faults.append(error)
    if not fit:
        raise faults[0]
    return max(
        fit,
        key=lambda one: ((one.structure.aa > NUCLEOTIDE).any() or one.resolution > 0, len(one.structure.xyz)),
    )


def _read(name: str, path: Path, resolution: float | None) -> NamedStructure:
    given = read_structure(path)
    if fault := why_predicted(path, given):
        raise InputError(f"{path}: {fault}")
    structure = cleaned(given)
    xyz = np.array([site.atom.pos.tolist() for site in structure[0].all()]).reshape(-1, 3)
    if not len(xyz):
        raise InputError(f"{path}: holds no heavy atom but water")
    centre = ((xyz.min(axis=0) + xyz.max(axis=0)) / 2).astype(np.float32)
    packed, atom_names = pack_structure(structure, centre)
    resolution = structure.resolution if structure.resolution > 0 else resolution or np.nan
    if fault := why_unfit(packed, resolution):
        raise InputError(f"{path}: {fault}")
    residues = [residue for chain in structure[0] for residue in chain]
    numbers = np.array([residue.seqid.num or 0 for residue in residues], dtype=np.int64)
    names = [residue.name for residue in residues]
    return NamedStructure(name, path.name, resolution, centre, packed, atom_names, names, numbers)


def write_pack(path: Path, structures: Sequence[NamedStructure]) -> None:
    """Write what `StructurePack` reads; raises OutputError."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **pack_arrays(structures))


def pack_arrays(structures: Sequence[NamedStructure]) -> dict[str, Array]:
    """The arrays of a pack."""
    parts = [one.structure for one in structures]
    whole = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(PackStructure)}
    counts = Counter(one.atom_names[n] for one in structures for n in one.structure.name.tolist())
    common = [name for name, _ in counts.most_common(COMMON_NAMES)]
    number_of = {name: number for number, name in enumerate(common)}
    names = []
    for one in structures:
        table = np.array([number_of.get(name, len(common)) for name in one.atom_names], dtype=np.uint8)
        names.append(table[one.structure.name])
    residue_names = np.concatenate([one.residue_names for one in structures])
    known, index = np.unique(residue_names, return_inverse=True)
    # Differences to the atom before, whatever it belongs to, in 16 bits, the sign in the lowest one.
    steps = np.diff(np.rint(100 * whole["xyz"]).astype(np.int64), axis=0, prepend=0).astype(np.int16)
    code = ((steps << 1) ^ (steps >> 15)).astype(np.uint16).T
    places = np.concatenate([_places(part.chain) for part in parts])
    numbered = np.concatenate([one.numbers for one in structures])
    sizes = [np.bincount(part.residue, minlength=len(part.aa)) for part in parts]
    return {
        "ids": np.array([one.id for one in structures]),
        "source": np.array([one.source for one in structures]),
        "resolution": np.array([one.resolution for one in structures], dtype=np.float32),
        "center": np.array([one.centre for one in structures], dtype=np.float32),
        "atom_offset": np.cumsum([0, *(len(part.xyz) for part in parts)]),
        "res_offset": np.cumsum([0, *(len(part.aa) for part in parts)]),
        "xyz_lo": (code & 255).astype(np.uint8),
        "xyz_hi": (code >> 8).astype(np.uint8),
        "element": whole["element"],
        "name": np.concatenate(names),
        "atom_names": np.array([*common, "*"]),
        "residue_natoms": np.concatenate(sizes).astype(np.uint16),
        "bfactor_res": np.rint(np.clip(whole["bfactor"], 0, 255)).astype(np.uint8),
        **{name: whole[name] for name in ("aa", "ss", "chain", "linked")},
        "base": _bases(residue_names, whole["aa"]),
        "resname": index.astype(np.uint16),
        "res_names": known,
        "resnum_delta": np.diff(places, prepend=0).astype(np.int32),
        "seqid_delta": np.diff(numbered, prepend=0).astype(np.int16),
        "aa_letters": np.array(AMINO_ACIDS),
    }


def _places(chain: Array) -> Array:
    """Position of each residue among those of its chain."""
    places = np.empty(len(chain), dtype=np.int64)
    for one in np.unique(chain):
        places[chain == one] = np.arange((chain == one).sum())
    return places


def _bases(names: Array, aa: Array) -> Array:
    """A, C, G, T, U of nucleotides with or without a D before: 0 to 4; other nucleotides 5."""
    letters = {name: number for number, base in enumerate("ACGTU") for name in (base, f"D{base}")}
    bases = np.array([letters.get(str(name), OTHER_BASE) for name in names], dtype=np.uint8)
    return np.where(aa == NUCLEOTIDE, bases, np.uint8(NO_BASE))
