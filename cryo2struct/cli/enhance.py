"""`cryo2struct enhance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common


def enhance(
    map_file: common.MapFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Map to write, .mrc.")],
    method: Annotated[
        str, typer.Option(metavar="neural|bfactor", help="By the network, or sharpened by its Guinier slope.")
    ] = "neural",
    mask: common.Mask = None,
    resolution: common.Resolution = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    max_voxels: common.MaxVoxels = None,
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

    refuse_inputs([output], [path for path in (map_file, mask) if path])
    with common.Console() as console:
        settings = common.collect_settings(
            config,
            change,
            map__resolution=resolution,
            map__contour=contour,
            map__voxel_size=voxel_size,
            map__origin=origin,
            map__max_voxels=max_voxels,
            device=device,
            threads=threads,
        )
        record = Recorder(say=console.say, progress=console.progress)
        density, chosen = common.read_map_and_mask(map_file, mask, settings, record.warn)
        enhanced = run(density, settings, method=method, mask=chosen, record=record)
        write_map(output, enhanced.density, enhanced.label)
    print(output)
