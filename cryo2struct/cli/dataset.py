"""`cryo2struct dataset`: labelled data sets from maps and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryo2struct.cli import common, dataset_pack, dataset_splits, sets

if TYPE_CHECKING:
    from cryo2struct.dataset.entry import Limits, Options
    from cryo2struct.dataset.folder import Task
    from cryo2struct.io.manifest import DatasetEntry, Rejected

app = typer.Typer(help="Labelled data sets of maps and models.", no_args_is_help=True)


@app.command()
def build(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="CSV with columns name, map, model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder; each entry goes into a folder in it.")],
    workers: sets.Workers = 1,
    scheduler: sets.Scheduler = None,
    min_cc_mask: Annotated[float, typer.Option(help="CC_mask of map and model must be above it.")] = 0.7,
    min_cc_box: Annotated[float, typer.Option(help="CC_box of map and model must be above it.")] = 0.6,
    finest: Annotated[float, typer.Option(help="Reject maps of a resolution below this, A.")] = 1.0,
    coarsest: Annotated[float, typer.Option(help="Reject maps of a resolution above this, A.")] = 4.0,
    published_labels: Annotated[
        bool, typer.Option("--published-labels", help="Voxels of labels by the formula of Cryo2StructData.")
    ] = False,
    raw_map: Annotated[bool, typer.Option("--raw-map", help="Write the resampled map as it is, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Make entries again that are there already.")] = False,
) -> None:
    """Make a labelled data set; what is there already is left as it is."""
    from cryo2struct.dataset.entry import Limits, Options
    from cryo2struct.dataset.folder import entry_names, remove_unfinished, write_tables
    from cryo2struct.errors import NothingToBuildError
    from cryo2struct.io.manifest import Rejected, read_dataset_manifest
    from cryo2struct.io.outputs import make_folder

    limits = Limits(min_cc_mask, min_cc_box, finest, coarsest)
    output = output.resolve()
    rows = read_dataset_manifest(manifest)
    _refuse_inputs(output, manifest, [row for row in rows if not isinstance(row, Rejected)])
    make_folder(output)
    remove_unfinished(output)
    with common.Console() as console:
        tasks = _tasks(output, rows, Options(published_labels, raw_map), limits, workers, scheduler)
        found = _build_all(tasks, force, workers, scheduler, console)
        records = [one for one in found if not isinstance(one, Rejected)]
        rejected = [one for one in found if isinstance(one, Rejected)]
        write_tables(output, records, rejected)
        remove_unfinished(output)
        others = sorted(set(entry_names(output)) - {record["name"] for record in records})
        if others:
            console.say(f"warning: {output}: holds entries that the list does not name: {', '.join(others)}")
        console.say(f"{len(records)} of {len(rows)} entries made, {len(rejected)} rejected: {output / 'rejected.csv'}")
    if not records:
        raise NothingToBuildError(f"{manifest}: no entry was made: {output / 'rejected.csv'} says why")


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Data set, as dataset build writes it.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Page to write; DIR/validation.html when absent.")
    ] = None,
    sections: Annotated[int, typer.Option(min=0, help="Draw map and labels of this many entries at most.")] = 100,
    workers: sets.Workers = 1,
    scheduler: sets.Scheduler = None,
) -> None:
    """Check every file of a data set, and its labels against its models; a table and a page."""
    from cryo2struct.dataset.folder import entry_names
    from cryo2struct.dataset.page import HEAD, figures, render_page
    from cryo2struct.dataset.validate import Check, check_entry
    from cryo2struct.errors import InputError
    from cryo2struct.io.outputs import write_text
    from cryo2struct.parallel import Outcome, run_tasks

    folder = folder.resolve()
    names = entry_names(folder) if folder.is_dir() else []
    if not names:
        raise InputError(f"{folder}: holds no entry; name a folder that dataset build wrote")
    checks: dict[int, Check] = {}
    with common.Console() as console:

        def ended(number: int, outcome: Outcome[Check]) -> None:
            failed = Check(names[number], [sets.one_line(outcome.error)])
            checks[number] = check = outcome.value or failed
            console.progress("entries", len(checks), len(names))
            for fault in check.faults:
                console.say(f"{check.name}: {fault}")

        run_tasks(check_entry, [folder / name for name in names], workers=workers, scheduler=scheduler, ended=ended)
    ordered = [checks[number] for number in range(len(names))]
    page = output or folder / "validation.html"
    write_text(page, render_page(f"Data set {folder.name}", ordered, sections))
    print(sets.markdown_table(HEAD, [figures(check) for check in ordered]))
    print(page)
    faulty = [check.name for check in ordered if check.faults]
    if faulty:
        raise InputError(f"{folder}: {len(faulty)} of {len(names)} entries have faults, the first {faulty[0]}: {page}")


app.command()(dataset_splits.split)
app.command()(dataset_splits.check_splits)
app.command()(dataset_pack.pack)


def _refuse_inputs(output: Path, manifest: Path, entries: Sequence[DatasetEntry]) -> None:
    """Refuse a data set that is written over what it is made of."""
    from cryo2struct.dataset.folder import ENTRIES, REJECTED
    from cryo2struct.errors import OutputError
    from cryo2struct.io.outputs import refuse_inputs

    refuse_inputs([output / ENTRIES, output / REJECTED], [manifest])
    folders = {output / entry.name for entry in entries}
    for entry in entries:
        for path in (entry.map, entry.model, entry.fasta, entry.context):
            if path is not None and folders & set(path.resolve().parents):
                raise OutputError(f"{output}: the input {path} lies where an entry goes; choose another folder")


def _build_all(
    tasks: Sequence[Task | Rejected], force: bool, workers: int, scheduler: str | None, console: common.Console
) -> list[dict[str, Any] | Rejected]:
    """What became of each row: the record of its entry, or why it was rejected."""
    from cryo2struct.dataset.folder import Task, build, duplicates, remove_entry
    from cryo2struct.io.manifest import Rejected
    from cryo2struct.parallel import Outcome, run_tasks

    found: dict[int, dict[str, Any] | Rejected] = {n: row for n, row in enumerate(tasks) if isinstance(row, Rejected)}
    known = [(number, task) for number, task in enumerate(tasks) if isinstance(task, Task)]
    twice = duplicates([(task.entry, task.inputs) for _, task in known])
    todo = []
    for number, task in known:
        earlier = task.earlier(force)
        if task.entry.name in twice:
            if force:
                remove_entry(task.root, task.entry.name)
            found[number] = Rejected(task.entry.name, twice[task.entry.name])
        elif earlier is None:
            todo.append((number, task))
        else:
            found[number] = earlier
    for one in found.values():
        name = one.name if isinstance(one, Rejected) else one["name"]
        console.say(f"{name}: {f'rejected: {one.reason}' if isinstance(one, Rejected) else 'made earlier'}")

    def ended(order: int, outcome: Outcome[dict[str, Any]]) -> None:
        number, task = todo[order]
        name = task.entry.name
        if outcome.value is None:
            found[number] = one = Rejected(name, sets.one_line(outcome.error))
            console.say(f"{name}: rejected: {one.reason}")
        else:
            found[number] = outcome.value
            console.say(_line(outcome.value))
        console.progress("entries", len(found), len(tasks))

    run_tasks(build, [task for _, task in todo], workers=workers, scheduler=scheduler, ended=ended)
    return [found[number] for number in range(len(tasks))]


def _tasks(
    output: Path,
    rows: Sequence[DatasetEntry | Rejected],
    options: Options,
    limits: Limits,
    workers: int,
    scheduler: str | None,
) -> list[Task | Rejected]:
    """What is to be made of each row; its files are hashed for that."""
    from cryo2struct.dataset.folder import Task
    from cryo2struct.io.manifest import Rejected, hashes_of
    from cryo2struct.parallel import run_tasks

    entries = [row for row in rows if not isinstance(row, Rejected)]
    hashes = iter(run_tasks(hashes_of, entries, workers=workers, scheduler=scheduler))
    tasks: list[Task | Rejected] = []
    for row in rows:
        if isinstance(row, Rejected):
            tasks.append(row)
        elif (outcome := next(hashes)).value is None:
            tasks.append(Rejected(row.name, sets.one_line(outcome.error)))
        else:
            tasks.append(Task(output, row, outcome.value, options, limits))
    return tasks


def _line(record: dict[str, Any]) -> str:
    """One entry in a line."""
    scores, labels = record["scores"], record["labels"]["atom"]
    return (
        f"{record['name']}: {record['model']['residues']} residues, {labels['labels']} labels, "
        f"{labels['shared']} lost to another atom in the voxel, CC_mask {scores['cc_mask']:.3f}, "
        f"CC_box {scores['cc_box']:.3f}, {sum(step['seconds'] for step in record['steps']):.1f} s"
    )
