"""Lists of many maps or models: CSV files with a header; paths in them are relative to their folder."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryo2struct.errors import InputError
from cryo2struct.io.outputs import sha256
from cryo2struct.io.streams import read_bytes

FILES = ("map", "mask", "fasta", "model", "target", "context", "exclude")
"""Columns that name files."""


@dataclass(frozen=True)
class Row:
    """One row of a list.

    Attributes
    ----------
    source : the file that it stands in
    number : counted from 1, the header
    values : column to text
    """

    source: Path
    number: int
    values: dict[str, str]

    def text(self, column: str) -> str:
        """The text of a cell; empty where there is no such column."""
        return self.values.get(column, "").strip()

    def refuse(self, column: str, fault: str) -> InputError:
        """The refusal of a cell."""
        return InputError(f"{self.source}, row {self.number}, {column}: {fault}")

    def refuse_length(self, cells: int) -> InputError:
        """The refusal of a row that has not one value for each column."""
        wanted = len(self.values)
        return InputError(f"{self.source}, row {self.number}: has {cells} values for {wanted} columns; correct it")

    def file(self, column: str) -> Path | None:
        """Path of a file that exists; None for an empty cell; raises InputError."""
        text = self.text(column)
        if not text:
            return None
        path = self.source.parent / text
        if not path.is_file():
            raise self.refuse(column, f"there is no file {path}; correct the path")
        return path

    def needed_file(self, column: str) -> Path:
        """Path of a file that exists; raises InputError, also for an empty cell."""
        path = self.file(column)
        if path is None:
            raise self.refuse(column, "is empty; name a file")
        return path

    def real(self, column: str) -> float | None:
        """A number above 0; None for an empty cell; raises InputError."""
        value = self.number_of(column, float, "a number above 0")
        if value is not None and value <= 0:
            raise self.refuse(column, f"{self.text(column)!r} is not a number above 0")
        return value

    def count(self, column: str) -> int | None:
        """A number of things; None for an empty cell; raises InputError."""
        value = self.number_of(column, int, "a whole number")
        if value is not None and value < 0:
            raise self.refuse(column, f"{value} is below 0; give how many there are")
        return int(value) if value is not None else None

    def number_of(self, column: str, kind: Callable[[str], float], wanted: str) -> float | None:
        """The cell as a finite number of this kind; None for an empty cell; raises InputError."""
        text = self.text(column)
        if not text:
            return None
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.refuse(column, f"{text!r} is not {wanted}")
        return value


def read_rows(path: Path, needed: Sequence[str], what: str) -> list[Row]:
    """Read a CSV file with a header.

    Parameters
    ----------
    path : path
    needed : columns that must be there
    what : one thing of which each row names one, for messages

    Raises
    ------
    InputError
        The file is missing, no UTF-8, no CSV, has no row; a column is missing or there twice; a row has too many or
        too few values.
    """
    found = []
    for row, cells in _read_table(path, needed, what):
        if cells != len(row.values):
            raise row.refuse_length(cells)
        found.append(row)
    return found


def _read_table(path: Path, needed: Sequence[str], what: str) -> list[tuple[Row, int]]:
    """Rows and how many values each has; what `read_rows` refuses in the table as a whole is refused."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        table = list(csv.reader(io.StringIO(text, newline="")))
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: byte {fault.start} is not UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as fault:
        raise InputError(f"{path}: is no CSV file ({fault}); give a list of {what}s") from None
    header, *rows = table or [[]]
    header = [name.strip() for name in header]
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]!r}; needed are {', '.join(needed)}")
    twice = [name for number, name in enumerate(header) if name and name in header[:number]]
    if twice:
        raise InputError(f"{path}: has two columns {twice[0]!r}; leave one")
    found = [
        (Row(path, number, dict(zip(header, [*row, *[""] * len(header)], strict=False))), len(row))
        for number, row in enumerate(rows, 2)
        if row
    ]
    if not found:
        raise InputError(f"{path}: lists no {what}; give one row per {what}")
    return found


@dataclass(frozen=True)
class BuildEntry:
    """One map of a set to build; paths are absolute.

    Attributes
    ----------
    name : a plain name, the folder of the model
    map, fasta : paths
    mask : path or None
    resolution : angstrom, or None
    contour : map units, or None
    others : the other columns, for `evaluate-set`; paths in them are absolute
    """

    name: str
    map: Path
    fasta: Path
    mask: Path | None
    resolution: float | None
    contour: float | None
    others: dict[str, str]


@dataclass(frozen=True)
class EvaluationEntry:
    """One model of a set to evaluate; paths are absolute.

    Attributes
    ----------
    name : a plain name
    model : path of a model or of candidates; None where nothing was built
    target : path of the known structure; None where it is not known
    map, context, exclude, fasta : paths or None
    resolution, near_model : angstrom, or None
    """

    name: str
    model: Path | None
    target: Path | None
    map: Path | None
    resolution: float | None
    near_model: float | None
    context: Path | None
    exclude: Path | None
    fasta: Path | None


@dataclass(frozen=True)
class DatasetEntry:
    """One map of a data set; paths are absolute.

    Attributes
    ----------
    name : a plain name, the folder of the entry
    map, model : paths
    fasta, context : paths or None; the context are neighbours in the map that are not in the model
    resolution : angstrom, or None
    contour : map units, or None
    """

    name: str
    map: Path
    model: Path
    fasta: Path | None
    context: Path | None
    resolution: float | None
    contour: float | None


def hashes_of(entry: DatasetEntry) -> dict[str, dict[str, str]]:
    """Name and sha256 of each file that an entry is made of.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    files = {"map": entry.map, "model": entry.model, "fasta": entry.fasta, "context": entry.context}
    try:
        return {what: {"file": path.name, "sha256": sha256(path)} for what, path in files.items() if path is not None}
    except OSError as fault:
        raise InputError(f"{fault.filename}: cannot be read ({fault.strerror}); change its permissions") from None


@dataclass(frozen=True)
class Rejected:
    """A row of a list that makes no entry: its name, or its number where it has none, and why."""

    name: str
    reason: str


def read_build_manifest(path: Path) -> list[BuildEntry]:
    """Read a list of maps to build: columns name, map, fasta, and where wanted mask, resolution, contour; others stay.

    Raises
    ------
    InputError
        See `read_rows`; a name is missing, there twice or no plain name; a file is missing; a value is no number.
    """
    own = ("name", "map", "fasta", "mask", "resolution", "contour")
    entries = []
    for row in _named_rows(path, ("name", "map", "fasta"), "map"):
        others = {column: row.text(column) for column in row.values if column and column not in own}
        others |= {column: str(file) for column in FILES if column in others and (file := row.file(column))}
        entries.append(
            BuildEntry(
                name=row.text("name"),
                map=row.needed_file("map"),
                fasta=row.needed_file("fasta"),
                mask=row.file("mask"),
                resolution=row.real("resolution"),
                contour=row.number_of("contour", float, "a number"),
                others=others,
            )
        )
    return entries


def read_evaluation_manifest(path: Path) -> list[EvaluationEntry]:
    """Read a list of models to evaluate: columns name, model, target, and where wanted the fields of `EvaluationEntry`.

    Raises
    ------
    InputError
        See `read_build_manifest`.
    """
    return [
        EvaluationEntry(
            name=row.text("name"),
            model=row.file("model"),
            target=row.file("target"),
            map=row.file("map"),
            resolution=row.real("resolution"),
            near_model=row.real("near_model"),
            context=row.file("context"),
            exclude=row.file("exclude"),
            fasta=row.file("fasta"),
        )
        for row in _named_rows(path, ("name", "model", "target"), "model")
    ]


def read_dataset_manifest(path: Path) -> list[DatasetEntry | Rejected]:
    """Read a list of maps and models: columns name, map, model, and where wanted the other fields of `DatasetEntry`.

    A row with a fault is rejected, the others are read.

    Raises
    ------
    InputError
        The file is missing, no UTF-8, no CSV, has no row; a column is missing or there twice.
    """
    seen: dict[str, int] = {}
    found: list[DatasetEntry | Rejected] = []
    for row, cells in _read_table(path.resolve(), ("name", "map", "model"), "map"):
        try:
            if cells != len(row.values):
                raise row.refuse_length(cells)
            found.append(
                DatasetEntry(
                    name=_name_of(row, seen),
                    map=row.needed_file("map"),
                    model=row.needed_file("model"),
                    fasta=row.file("fasta"),
                    context=row.file("context"),
                    resolution=row.real("resolution"),
                    contour=row.number_of("contour", float, "a number"),
                )
            )
        except InputError as fault:
            found.append(Rejected(row.text("name") or f"row {row.number}", str(fault)))
    return found


def _named_rows(path: Path, needed: Sequence[str], what: str) -> list[Row]:
    """Rows whose names are plain and differ, also where upper and lower case are the same to a file system."""
    seen: dict[str, int] = {}
    rows = read_rows(path.resolve(), needed, what)
    for row in rows:
        _name_of(row, seen)
    return rows


def _name_of(row: Row, seen: dict[str, int]) -> str:
    """The name of a row, to be told from those `seen` (name to row), to which it is added; raises InputError."""
    name = row.text("name")
    if not name:
        raise row.refuse("name", "is empty; give each row a name")
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise row.refuse("name", f"{name!r} is no plain name; use letters, digits and . _ + -")
    if (first := seen.setdefault(name.casefold(), row.number)) != row.number:
        raise row.refuse("name", f"{name!r} is the name of row {first} as well; give each row its own")
    return name
