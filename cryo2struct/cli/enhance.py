"""`cryo2struct enhance`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryo2struct.cli import common

if TYPE_CHECKING:
    import gemmi
    from rich.table import Table

    from cryo2struct.enhancement import Guard
    from cryo2struct.objects import DensityMap
    from cryo2struct.record import Recorder
    from cryo2struct.settings import Settings


MapOrMean = Annotated[
    Path | None,
    typer.Argument(
        metavar="MAP", help="Density map: MRC or CCP4, also compressed; the mean of the half maps when absent."
    ),
]
Method = Annotated[
    str,
    typer.Option(
        metavar="neural|bfactor|halfmaps",
        help="By the network; sharpened by its Guinier slope; weighted by what half maps agree on, and sharpened.",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(metavar="MASK|auto", help="Leave the original where a mask is above 0, or where density was removed."),
]
Report = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for what was removed and invented: tables and a difference map."),
]
Compare = Annotated[Path | None, typer.Option(metavar="MODEL", help="Print Q-scores of a model by class in both maps.")]
Beside = Annotated[
    list[Path] | None, typer.Option(metavar="MAP", help="With --compare: one more enhanced map, of any program.")
]
Weights = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Weights of the network; those of the package when absent.")
]


def enhance(
    map_file: MapOrMean = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Map to write, .mrc.")],
    method: Method = "neural",
    half1: common.Half1 = None,
    half2: common.Half2 = None,
    mask: common.Mask = None,
    resolution: common.Resolution = None,
    contour: common.Contour = None,
    voxel_size: common.VoxelSize = None,
    origin: common.Origin = "auto",
    max_voxels: common.MaxVoxels = None,
    keep: Keep = None,
    report: Report = None,
    compare: Compare = None,
    beside: Beside = None,
    weights: Weights = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Make a map clearer, as a second opinion beside the original; never for deposition."""
    from cryo2struct.enhancement import enhance as run
    from cryo2struct.enhancement import keep as blend
    from cryo2struct.io.maps import write_map
    from cryo2struct.io.models import read_structure
    from cryo2struct.record import Recorder

    kept_by = Path(keep) if keep not in (None, "auto") else None
    _check_files(output, report, [map_file, half1, half2, mask, kept_by], compare, beside or [])
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
        structure = read_structure(compare) if compare is not None else None
        halves = common.read_half_maps(half1, half2, settings, record.warn)
        density = common.read_map_or_mean(map_file, halves, settings, record.warn)
        chosen = common.read_mask_of(mask, density, settings, record.warn)
        kept = common.read_mask_of(kept_by, density, settings, record.warn)
        enhanced = run(density, settings, method=method, half_maps=halves, mask=chosen, record=record)
        found = _guarded(density, enhanced.density, structure, record)
        result, label = enhanced.density, enhanced.label
        if keep is not None:
            result = blend(density, result, found if kept is None else kept)
            label = f"{label}; original kept by {keep if kept_by is None else kept_by.name}"
        write_map(output, result, label)
    _show(found)
    if report is not None:
        _write_report(report, found, output.name)
    if structure is not None:
        _show_classes(structure, density, {output.name: result}, beside or [], settings)
    print(output)


def _check_files(
    output: Path, report: Path | None, given: Sequence[Path | None], compare: Path | None, beside: list[Path]
) -> None:
    """Refuse what cannot be written, and maps to compare without a model to compare them by."""
    from cryo2struct.errors import UsageError
    from cryo2struct.io.outputs import check_folder, refuse_inputs

    if beside and compare is None:
        raise UsageError("--beside: is compared by a model; give --compare MODEL")
    inputs = [path for path in (*given, compare, *beside) if path]
    refuse_inputs([output], inputs)
    if report is not None:
        check_folder(report, force=False, inputs=inputs)


def _guarded(original: DensityMap, enhanced: DensityMap, structure: gemmi.Structure | None, record: Recorder) -> Guard:
    """What the guard finds; its notes become warnings."""
    from cryo2struct.enhancement import built_residues, guard

    with record.step("guard"):
        found = guard(original, enhanced, built_residues(structure) if structure else None)
    for note in found.notes:
        record.warn(note)
    return found


def _show(found: Guard) -> None:
    """Print the entries of the guard."""
    from rich.console import Console

    print(f"removed or weakened by half: {len(found.removed)}, invented: {len(found.invented)}")
    if found.removed or found.invented:
        Console().print(_table(found.table()))


def _table(lines: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(*lines[0])
    for cells in lines[1:]:
        table.add_row(*cells)
    return table


def _write_report(folder: Path, found: Guard, name: str) -> None:
    """Leave guard.json, guard.csv and difference.mrc in a new folder."""
    import json

    from cryo2struct.io.maps import write_map
    from cryo2struct.io.outputs import prepare_folder, write_csv, write_text

    prepare_folder(folder, force=False)
    headings, *lines = found.table()
    write_csv(folder / "guard.csv", [dict(zip(headings, line, strict=True)) for line in lines], headings)
    write_map(folder / "difference.mrc", found.difference, f"original less {name}, at the scale of the original")
    write_text(folder / "guard.json", json.dumps(found.as_dict(), indent=1) + "\n")


def _show_classes(
    structure: gemmi.Structure,
    original: DensityMap,
    enhanced: dict[str, DensityMap],
    beside: list[Path],
    settings: Settings,
) -> None:
    """Print the Q-scores of a model by class, in the original, in the enhanced map and in others."""
    import sys

    from rich.console import Console

    from cryo2struct.evaluation.by_class import q_by_class

    maps = {"original": original, **enhanced}
    for path in beside:
        maps[path.name] = common.read_map_of(path, settings, lambda line: print(f"warning: {line}", file=sys.stderr))
    found = q_by_class(structure, maps)
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
    Console().print(_table(found.table()))
