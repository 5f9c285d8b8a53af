"""`cryo2struct trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common


def trace(
    candidates_file: Annotated[Path, typer.Argument(metavar="CANDIDATES", help="Candidates, .npz.")],
    fasta: common.FastaFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Trace to write, .npz.")],
    mode: Annotated[str, typer.Option(help="default, or reference: the published algorithm.")] = "default",
    copies: common.Copies = None,
    config: common.Config = None,
    change: common.Change = None,
) -> None:
    """Thread sequences through C-alpha candidates."""
    import time

    from cryo2struct import tracing
    from cryo2struct.errors import UsageError
    from cryo2struct.io.candidates import read_candidates, write_trace
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.io.sequences import read_sequences

    if mode not in ("default", "reference"):
        raise UsageError(f"--mode {mode}: not known: use default or reference")
    refuse_inputs([output], [candidates_file, fasta])
    with common.Console() as console:
        settings = common.collect_settings(config, change)
        candidates = read_candidates(candidates_file)
        sequences, warnings = read_sequences(fasta, common.parse_copies(copies))
        for warning in warnings:
            console.say(f"warning: {warning}")
        begin = time.perf_counter()
        if mode == "reference":
            traced = tracing.trace_reference(candidates, sequences)
        else:
            traced = tracing.trace(candidates, sequences, settings.tracing)
            if (doubtful := tracing.doubt(traced, settings.tracing)) is not None:
                console.say(f"warning: {doubtful}")
        seconds = time.perf_counter() - begin
        for line in tracing.copies_built(traced, sequences):
            console.say(f"warning: {line}")
        write_trace(output, traced)
        for line in (*tracing.alternatives(traced, sequences), *tracing.summary(traced, sequences, seconds)):
            console.say(line)
    print(output)
