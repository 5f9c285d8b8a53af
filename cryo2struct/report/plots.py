"""Plots as SVG that stands in the page; they need matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cryo2struct.io.run_folder import BuiltChain
from cryo2struct.report.html import CLASSES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, SECOND = "#1b1b1b", "#a3195b"


def available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def confidence_plot(chain: BuiltChain, q_score: Mapping[tuple[str, int], float]) -> str:
    """Confidence of each residue of a chain, and its Q-score where there is one; gaps where nothing is built."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9), layout="constrained")
    axes = figure.subplots()
    for index, (least, _, colour) in enumerate(CLASSES):
        axes.axhspan(least, 100 if index == 0 else CLASSES[index - 1][0], color=colour, alpha=0.3, linewidth=0)
    positions = np.arange(1, len(chain.letters) + 1)
    axes.plot(positions, _along(chain, chain.confidence), color=LINE, linewidth=1, marker=".", markersize=2)
    axes.set(xlim=(0.5, len(chain.letters) + 0.5), ylim=(0, 100), xlabel="residue", ylabel="confidence, %")
    scores = np.array([q_score.get((chain.name, position), np.nan) for position in chain.position.tolist()])
    if np.isfinite(scores).any():
        right = axes.twinx()
        right.plot(positions, _along(chain, scores), color=SECOND, linewidth=1, linestyle="--")
        right.set_ylabel("Q-score (dashed)", color=SECOND)
        right.set_ylim(min(0.0, float(np.nanmin(scores))), 1)
    return _svg(figure, f"confidence of chain {chain.name}")


def fsc_plot(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """Map-model FSC curves by name: `d_inv` in 1 / angstrom, `fsc`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
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


def _along(chain: BuiltChain, values: np.typing.NDArray[Any]) -> np.typing.NDArray[np.float64]:
    """Values (R,) of the built residues at all positions of the sequence, NaN elsewhere."""
    along = np.full(len(chain.letters), np.nan)
    along[chain.position - 1] = values
    return along


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
