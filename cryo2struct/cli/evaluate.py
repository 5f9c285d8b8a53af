"""`cryo2struct evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from cryo2struct.evaluation import Evaluation


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL|CANDIDATES", help="Model (mmCIF, PDB) or candidates (.npz).")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Known structure, mmCIF or PDB.")],
    near_model: Annotated[
        float | None, typer.Option(metavar="A", help="CA scores: only points within A of an atom of the target count.")
    ] = None,
    context: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="CA scores: neighbours that are no target; their points are left out."),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CA scores: target residues to leave out, `CHAIN NUMBER` a line."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the scores as JSON.")] = None,
) -> None:
    """Compare a model, or candidates, with a known structure."""
    import json

    from rich.console import Console

    from cryo2struct.evaluation import evaluate as compare
    from cryo2struct.io.outputs import refuse_inputs, write_text

    inputs = [path for path in (model, target, context, exclude) if path]
    if json_file is not None:
        refuse_inputs([json_file], inputs)
    scores = compare(*read_inputs(model, target), near_model=near_model, **read_filters(context, exclude))
    for table in score_tables(scores):
        Console().print(table)
    if json_file is not None:
        write_text(json_file, json.dumps(scores, indent=1) + "\n")


def read_inputs(model: Path, target: Path) -> tuple[Any, Any]:
    """What is scored, and the target."""
    from cryo2struct.io.candidates import read_candidates
    from cryo2struct.io.models import read_structure

    scored = read_candidates(model) if model.suffix == ".npz" else read_structure(model)
    return scored, read_structure(target)


def read_filters(context: Path | None, exclude: Path | None) -> dict[str, Any]:
    """The filters of the CA scores that come as files."""
    from cryo2struct.evaluation.ca import parse_exclude
    from cryo2struct.io.models import read_structure
    from cryo2struct.io.streams import read_bytes

    filters: dict[str, Any] = {}
    if context is not None:
        filters["context"] = read_structure(context)
    if exclude is not None:
        filters["exclude"] = parse_exclude(read_bytes(exclude).decode())
    return filters


def score_tables(scores: Evaluation) -> list[Table]:
    """The scores as tables for the terminal."""
    from rich.table import Table

    from cryo2struct.evaluation.chain_comparison import COLUMNS

    tables = []
    if "chain_comparison" in scores:
        modes = scores["chain_comparison"]
        table = Table("", *modes, title="chain_comparison")
        for title, key in COLUMNS:
            table.add_row(title, *(_cell(columns[key]) for columns in modes.values()))
        tables.append(table)
    table = Table("within", "precision", "recall", "F1", "rmsd", "type match", title="C-alpha positions, one to one")
    for name, values in scores["ca"].items():
        keys = ("precision", "recall", "f1", "rmsd", "type_match")
        table.add_row(f"{name.removeprefix('at_')} A", *(_cell(values[key]) for key in keys))
    return [*tables, table]


def _cell(value: float | int | str | None) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
