"""Writing: never half a file, never over an input, nothing removed that an earlier run did not list as its own."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryo2struct.errors import OutputError

RUN_FILE = "run.json"
PLAIN_NAME = re.compile(r"(?!\.\.?(/|$))[^/\\\0]+(/(?!\.\.?$)[^/\\\0]+)?")  # a file of the folder, or of one in it

StrPath = str | os.PathLike[str]


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """A temporary name in the folder of `path`: renamed to it on success, removed on any exception.

    Yields
    ------
    Path
        Where to write; it does not exist yet.

    Raises
    ------
    OutputError
        The folder is missing or not writable, `path` is a folder, or the file system gave up.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    temporary = path.parent / f".{path.stem}.{os.getpid()}{secrets.token_hex(4)}{path.suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as fault:
        raise OutputError(f"{path}: cannot be written ({fault.strerror or fault}); choose another place") from fault
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: StrPath, text: str) -> None:
    """Write a text file (UTF-8, LF) atomically; raises OutputError."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: StrPath, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> None:
    """Write a table with a header (CSV, UTF-8, LF) atomically; the columns are the keys of the first row unless given.

    Raises OutputError.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def make_folder(path: StrPath) -> Path:
    """Make a folder that may be there already, with whatever is in it; raises OutputError."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OutputError(f"{folder}: cannot be made ({fault.strerror or fault}); choose another folder") from fault
    return folder


def sha256(path: StrPath) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_inputs(outputs: Iterable[StrPath], inputs: Iterable[StrPath]) -> None:
    """Refuse to write where an input is read from.

    Raises
    ------
    OutputError
        Two of the names are one file, also by way of links.
    """
    read = [Path(path) for path in inputs]
    for output in map(Path, outputs):
        for path in read:
            same = output.samefile(path) if output.exists() and path.exists() else output.resolve() == path.resolve()
            if same:
                raise OutputError(f"{output}: is the input {path}; choose another output")


def check_folder(path: StrPath, force: bool, inputs: Iterable[StrPath] = ()) -> list[Path]:
    """Refuse an output folder before any work is done; nothing is changed.

    Parameters
    ----------
    path : path
    force : bool
    inputs : paths
        Files that this run reads; none of them may be replaced.

    Returns
    -------
    list of path
        Files of an earlier run that `prepare_folder` will remove: those that its run.json lists under "files", and
        run.json itself.

    Raises
    ------
    OutputError
        The folder holds files and `force` is not set; it cannot be made or written; run.json is damaged or lists names
        outside the folder; or an input would be removed.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another output folder")
    try:
        if not folder.exists():
            present = next(parent for parent in folder.absolute().parents if parent.exists())
            if not os.access(present, os.W_OK | os.X_OK):
                raise OutputError(f"{folder}: cannot be made in {present}; choose another folder")
            return []
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: is not writable; choose another folder")
        if not any(folder.iterdir()):
            return []
        if not force:
            raise OutputError(f"{folder}: is not empty; choose another folder (build --force replaces a run)")
        earlier = [name for name in _earlier_files(folder) if name.is_file() or name.is_symlink()]
    except OSError as fault:
        raise OutputError(f"{folder}: cannot be used ({fault.strerror or fault}); choose another folder") from fault
    refuse_inputs(earlier, inputs)
    return earlier


def prepare_folder(path: StrPath, force: bool, inputs: Iterable[StrPath] = ()) -> Path:
    """Make an output folder, or empty one of what an earlier run left there; all else stays.

    Parameters and refusals are those of `check_folder`.
    """
    folder = Path(path)
    earlier = check_folder(folder, force, inputs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in earlier:
            name.unlink()
        for below in {name.parent for name in earlier} - {folder}:
            if not any(below.iterdir()):
                below.rmdir()
    except OSError as fault:
        raise OutputError(f"{folder}: cannot be used ({fault.strerror or fault}); choose another folder") from fault
    return folder


def _earlier_files(folder: Path) -> list[Path]:
    """Files that the run.json of a folder lists, and run.json."""
    record = folder / RUN_FILE
    if not record.exists():
        return []
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        names = content["files"]
    except (ValueError, KeyError, TypeError):
        names = None
    if not isinstance(names, list):
        raise OutputError(f'{record}: lists no "files" of an earlier run; choose another folder')
    for name in names:
        if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name) or (folder / name).parent.is_symlink():
            raise OutputError(f'{record}: "files" names {name!r}, no file of this folder; choose another folder')
    return [folder / name for name in dict.fromkeys([*names, RUN_FILE])]
