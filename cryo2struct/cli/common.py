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

    from cryo2struct.objects import DensityMap
    from cryo2struct.settings import Settings

MapFile = Annotated[Path, typer.Argument(metavar="MAP", help="Density map: MRC or CCP4, also compressed.")]
FastaFile = Annotated[Path, typer.Argument(metavar="FASTA", help="Sequences of everything in the map.")]
Resolution = Annotated[float | None, typer.Option(help="Resolution in A; estimated from the map when absent.")]
Mask = Annotated[Path | None, typer.Option(help="Only its voxels above 0.5 are looked at; may be on another grid.")]
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
    from cryo2struct.io.maps import read_map, read_mask

    options = settings.map
    density, warnings = read_map(
        path, voxel_size=options.voxel_size, origin=options.origin, max_voxels=options.max_voxels
    )
    chosen = None
    if mask is not None:
        mask_map, more = read_mask(mask, density.frame, voxel_size=options.voxel_size, origin=options.origin)
        chosen = mask_map.values > 0.5
        warnings += more
    for warning in warnings:
        warn(warning)
    return density, chosen


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
