"""What a run of `build` leaves in its folder, and what `complete` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryo2struct.density.resample import mirrored
from cryo2struct.handover import FOLDER, write_handover
from cryo2struct.io.candidates import write_candidates
from cryo2struct.io.maps import write_map
from cryo2struct.io.models import write_confidence, write_mmcif, write_pdb
from cryo2struct.io.outputs import write_text
from cryo2struct.io.run_folder import MIRRORED_MAP
from cryo2struct.io.views import view_script, write_prediction_maps
from cryo2struct.objects import DensityMap, Model, Sequences
from cryo2struct.pipeline import BuildResult
from cryo2struct.record import Recorder, save_record
from cryo2struct.settings import Settings

PDB_SUFFIXES, MODEL_SUFFIXES = (".pdb", ".ent"), (".cif", ".mmcif", ".pdb", ".ent")


def save_run(
    folder: Path,
    result: BuildResult,
    density: DensityMap,
    settings: Settings,
    inputs: dict[str, Path],
    *,
    maps: bool = False,
    handover: bool = True,
    later: Sequence[str] = (),
) -> dict[str, Any]:
    """Write everything that a run leaves in its folder; run.json last, with the names of all files.

    Parameters
    ----------
    folder : path
    result : BuildResult
    density, settings : what the model was built from
    inputs : name to path, for the record
    maps : write the prediction as maps as well
    handover : write the folder for refinement programs as well
    later : names of files that the caller writes

    Returns
    -------
    The content of run.json.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    record, sequences = result.record, result.sequences
    cell = _cell(density)
    title = f"Model built into {inputs['map'].name}"
    files = ["model.cif", "confidence.csv", "candidates.npz", "run.json", "run.log", "view.cxc"]
    write_mmcif(folder / "model.cif", result.model, sequences, title=title, cell=cell)
    reason = write_pdb(folder / "model.pdb", result.model, sequences, title=title, cell=cell)
    if reason is None:
        files.insert(1, "model.pdb")
    else:
        record.warn(reason)
    write_confidence(folder / "confidence.csv", result.trace, sequences, result.model, result.local_resolution)
    write_candidates(folder / "candidates.npz", result.candidates)
    shown, seen = str(inputs["map"].resolve()), write_prediction_maps(folder, result.prediction) if maps else []
    if result.mirrored:
        shown = MIRRORED_MAP
        write_map(folder / shown, mirrored(density, density.frame), f"{inputs['map'].name}, flipped along x")
        files.append(shown)
        record.say(f"mirrored: the model belongs to {folder / shown}")
    write_text(folder / "view.cxc", view_script(shown, seen))
    if handover:
        original = mirrored(density, density.frame) if result.mirrored else density
        made = hand_over(folder / FOLDER, result.model, original, sequences, title, record)
        files += [f"{FOLDER}/{name}" for name in made]
    files += [*seen, *later]
    return save_record(folder, record, settings, inputs, files, coverage=result.coverage)


def stand_in(path: Path) -> Path:
    """Name of the mmCIF file that is written where a model does not fit into the PDB file asked for."""
    return path.with_name(f"{path.name}.cif")


def save_model(
    path: Path, model: Model, density: DensityMap, sequences: Sequences, title: str, record: Recorder
) -> Path:
    """Write a model as one file: PDB by that suffix, else mmCIF.

    Returns
    -------
    path of the file, see `stand_in`.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    cell = _cell(density)
    if path.suffix.lower() in PDB_SUFFIXES:
        reason = write_pdb(path, model, sequences, title=title, cell=cell)
        if reason is None:
            return path
        record.warn(reason)
        path = stand_in(path)
    write_mmcif(path, model, sequences, title=title, cell=cell)
    return path


def hand_over(
    folder: Path, model: Model, density: DensityMap, sequences: Sequences, title: str, record: Recorder
) -> list[str]:
    """Write the files for refinement programs into a folder; their names. Faults of the model are warnings."""
    made = write_handover(folder, model, sequences, density, record.counts["resolution"], title=title)
    for fault_line in made.faults:
        record.warn(f"handover is not written: {fault_line}")
    if made.pdb_missing is not None:
        record.warn(f"handover: {made.pdb_missing}")
    return made.files


def _cell(density: DensityMap) -> tuple[float, float, float]:
    """Edges of a map's box, angstrom."""
    nz, ny, nx = density.frame.shape
    a, b, c = (float(edge) for edge in np.array([nx, ny, nz]) * density.frame.voxel)
    return a, b, c
