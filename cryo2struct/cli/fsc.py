"""`cryo2struct fsc`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryo2struct.cli import common

if TYPE_CHECKING:
    from rich.table import Table

    from cryo2struct.evaluation.fsc import MapFsc

ROWS = 16  # of the table; the JSON file has all shells


def fsc(
    map1: Annotated[Path, typer.Argument(metavar="MAP1", help="Map, such as a half map.")],
    map2: Annotated[Path, typer.Argument(metavar="MAP2", help="Map on the same grid.")],
    mask: Annotated[
        Path | None, typer.Option(help="Map of 0 to 1 that both are multiplied by; may be on another grid.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the curve as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the curve, .png, .svg or .pdf.")] = None,
    origin: common.Origin = "auto",
) -> None:
    """Fourier shell correlation of two maps, and the resolution that it tells."""
    import json
    import sys

    from rich.console import Console

    from cryo2struct.evaluation.fsc import draw, map_fsc
    from cryo2struct.io.maps import read_map, read_mask
    from cryo2struct.io.outputs import refuse_inputs, write_text
    from cryo2struct.training.plot import save_figure, start_figure

    policy = common.collect_settings(None, None, map__origin=origin).map.origin
    inputs = [path for path in (map1, map2, mask) if path is not None]
    refuse_inputs([path for path in (json_file, picture) if path is not None], inputs)
    figure = start_figure(picture, 6, 4) if picture is not None else None
    first, warnings = read_map(map1, origin=policy)
    second, more = read_map(map2, origin=policy)
    chosen, others = read_mask(mask, first.frame, origin=policy) if mask is not None else (None, [])
    for warning in [*warnings, *more, *others]:
        print(f"warning: {warning}", file=sys.stderr)
    found = map_fsc(first, second, chosen)
    Console().print(_table(found))
    for level, place in (("0.5", found.d_fsc_05), ("0.143", found.d_fsc_0143)):
        print(f"FSC {level}: " + ("not reached before the Nyquist frequency" if place is None else f"{place:.2f} A"))
    if json_file is not None:
        write_text(json_file, json.dumps(found.as_dict(), indent=1) + "\n")
    if figure is not None and picture is not None:
        draw(figure, found)
        save_figure(figure, picture)


def _table(found: MapFsc) -> Table:
    """Evenly spaced shells, the last one among them."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for title in ("1/d, 1/A", "d, A", "FSC"):
        table.add_column(title, justify="right")
    step = -(-len(found.d_inv) // ROWS)
    for index in reversed(range(len(found.d_inv) - 1, -1, -step)):
        d_inv = float(found.d_inv[index])
        table.add_row(f"{d_inv:.4f}", f"{1 / d_inv:.2f}", f"{found.fsc[index]:.3f}")
    return table
