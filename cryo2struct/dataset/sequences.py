"""Protein sequences of the entries of a data set, each under a name of its own, ENTRY_NUMBER."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryo2struct.errors import InputError
from cryo2struct.io.manifest import read_rows
from cryo2struct.io.sequences import read_sequences

ENTRIES_FILE = "entries.csv"
SEQUENCE_FILE = "full_sequence.fasta"


@dataclass(frozen=True)
class DatasetSequence:
    """A distinct protein sequence of an entry."""

    entry: str
    name: str
    letters: str


def read_entries(folder: Path) -> dict[str, float | None]:
    """Resolution in angstrom, where known, of each entry of a data set.

    Raises
    ------
    InputError
        The folder holds no list of entries, or one that cannot be read.
    """
    path = folder / ENTRIES_FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {ENTRIES_FILE}; give a folder that `cryo2struct dataset build` made")
    return {row.text("name"): row.real("resolution") for row in read_rows(path, ("name", "resolution"), "entry")}


def entry_sequences(folder: Path, entries: list[str]) -> list[DatasetSequence]:
    """Sequences of the proteins of these entries, in their order; raises InputError for a file that cannot be read."""
    found = []
    for entry in entries:
        sequences, _ = read_sequences(folder / entry / SEQUENCE_FILE)
        proteins = [entity for entity in sequences.entities if entity.kind == "protein"]
        found += [DatasetSequence(entry, f"{entry}_{n}", entity.letters) for n, entity in enumerate(proteins, 1)]
    return found
