"""The page: its sections put together, with scripts and data inside; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cryo2struct.io.run_folder import FinishedRun, RunRecord
from cryo2struct.objects import UNASSIGNED, DensityMap
from cryo2struct.report import plots
from cryo2struct.report.chains import legend, letters, overview
from cryo2struct.report.html import CLASSES, paragraph, section, table
from cryo2struct.report.scene import map_scene, model_scene
from cryo2struct.report.scores import fsc_curves, q_scores, score_tables

DATA = Path(__file__).parent / "data"
STYLE = DATA / "page.css"


def render_report(
    run: FinishedRun,
    density: DensityMap | None,
    *,
    notes: Sequence[str] = (),
    scores: Mapping[str, Any] | None = None,
) -> str:
    """The page about a run, as HTML.

    Parameters
    ----------
    run : FinishedRun
    density : DensityMap or None
        The map that the model belongs to; without it the model is shown alone.
    notes : sequence of str
        What the reader should know beside the warnings of the run, one line each.
    scores : mapping, optional
        What `cryo2struct.evaluation.evaluate` made of the model; the curves of `map_model.fsc` are plotted, and the
        Q-scores of `per_residue` beside the confidence.
    """
    notes = list(notes)
    scene: dict[str, Any] = {
        "classes": [[least, colour] for least, _, colour in CLASSES],
        "model": model_scene(run.chains),
        "map": None if density is None else map_scene(density, run.chains),
    }
    if density is not None and scene["map"] is None:
        notes.append("the map has no density at the model: the model is shown alone")
    drawn = [""] * len(run.chains)
    curve = ""
    curves = fsc_curves(scores or {})
    if plots.available():
        q_score = q_scores(scores or {})
        drawn = [plots.confidence_plot(chain, q_score) for chain in run.chains]
        curve = plots.fsc_plot(curves) if curves else ""
    else:
        notes.append("plots are left out: matplotlib is not installed (pip install 'cryo2struct[report]')")
    sections = [
        _head(run),
        _warnings([*run.record.warnings, *notes]),
        _view(scene),
        section("chains", "Chains", legend(), overview(run.chains)),
        section("sequences", "Sequences", letters(run.chains, drawn)),
    ]
    if scores:
        sections.append(section("scores", "Scores", curve, score_tables(scores)))
    sections += [_timings(run.record), _provenance(run.record)]
    return _document(_title(run), "\n".join(sections), scene)


def _title(run: FinishedRun) -> str:
    return f"Model built into {Path(run.record.inputs['map'].path).name}"


def _head(run: FinishedRun) -> str:
    counts = run.record.counts
    chains = [chain for chain in run.chains if chain.sequence != UNASSIGNED]
    built = sum(len(chain.position) for chain in chains)
    whole = sum(len(chain.letters) for chain in chains)
    mean = sum(float(chain.confidence.sum()) for chain in chains) / built
    facts = {
        "residues built": f"{built:,} of {whole:,} ({100 * built / whole:.0f} %)",
        "chains": f"{len(chains)}",
        "mean confidence": f"{mean:.0f} %",
    }
    if counts.get("residues_unassigned"):
        facts["of unknown type besides"] = f"{counts['residues_unassigned']:,}"
    if isinstance(counts.get("resolution"), int | float):
        estimated = " (estimated)" if counts.get("resolution_source") != "given" else ""
        facts["resolution"] = f"{counts['resolution']:.1f} A{estimated}"
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    what = "Confidence is the probability, in percent, that a residue is in its place and is what it is said to be."
    return f'<header><h1>{escape(_title(run))}</h1><dl class="facts">{items}</dl>{paragraph(what, "quiet")}</header>'


def _warnings(lines: Sequence[str]) -> str:
    if not lines:
        return section("warnings", "Warnings", paragraph("None."))
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return section("warnings", "Warnings", f'<ul class="warnings">{items}</ul>')


def _view(scene: Mapping[str, Any]) -> str:
    controls = ""
    if scene["map"] is not None:
        level, last = scene["map"]["level"], scene["map"]["steps"] - 1
        controls = (
            '<div class="controls"><label><input type="checkbox" id="show-map" checked> map</label>'
            f'<label>level <input type="range" id="level" min="1" max="{last}" value="{level}"></label>'
            '<span id="level-value"></span></div>'
        )
    hint = "Drag to turn, scroll to zoom, hover for the residue; click a letter of a sequence below to go there."
    box = '<div id="view" data-state="waiting"></div><noscript><p>The 3D view needs JavaScript.</p></noscript>'
    return section("model", "Map and model", box, controls, paragraph(hint, "quiet"))


def _timings(record: RunRecord) -> str:
    rows = [(step.name, f"{step.seconds:.1f}", f"{step.peak_memory_gb:.2f}") for step in record.steps]
    rows.append(("in all", f"{sum(step.seconds for step in record.steps):.1f}", ""))
    return section("timings", "Timings", table(["step", "seconds", "peak memory so far, GB"], rows))


def _provenance(record: RunRecord) -> str:
    inputs = [(name, file.path, file.sha256) for name, file in record.inputs.items()]
    weights = [("weights", entry.get("file", ""), entry.get("sha256", "")) for entry in record.weights]
    licence = (DATA / "3Dmol-LICENSE.txt").read_text(encoding="utf-8")
    command = f"<pre>{escape(record.command)}</pre>" if record.command else paragraph("Command: not recorded.")
    return section(
        "provenance",
        "Provenance",
        command,
        table(["", "file", "sha256"], [*inputs, *weights], "texts"),
        "<h3>Versions</h3>",
        table([], list(record.versions.items()), "texts"),
        paragraph("All settings are in run.json."),
        f'<details class="licence"><summary>The 3D view is 3Dmol.js 2.5.5; its licence</summary><pre>{escape(licence)}'
        "</pre></details>",
    )


def _document(title: str, body: str, scene: Mapping[str, Any]) -> str:
    """The whole file. Only the two scripts that stand here may run, and the page may load nothing."""
    scripts = [(DATA / name).read_text(encoding="utf-8") for name in ("3Dmol-min.js", "viewer.js")]
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    # No text within may end the element: `<` is written as an escape that JSON knows.
    data = json.dumps(scene, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
{body}
<script type="application/json" id="scene">{data}</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""
