"""`cryo2struct build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryo2struct.cli import common, relion

if TYPE_CHECKING:
    from cryo2struct.settings import Settings


MapFile = Annotated[
    Path,
    typer.Argument(
        metavar="MAP",
        help="Density map: MRC or CCP4, also compressed; with half maps it may be left out for their mean.",
    ),
]
Fasta = Annotated[
    Path | None, typer.Argument(metavar="FASTA", help="Sequences of everything in the map.", show_default=False)
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Output folder; default MAP's name + _cryo2struct, here.")
]
Features = Annotated[
    str | None,
    typer.Option(metavar="none|builtin|esm2_...", help="Let candidates see the sequences; ESM-2 needs its weights."),
]
EsmWeights = Annotated[
    Path | None, typer.Option(metavar="PATH|download", help="File of the ESM-2 model, .pt, or: fetch fair-esm's.")
]
Enhance = Annotated[
    str | None,
    typer.Option(
        metavar="none|neural|bfactor|auto",
        help="Build into the enhanced map; auto: into both, and keep what agrees better with the original.",
    ),
]
Refine = Annotated[
    str | None, typer.Option(metavar="none|backbone|full", help="Refine against the map: all atoms, or less.")
]
Job = Annotated[
    Path | None,
    typer.Option("--pipeline_control", metavar="DIR", help="RELION: folder of the job, for its signs."),
]


def build(
    map_file: MapFile,
    fasta: Fasta = None,
    output: Output = None,
    half1: common.Half1 = None,
    half2: common.Half2 = None,
    resolution: common.Resolution = None,
    mask: common.Mask = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    mirror: common.Mirror = None,
    copies: common.Copies = None,
    max_voxels: common.MaxVoxels = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    seed: common.Seed = 0,
    config: common.Config = None,
    change: common.Change = None,
    sequence_features: Features = None,
    esm_weights: EsmWeights = None,
    maps: Annotated[bool, typer.Option("--maps", help="Leave the predictions as maps, as classify --maps.")] = False,
    enhance: Enhance = None,
    refine: Refine = None,
    handover: Annotated[bool, typer.Option(help="Write handover/, what refinement programs take.")] = True,
    report: Annotated[bool, typer.Option(help="Write report.html, see the command report.")] = True,
    force: Annotated[bool, typer.Option(help="Replace an earlier run in the output folder.")] = False,
    job: Job = None,
) -> None:
    """Build a protein model into a density map."""
    given_map, fasta = map_and_fasta(map_file, fasta, half1 is not None or half2 is not None)
    folder = output or Path(f"{plain_name(given_map or half1 or map_file)}_cryo2struct")
    with relion.JobControl(job) as control, common.Console() as console:
        settings = common.collect_settings(
            config,
            change,
            map__resolution=resolution,
            map__contour=contour,
            map__voxel_size=voxel_size,
            map__origin=origin,
            map__mirror=mirror,
            map__max_voxels=max_voxels,
            device=device,
            threads=threads,
            seed=seed,
            sequence__features=sequence_features,
            sequence__esm_weights=esm_weights,
            refinement__mode=refine,
            enhancement__use=enhance,
        )
        given = common.parse_copies(copies)
        run(
            given_map,
            fasta,
            folder,
            settings,
            given,
            mask,
            force,
            console,
            control,
            maps,
            handover,
            report,
            (half1, half2),
        )
    print(folder / "model.cif")


def map_and_fasta(first: Path, second: Path | None, half_maps: bool) -> tuple[Path | None, Path]:
    """Which of the two files is which: with half maps, one file alone is the sequences."""
    from cryo2struct.errors import UsageError

    if second is not None:
        return first, second
    if not half_maps:
        raise UsageError("FASTA: is missing; give MAP and FASTA, or FASTA with --half1 and --half2")
    return None, first


def plain_name(path: Path) -> str:
    """File name without the extensions of maps and of compression."""
    name = path.name
    for suffix in (".gz", ".bz2", ".mrc", ".map", ".ccp4", ".rec"):
        name = name.removesuffix(suffix)
    return name


def run(
    map_file: Path | None,
    fasta: Path,
    folder: Path,
    settings: Settings,
    copies: dict[str, int],
    mask: Path | None,
    force: bool,
    console: common.Console,
    control: relion.JobControl,
    maps: bool = False,
    handover: bool = True,
    report: bool = True,
    half_maps: tuple[Path | None, Path | None] = (None, None),
) -> None:
    """Check the inputs, build, and write the output folder; an earlier run stays as it was when something fails."""
    import shlex
    import sys

    from cryo2struct import pipeline
    from cryo2struct.cli.report import REPORT_FILE, write_report
    from cryo2struct.errors import NoCandidatesError
    from cryo2struct.io.maps import write_map
    from cryo2struct.io.outputs import check_folder, prepare_folder, write_text
    from cryo2struct.io.run_folder import MEAN_MAP, read_map_of, read_run
    from cryo2struct.io.sequences import read_sequences
    from cryo2struct.networks.esm2_files import weights_file
    from cryo2struct.record import Recorder, save_record
    from cryo2struct.saving import save_run

    command = shlex.join(["cryo2struct", *sys.argv[1:]])
    record = Recorder(control.polled(console.say), control.polled(console.progress), command)
    named = {"map": map_file, "half1": half_maps[0], "half2": half_maps[1], "fasta": fasta, "mask": mask}
    inputs = {name: path for name, path in named.items() if path is not None}
    if settings.sequence.esm_weights is not None and settings.sequence.features not in ("none", "builtin"):
        inputs["esm_weights"] = weights_file(settings.sequence.features, settings.sequence.esm_weights)
    check_folder(folder, force, inputs.values())
    with record.step("read"):
        sequences, warnings = read_sequences(fasta, copies)
        for warning in warnings:
            record.warn(warning)
        halves = common.read_half_maps(*half_maps, settings, record.warn)
        density = common.read_map_or_mean(map_file, halves, settings, record.warn)
        chosen = common.read_mask_of(mask, density, settings, record.warn)
    try:
        result = pipeline.build(density, sequences, settings, mask=chosen, half_maps=halves, record=record)
    except NoCandidatesError:
        if not folder.exists() or not any(folder.iterdir()):
            save_record(prepare_folder(folder, force), record, settings, inputs, ["run.json"])
        raise
    prepare_folder(folder, force, inputs.values())
    later = [REPORT_FILE] if report else []
    if map_file is None:
        inputs["map"] = folder / MEAN_MAP
        write_map(folder / MEAN_MAP, density, "mean of two half maps")
        later.append(MEAN_MAP)
    save_run(folder, result, density, settings, inputs, maps=maps, handover=handover, later=later)
    write_text(folder / "run.log", "\n".join(console.lines) + "\n")
    if report:
        finished = read_run(folder)
        write_report(finished, *(read_map_of(finished) if result.mirrored else (density, "")))
