"""`cryo2struct enhance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common


def enhance(
    map_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="MAP", help="Density map: MRC or CCP4, also compressed; the mean of the half maps when absent."
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Map to write, .mrc.")],
    method: Annotated[
        str,
        typer.Option(
            metavar="neural|bfactor|halfmaps",
            help="By the network; sharpened by its Guinier slope; weighted by what half maps agree on, and sharpened.",
        ),
    ] = "neural",
    half1: common.Half1 = None,
    half2: common.Half2 = None,
    mask: common.Mask = None,
    resolution: common.Resolution = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    max_voxels: common.MaxVoxels = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Weights of the network; those of the package when absent.")
    ] = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Make a map clearer, as a second opinion beside the original; never for deposition."""
    from cryo2struct.enhancement import enhance as run
    from cryo2struct.io.maps import write_map
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.record import Recorder

    refuse_inputs([output], [path for path in (map_file, half1, half2, mask) if path])
    with common.Console() as console:
        settings = common.collect_settings(
            config,
            change,
            map__resolution=resolution,
            map__contour=contour,
            map__voxel_size=voxel_size,
            map__origin=origin,
            map__max_voxels=max_voxels,
            enhancement__weights=weights,
            device=device,
            threads=threads,
        )
        record = Recorder(say=console.say, progress=console.progress)
        halves = common.read_half_maps(half1, half2, settings, record.warn)
        density = common.read_map_or_mean(map_file, halves, settings, record.warn)
        chosen = common.read_mask_of(mask, density, settings, record.warn)
        enhanced = run(density, settings, method=method, half_maps=halves, mask=chosen, record=record)
        write_map(output, enhanced.density, enhanced.label)
    print(output)
