"""Lists of maps with known answers, as `evaluate-classifier` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryo2struct.io.manifest import Row, read_rows

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
    return [_row(row) for row in read_rows(path, REQUIRED, "map")]


def _row(cells: Row) -> MapRow:
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
