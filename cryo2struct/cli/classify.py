"""`cryo2struct classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common


def classify(
    map_file: common.MapFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Candidates file to write, .npz.")],
    maps: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="New or empty folder for the predictions as maps on a grid of about 1 A: ca.mrc, n.mrc, c.mrc, "
            "nucleic_acid.mrc, confidence.mrc.",
        ),
    ] = None,
    resolution: common.Resolution = None,
    mask: common.Mask = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    mirror: common.Mirror = None,
    max_voxels: common.MaxVoxels = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    seed: common.Seed = 0,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Find C-alpha candidates in a density map and write them."""
    from cryo2struct.density.resample import mirrored
    from cryo2struct.finding import predict_and_pick
    from cryo2struct.io.candidates import write_candidates
    from cryo2struct.io.maps import write_map
    from cryo2struct.io.outputs import check_folder, prepare_folder, refuse_inputs
    from cryo2struct.io.views import write_prediction_maps
    from cryo2struct.record import Recorder

    with common.Console() as console:
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
        )
        flipped = output.with_name(f"{output.stem}_map_mirrored.mrc")
        refuse_inputs([output, flipped], [path for path in (map_file, mask) if path])
        if maps is not None:
            check_folder(maps, force=False)
        record = Recorder(say=console.say, progress=console.progress)
        density, chosen = common.read_map_and_mask(map_file, mask, settings, record.warn)
        found = predict_and_pick(density, settings, chosen, record)
        if found.mirrored:
            write_map(flipped, mirrored(density, density.frame), f"{map_file.name}, flipped along x")
            record.say(f"mirrored: candidates and maps belong to {flipped}")
        if maps is not None:
            write_prediction_maps(prepare_folder(maps, force=False), found.prediction)
        write_candidates(output, found.candidates)
    print(output)
