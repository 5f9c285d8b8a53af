"""The page that `dataset validate` writes: a table of all entries, and a section of map and labels of some."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cryo2struct.dataset.validate import Check
from cryo2struct.report.html import paragraph, section, table
from cryo2struct.report.page import STYLE
from cryo2struct.report.plots import available, slice_plot

HEAD = ("entry", "residues", "labels", "share a voxel", "outside", "farthest label, A", "faults")


def figures(check: Check) -> tuple[str, ...]:
    """One entry as a row under `HEAD`."""
    numbers = (check.residues, check.labels, check.shared, check.outside)
    return (check.name, *map(str, numbers), f"{check.farthest:.3f}", str(len(check.faults)))


def render_page(title: str, checks: Sequence[Check], drawn: int) -> str:
    """HTML of the page.

    Parameters
    ----------
    title : str
    checks : of all entries
    drawn : entries with a section at most, those with faults first
    """
    chosen = sorted(checks, key=lambda check: not check.faults)[:drawn]
    faulty = sum(bool(check.faults) for check in checks)
    parts = [
        f"<h1>{escape(title)}</h1>",
        paragraph(f"{len(checks)} entries, {faulty} with faults."),
        section("entries", "Entries", table(HEAD, [figures(check) for check in checks])),
        section("sections", "Sections", *(_entry(check) for check in chosen)),
    ]
    if len(chosen) < len(checks):
        parts.append(paragraph(f"{len(chosen)} of {len(checks)} entries are drawn: --sections draws more.", "quiet"))
    if not available():
        parts.append(paragraph("Sections need matplotlib: pip install 'cryo2struct[report]'.", "quiet"))
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _entry(check: Check) -> str:
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in check.faults)
    parts = [f"<h3>{escape(check.name)}</h3>", f'<ul class="warnings">{faults}</ul>' if faults else ""]
    if check.section is not None and available():
        parts.append(slice_plot(check.section, check.points, check.name))
    return "\n".join(parts)
