"""`cryo2struct demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common, relion


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Output folder.")] = Path("emd_6272_cryo2struct"),
    device: common.Device = "auto",
    threads: common.Threads = None,
    force: Annotated[bool, typer.Option(help="Replace an earlier run in the output folder.")] = False,
) -> None:
    """Build the bundled example, rotavirus VP6 in EMD-6272 (2.6 A), and compare it with the known structure."""
    from rich.console import Console

    from cryo2struct.cli import build
    from cryo2struct.cli.evaluate import read_filters, read_inputs, score_tables
    from cryo2struct.evaluation import evaluate
    from cryo2struct.settings import data_path

    example = data_path("examples") / "emd_6272"
    with common.Console() as console:
        settings = common.collect_settings(None, None, map__resolution=2.6, device=device, threads=threads)
        build.run(
            example / "map.mrc.gz",
            example / "seq.fasta",
            output,
            settings,
            {"emd_6272_VP6": 1},
            None,
            force,
            console,
            relion.JobControl(None),
        )
    scored, target = read_inputs(output / "model.cif", example / "reference.cif")
    scores = evaluate(scored, target, near_model=4.0, **read_filters(None, example / "exclude.txt"))
    for table in score_tables(scores):
        Console().print(table)
    print(f"Model: {output / 'model.cif'} (open {output / 'view.cxc'} in ChimeraX); example: {example}")
