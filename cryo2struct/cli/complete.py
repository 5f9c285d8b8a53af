"""`cryo2struct complete`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryo2struct.cli import common

if TYPE_CHECKING:
    from cryo2struct.settings import Settings


def complete(
    ca_model: Annotated[
        Path, typer.Argument(metavar="CA_MODEL", help="C-alphas of any program: mmCIF or PDB, also compressed.")
    ],
    map_file: Annotated[Path, typer.Option("--map", metavar="MAP", help="The map of the model.")],
    fasta: Annotated[Path, typer.Option("--fasta", metavar="FASTA", help="Sequences of its chains.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="Model to write, .cif or .pdb.")],
    resolution: common.Resolution = None,
    refine: Annotated[
        str | None, typer.Option(metavar="none|backbone|full", help="Refine against the map: all atoms, or less.")
    ] = None,
    handover: Annotated[
        bool, typer.Option(help="Write MODEL's name + _handover/, what refinement programs take.")
    ] = True,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    max_voxels: common.MaxVoxels = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    config: common.Config = None,
    change: common.Change = None,
    force: Annotated[bool, typer.Option(help="Replace MODEL and the files of its hand-over.")] = False,
) -> None:
    """Make an all-atom model, refined against the map, of the C-alphas of any program's model."""
    folder = output.with_name(f"{output.stem}_handover")
    with common.Console() as console:
        settings = common.collect_settings(
            config,
            change,
            map__resolution=resolution,
            map__voxel_size=voxel_size,
            map__origin=origin,
            map__max_voxels=max_voxels,
            device=device,
            threads=threads,
            refinement__mode=refine,
        )
        check_outputs(output, folder if handover else None, [ca_model, map_file, fasta], force)
        written = run(ca_model, map_file, fasta, output, folder if handover else None, settings, console)
    print(written)


def check_outputs(output: Path, folder: Path | None, inputs: Iterable[Path], force: bool) -> None:
    """Refuse output names before any work is done.

    Raises
    ------
    UsageError
        The name of the model has another suffix.
    OutputError
        An output exists and `force` is not set, is an input, or its folder is missing.
    """
    from cryo2struct.errors import OutputError, UsageError
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.saving import MODEL_SUFFIXES, stand_in

    if output.suffix.lower() not in MODEL_SUFFIXES:
        raise UsageError(f"-o {output}: name a file that ends in {', '.join(MODEL_SUFFIXES)}")
    within = [path for path in inputs if folder is not None and path.resolve().parent == folder.resolve()]
    if within:
        raise OutputError(f"{within[0]}: is an input in the folder of the hand-over; choose another output")
    names = [output, stand_in(output)]
    refuse_inputs(names, inputs)
    if not output.parent.is_dir():
        raise OutputError(f"{output}: there is no folder {output.parent}; make it first")
    for path in names if folder is None else [*names, folder]:
        if path.exists() and not force:
            raise OutputError(f"{path}: exists; choose another output, or add --force")


def run(
    ca_model: Path,
    map_file: Path,
    fasta: Path,
    output: Path,
    folder: Path | None,
    settings: Settings,
    console: common.Console,
) -> Path:
    """Read the inputs, complete the model and write it; path of the model."""
    from cryo2struct import pipeline
    from cryo2struct.io.models import read_structure
    from cryo2struct.io.sequences import read_sequences
    from cryo2struct.record import Recorder
    from cryo2struct.saving import hand_over, save_model

    record = Recorder(console.say, console.progress)
    with record.step("read"):
        structure = read_structure(ca_model)
        sequences, warnings = read_sequences(fasta)
        for warning in warnings:
            record.warn(warning)
        density, _ = common.read_map_and_mask(map_file, None, settings, record.warn)
    model, named = pipeline.complete_model(structure, density, sequences, settings, record=record)
    title = f"C-alphas of {ca_model.name} completed in {map_file.name}"
    written = save_model(output, model, density, named, title, record)
    if folder is not None:
        hand_over(folder, model, density, named, title, record)
    return written
