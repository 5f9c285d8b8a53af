"""A picture of a training: losses, validation figures and speed against the crops seen.

python -m cryo2struct.training.plot runs/classifier/metrics.csv -o curve.png
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryo2struct.errors import Cryo2StructError, InputError, OutputError, ResourceError
from cryo2struct.io.outputs import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = dict[float, float]
PANELS: dict[str, Callable[[str], bool]] = {
    "loss": lambda name: "." not in name and name not in ("seconds", "crops"),
    "validation, loss": lambda name: name.startswith("validate.") and not name.endswith(".types"),
    "validation, share of types right": lambda name: name.startswith("validate.") and name.endswith(".types"),
    "crops per second": lambda name: name.startswith("crops_per_second."),
}


def read_metrics(path: Path) -> dict[str, Curve]:
    """Each figure's values by the crops seen, or by the step where the file does not tell crops.

    What was logged twice, by a training that was broken off and went on from an earlier checkpoint, counts once: the
    later row.

    Raises
    ------
    InputError
        No such file, or not the columns step, name and value with numbers.
    """
    try:
        with path.open(newline="") as handle:
            rows = [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(handle)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): give the metrics.csv of a run") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not the metrics of a training (columns step, name, value)") from error
    if not rows:
        raise InputError(f"{path}: has no rows: wait until the training has logged")
    crops_per_step = [value / step for step, name, value in rows if name == "crops" and step]
    scale = crops_per_step[-1] if crops_per_step else 1.0
    curves: dict[str, Curve] = {}
    for step, name, value in rows:
        curves.setdefault(name, {})[step * scale] = value
    return {name: dict(sorted(curve.items())) for name, curve in curves.items()}


def start_figure(path: Path, width: float, height: float) -> Figure:
    """An empty figure of this size in inches, to be saved in the file by `save_figure`.

    Raises
    ------
    OutputError
        matplotlib does not write this kind of picture.
    ResourceError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ResourceError("matplotlib is not installed: pip install 'cryo2struct[report]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    if path.suffix.removeprefix(".").lower() not in figure.canvas.get_supported_filetypes():
        raise OutputError(f"{path}: {path.suffix or 'no ending'} is no kind of picture: give a name such as curve.png")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture; raises OutputError when that cannot be done."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".").lower())


def plot(curves: dict[str, Curve], path: Path) -> None:
    """Draw one panel per kind of figure, those without any left out.

    Raises
    ------
    OutputError
        The picture cannot be written.
    ResourceError
        matplotlib is not installed.
    """
    panels = {title: names for title, chosen in PANELS.items() if (names := [n for n in curves if chosen(n)])}
    figure = start_figure(path, 7, 3 * len(panels))
    for number, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(len(panels), 1, number + 1)
        for name in names:
            label = name.removeprefix("validate.").removeprefix("crops_per_second.")
            axes.plot(list(curves[name]), list(curves[name].values()), marker=".", label=label)
        axes.set_ylabel(title)
        axes.set_xlabel("crops seen" if "crops" in curves else "steps")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small", ncol=3)
    save_figure(figure, path)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Plot the metrics of a training.")
    parser.add_argument("metrics", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("curve.png"))
    options = parser.parse_args(arguments)
    try:
        plot(read_metrics(options.metrics), options.output)
    except Cryo2StructError as error:
        print(f"cryo2struct: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
