"""`cryo2struct classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common


def classify(
    map_file: common.MapFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Candidates file to write, .npz.")],
    resolution: common.Resolution = None,
    mask: common.Mask = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    max_voxels: common.MaxVoxels = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    seed: common.Seed = 0,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Find C-alpha candidates in a density map and write them."""
    from cryo2struct import pipeline
    from cryo2struct.io.candidates import write_candidates
    from cryo2struct.io.outputs import refuse_inputs

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
            seed=seed,
        )
        refuse_inputs([output], [path for path in (map_file, mask) if path])
        record = pipeline.Recorder(say=console.say, progress=console.progress)
        density, chosen = common.read_map_and_mask(map_file, mask, settings, record.warn)
        candidates = pipeline.classify(density, settings, mask=chosen, record=record)
        write_candidates(output, candidates)
    print(output)
