"""`cryo2struct dataset pack`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryo2struct.cli import common, sets

if TYPE_CHECKING:
    from cryo2struct.dataset.pack_writing import NamedStructure


def pack(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="mmCIF or PDB files, also compressed, also below.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The pack.")] = Path("pack.npz"),
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take these alone, .csv: id and, where files do not tell, resolution."),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(metavar="FASTA", help="Leave out structures with a chain that is like one of these sequences."),
    ] = None,
    workers: sets.Workers = 1,
    scheduler: sets.Scheduler = None,
) -> None:
    """Pack experimental structures for training: docs/dataset-splits.md."""
    from cryo2struct.dataset.pack_rules import chain_letters, excluded
    from cryo2struct.dataset.pack_writing import read_for_pack, structure_files, write_pack
    from cryo2struct.errors import NothingToBuildError, OutputError
    from cryo2struct.io.outputs import refuse_inputs
    from cryo2struct.io.sequences import read_sequences
    from cryo2struct.parallel import Outcome, run_tasks

    wanted = _wanted(ids)
    forbidden = [one.letters for one in read_sequences(exclude)[0].proteins] if exclude is not None else []
    files = structure_files(folder)
    given = [path for path in (ids, exclude) if path is not None]
    refuse_inputs([output], [*given, *(path for paths in files.values() for path in paths)])
    if not output.parent.is_dir():  # refused now rather than when all is read
        raise OutputError(f"{output}: there is no folder {output.parent}; make it first")
    tasks = [(name, paths, wanted.get(name)) for name, paths in files.items() if ids is None or name in wanted]
    with common.Console() as console:
        for name in sorted(wanted.keys() - files.keys()):
            console.say(f"{name}: no file of it in {folder}")

        read = 0

        def ended(number: int, outcome: Outcome[NamedStructure]) -> None:
            nonlocal read
            if outcome.error is not None:
                console.say(f"left out: {sets.one_line(outcome.error)}")
            read += 1
            console.progress("structures", read, len(tasks))

        outcomes = run_tasks(read_for_pack, tasks, workers=workers, scheduler=scheduler, ended=ended)
        fit = {one.value.id: one.value for one in outcomes if one.value is not None}
        chains = {name: chain_letters(one.structure) for name, one in fit.items()}
        dropped = dict.fromkeys(excluded(chains, forbidden), "is like an excluded sequence") if forbidden else {}
        chains = {name: letters for name, letters in chains.items() if name not in dropped}
        if ids is None:
            dropped |= _redundant(chains, fit, console)
        for name, reason in sorted(dropped.items()):
            console.say(f"left out: {name}: {reason}")
        packed = [one for name, one in sorted(fit.items()) if name not in dropped]
        if not packed:
            raise NothingToBuildError(f"{folder}: no structure is fit for a pack; what was left out stands above")
        write_pack(output, packed)
    residues = sum(int((one.structure.aa <= 20).sum()) for one in packed)
    print(f"{output}: {len(packed)} of {len(files)} structures, {residues} residues of proteins")


def _wanted(ids: Path | None) -> dict[str, float | None]:
    from cryo2struct.io.manifest import read_rows

    if ids is None:
        return {}
    return {row.text("id").lower(): row.real("resolution") for row in read_rows(ids, ("id",), "structure")}


def _redundant(chains: dict[str, list[str]], fit: dict[str, NamedStructure], console: common.Console) -> dict[str, str]:
    from cryo2struct.dataset.pack_rules import redundant
    from cryo2struct.hardware import cores

    found = redundant(chains, {name: one.structure for name, one in fit.items()}, cores())
    if found is None:
        console.say("warning: mmseqs is not on PATH: structures that are like others are not left out")
        return {}
    return dict.fromkeys(found, "most of it is like others")
