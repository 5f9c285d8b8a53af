"""Plots as SVG that stands in the page; they need matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cryo2struct.io.run_folder import BuiltChain
from cryo2struct.objects import FloatArray
from cryo2struct.report.html import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, SECOND = "#1b1b1b", "#a3195b"
SLICE_COLOURS = ("#d55e00", "#0072b2", "#009e73")
WIDEST_SECTION = 256  # pixels


def available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def confidence_plot(chain: BuiltChain, q_score: Mapping[tuple[str, int], float]) -> str:
    """Confidence of each residue of a chain, and its Q-score where there is one; gaps where nothing is built."""
    figure, axes = _start(9.0, 1.9)
    for index, (least, _, colour) in enumerate(CLASSES):
        axes.axhspan(least, 100 if index == 0 else CLASSES[index - 1][0], color=colour, alpha=0.3, linewidth=0)
    axes.set(xlim=(0.5, len(chain.letters) + 0.5), ylim=(0, 100), xlabel="residue", ylabel="confidence, %")
    _draw_along(axes, chain, chain.confidence, LINE, "-")
    scores = np.array([q_score.get((chain.name, position), np.nan) for position in chain.position.tolist()])
    if np.isfinite(scores).any():
        right = axes.twinx()
        _draw_along(right, chain, scores, SECOND, "--")
        right.set_ylabel("Q-score (dashed)", color=SECOND)
        right.set_ylim(min(0.0, float(np.nanmin(scores))), 1)
    return _svg(figure, f"confidence of chain {chain.name}")


def fsc_plot(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """Map-model FSC curves by name: `d_inv` in 1 / angstrom, `fsc`."""
    figure, axes = _start(6.0, 3.2)
    for (name, curve), style in zip(curves.items(), ("-", "--", ":"), strict=False):
        axes.plot(curve["d_inv"], curve["fsc"], color=LINE if style == "-" else SECOND, linestyle=style, label=name)
    for level in (0.143, 0.5):
        axes.axhline(level, color="#888888", linewidth=0.8)
        axes.annotate(str(level), (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.axhline(0, color="#888888", linewidth=0.5)
    axes.set(xlabel="1 / resolution, 1/A", ylabel="map-model FSC", ylim=(-0.1, 1.02))
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
    return _svg(figure, "map-model FSC")


def slice_plot(section: FloatArray, points: Mapping[str, FloatArray], name: str) -> str:
    """A section (y, x) of a map, 0 to 1, with the voxels (N, 2) y, x of labels by what they say.

    A large section is drawn from every second voxel, every third, ...
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.0))
    axes = figure.add_axes((0.02, 0.02, 0.76, 0.96))
    step = -(-max(section.shape) // WIDEST_SECTION)
    height, width = section.shape
    edges = (-0.5, width - 0.5, -0.5, height - 0.5)
    axes.imshow(section[::step, ::step], cmap="gray_r", vmin=0, vmax=1, origin="lower", extent=edges)
    for (what, place), colour in zip(points.items(), SLICE_COLOURS, strict=False):
        axes.scatter(place[:, 1], place[:, 0], s=14, c=colour, edgecolors="white", linewidths=0.4, label=what)
    axes.set_axis_off()
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return _svg(figure, f"section of {name}")


def _start(width: float, height: float) -> tuple[Figure, Axes]:
    """Figure of a size in inches, with axes that leave the room that labels need; finding it out takes much longer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    place = (0.6 / width, 0.48 / height, 1 - 1.2 / width, 1 - 0.6 / height)
    return figure, figure.add_axes(place)


def _draw_along(axes: Axes, chain: BuiltChain, values: FloatArray, colour: str, style: str) -> None:
    """A line along the sequence through values (R,) of the built residues; a dot where no neighbour is built."""
    along = np.full(len(chain.letters) + 2, np.nan)
    along[chain.position] = values
    alone = np.isnan(along[:-2]) & np.isnan(along[2:])
    positions = np.arange(1, len(chain.letters) + 1)
    axes.plot(positions, along[1:-1], color=colour, linewidth=1, linestyle=style)
    axes.plot(positions[alone], along[1:-1][alone], color=colour, linestyle="", marker=".", markersize=3)


def _svg(figure: Figure, label: str) -> str:
    """The figure as an element of HTML; its text stays text, and its names are its own within the page."""
    from html import escape

    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    drawing = text.getvalue()
    start = drawing.index("<svg") + len("<svg")
    return f'<figure class="plot"><svg role="img" aria-label="{escape(label)}"{drawing[start:]}</figure>'
