"""`cryo2struct handover`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def handover(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of build.")],
    force: Annotated[bool, typer.Option(help="Write into a handover folder that is not of this run.")] = False,
) -> None:
    """Write DIR/handover: what refinement programs take, from the finished run."""
    import sys

    import numpy as np

    from cryo2struct.errors import InputError, OutputError
    from cryo2struct.handover import FOLDER, write_handover
    from cryo2struct.io.run_folder import list_file, read_map_of, read_run, read_sequences_of
    from cryo2struct.objects import Model

    run = read_run(folder)
    path = folder / FOLDER
    own = any(name.startswith(f"{FOLDER}/") for name in run.record.files)
    if path.exists() and not own and not force:
        raise OutputError(f"{path}: exists, and run.json does not list it; move it away, or add --force")
    density, reason = read_map_of(run)
    if density is None:
        raise InputError(f"{folder}: {reason}")
    sequences = read_sequences_of(run)
    confidence = [residue[0].b_iso / 100 for chain in run.structure[0] for residue in chain]
    model = Model(run.structure, np.array(confidence))
    title = f"Model built into {Path(run.record.inputs['map'].path).name}"
    made = write_handover(path, model, sequences, density, run.record.counts["resolution"], title=title)
    if made.faults:
        raise InputError(f"{folder / 'model.cif'}: {made.faults[0]}; {len(made.faults)} faults in all, build again")
    for name in made.files:
        list_file(folder, f"{FOLDER}/{name}")
    if made.pdb_missing is not None:
        print(f"warning: {made.pdb_missing}", file=sys.stderr)
    print(path)
