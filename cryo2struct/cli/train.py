"""`cryo2struct train`."""

from __future__ import annotations

import typer

app = typer.Typer(help="Train a network.")


# The loop has a command line of its own, so that it also starts without this one; --help is among its options.
@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def classifier(context: typer.Context) -> None:
    """Train the classifier: `--config FILE --set data.pack=PATH`; see `cryo2struct train classifier --help`."""
    from cryo2struct.training.run import main

    raise typer.Exit(main(context.args))
