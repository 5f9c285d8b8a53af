"""Lists of maps with known answers, as `evaluate-classifier` reads them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryo2struct.errors import InputError
from cryo2struct.io.streams import read_bytes

REQUIRED = ("map", "model", "resolution", "residues", "nucleotides")


@dataclass(frozen=True)
class MapRow:
    """One row; files are paths as they can be opened.

    Attributes
    ----------
    name : the map as the file names it
    map : path
    model : path; None where no structure is known
    resolution : angstrom
    residues, nucleotides : of the structure; None without one
    near_model : angstrom; candidates farther from the model than this do not count
    context : path of a structure of neighbours in the map that are not part of the model, or None
    exclude : path of a list of residues that do not count, or None
    fasta : path of the sequences of what is in the map, or None
    """

    name: str
    map: Path
    model: Path | None
    resolution: float
    residues: int | None
    nucleotides: int | None
    near_model: float | None
    context: Path | None
    exclude: Path | None
    fasta: Path | None


def read_index(path: Path) -> list[MapRow]:
    """Read a CSV file with a header; paths in it are relative to its folder.

    Needed are the columns of `REQUIRED`; `near_model`, `context`, `exclude` and `fasta` may be there, others are
    skipped. Without a model, `residues` and `nucleotides` may be empty and a FASTA file is needed.

    Raises
    ------
    InputError
        A file or column is missing, a value is no number or not in range, or there is no row.
    """
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    try:
        table = list(csv.reader(io.StringIO(text)))
    except csv.Error as fault:
        raise InputError(f"{path}: is no CSV file ({fault}); give an index of maps") from None
    header, *rows = table or [[]]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]!r}; needed are {', '.join(REQUIRED)}")
    found = []
    for number, row in enumerate(rows, 2):
        if len(row) not in (0, len(header)):
            raise InputError(f"{path}, row {number}: has {len(row)} values for {len(header)} columns; correct it")
        if row:
            found.append(_row(_Cells(path, number, dict(zip(header, row, strict=True)))))
    if not found:
        raise InputError(f"{path}: lists no map; give one row per map")
    return found


@dataclass(frozen=True)
class _Cells:
    """The values of a row by column, and where they stand."""

    index: Path
    number: int
    values: dict[str, str]

    def text(self, column: str) -> str:
        return self.values.get(column, "").strip()

    def refuse(self, column: str, fault: str) -> InputError:
        return InputError(f"{self.index}, row {self.number}, {column}: {fault}")

    def file(self, column: str) -> Path | None:
        """Path of a file that exists; None for an empty cell."""
        text = self.text(column)
        if not text:
            return None
        path = self.index.parent / text
        if not path.is_file():
            raise self.refuse(column, f"there is no file {path}; correct the path")
        return path

    def real(self, column: str) -> float | None:
        """A number above 0; None for an empty cell."""
        value = self._parsed(column, float, "a number above 0")
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise self.refuse(column, f"{self.text(column)!r} is not a number above 0")
        return value

    def count(self, column: str) -> int | None:
        """A number of things; None for an empty cell."""
        value = self._parsed(column, int, "a whole number")
        if value is not None and value < 0:
            raise self.refuse(column, f"{value} is below 0; give how many there are")
        return int(value) if value is not None else None

    def _parsed(self, column: str, kind: Callable[[str], float], wanted: str) -> float | None:
        text = self.text(column)
        if not text:
            return None
        try:
            return kind(text)
        except ValueError:
            raise self.refuse(column, f"{text!r} is not {wanted}") from None


def _row(cells: _Cells) -> MapRow:
    path, resolution = cells.file("map"), cells.real("resolution")
    if path is None:
        raise cells.refuse("map", "is empty; name a map")
    if resolution is None:
        raise cells.refuse("resolution", "is empty; give it in A")
    row = MapRow(
        name=cells.text("map"),
        map=path,
        model=cells.file("model"),
        resolution=resolution,
        residues=cells.count("residues"),
        nucleotides=cells.count("nucleotides"),
        near_model=cells.real("near_model"),
        context=cells.file("context"),
        exclude=cells.file("exclude"),
        fasta=cells.file("fasta"),
    )
    if row.model is None and row.fasta is None:
        raise cells.refuse("model", "is empty and so is fasta; give one of them")
    if row.model is not None and (row.residues is None or row.nucleotides is None):
        empty = "residues" if row.residues is None else "nucleotides"
        raise cells.refuse(empty, "is empty; give how many the model has")
    return row
