"""`cryo2struct train`."""

from __future__ import annotations

from typing import Annotated

import typer


def train(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help="What to train: classifier.")],
) -> None:
    """Train a network: `cryo2struct train classifier --config FILE --set data.pack=PATH`; --help after it for more."""
    from cryo2struct.errors import UsageError
    from cryo2struct.training.run import main

    if network != "classifier":
        raise UsageError(f"train {network}: not known: use classifier")
    raise typer.Exit(main(context.args))
