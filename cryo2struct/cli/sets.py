"""What the commands over many maps or models share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Workers = Annotated[int, typer.Option(min=1, help="Processes on this computer; the cores are shared among them.")]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Use the workers of this dask scheduler instead: docs/many.md."),
]


def one_line(error: Exception | None) -> str:
    """The message of a refusal."""
    return " ".join(str(error).split())


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown that reads well as plain text too: columns of one width, numbers at their right."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*cells, strict=True)]
    right = [_are_numbers(column[1:]) for column in zip(*cells, strict=True)]
    lines = [
        [cell.rjust(width) if numbers else cell.ljust(width) for cell, width, numbers in columns]
        for columns in (zip(row, widths, right, strict=True) for row in cells)
    ]
    rule = ["-" * (width - 1) + (":" if numbers else "-") for width, numbers in zip(widths, right, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _are_numbers(column: Sequence[str]) -> bool:
    return all(cell[:1].isdigit() or cell in ("", "-") or cell[:2].lstrip("-").isdigit() for cell in column)
