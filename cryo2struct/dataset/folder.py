"""The folder of a data set: entries that are there as a whole or not at all, and what is said of all of them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryo2struct.dataset.entry import FORMAT, RECORD, Limits, Options, write_entry
from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.manifest import DatasetEntry, Rejected
from cryo2struct.io.outputs import make_folder, write_csv, write_text

ENTRIES, REJECTED = "entries.csv", "rejected.csv"
BUILDING = ".building"  # holds what is not finished
REFUSED = ".rejected"  # why entries were rejected, so that it is not found out again

COLUMNS = (
    "name",
    "resolution",
    "residues",
    "chains",
    "cc_mask",
    "cc_box",
    "identity",
    "voxels",
    "labels_atom",
    "labels_ca",
    "shared_atom",
    "shared_ca",
    "residues_outside",
    "map_sha256",
    "model_sha256",
)


@dataclass(frozen=True)
class Task:
    """One entry to make: everything that a process needs.

    Attributes
    ----------
    root : folder of the data set
    entry : DatasetEntry
    inputs : of `hashes_of`
    options, limits : Options, Limits
    """

    root: Path
    entry: DatasetEntry
    inputs: dict[str, dict[str, str]]
    options: Options
    limits: Limits

    @property
    def folder(self) -> Path:
        """Where the entry goes."""
        return self.root / self.entry.name

    @property
    def _refused(self) -> Path:
        return self.root / REFUSED / f"{self.entry.name}.json"

    @property
    def _asked(self) -> dict[str, Any]:
        """What decides on a rejection."""
        entry = self.entry
        return {
            "format": FORMAT,
            "inputs": self.inputs,
            "limits": asdict(self.limits),
            "resolution": entry.resolution,
            "files": [str(path) for path in (entry.map, entry.model, entry.fasta, entry.context)],
        }

    def earlier(self, force: bool = False) -> dict[str, Any] | Rejected | None:
        """The record of an entry that is there, or why it was rejected before; None where neither is known.

        Parameters
        ----------
        force : what was made or found out before does not count

        Raises
        ------
        OutputError
            What is there is something else.
        """
        if self.folder.exists() and not (self.folder / RECORD).is_file():
            raise OutputError(f"{self.folder}: exists and is no entry of a data set; choose another folder")
        if force:
            return None
        if self.folder.exists():
            record = read_entry(self.folder)
            if record is None:
                raise OutputError(f"{self.folder}: lacks a file that its record lists; --force makes it again")
            self._check_record(record)
            return record
        told = _read_json(self._refused)
        return Rejected(self.entry.name, told["reason"]) if told and told.get("asked") == self._asked else None

    def _check_record(self, record: Mapping[str, Any]) -> None:
        """Refuse an entry of other files or options, or one that would now be rejected."""
        now = {"format": FORMAT, "inputs": self.inputs, "options": asdict(self.options), "contour": self.entry.contour}
        if self.entry.resolution is not None:
            now["resolution"] = self.entry.resolution
        other = [title for title, value in now.items() if record.get(title) != value]
        if other:
            raise OutputError(f"{self.folder}: was made with another {other[0]}; --force makes it again")
        try:
            self.limits.check_resolution(self.entry.name, record["resolution"])
            self.limits.check_scores(self.entry.name, record["scores"]["cc_mask"], record["scores"]["cc_box"])
        except InputError as fault:
            raise OutputError(f"{self.folder}: was made with other limits ({fault}); --force removes it") from None

    def reject(self, reason: str) -> None:
        """Keep the reason."""
        make_folder(self._refused.parent)
        text = json.dumps({"asked": self._asked, "reason": reason}, indent=1) + "\n"
        _write_whole(self.root, self._refused, lambda path: write_text(path, text))


def build(task: Task) -> dict[str, Any]:
    """Make an entry, in whichever process: it is there at once with all of its files, or not at all.

    Raises
    ------
    InputError
        Why it is rejected.
    OutputError
        A file cannot be written.
    """
    unfinished = make_folder(task.root / BUILDING / f"{task.entry.name}.{secrets.token_hex(4)}")
    try:
        record = write_entry(unfinished, task.entry, task.inputs, task.options, task.limits)
        remove_entry(task.root, task.entry.name)
        os.rename(unfinished, task.folder)
    except InputError as fault:
        remove_entry(task.root, task.entry.name)
        task.reject(str(fault))
        raise
    except OSError as fault:
        raise OutputError(f"{task.folder}: cannot be written ({fault.strerror or fault}); see the disk") from fault
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return record


def remove_entry(root: Path, name: str) -> None:
    """Remove an entry, of which nothing is seen any more from the first moment on."""
    if (root / name).exists():
        gone = make_folder(root / BUILDING) / f"{name}.{secrets.token_hex(4)}"
        os.rename(root / name, gone)
        shutil.rmtree(gone, ignore_errors=True)


def remove_unfinished(root: Path) -> None:
    """Remove what a run that was stopped left unfinished."""
    if (root / BUILDING).exists():
        # Under another name first: a process that outlived its run then cannot finish what is half removed.
        gone = root / f"{BUILDING}.{secrets.token_hex(4)}"
        os.rename(root / BUILDING, gone)
    for folder in root.glob(f"{BUILDING}.*"):
        shutil.rmtree(folder, ignore_errors=True)


def read_entry(folder: Path) -> dict[str, Any] | None:
    """What the record of an entry says; None where the folder holds none, or not all of the files that it lists."""
    record = _read_json(folder / RECORD)
    if record is None or not isinstance(record.get("files"), list):
        return None
    return record if all((folder / str(name)).is_file() for name in record["files"]) else None


def entry_names(root: Path) -> list[str]:
    """Names of the entries in a folder, sorted."""
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{RECORD}"))


def duplicates(entries: Sequence[tuple[DatasetEntry, Mapping[str, Mapping[str, str]]]]) -> dict[str, str]:
    """Name to reason of the entries whose map or model is that of an earlier one."""
    seen: dict[str, str] = {}
    found = {}
    for entry, inputs in entries:
        hashes = {what: inputs[what]["sha256"] for what in ("map", "model")}
        twice = next((what for what in hashes if hashes[what] in seen), None)
        if twice is not None:
            first = seen[hashes[twice]]
            found[entry.name] = f"{entry.name}: its {twice} is that of {first}; one model for each map"
        else:
            seen |= dict.fromkeys(hashes.values(), entry.name)
    return found


def write_tables(root: Path, records: Sequence[Mapping[str, Any]], rejected: Sequence[Rejected]) -> None:
    """Write entries.csv and rejected.csv; raises OutputError."""
    made, refused = [_row(record) for record in records], [asdict(one) for one in rejected]
    _write_whole(root, root / ENTRIES, lambda path: write_csv(path, made, COLUMNS))
    _write_whole(root, root / REJECTED, lambda path: write_csv(path, refused, ("name", "reason")))


def _write_whole(root: Path, target: Path, write: Callable[[Path], None]) -> None:
    """Write a file where what a killed run leaves is removed by the next, then put it in its place."""
    unfinished = make_folder(root / BUILDING) / f"{secrets.token_hex(4)}{target.suffix}"
    write(unfinished)
    os.replace(unfinished, target)


def _row(record: Mapping[str, Any]) -> dict[str, object]:
    model, scores, labels, inputs = record["model"], record["scores"], record["labels"], record["inputs"]
    x, y, z = record["grid"]["shape_xyz"]
    return {
        "name": record["name"],
        "resolution": record["resolution"],
        "residues": model["residues"],
        "chains": model["chains"],
        "cc_mask": f"{scores['cc_mask']:.4f}",
        "cc_box": f"{scores['cc_box']:.4f}",
        "identity": f"{scores['identity']:.4f}",
        "voxels": x * y * z,
        "labels_atom": labels["atom"]["labels"],
        "labels_ca": labels["atom_ca"]["labels"],
        "shared_atom": labels["atom"]["shared"],
        "shared_ca": labels["atom_ca"]["shared"],
        "residues_outside": model["residues_outside"],
        "map_sha256": inputs["map"]["sha256"],
        "model_sha256": inputs["model"]["sha256"],
    }


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
