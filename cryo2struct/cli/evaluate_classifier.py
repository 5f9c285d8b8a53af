"""`cryo2struct evaluate-classifier`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryo2struct.cli import common

if TYPE_CHECKING:
    from rich.table import Table

Columns = dict[str, tuple[str, ...]]

PLACES: Columns = {
    "R / P 2 A": ("ca_recall_2A", "ca_precision_2A"),
    "rms A": ("ca_rms_2A",),
    "R / P 3 A": ("ca_recall_3A", "ca_precision_3A"),
    "false CA / nucleotide": ("false_ca_per_nucleotide",),
    "candidates / residue": ("candidates_per_residue",),
    "seconds": ("seconds",),
}
AT_CA: Columns = {
    "type right": ("type_at_ca",),
    "type, nats": ("type_nats",),
    "secondary structure right": ("ss_at_ca",),
    "next, degrees": ("next_angle_median",),
    "previous, degrees": ("prev_angle_median",),
}


def evaluate_classifier(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="List of maps, .csv: docs/evaluate-classifier.md.")],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--reliability", metavar="FILE", help="Draw predicted against observed shares, .png."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Weights; those of the package when absent."),
    ] = None,
    device: common.Device = "auto",
    threads: common.Threads = None,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Measure the networks on maps with known structures."""
    import json

    from rich.console import Console

    from cryo2struct.io.outputs import refuse_inputs, write_text
    from cryo2struct.prediction.device import choose_device
    from cryo2struct.prediction.find import load_networks
    from cryo2struct.settings import data_path
    from cryo2struct.training.evaluate_index import evaluate_index, mean_figures
    from cryo2struct.training.map_index import read_index
    from cryo2struct.training.plot import start_figure
    from cryo2struct.training.reliability import draw, reliability

    settings = common.collect_settings(config, change, device=device, threads=threads)
    refuse_inputs([path for path in (json_file, picture) if path is not None], [index])
    figure = start_figure(picture, 8, 4) if picture is not None else None  # refused now rather than after hours
    rows = read_index(index)
    chosen = choose_device(settings.device, settings.threads)
    networks = load_networks(weights or data_path("weights"), settings)
    with common.Console() as console:
        maps = list(evaluate_index(rows, networks, settings, chosen, console.say))
    means = mean_figures(maps)
    found = reliability([one.answers for one in maps if one.answers])
    figures = [one.values for one in maps]
    Console().print(_table("C-alpha candidates: recall (R) and precision (P)", PLACES, figures, means))
    if any(row.model for row in rows):
        Console().print(_table("at the C-alphas of the models", AT_CA, figures, means))
    if json_file is not None:
        content = {"maps": figures, "means": means, "reliability": found}
        write_text(json_file, json.dumps(content, indent=1) + "\n")
    if figure is not None and picture is not None:
        draw(figure, found, picture)


def _table(title: str, columns: Columns, maps: list[dict[str, Any]], means: list[dict[str, Any]]) -> Table:
    """A row per map and per mean; columns that say nothing are left out."""
    from rich import box
    from rich.table import Table

    keys = [keys for keys in columns.values() if any(row.get(keys[0]) is not None for row in maps)]
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("map", overflow="fold")
    for name, of in columns.items():
        if of in keys:
            table.add_column(name, justify="right")
    for rows, first in ((maps, "map"), (means, "of")):
        for row in rows:
            cells = ["/".join(_cell(row.get(key)) for key in of) for of in keys]
            table.add_row(str(row[first]), *cells)
        table.add_section()
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"
