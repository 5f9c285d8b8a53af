"""`cryo2struct evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryo2struct.cli import common

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from cryo2struct.evaluation import Evaluation
    from cryo2struct.objects import DensityMap, Sequences


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL|CANDIDATES", help="Model (mmCIF, PDB) or candidates (.npz).")],
    target: Annotated[
        Path | None, typer.Argument(metavar="TARGET", help="Known structure, mmCIF or PDB; or none.")
    ] = None,
    map_file: Annotated[Path | None, typer.Option("--map", help="Map that the model was built into.")] = None,
    half1: Annotated[
        Path | None, typer.Option(help="Half map; with --half2. Their mean is the map without --map.")
    ] = None,
    half2: Annotated[Path | None, typer.Option(help="The other half map.")] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Of the map, A; needed with --map, half maps tell it otherwise.")
    ] = None,
    origin: common.Origin = "auto",
    max_dist: Annotated[float, typer.Option(metavar="A", help="chain_comparison: largest distance of a pair.")] = 3.0,
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
    fasta: Annotated[
        Path | None, typer.Option(help="Sequences of what is in the map: how much of them is there.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the scores as JSON.")] = None,
    per_residue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is known of each residue of a model as CSV.")
    ] = None,
) -> None:
    """Score a model, or candidates: against a known structure, against a map, and its geometry."""
    import json

    from rich.console import Console

    from cryo2struct.evaluation import evaluate as compare
    from cryo2struct.io.outputs import refuse_inputs, write_text

    inputs = [path for path in (model, target, map_file, half1, half2, context, exclude, fasta) if path]
    refuse_inputs([path for path in (json_file, per_residue) if path is not None], inputs)
    with common.Console() as console:
        given = read_maps(map_file, half1, half2, origin, console.say)
        scored, known = read_inputs(model, target)
        scores = compare(
            scored,
            known,
            **given,
            resolution=resolution,
            sequences=read_fasta(fasta, console.say),
            max_dist=max_dist,
            near_model=near_model,
            **read_filters(context, exclude),
        )
    if given:
        note_confidence(scores, model)
    for table in score_tables(scores):
        Console().print(table)
    for note in scores["notes"]:
        print(f"note: {note}")
    rows = scores.pop("per_residue", [])
    if json_file is not None:
        write_text(json_file, json.dumps(scores, indent=1) + "\n")
    if per_residue is not None:
        write_text(per_residue, csv_text(rows))


def note_confidence(scores: Evaluation, model: Path) -> None:
    """Add a note where the B column of the model's file is no B factor, with which it was compared with a map."""
    from cryo2struct.io.models import holds_confidence

    if holds_confidence(model):
        scores["notes"].append("B factors of the model are confidences: scores against the map suffer from that")


def read_inputs(model: Path, target: Path | None) -> tuple[Any, Any]:
    """What is scored, and the target."""
    from cryo2struct.io.candidates import read_candidates
    from cryo2struct.io.models import read_structure

    scored = read_candidates(model) if model.suffix == ".npz" else read_structure(model)
    return scored, read_structure(target) if target is not None else None


def read_maps(
    map_file: Path | None, half1: Path | None, half2: Path | None, origin: str, warn: Callable[[str], None]
) -> dict[str, Any]:
    """The maps that were given, as `evaluate` takes them."""
    from cryo2struct.errors import UsageError
    from cryo2struct.io.maps import read_map

    if (half1 is None) != (half2 is None):
        raise UsageError(f"--half{2 if half2 is None else 1}: is missing; half maps come in pairs")
    policy = common.collect_settings(None, None, map__origin=origin).map.origin

    def read(path: Path) -> DensityMap:
        density, warnings = read_map(path, origin=policy)
        for warning in warnings:
            warn(f"warning: {warning}")
        return density

    given: dict[str, Any] = {}
    if map_file is not None:
        given["density"] = read(map_file)
    if half1 is not None and half2 is not None:
        given["half_maps"] = (read(half1), read(half2))
    return given


def read_fasta(path: Path | None, warn: Callable[[str], None]) -> Sequences | None:
    """Sequences, if there are any."""
    from cryo2struct.io.sequences import read_sequences

    if path is None:
        return None
    sequences, warnings = read_sequences(path, {})
    for warning in warnings:
        warn(f"warning: {warning}")
    return sequences


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

    tables = []
    if "chain_comparison" in scores:
        tables.append(_chain_comparison_table(scores["chain_comparison"]))
    if "ca" in scores:
        table = Table(
            "within", "precision", "recall", "F1", "rmsd", "type match", title="C-alpha positions, one to one"
        )
        for name, values in scores["ca"].items():
            keys = ("precision", "recall", "f1", "rmsd", "type_match")
            table.add_row(f"{name.removeprefix('at_')} A", *(_cell(values[key]) for key in keys))
        tables.append(table)
    lines = _single_scores(scores)
    if lines:
        table = Table("score", "value", title="Model")
        for name, value in lines:
            table.add_row(name, _cell(value))
        tables.append(table)
    return tables


def _chain_comparison_table(modes: dict[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    from cryo2struct.evaluation.chain_comparison import COLUMNS

    table = Table("", *modes, title="chain_comparison")
    for title, key in COLUMNS:
        table.add_row(title, *(_cell(columns[key]) for columns in modes.values()))
    return table


def _single_scores(scores: Evaluation) -> list[tuple[str, Any]]:
    """Title and value of the scores that are one number."""
    values: dict[str, Any] = dict(scores)
    chosen = [
        ("residues of the sequences that are built", "sequence.built_per_residue"),
        ("candidates per residue of the sequences", "sequence.candidates_per_residue"),
        ("residues of the target with a C-alpha", "completeness.by_place"),
        ("residues of the target in register", "completeness.by_sequence"),
        ("Chamfer distance, A", "chamfer"),
        ("TM-score", "tm_score"),
        ("lDDT-CA", "lddt_ca"),
        ("lDDT, all atoms", "lddt_all_atom"),
        ("rmsd after superposition, A", "superposition_rmsd"),
        ("residues in the right direction", "direction_correct"),
        ("half maps, FSC 0.143, A", "half_maps.d_fsc_0143"),
        *((f"CC_{name}", f"map_model.cc_{name}") for name in ("mask", "box", "volume", "peaks")),
        ("map-model FSC 0.5, A", "map_model.fsc.unmasked.d_fsc_model_05"),
        ("the same in a soft mask, A", "map_model.fsc.masked.d_fsc_model_05"),
        ("Q-score", "q_score.mean_q"),
        ("Ramachandran favoured, %", "geometry.ramachandran.percent_favored"),
        ("Ramachandran outliers, %", "geometry.ramachandran.percent_outliers"),
        ("clashes per 1,000 atoms", "geometry.clashes.per_1000_atoms"),
        ("wrong hands at CA", "geometry.chirality.wrong"),
        ("bonds, rmsd from ideal, A", "geometry.bonds.rmsd"),
        ("angles, rmsd from ideal, degrees", "geometry.angles.rmsd"),
    ]
    found = []
    for title, name in chosen:
        part: Any = values
        for key in name.split("."):
            part = part.get(key) if isinstance(part, dict) else None
        if part is not None:
            found.append((title, part))
    return found


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, with all columns that any of them has."""
    import csv
    import io

    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(
        {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    return text.getvalue()


def _cell(value: float | int | str | None) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) and abs(value) < 0.1 else _usual(value)


def _usual(value: float | int | str) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
