"""`cryo2struct simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common


def simulate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Structure: mmCIF or PDB, also compressed.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Map to write, .mrc.")],
    resolution: Annotated[float, typer.Option(help="Resolution in A.")],
    voxel: Annotated[float | None, typer.Option(help="Voxel size in A; a third of the resolution when absent.")] = None,
    padding: Annotated[float, typer.Option(help="Least distance in A from atoms to the faces of the box.")] = 10.0,
    noise: Annotated[
        bool, typer.Option("--noise", help="The mean of two half maps whose FSC falls to 0.143 at the resolution.")
    ] = False,
    half_maps: Annotated[
        bool, typer.Option("--half-maps", help="With --noise: write these as well, NAME_half1 and NAME_half2.")
    ] = False,
    max_voxels: common.MaxVoxels = None,
    seed: common.Seed = 0,
) -> None:
    """Compute a density map from a model, in the model's frame."""
    import numpy as np

    from cryo2struct.density import noise as noises
    from cryo2struct.density.simulate import box_around
    from cryo2struct.density.simulate import simulate as potential
    from cryo2struct.errors import UsageError
    from cryo2struct.io.maps import MAX_VOXELS, write_map
    from cryo2struct.io.models import read_structure
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.objects import DensityMap

    if seed < 0:
        raise UsageError(f"--seed {seed}: give 0 or more")
    if half_maps and not noise:
        raise UsageError("--half-maps: half maps differ by their noise; give --noise as well")
    names = [output.with_name(f"{output.stem}_half{number}{output.suffix}") for number in (1, 2)] if half_maps else []
    refuse_inputs([output, *names], [model])
    structure = read_structure(model)
    frame = box_around(structure, resolution, voxel, padding, max_voxels or MAX_VOXELS)
    whole = potential(structure, frame, resolution)
    what = f"simulated at {resolution:g} A from {model.name}"
    if noise:
        halves = noises.half_maps(whole, resolution, np.random.default_rng(seed))
        what += f", noise of seed {seed}"
        for name, half in zip(names, halves, strict=False):
            write_map(name, half, f"half map {what}")
        whole = DensityMap((halves[0].values + halves[1].values) / np.float32(2), frame)
    write_map(output, whole, what)
    print(output, *names, sep="\n")
