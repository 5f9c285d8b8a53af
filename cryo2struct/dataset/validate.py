"""Whether an entry of a data set is what it says: its files, their grids and values, its labels against its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.dataset.entry import NORMALISED, RECORD
from cryo2struct.dataset.folder import read_entry
from cryo2struct.dataset.labels import ATOM_CODES, HIGHEST_CODE, KINDS, LabelledAtoms, labelled_atoms
from cryo2struct.dataset.records import RECORD_FILE, read_record
from cryo2struct.errors import InputError
from cryo2struct.io.maps import faults_of_format, read_grid, same_grid
from cryo2struct.io.models import read_structure
from cryo2struct.io.streams import read_bytes
from cryo2struct.objects import DensityMap, FloatArray, GridFrame, IntArray
from cryo2struct.residues import modelled_residues

ROUNDING = 2e-3  # angstrom: coordinates in files have three decimals, ORIGIN is single precision


@dataclass
class Check:
    """What was found in an entry.

    Attributes
    ----------
    name : str
    faults : a line each; none in a good entry
    residues, labels : residues of the model, voxels with an atom's label
    shared, outside : atoms without a label as another has their voxel, or as they are outside the map
    farthest : largest distance of a label from its atom in angstrom
    section : (y, x) float16 section of the normalised map through the most labels
    points : voxels (N, 2) y, x of the labels in it by atom
    """

    name: str
    faults: list[str] = field(default_factory=list)
    residues: int = 0
    labels: int = 0
    shared: int = 0
    outside: int = 0
    farthest: float = 0.0
    section: FloatArray | None = None
    points: dict[str, FloatArray] = field(default_factory=dict)


def check_entry(folder: Path) -> Check:
    """Check one entry; what cannot be read is a fault of it."""
    check = Check(folder.name)
    record = read_entry(folder)
    if record is None:
        check.faults.append(f"{RECORD}: is damaged, or a file that it lists is missing; build the entry again")
        return check
    try:
        _check_files(folder, record, check)
    except InputError as fault:
        check.faults.append(str(fault))
    except (KeyError, TypeError, AttributeError) as fault:
        check.faults.append(f"{RECORD}: is damaged ({fault!r}); build the entry again")
    return check


def _check_files(folder: Path, record: Mapping[str, Any], check: Check) -> None:
    grid = record["grid"]
    x, y, z = grid["shape_xyz"]
    frame = GridFrame((z, y, x), np.array(grid["voxel"]), np.array(grid["origin"]))
    for name in record["files"]:
        if name.endswith(".mrc"):
            check.faults += [f"{name}: {line}" for line in faults_of_format(folder / name)]
    structure = read_structure(folder / "model.cif")
    check.residues = len(modelled_residues(structure))
    if check.residues != record["model"]["residues"]:
        check.faults.append(f"model.cif: has {check.residues} residues, the record {record['model']['residues']}")
    lines = read_bytes(folder / "modelled_sequence.fasta").decode("utf-8", errors="replace").splitlines()
    letters = sum(len(line) for line in lines if not line.startswith(">"))
    if letters != check.residues:
        check.faults.append(f"modelled_sequence.fasta: has {letters} letters for {check.residues} residues")
    normalised = _read(folder / NORMALISED, frame, check)
    low, high = float(normalised.values.min()), float(normalised.values.max())
    if low < 0 or not np.isclose(high, 1):
        check.faults.append(f"{NORMALISED}: values are {low:.4g} to {high:.4g}, not 0 to 1")
    atoms = labelled_atoms(structure)
    for kind in KINDS:
        found = _check_labels(folder / f"{kind}_{NORMALISED}", kind, atoms, frame, record, check)
        if kind == "atom":
            _take_section(normalised.values, found, check)
    _check_training(folder / RECORD_FILE, frame, check)


def _read(path: Path, frame: GridFrame, check: Check) -> DensityMap:
    found = read_grid(path)
    if found.frame.shape != frame.shape:
        raise InputError(f"{path.name}: has other voxels than the record says; build the entry again")
    if not same_grid(found.frame, frame):
        check.faults.append(f"{path.name}: lies elsewhere than the record says")
    return found


def _check_labels(
    path: Path, kind: str, atoms: LabelledAtoms, frame: GridFrame, record: Mapping[str, Any], check: Check
) -> dict[str, IntArray]:
    """Labels of a kind; their voxels (N, 3) by atom."""
    values = _read(path, frame, check).values
    voxels = np.argwhere(values != 0)
    codes = values[tuple(voxels.T)]
    if not (np.isin(codes, np.arange(1, HIGHEST_CODE[kind] + 1))).all():
        check.faults.append(f"{path.name}: has values that are no codes 0 to {HIGHEST_CODE[kind]}")
        return {}
    rows, wanted = atoms.codes(kind)
    for code in range(1, HIGHEST_CODE[kind] + 1):
        points, places = frame.to_xyz(voxels[codes == code]), atoms.xyz[rows[wanted == code]]
        if not len(points):
            continue
        distance = cKDTree(places).query(points)[0].max() if len(places) else np.inf
        check.farthest = max(check.farthest, float(distance))
        if distance > _reach(frame, record) + ROUNDING:
            check.faults.append(f"{path.name}: a label {code} is {distance:.2f} A from the next such atom of the model")
    _check_counts(path.name, kind, len(voxels), int((wanted != 0).sum()), record, check)
    return {atom: voxels[codes == code] for atom, code in ATOM_CODES.items()} if kind == "atom" else {}


def _check_counts(name: str, kind: str, labels: int, atoms: int, record: Mapping[str, Any], check: Check) -> None:
    """Each atom has its label, or is told to be outside the map or to share its voxel."""
    told = record["labels"][kind]
    if labels != told["labels"]:
        check.faults.append(f"{name}: has {labels} labels, the record {told['labels']}")
    if labels + told["shared"] + told["outside"] != atoms:
        lost = atoms - labels - told["shared"] - told["outside"]
        check.faults.append(f"{name}: {lost} of {atoms} atoms have no label and are not told to be without")
    if kind == "atom":
        check.labels, check.shared, check.outside = labels, told["shared"], told["outside"]


def _reach(frame: GridFrame, record: Mapping[str, Any]) -> float:
    """Largest distance in angstrom of a label from its atom: half the diagonal of a voxel; see `published_voxels`."""
    if record["options"]["published_labels"]:
        return float(np.linalg.norm(np.maximum(frame.voxel, 1.0)))
    return float(np.linalg.norm(frame.voxel)) / 2


def _take_section(values: NDArray[np.float32], voxels: Mapping[str, IntArray], check: Check) -> None:
    """The section through the most labels, and these."""
    heights = np.concatenate([np.empty(0, dtype=np.int64), *(place[:, 0] for place in voxels.values())])
    if len(heights):
        z = int(np.bincount(heights).argmax())
        check.section = values[z].astype(np.float16)
        check.points = {atom: place[place[:, 0] == z, 1:].astype(np.float64) for atom, place in voxels.items()}


def _check_training(path: Path, frame: GridFrame, check: Check) -> None:
    record = read_record(path)
    if record.values.shape != frame.shape or not np.allclose(record.voxel, frame.voxel, rtol=1e-5):
        check.faults.append(f"{path.name}: holds another map than the entry's")
    if not np.isfinite(record.values).all():
        check.faults.append(f"{path.name}: has values that are no numbers")
