"""`cryo2struct report`."""

from __future__ import annotations

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
    force: Annotated[bool, typer.Option(help="Replace a report.html that is not of this run.")] = False,
) -> None:
    """Write DIR/report.html: one page with the model in its map, its confidence, warnings and timings."""
    from cryo2struct.errors import OutputError
    from cryo2struct.io.models import read_structure
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.io.run_folder import list_file, read_run

    page = folder / REPORT_FILE
    run = read_run(folder)
    if page.exists() and REPORT_FILE not in run.record.files and not force:
        raise OutputError(f"{page}: exists, and run.json does not list it; move it away, or add --force")
    scores = None
    if target is not None:
        from cryo2struct.evaluation import evaluate

        refuse_inputs([page], [target])
        scores = evaluate(run.structure, read_structure(target))
    write_report(run, scores=scores)
    list_file(folder, REPORT_FILE)
    print(page)


def write_report(run: FinishedRun, density: DensityMap | None = None, scores: Any = None) -> None:
    """Write the page about a run into its folder; its map is read again where it is not handed over."""
    from cryo2struct.io.outputs import write_text
    from cryo2struct.io.run_folder import read_map_of, sequences_without_chain
    from cryo2struct.report import render_report

    notes = [f"nothing was built of sequence {name}" for name in sequences_without_chain(run)]
    if density is None:
        density, reason = read_map_of(run)
        if reason:
            notes.append(f"the model is shown alone: {reason}")
    write_text(run.folder / REPORT_FILE, render_report(run, density, notes=notes, scores=scores))
