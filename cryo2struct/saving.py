"""What a run of `build` leaves in its folder."""

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
from cryo2struct.io.outputs import make_folder, write_text
from cryo2struct.io.run_folder import MIRRORED_MAP
from cryo2struct.io.views import view_script, write_prediction_maps
from cryo2struct.objects import DensityMap, Sequences
from cryo2struct.pipeline import BuildResult
from cryo2struct.record import save_record
from cryo2struct.settings import Settings


def save_run(
    folder: Path,
    result: BuildResult,
    density: DensityMap,
    sequences: Sequences,
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
    density, sequences, settings : what the model was built from
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
    record = result.record
    nz, ny, nx = density.frame.shape
    cell = tuple(float(v) for v in np.array([nx, ny, nz]) * density.frame.voxel)
    title = f"Model built into {inputs['map'].name}"
    files = ["model.cif", "confidence.csv", "candidates.npz", "run.json", "run.log", "view.cxc"]
    write_mmcif(folder / "model.cif", result.model, sequences, title=title, cell=(cell[0], cell[1], cell[2]))
    reason = write_pdb(folder / "model.pdb", result.model, sequences, title=title, cell=(cell[0], cell[1], cell[2]))
    if reason is None:
        files.insert(1, "model.pdb")
    else:
        record.warn(f"model.pdb is not written: {reason}; use model.cif")
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
        files += _hand_over(folder, result, original, sequences, title)
    files += [*seen, *later]
    return save_record(folder, record, settings, inputs, files, coverage=result.coverage)


def _hand_over(folder: Path, result: BuildResult, density: DensityMap, sequences: Sequences, title: str) -> list[str]:
    """Write the folder for refinement programs; names of its files. Faults of the model are warnings."""
    path = folder / FOLDER
    make_folder(path)
    made = write_handover(path, result.model, sequences, density, result.record.counts["resolution"], title=title)
    for fault_line in made.faults:
        result.record.warn(f"handover is not written: {fault_line}")
    if made.pdb_missing is not None:
        result.record.warn(f"handover: {made.pdb_missing}")
    return [f"{FOLDER}/{name}" for name in made.files]
