"""Pieces of HTML; every text that comes from outside passes through `escape`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

CLASSES = (
    (90.0, "very high", "#0053D6"),
    (70.0, "high", "#65CBF3"),
    (50.0, "low", "#FFDB13"),
    (0.0, "very low", "#FF7D45"),
)
"""Least confidence in percent, name and colour of each class, in the colours of the AlphaFold database."""


def class_of(confidence: float) -> int:
    """Index into `CLASSES` of a confidence in percent."""
    return next(index for index, (least, _, _) in enumerate(CLASSES) if confidence >= least)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of plain texts; the first cell of each row is its name."""
    parts = [f'<div class="wide"><table class="{escape(kind)}">']
    if head:
        parts.append("<thead><tr>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head) + "</tr></thead>")
    parts.append("<tbody>")
    for name, *cells in rows:
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        parts.append(f'<tr><th scope="row">{escape(name)}</th>{values}</tr>')
    return "\n".join([*parts, "</tbody></table></div>"])


def section(identifier: str, title: str, *content: str) -> str:
    """A titled section of the page."""
    return "\n".join([f'<section id="{identifier}"><h2>{escape(title)}</h2>', *content, "</section>"])


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def number(value: object) -> str:
    """A score as text: two to three digits, `-` where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
