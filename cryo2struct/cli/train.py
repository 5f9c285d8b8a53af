"""`cryo2struct train`."""

from __future__ import annotations

import typer

app = typer.Typer(help="Train a network.")


OWN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}


# The loop has a command line of its own, so that it also starts without this one; --help is among its options.
@app.command(add_help_option=False, context_settings=OWN_OPTIONS)
def classifier(context: typer.Context) -> None:
    """Train the network that sees voxels: `--config FILE --set data.pack=PATH`; --help says more."""
    _train("classifier", context.args)


@app.command(add_help_option=False, context_settings=OWN_OPTIONS)
def residues(context: typer.Context) -> None:
    """Train the network that sees residues: `--config FILE --set data.pack=PATH`; --help says more."""
    _train("residues", context.args)


@app.command(add_help_option=False, context_settings=OWN_OPTIONS)
def enhancer(context: typer.Context) -> None:
    """Train the network that enhances maps: `--config FILE --set data.pack=PATH`; --help says more."""
    _train("enhancer", context.args)


@app.command(add_help_option=False, context_settings=OWN_OPTIONS)
def sequence(context: typer.Context) -> None:
    """Train the head that sees sequences: `--config FILE --set data.pack=PATH`; --help says more."""
    _train("sequence", context.args)


def _train(task: str, arguments: list[str]) -> None:
    from cryo2struct.training.run import main

    raise typer.Exit(main(arguments, task))
