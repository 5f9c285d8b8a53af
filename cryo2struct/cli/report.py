"""`cryo2struct report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cryo2struct.io.run_folder import FinishedRun
    from cryo2struct.objects import DensityMap

REPORT_FILE = "report.html"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of build.")],
    target: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Known structure, mmCIF or PDB: adds a comparison with it.")
    ] = None,
    map_scores: Annotated[
        bool, typer.Option("--map-scores", help="Add what evaluate says of the model in its map: FSC curve, Q-score.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Replace a report.html that is not of this run.")] = False,
) -> None:
    """Write DIR/report.html: one page with the model in its map, its confidence, warnings and timings."""
    from cryo2struct.errors import InputError, OutputError
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.io.run_folder import list_file, read_map_of, read_run

    page = folder / REPORT_FILE
    run = read_run(folder)
    if page.exists() and REPORT_FILE not in run.record.files and not force:
        raise OutputError(f"{page}: exists, and run.json does not list it; move it away, or add --force")
    refuse_inputs([page], [target] if target is not None else [])
    density, reason = read_map_of(run)
    if density is None and map_scores:
        raise InputError(f"--map-scores: there is no map to score against: {reason}")
    scores = None
    if target is not None or map_scores:
        scores = score(run, target, density if map_scores else None)
    write_report(run, density, reason, scores)
    list_file(folder, REPORT_FILE)
    print(page)


def score(run: FinishedRun, target: Path | None, density: DensityMap | None) -> Mapping[str, Any]:
    """All scores of the run's model against a target and a map, as far as they are given."""
    from cryo2struct.cli.evaluate import note_confidence
    from cryo2struct.evaluation import evaluate
    from cryo2struct.io.models import read_structure

    known = read_structure(target) if target is not None else None
    scores = evaluate(run.structure, known, density=density, resolution=run.record.counts.get("resolution"))
    if density is not None:
        note_confidence(scores, run.folder / "model.cif")
    return scores


def write_report(
    run: FinishedRun, density: DensityMap | None, reason: str = "", scores: Mapping[str, Any] | None = None
) -> None:
    """Write the page about a run into its folder; `reason` says why there is no map."""
    from cryo2struct.io.outputs import write_text
    from cryo2struct.io.run_folder import sequences_without_chain
    from cryo2struct.report import render_report

    notes = [f"nothing was built of sequence {name}" for name in sequences_without_chain(run)]
    if density is None:
        notes.append(f"the model is shown alone: {reason}")
    write_text(run.folder / REPORT_FILE, render_report(run, density, notes=notes, scores=scores))
