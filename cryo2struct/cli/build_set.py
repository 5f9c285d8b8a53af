"""`cryo2struct build-set`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryo2struct.cli import common, sets

if TYPE_CHECKING:
    from cryo2struct.io.manifest import BuildEntry
    from cryo2struct.settings import Settings

TABLE = "builds.csv"
MACHINE = ("device", "threads")  # settings that change where a model is built, not what


@dataclass(frozen=True)
class Task:
    """One map to build: everything that a process needs."""

    entry: BuildEntry
    folder: Path
    settings: Settings
    force: bool
    maps: bool


def build_set(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="CSV with columns name, map, fasta.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder; each model goes into a folder in it.")],
    workers: sets.Workers = 1,
    scheduler: sets.Scheduler = None,
    device: common.Device = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of each process.")] = None,
    seed: common.Seed = 0,
    config: common.Config = None,
    change: common.Change = None,
    maps: Annotated[bool, typer.Option("--maps", help="Leave the predictions as maps, as classify --maps.")] = False,
    force: Annotated[bool, typer.Option(help="Build again what is built already.")] = False,
) -> None:
    """Build many models; those that are there already are left as they are."""
    from cryo2struct.errors import NothingToBuildError
    from cryo2struct.io.manifest import read_build_manifest
    from cryo2struct.io.outputs import make_folder, refuse_inputs
    from cryo2struct.parallel import Outcome, run_tasks

    entries = read_build_manifest(manifest)
    output = output.resolve()
    refuse_inputs([output / TABLE], [manifest])
    settings = [
        common.collect_settings(
            config,
            change,
            map__resolution=entry.resolution,
            map__contour=entry.contour,
            device=device,
            threads=threads,
            seed=seed,
        )
        for entry in entries
    ]
    make_folder(output)
    rows: dict[str, dict[str, str]] = {}
    with common.Console() as console:
        tasks = []
        for entry, chosen in zip(entries, settings, strict=True):
            task = Task(entry, output / entry.name, chosen, force, maps)
            if force or not _is_built(task, console):
                tasks.append(task)
            else:
                rows[entry.name] = _row(output, entry, "built earlier")

        def ended(number: int, outcome: Outcome[None]) -> None:
            entry = tasks[number].entry
            failed = sets.one_line(outcome.error) if outcome.error else ""
            rows[entry.name] = row = _row(output, entry, "failed" if failed else "built", failed)
            figures = f"{row['residues_built']} of {row['residues']} residues built, {row['seconds']} s"
            console.say(f"{entry.name}: {f'failed: {failed}' if failed else figures}")
            console.progress("maps", len(rows), len(entries))

        run_tasks(_build, tasks, workers=workers, scheduler=scheduler, ended=ended)
    table = [rows[entry.name] for entry in entries]
    _report(output, table, console)
    if all(row["state"] == "failed" for row in table):
        raise NothingToBuildError(f"{manifest}: nothing was built: {output / TABLE} says why")


def _is_built(task: Task, console: common.Console) -> bool:
    """Whether the model is there; says so, and in what its settings differ."""
    name, run = task.entry.name, _earlier_run(task.folder)
    if run is None or "model.cif" not in run["files"]:
        return False
    console.say(f"{name}: built earlier")
    if other := _differing(run["settings"], task.settings.model_dump(mode="json")):
        console.say(f"warning: {name}: built with another {', '.join(other)}; --force builds it again")
    return True


def _build(task: Task) -> None:
    """Build one map, in whichever process."""
    from cryo2struct.cli import build, relion

    entry = task.entry
    # A run that found nothing leaves a run.json alone, which is replaced.
    force = task.force or _earlier_run(task.folder) is not None
    with relion.JobControl(None) as control, common.Console(quiet=True) as console:
        build.run(
            entry.map,
            entry.fasta,
            task.folder,
            task.settings,
            {},
            entry.mask,
            force,
            console,
            control,
            task.maps,
        )


def _earlier_run(folder: Path) -> dict[str, Any] | None:
    """The run.json of a folder, None where there is none that can be read: `build` then says what is wrong."""
    import json

    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run if isinstance(run, dict) and isinstance(run.get("files"), list) and "settings" in run else None


def _differing(former: dict[str, Any], now: dict[str, Any], group: str = "") -> list[str]:
    """Names of the settings that are not the same."""
    found = []
    for name, value in now.items():
        other = former.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            found += _differing(other, value, f"{group}{name}.")
        elif value != other and f"{group}{name}" not in MACHINE:
            found.append(f"{group}{name}")
    return found


def _row(output: Path, entry: BuildEntry, state: str, reason: str = "") -> dict[str, str]:
    """Row of the table: what the list said, and what became of it."""
    row = {"name": entry.name, "model": "", "map": str(entry.map), "fasta": str(entry.fasta)}
    given = {"mask": entry.mask, "resolution": entry.resolution, "contour": entry.contour}
    row |= {name: "" if value is None else str(value) for name, value in given.items()} | entry.others
    row |= dict.fromkeys(("model", "state", "residues_built", "residues", "chains", "seconds", "reason"), "")
    row |= {"state": state, "reason": reason}
    run = _earlier_run(output / entry.name) if not reason else None
    if run is not None:
        chains = run["coverage"].values()
        row["model"] = f"{entry.name}/model.cif"
        row["residues_built"] = str(sum(chain["built"] for chain in chains))
        row["residues"] = str(sum(chain["residues"] for chain in chains))
        row["chains"] = str(len(chains))
        row["seconds"] = f"{sum(step['seconds'] for step in run['steps']):.0f}"
    return row


def _report(output: Path, table: Sequence[dict[str, str]], console: common.Console) -> None:
    """The table as a file and on the screen; the counts."""
    from cryo2struct.io.outputs import write_csv

    write_csv(output / TABLE, table)
    shown = ("name", "state", "residues_built", "residues", "chains", "seconds", "reason")
    titles = [name.replace("_", " ") for name in shown]
    print(sets.markdown_table(titles, [[row[name] for name in shown] for row in table]))
    states = [row["state"] for row in table]
    earlier, failed = states.count("built earlier"), states.count("failed")
    console.say(
        f"{len(table) - failed} of {len(table)} built, {earlier} of them earlier; {failed} failed: {output / TABLE}"
    )
