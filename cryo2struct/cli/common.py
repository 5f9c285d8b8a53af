"""Options and output that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress

    from cryo2struct.enhancement import HalfMaps
    from cryo2struct.objects import DensityMap
    from cryo2struct.settings import Settings

MapFile = Annotated[Path, typer.Argument(metavar="MAP", help="Density map: MRC or CCP4, also compressed.")]
FastaFile = Annotated[Path, typer.Argument(metavar="FASTA", help="Sequences of everything in the map.")]
Resolution = Annotated[float | None, typer.Option(help="Resolution in A; estimated from the map when absent.")]
Mask = Annotated[Path | None, typer.Option(help="Only its voxels above 0.5 are looked at; may be on another grid.")]
Half1 = Annotated[Path | None, typer.Option(help="First half map, raw: neither masked nor sharpened.")]
Half2 = Annotated[Path | None, typer.Option(help="Second half map.")]
Contour = Annotated[float | None, typer.Option(help="Voxels below this value are not predicted.")]
VoxelSize = Annotated[float | None, typer.Option(help="Voxel size in A; overrules the header.")]
Origin = Annotated[str, typer.Option(help="What places voxel 0: auto, header (ORIGIN), nstart or zero.")]
Mirror = Annotated[
    str | None,
    typer.Option(
        metavar="no|yes|auto",
        help="yes: flip the map along x and write the flipped map as well, which the results belong to; "
        "auto: only if its helices are left-handed.",
    ),
]
MaxVoxels = Annotated[int | None, typer.Option(help="Refuse larger maps.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all cores when absent.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with settings.")]
Change = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")]
Copies = Annotated[list[str] | None, typer.Option(metavar="NAME=N", help="Number of copies of a sequence.")]


def collect_settings(config: Path | None, changes: list[str] | None, **options: Any) -> Settings:
    """Settings from file, `--set` and the command's own options, of which those that are None do not count."""
    from cryo2struct.settings import load_settings, parse_change

    given = {name.replace("__", "."): value for name, value in options.items() if value is not None}
    return load_settings(config, {**dict(parse_change(change) for change in changes or []), **given})


def parse_copies(copies: list[str] | None) -> dict[str, int]:
    """`--copies NAME=N` options as a mapping.

    Raises
    ------
    UsageError
        One is not of this form.
    """
    from cryo2struct.errors import UsageError

    numbers = {}
    for text in copies or []:
        name, _, number = text.rpartition("=")
        if not name or not number.isdigit() or int(number) < 1:
            raise UsageError(f"--copies {text}: write it as NAME=N with N of 1 or more")
        numbers[name] = int(number)
    return numbers


def read_map_and_mask(
    path: Path, mask: Path | None, settings: Settings, warn: Callable[[str], None]
) -> tuple[DensityMap, NDArray[np.bool_] | None]:
    """The map and its mask, the reader's warnings handed to `warn`."""
    density = read_map_of(path, settings, warn)
    return density, read_mask_of(mask, density, settings, warn)


def read_map_of(path: Path, settings: Settings, warn: Callable[[str], None]) -> DensityMap:
    """A map, read as the settings say."""
    from cryo2struct.io.maps import read_map

    options = settings.map
    density, warnings = read_map(
        path, voxel_size=options.voxel_size, origin=options.origin, max_voxels=options.max_voxels
    )
    for warning in warnings:
        warn(warning)
    return density


def read_mask_of(
    mask: Path | None, density: DensityMap, settings: Settings, warn: Callable[[str], None]
) -> NDArray[np.bool_] | None:
    """Where the mask of a map is above 0.5, on the map's grid; None without one."""
    from cryo2struct.io.maps import read_mask

    if mask is None:
        return None
    mask_map, warnings = read_mask(mask, density.frame, voxel_size=settings.map.voxel_size, origin=settings.map.origin)
    for warning in warnings:
        warn(warning)
    return mask_map.values > 0.5


def read_half_maps(
    first: Path | None, second: Path | None, settings: Settings, warn: Callable[[str], None]
) -> HalfMaps | None:
    """The two half maps, or None where none is given.

    Raises
    ------
    UsageError
        Only one is given.
    InputError
        They are one file, are on different grids, or hold the same values.
    """
    from cryo2struct.errors import InputError, UsageError

    if first is None and second is None:
        return None
    if first is None or second is None:
        given, other = ("--half1", "--half2") if second is None else ("--half2", "--half1")
        raise UsageError(f"{given}: a half map alone says nothing; give {other} as well")
    from cryo2struct.enhancement import HalfMaps

    one = read_map_of(first, settings, warn)
    if second.exists() and first.samefile(second):
        raise InputError(f"--half2 {second}: is the file of --half1; give the other half map")
    return HalfMaps(one, read_map_of(second, settings, warn))


def read_map_or_mean(
    path: Path | None, halves: HalfMaps | None, settings: Settings, warn: Callable[[str], None]
) -> DensityMap:
    """The map, or where none is given the mean of the half maps; raises UsageError where there are none either."""
    from cryo2struct.errors import UsageError

    if path is not None:
        return read_map_of(path, settings, warn)
    if halves is None:
        raise UsageError("MAP: is missing; give a map, or --half1 and --half2")
    return halves.mean


class Console:
    """Shows a run: a progress bar on a terminal, a line per step otherwise; keeps the lines for run.log.

    A quiet one keeps the lines alone.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self.lines: list[str] = []
        self._progress: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Console:
        if sys.stderr.isatty() and not self._quiet:
            from rich.console import Console as RichConsole
            from rich.progress import Progress

            self._progress = Progress(console=RichConsole(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, line: str) -> None:
        """Show a line and keep it."""
        self.lines.append(line)
        if not self._quiet:
            print(line, file=sys.stderr, flush=True)

    def progress(self, name: str, done: int, total: int) -> None:
        """Move the bar called `name`."""
        if self._progress is not None:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=total)
            self._progress.update(self._tasks[name], completed=done)
