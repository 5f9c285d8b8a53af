"""The command `cryo2struct`: its sub-commands, and how refusals become exit codes."""

from __future__ import annotations

import sys
import warnings

import typer

from cryo2struct.cli import (
    build,
    build_set,
    check,
    classify,
    complete,
    dataset,
    demo,
    doctor,
    enhance,
    evaluate,
    evaluate_classifier,
    evaluate_set,
    fsc,
    handover,
    report,
    simulate,
    trace,
    train,
)
from cryo2struct.errors import as_refusal

app = typer.Typer(
    help="Protein models from cryo-EM density maps and sequences.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(build.build)
app.command()(check.check)
app.command()(classify.classify)
app.command()(trace.trace)
app.command()(complete.complete)
app.command()(enhance.enhance)
app.command()(evaluate.evaluate)
app.command()(build_set.build_set)
app.command()(evaluate_set.evaluate_set)
app.command()(evaluate_classifier.evaluate_classifier)
app.command()(fsc.fsc)
app.command()(report.report)
app.command()(handover.handover)
app.command()(simulate.simulate)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.add_typer(train.app, name="train")
app.add_typer(dataset.app, name="dataset")


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from importlib.metadata import version as installed

        print(installed("cryo2struct"))
        raise typer.Exit


def main() -> None:
    """Entry point: a refusal is one line on standard error and the exit code of its kind; Ctrl-C exits 130."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        app()
    except Exception as error:
        refusal = as_refusal(error)
        print(f"cryo2struct: {' '.join(str(refusal).split())}", file=sys.stderr)
        sys.exit(refusal.exit_code)


if __name__ == "__main__":
    main()
