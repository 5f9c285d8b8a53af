"""Reading back what `build` left in its folder."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from pydantic import BaseModel, ValidationError

from cryo2struct.errors import InputError
from cryo2struct.io.map_header import OriginPolicy
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.io.outputs import RUN_FILE, sha256, write_text
from cryo2struct.io.sequences import read_sequences
from cryo2struct.io.streams import read_bytes
from cryo2struct.objects import UNASSIGNED, DensityMap, Entity, FloatArray, IntArray, Sequences

MIRRORED_MAP = "map_mirrored.mrc"
"""The map flipped along x, where the model belongs to it."""

MEAN_MAP = "map_mean.mrc"
"""The mean of the half maps, where no other map was given."""


class InputFile(BaseModel):
    """A file that the run read."""

    path: str
    sha256: str


class Step(BaseModel):
    """Time and memory of one step."""

    name: str
    seconds: float
    peak_memory_gb: float


class MapReading(BaseModel):
    """How the run read its map."""

    voxel_size: float | None
    origin: OriginPolicy
    max_voxels: int


class ReadSettings(BaseModel):
    """Of the run's settings, those that its inputs are read with."""

    map: MapReading


class RunRecord(BaseModel):
    """What run.json says; see `cryo2struct.record.save_record`."""

    files: list[str]
    inputs: dict[str, InputFile]
    settings: ReadSettings
    versions: dict[str, str]
    weights: list[dict[str, str]]
    steps: list[Step]
    counts: dict[str, Any]
    warnings: list[str]
    command: str = ""


@dataclass(frozen=True)
class BuiltChain:
    """One chain of the model.

    Attributes
    ----------
    name : chain name
    sequence : name of its sequence
    letters : one-letter codes of the whole sequence
    position : (R,) positions of the built residues in the sequence, from 1, ascending
    confidence : (R,) percent
    interpolated : (R,) bool, no candidate was found for the residue
    backbone : (R, 4, 3) N, CA, C, O in angstrom; NaN where an atom is missing
    """

    name: str
    sequence: str
    letters: str
    position: IntArray
    confidence: FloatArray
    interpolated: np.typing.NDArray[np.bool_]
    backbone: FloatArray

    @property
    def unbuilt(self) -> list[tuple[int, int]]:
        """First and last position of each stretch that is not built."""
        edges = [0, *self.position.tolist(), len(self.letters) + 1]
        return [(before + 1, after - 1) for before, after in pairwise(edges) if after - before > 1]


@dataclass(frozen=True)
class FinishedRun:
    """A folder that `build` wrote.

    Attributes
    ----------
    folder : path
    record : RunRecord
    chains : tuple of BuiltChain
    structure : gemmi.Structure
    """

    folder: Path
    record: RunRecord
    chains: tuple[BuiltChain, ...]
    structure: gemmi.Structure


def read_run(folder: str | os.PathLike[str]) -> FinishedRun:
    """Read run.json, model.cif and confidence.csv of a folder that `build` wrote.

    Raises
    ------
    InputError
        It is no such folder, its run built no model, or a file is missing, damaged or of another run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name the output folder of build")
    if not (folder / RUN_FILE).exists():
        raise InputError(f"{folder}: holds no {RUN_FILE}; name the output folder of build")
    record = _read_record(folder / RUN_FILE)
    if "model.cif" not in record.files or "map" not in record.inputs:
        raise InputError(f"{folder / RUN_FILE}: the run built no model; build again")
    structure = read_structure(folder / "model.cif")
    chains = _read_chains(folder, structure)
    return FinishedRun(folder, record, chains, structure)


def read_map_of(run: FinishedRun) -> tuple[DensityMap | None, str]:
    """The map that the model belongs to, read as the run did; where it cannot be had, None and why, in one line."""
    source = run.record.inputs["map"]
    path, how = Path(source.path), run.record.settings.map
    try:
        if run.record.counts.get("mirrored") is True:
            return read_map(run.folder / MIRRORED_MAP, max_voxels=how.max_voxels)[0], ""
        if path.is_file() and sha256(path) != source.sha256:
            return None, f"{path} is no longer the map that the model was built into"
        reading = {"voxel_size": how.voxel_size, "origin": how.origin, "max_voxels": how.max_voxels}
        return read_map(path, **reading)[0], ""  # type: ignore[arg-type]
    except (InputError, OSError) as fault:
        return None, f"the map cannot be read: {fault}"


def read_sequences_of(run: FinishedRun) -> Sequences:
    """The sequences of the run's FASTA file, and the entity of residues that none of them explains, where there is one.

    Raises
    ------
    InputError
        The FASTA file cannot be read.
    """
    sequences, _ = read_sequences(Path(run.record.inputs["fasta"].path))
    letters = [chain.letters for chain in run.chains if chain.sequence == UNASSIGNED]
    unassigned = [Entity(UNASSIGNED, each, 1, "protein") for each in letters]
    return Sequences((*sequences.entities, *unassigned))


def sequences_without_chain(run: FinishedRun) -> list[str]:
    """Names of the proteins in the run's FASTA file of which nothing was built; empty where the file is gone."""
    source = run.record.inputs.get("fasta")
    try:
        if source is None or sha256(source.path) != source.sha256:
            return []
        sequences, _ = read_sequences(source.path)
    except (InputError, OSError):
        return []
    built = {chain.sequence for chain in run.chains}
    return [entity.name for entity in sequences.proteins if entity.name not in built]


def list_file(folder: Path, name: str) -> None:
    """Add a file to those that run.json lists as the run's own, so that `build --force` replaces it too.

    Raises
    ------
    OutputError
        run.json cannot be written.
    """
    content = json.loads(read_bytes(folder / RUN_FILE))
    if name not in content["files"]:
        content["files"].append(name)
        write_text(folder / RUN_FILE, json.dumps(content, indent=1) + "\n")


def _read_record(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(read_bytes(path))
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{path}: damaged or of another version: {where}: {first['msg']}; build again with this version"
        ) from None


def _read_chains(folder: Path, structure: gemmi.Structure) -> tuple[BuiltChain, ...]:
    """The chains of model.cif with the confidence of confidence.csv; raises InputError."""
    names = _sequence_names(folder / "model.cif")
    rows = _read_confidence(folder / "confidence.csv")
    chains = []
    for chain in structure[0]:
        polymer = [residue for residue in chain if residue.entity_type == gemmi.EntityType.Polymer]
        if not polymer:
            continue
        entity = structure.get_entity_of(chain.get_polymer())
        letters = _letters(entity)
        values = rows.pop(chain.name, {})
        position = np.array([residue.label_seq or 0 for residue in polymer])
        rising = bool((np.diff(position) > 0).all()) and position[0] >= 1 and position[-1] <= len(letters)
        if not rising or list(values) != position.tolist():
            raise InputError(
                f"{folder / 'confidence.csv'}: chain {chain.name!r} has other residues than in model.cif; build again"
            )
        table = np.array(list(values.values()))
        backbone = np.array([_backbone(residue) for residue in polymer])
        sequence = names.get(entity.name if entity else "", "")
        chains.append(BuiltChain(chain.name, sequence, letters, position, table[:, 0], table[:, 1] > 0, backbone))
    if rows or not chains:
        raise InputError(f"{folder / 'confidence.csv'}: has other chains than model.cif; build again")
    return tuple(chains)


def _letters(entity: gemmi.Entity | None) -> str:
    if entity is None:
        return ""
    names = [gemmi.Entity.first_mon(name) for name in entity.full_sequence]
    return gemmi.one_letter_code(names).upper()


def _backbone(residue: gemmi.Residue) -> list[list[float]]:
    atoms = (residue.find_atom(name, "*") for name in ("N", "CA", "C", "O"))
    return [atom.pos.tolist() if atom else [np.nan] * 3 for atom in atoms]


def _sequence_names(path: Path) -> Mapping[str, str]:
    """Description of each entity of a model that `read_structure` could read."""
    block = gemmi.cif.read_string(read_bytes(path).decode("utf-8-sig", errors="replace")).sole_block()
    found = block.find("_entity.", ["id", "pdbx_description"])
    return {row.str(0): row.str(1) for row in found}


def _read_confidence(path: Path) -> dict[str, dict[int, tuple[float, bool]]]:
    """Chain to position to confidence in percent and whether the residue is interpolated; raises InputError."""
    chains: dict[str, dict[int, tuple[float, bool]]] = {}
    try:
        text = read_bytes(path).decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
            confidence = float(row["confidence"])
            if not 0 <= confidence <= 100:
                raise ValueError
            values = chains.setdefault(row["chain"], {})
            values[int(row["position"])] = confidence, bool(int(row["interpolated"]))
    except (KeyError, TypeError, ValueError, csv.Error):
        raise InputError(
            f"{path}: is damaged: a line lacks chain, position, confidence (0 to 100) or interpolated; build again"
        ) from None
    return chains
