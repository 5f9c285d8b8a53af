"""One entry of a data set: a map and a model in, a folder of labelled files out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from cryo2struct.dataset.alignments import (
    alignment_text,
    fasta,
    full_fasta,
    full_sequences,
    modelled_sequences,
)
from cryo2struct.dataset.labels import label, labelled_atoms
from cryo2struct.dataset.record_writing import training_record, write_record
from cryo2struct.dataset.records import RECORD_FILE
from cryo2struct.density.resample import resample
from cryo2struct.density.sampling import values_at
from cryo2struct.errors import InputError
from cryo2struct.evaluation.ca import ca_points
from cryo2struct.evaluation.map_model import in_box
from cryo2struct.evaluation.map_model_overall import cc_mask_and_box
from cryo2struct.io.manifest import DatasetEntry
from cryo2struct.io.maps import read_map, write_by_origin
from cryo2struct.io.models import read_structure
from cryo2struct.io.outputs import write_text
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import DensityMap, GridFrame, Sequences
from cryo2struct.record import Recorder
from cryo2struct.residues import modelled_residues

FORMAT = 1
RECORD = "entry.json"
NORMALISED = "emd_normalized_map.mrc"
RAW = "raw_map.mrc"
PERCENTILE = 95.0  # of the values above 0; becomes 1


@dataclass(frozen=True)
class Options:
    """What the files of an entry hold.

    Attributes
    ----------
    published_labels : labels by the formula of the published data set
    raw_map : the resampled map is written as well
    """

    published_labels: bool = False
    raw_map: bool = False


@dataclass(frozen=True)
class Limits:
    """What a map and its model must fulfil.

    Attributes
    ----------
    cc_mask, cc_box : must be exceeded
    finest, coarsest : resolution in angstrom, both allowed
    """

    cc_mask: float = 0.7
    cc_box: float = 0.6
    finest: float = 1.0
    coarsest: float = 4.0

    def check_resolution(self, name: str, resolution: float) -> None:
        """Raise InputError for a resolution out of the range."""
        if not self.finest <= resolution <= self.coarsest:
            raise InputError(
                f"{name}: resolution {resolution:g} A is not within {self.finest:g} to {self.coarsest:g} A; "
                "see --finest and --coarsest"
            )

    def check_scores(self, name: str, cc_mask: float, cc_box: float) -> None:
        """Raise InputError for a model that does not explain its map."""
        for title, value, least in (("CC_mask", cc_mask, self.cc_mask), ("CC_box", cc_box, self.cc_box)):
            if not value > least:
                option = f"--min-{title.lower().replace('_', '-')}"
                raise InputError(f"{name}: {title} {value:.3f} is not above {least:g}; see {option}")


def write_entry(
    folder: Path, entry: DatasetEntry, inputs: Mapping[str, Any], options: Options, limits: Limits
) -> dict[str, Any]:
    """Write all files of an entry into a folder, the record last.

    Parameters
    ----------
    folder : an empty folder
    entry : DatasetEntry
    inputs : of `hashes_of`
    options, limits : Options, Limits

    Returns
    -------
    dict
        What entry.json says.

    Raises
    ------
    InputError
        Why the entry is rejected.
    OutputError
        A file cannot be written.
    """
    recorder = Recorder()
    with recorder.step("read"):
        density, warnings = read_map(entry.map)
        structure, outside = _model_in_map(entry, density.frame)
        sequences, more = _sequences(entry)
        warnings += more
        context = None if entry.context is None else read_structure(entry.context)
    resolution = _resolution(entry, structure, limits)
    with recorder.step("CC"):
        cc_mask, cc_box = cc_mask_and_box(structure, density, resolution)
        limits.check_scores(entry.name, cc_mask, cc_box)
    given = density.frame
    inclusion = None if entry.contour is None else _inclusion(structure, density, entry.contour)
    with recorder.step("resample"):
        density = resample(DensityMap(density.values, density.frame))
    with recorder.step("sequences"):
        identity = _write_sequences(folder, entry.name, structure, sequences)
        _write_model(folder / "model.cif", entry.name, structure)
    with recorder.step("training"):
        write_record(folder / RECORD_FILE, training_record(density, structure, context))
    with recorder.step("maps"):
        if options.raw_map:
            write_by_origin(folder / RAW, density.values, density.frame, "resampled")
        divisor = _write_normalised(folder / NORMALISED, entry, density)
    with recorder.step("labels"):
        counts = _write_labels(folder, structure, density.frame, options)
    result = {
        "format": FORMAT,
        "name": entry.name,
        "inputs": dict(inputs),
        "options": asdict(options),
        "resolution": resolution,
        "contour": entry.contour,
        "map": _grid(given),
        "grid": _grid(density.frame),
        "divided_by": divisor,
        "model": {**_counts(structure), **outside},
        "scores": {"cc_mask": cc_mask, "cc_box": cc_box, "ca_above_contour": inclusion, "identity": identity},
        "labels": counts,
        "notes": [line.replace(f"{entry.map.parent}/", "") for line in warnings],
        "files": sorted([*(path.name for path in folder.iterdir()), RECORD]),
        "steps": recorder.steps,
    }
    write_text(folder / RECORD, json.dumps(result, indent=1) + "\n")
    return result


def _model_in_map(entry: DatasetEntry, frame: GridFrame) -> tuple[gemmi.Structure, dict[str, int]]:
    """The first model without the residues that are wholly outside the map, and what was left out."""
    structure = read_structure(entry.model)
    models = len(structure)
    while len(structure) > 1:
        del structure[-1]
    alphas = ca_points(structure).xyz
    if not len(alphas):
        raise InputError(f"{entry.model}: holds no protein residue; give the model of the map's protein")
    residues = [residue for chain in structure[0] for residue in chain]
    inside = in_box(np.array([atom.pos.tolist() for residue in residues for atom in residue]), frame)
    first = np.cumsum([0, *(len(residue) for residue in residues[:-1])])
    kept = iter(np.logical_or.reduceat(inside, first).tolist()[::-1])
    left_out = 0
    for chain in reversed(structure[0]):
        for number in reversed(range(len(chain))):
            if not next(kept):
                del chain[number]
                left_out += 1
    structure.remove_empty_chains()
    if not len(structure) or not len(structure[0]) or not modelled_residues(structure):
        raise InputError(
            f"{entry.model}: none of {len(alphas)} C-alphas lies in {entry.map}; give the model of this map"
        )
    return structure, {"residues_outside": left_out, "models_left_out": models - 1}


def _sequences(entry: DatasetEntry) -> tuple[Sequences | None, list[str]]:
    """The sequences of the entry, None where it has none, and warnings."""
    if entry.fasta is None:
        return None, []
    sequences, warnings = read_sequences(entry.fasta)
    if not sequences.proteins:
        raise InputError(f"{entry.fasta}: holds no protein sequence; give the sequences of the model")
    return sequences, warnings


def _resolution(entry: DatasetEntry, structure: gemmi.Structure, limits: Limits) -> float:
    """Resolution of the list, else of the model's file, within the range."""
    resolution = entry.resolution if entry.resolution is not None else float(structure.resolution)
    if not (math.isfinite(resolution) and resolution > 0):
        raise InputError(f"{entry.name}: neither the list nor {entry.model} tells the resolution; fill in the column")
    limits.check_resolution(entry.name, resolution)
    return resolution


def _inclusion(structure: gemmi.Structure, density: DensityMap, contour: float) -> float:
    """Share of the C-alphas at which the map, interpolated between voxels, reaches a level."""
    return float((values_at(density, ca_points(structure).xyz) >= contour).mean())


def _write_sequences(folder: Path, name: str, structure: gemmi.Structure, sequences: Sequences | None) -> float:
    """Full and modelled sequences and their alignment; the share of modelled residues that agree."""
    full, modelled = full_sequences(structure, sequences), modelled_sequences(structure)
    text, identity = alignment_text(name, modelled, full)
    write_text(folder / "full_sequence.fasta", full_fasta(name, full))
    records = [(f"{name}_{number}|Chain {chain}", modelled[chain]) for number, chain in enumerate(modelled, 1)]
    write_text(folder / "modelled_sequence.fasta", fasta(records))
    write_text(folder / "alignment.txt", text)
    return identity


def _write_model(path: Path, name: str, structure: gemmi.Structure) -> None:
    copy = structure.clone()
    copy.name = name
    write_text(path, copy.make_mmcif_document().as_string(gemmi.cif.WriteOptions(gemmi.cif.Style.Pdbx)))


def _write_normalised(path: Path, entry: DatasetEntry, density: DensityMap) -> float:
    """Write the map divided by a percentile of its values above 0 and clipped to 0..1; the map is used up."""
    values = density.values
    positive = values[values > 0]
    if not len(positive):
        raise InputError(f"{entry.map}: no voxel is above 0; protein must be positive: multiply the map by -1")
    divisor = float(np.percentile(positive, PERCENTILE, overwrite_input=True))
    del positive
    np.divide(values, np.float32(divisor), out=values)
    np.clip(values, 0, 1, out=values)
    write_by_origin(path, values, density.frame, "normalised")
    return divisor


def _write_labels(
    folder: Path, structure: gemmi.Structure, frame: GridFrame, options: Options
) -> dict[str, dict[str, int]]:
    """Write the maps of labels; the counts of their atoms."""
    labels = label(labelled_atoms(structure), frame, published=options.published_labels)
    for kind, grid in labels.grids():
        write_by_origin(folder / f"{kind}_{NORMALISED}", grid, frame, f"{kind} labels")
    return labels.counts


def _counts(structure: gemmi.Structure) -> dict[str, int]:
    residues = modelled_residues(structure)
    return {
        "residues": len(residues),
        "chains": len({chain for chain, _, _ in residues}),
        "atoms": structure[0].count_atom_sites(),
    }


def _grid(frame: GridFrame) -> dict[str, list[float] | list[int]]:
    return {
        "shape_xyz": list(frame.shape[::-1]),
        "voxel": [float(size) for size in frame.voxel],
        "origin": [float(place) for place in frame.origin],
    }
