"""`cryo2struct check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryo2struct.cli import common

if TYPE_CHECKING:
    from cryo2struct.objects import DensityMap, Sequences
    from cryo2struct.preflight import Look
    from cryo2struct.settings import Settings


def check(
    map_file: common.MapFile,
    fasta: common.FastaFile,
    resolution: common.Resolution = None,
    mask: common.Mask = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    copies: common.Copies = None,
    max_voxels: common.MaxVoxels = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Look at map and sequences as build does before it starts, and say what it would do. Writes nothing."""
    from cryo2struct.errors import Cryo2StructError

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
    try:
        for line in inspect(map_file, fasta, mask, common.parse_copies(copies), settings):
            print(line)
    except Cryo2StructError as refusal:
        print(f"build       refuses this with exit code {refusal.exit_code}; standard error says why", flush=True)
        raise
    print("build       starts")


def inspect(
    map_file: Path, fasta: Path, mask: Path | None, copies: dict[str, int], settings: Settings
) -> Iterator[str]:
    """The lines of the report, as far as they can be had; raises what `build` would raise before it loads a network."""
    from cryo2struct import preflight
    from cryo2struct.io.sequences import read_sequences
    from cryo2struct.networks.manifest import load_entry
    from cryo2struct.settings import data_path

    sequences, warnings = read_sequences(fasta, copies)
    yield from (f"warning     {warning}" for warning in warnings)
    warnings = []
    density, chosen = common.read_map_and_mask(map_file, mask, settings, warnings.append)
    yield from (f"warning     {warning}" for warning in warnings)
    found = preflight.look(density, settings, chosen)
    yield from describe_map(density, found)
    yield from describe_contents(sequences, found)
    preflight.require_protein(sequences)
    yield from (f"warning     {warning}" for warning in preflight.judge(found))
    yield from describe_work(found, settings)
    load_entry(data_path("weights"), settings.prediction.weights)


def describe_map(density: DensityMap, found: Look) -> list[str]:
    """Frame, contrast, masking and resolution."""
    frame, header = density.frame, density.header
    box = " x ".join(str(length) for length in frame.shape[::-1])
    voxel = " x ".join(f"{v:.4g}" for v in frame.voxel)
    place = " ".join(f"{v:.2f}" for v in frame.origin)
    axes = " ".join("xyz"[axis - 1] for axis in header["axes"])
    noise = (
        f"{(found.peak - found.level) / found.sigma:.0f} x the noise" if found.sigma > 0 else "without noise around it"
    )
    masked = "masked" if found.masked else "not masked"
    source = "estimated from the map" if found.estimated else "given"
    return [
        f"box         {box} voxels of {voxel} A; columns, rows, sections: {axes}",
        f"origin      voxel 0 at {place} A (x y z)",
        f"contrast    background {found.level:.3g}, molecule {found.peak:.3g}: {noise}",
        f"mask        {masked}: {100 * found.constant:.1f} % of the voxels have the value of the background exactly",
        f"resolution  {found.resolution:.1f} A, {source}",
    ]


def describe_contents(sequences: Sequences, found: Look) -> list[str]:
    """The molecule's volume against that of the sequences; how many copies fit where the number is not known."""
    from cryo2struct.preflight import expected_volume, mass

    lines = [f"molecule    about {found.volume:,.0f} A^3"]
    for entity in sequences.entities:
        number = "copies unknown" if entity.copies is None else f"copies: {entity.copies}"
        lines.append(
            f"sequence    {entity.name}: {entity.kind}, {len(entity.letters)} residues, {mass(entity) / 1000:.1f} kDa, "
            f"{expected_volume(entity):,.0f} A^3; {number}"
        )
    known = sum(entity.copies * expected_volume(entity) for entity in sequences.entities if entity.copies)
    unknown = sum(expected_volume(entity) for entity in sequences.entities if entity.copies is None)
    if unknown:
        fit = max((found.volume - known) / unknown, 0)
        lines.append(f"copies      the volume has room for about {fit:.1f} of each sequence whose copies are unknown")
    else:
        lines.append(
            f"copies      the sequences fill {100 * known / max(found.volume, 1):.0f} % of the molecule's volume"
        )
    return lines


def describe_work(found: Look, settings: Settings) -> list[str]:
    """Device, and what the network will cost; raises ResourceError."""
    from cryo2struct import hardware, preflight

    gpu = hardware.gpu_for(settings.device, hardware.list_gpus())
    threads = settings.threads or hardware.cores()
    options = settings.prediction
    tiles = preflight.count_tiles(found.region, options.tile, options.overlap)
    seconds = preflight.expected_seconds(tiles, settings, threads, hardware.multiplies_bfloat16())
    free = hardware.free_memory()
    name = f"cpu, {threads} threads" if gpu is None else f"{gpu.name}, {gpu.free:.0f} of {gpu.memory:.0f} GB free"
    time = f"about {seconds:.0f} s" if gpu is None else f"less than the {seconds:.0f} s of the CPU"
    return [
        f"device      {name}",
        f"network     {tiles} tiles in {options.rotations} rotations: {time}",
        f"memory      about {preflight.expected_memory(found.region, settings):.1f} GB"
        + (f" of {free:.0f} GB free" if free is not None else ""),
    ]
