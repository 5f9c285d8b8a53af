"""The command `cryo2struct`: its sub-commands, and how refusals become exit codes."""

from __future__ import annotations

import sys
import warnings

import typer

from cryo2struct.cli import (
    build,
    check,
    classify,
    demo,
    doctor,
    evaluate,
    evaluate_classifier,
    report,
    simulate,
    trace,
    train,
)
from cryo2struct.errors import Cryo2StructError, InternalError, ResourceError

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
app.command()(evaluate.evaluate)
app.command()(evaluate_classifier.evaluate_classifier)
app.command()(report.report)
app.command()(simulate.simulate)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.add_typer(train.app, name="train")


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
    except Cryo2StructError as error:
        sys.exit(_refuse(error))
    except MemoryError:
        sys.exit(_refuse(ResourceError("not enough memory: give a smaller map, --mask, or --set prediction.batch=1")))
    except Exception as error:
        sys.exit(_refuse(InternalError(f"internal fault ({error!r}): please report it with the file {_log_fault()}")))


def _refuse(error: Cryo2StructError) -> int:
    print(f"cryo2struct: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code


def _log_fault() -> str:
    """Write the traceback of the current exception to a file of its own; returns its name."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="cryo2struct-fault-", suffix=".log", delete=False) as log:
        traceback.print_exc(file=log)
    return log.name


if __name__ == "__main__":
    main()
