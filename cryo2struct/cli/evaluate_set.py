"""`cryo2struct evaluate-set`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryo2struct.cli import common, sets

if TYPE_CHECKING:
    from cryo2struct.evaluation.statistics import Summary
    from cryo2struct.io.manifest import EvaluationEntry


def evaluate_set(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST|SCORES",
            help="CSV with columns name, model, target, as build-set leaves it; or an earlier scores.json.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for scores.csv, scores.md and scores.json.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="SCORES", help="The scores.json of another set: differences, model by model."),
    ] = None,
    workers: sets.Workers = 1,
    scheduler: sets.Scheduler = None,
    seed: common.Seed = 0,
    force: Annotated[bool, typer.Option(help="Replace earlier scores in the output folder.")] = False,
) -> None:
    """Compare many models with known structures: mean, median and interval of each score."""
    from cryo2struct.evaluation.statistics import compare_sets, summarise_set
    from cryo2struct.io.manifest import read_evaluation_manifest
    from cryo2struct.io.outputs import make_folder
    from cryo2struct.io.score_sets import check_score_files, read_models, write_score_files

    if output is not None:
        check_score_files(output, force, [path for path in (manifest, against) if path])
    others = read_models(against) if against else []
    models = read_models(manifest) if manifest.suffix == ".json" else []
    entries = [] if models else read_evaluation_manifest(manifest)
    if output is not None:
        make_folder(output)
    with common.Console() as console:
        models = models or _scored(entries, manifest, workers, scheduler, console)
    scores, former = _by_name(models), _by_name(others)
    summary, differences = summarise_set(scores, seed), compare_sets(scores, former, seed)
    text = _text(models, summary, differences, manifest, against, len(scores.keys() & former.keys()))
    print(text)
    if output is not None:
        content = {"program": "cryo2struct", "source": str(manifest.resolve()), "seed": seed, "models": models}
        content["summary"] = {name: found.as_dict() for name, found in summary.items()}
        if against is not None:
            content["against"] = str(against.resolve())
            content["differences"] = {name: found.as_dict() for name, found in differences.items()}
        write_score_files(output, content, f"# Scores of {manifest.name}\n\n{text}\n")
    console.say(f"{len(scores)} of {len(models)} evaluated, {len(models) - len(scores)} failed")
    if against is not None and not differences:
        console.say(f"warning: {against}: has none of these models: no differences")


def _scored(
    entries: list[EvaluationEntry], manifest: Path, workers: int, scheduler: str | None, console: common.Console
) -> list[dict[str, Any]]:
    """Evaluate the models of a list; raises InputError where that fails for all of them."""
    from cryo2struct.errors import InputError
    from cryo2struct.parallel import Outcome, run_tasks

    count = 0

    def ended(number: int, outcome: Outcome[dict[str, float | None]]) -> None:
        nonlocal count
        count += 1
        failed = f"failed: {sets.one_line(outcome.error)}" if outcome.error else "evaluated"
        console.say(f"{entries[number].name}: {failed}")
        console.progress("models", count, len(entries))

    outcomes = run_tasks(_evaluate, entries, workers=workers, scheduler=scheduler, ended=ended)
    errors = [sets.one_line(outcome.error) if outcome.error else None for outcome in outcomes]
    if all(errors):
        raise InputError(f"{manifest}: none of its {len(entries)} models can be evaluated; the first: {errors[0]}")
    return [
        {"name": entry.name, "error": error, "scores": outcome.value or {}}
        for entry, error, outcome in zip(entries, errors, outcomes, strict=True)
    ]


def _evaluate(entry: EvaluationEntry) -> dict[str, float | None]:
    """Scores of one model by name, in whichever process."""
    from cryo2struct.errors import InputError

    if entry.model is None:
        raise InputError("model: is empty; nothing was built")
    from cryo2struct.cli.evaluate import read_fasta, read_filters, read_inputs, read_maps
    from cryo2struct.evaluation import evaluate
    from cryo2struct.evaluation.statistics import flatten

    model, target = read_inputs(entry.model, entry.target)
    maps = read_maps(entry.map, None, None, "auto", _unsaid) if entry.resolution is not None else {}
    scores = evaluate(
        model,
        target,
        **maps,
        resolution=entry.resolution,
        sequences=read_fasta(entry.fasta, _unsaid),
        near_model=entry.near_model,
        **read_filters(entry.context, entry.exclude),
    )
    return flatten(scores)


def _unsaid(warning: str) -> None:
    """Warnings about a map or sequences were given when the model was built."""


def _by_name(models: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Scores of the models that have them."""
    return {model["name"]: model["scores"] for model in models if model["error"] is None}


def _text(
    models: list[dict[str, Any]],
    summary: Mapping[str, Summary],
    differences: Mapping[str, Summary],
    source: Path,
    against: Path | None,
    pairs: int,
) -> str:
    """The summary as Markdown."""
    failed = [f"- {model['name']}: {model['error']}" for model in models if model["error"] is not None]
    parts = [
        f"{len(models) - len(failed)} of {len(models)} models; 95 % bootstrap interval of the mean.",
        _table(summary),
    ]
    if against is not None:
        parts += [f"Differences, {source} minus {against}: {pairs} models in both.", _table(differences)]
    if failed:
        parts += ["Without scores, and in no mean:", "\n".join(failed)]
    return "\n\n".join(parts)


def _table(summary: Mapping[str, Summary]) -> str:
    rows = [
        [name, str(found.n), *(_cell(value) for value in (found.mean, found.median, found.low, found.high))]
        for name, found in summary.items()
    ]
    return sets.markdown_table(["score", "models", "mean", "median", "low", "high"], rows)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
