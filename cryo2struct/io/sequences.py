"""FASTA files: what the sample holds, and how many of each.

The file is parsed here and not by Biopython, which keeps neither line numbers nor columns: a refusal has to name them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryo2struct.errors import InputError, UsageError
from cryo2struct.io.streams import read_bytes
from cryo2struct.objects import AMINO_ACIDS, Entity, PolymerKind, Sequences

READ_AS: dict[str, str] = {"U": "C", "O": "K", "B": "X", "Z": "X", "J": "X"}
"""Selenocysteine and pyrrolysine become what they stand for; the ambiguous letters become unknown."""

LETTERS = frozenset(AMINO_ACIDS + "X*") | READ_AS.keys()
NUCLEOTIDES = frozenset("ACGTUNX")

_CHAINS_FIELD = re.compile(r"chains?\s+(.+)", re.IGNORECASE)
_CHAIN = re.compile(r"([^\s,\[\]]+)(?:\s*\[auth\s+([^\s,\[\]]+)\])?")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class _Record:
    """One record as it stands in the file: header without '>', its line number, and the numbered lines after it."""

    header: str
    line: int
    lines: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        """First field of an RCSB header, else the first word."""
        words = self.header.split("|")[0].split() if self.chains else self.header.split()
        return words[0] if words else f"line {self.line}"

    @property
    def chains(self) -> tuple[str, ...]:
        """Chain names of the second field, `Chains A, B[auth X]`: those of the authors where both are given."""
        fields = self.header.split("|")
        field = _CHAINS_FIELD.fullmatch(fields[1].strip()) if len(fields) > 1 else None
        if field is None:
            return ()
        names = [_CHAIN.fullmatch(name.strip()) for name in field[1].split(",")]
        return tuple(name[2] or name[1] for name in names if name) if all(names) else ()


def read_sequences(
    path: str | os.PathLike[str], copies: Mapping[str, int] | None = None
) -> tuple[Sequences, list[str]]:
    """Read the sequences of a sample.

    Headers of the PDB (`>8HB0_1|Chains A, C[auth X]|name|organism`) name the chains, one per copy. Records of the same
    sequence are copies of one entity. Where neither says how many there are, `copies` of the entity is None.

    Parameters
    ----------
    path : path
        FASTA, also compressed.
    copies : name -> number, optional
        Numbers of copies that overrule the file's, by the name of the record.

    Returns
    -------
    Sequences
    list of str
        Warnings, one line each.

    Raises
    ------
    InputError
        The file has no sequence, or one with something else than letters of residues.
    UsageError
        A name in `copies` is not in the file or a number is below 1.
    """
    name = os.fspath(path)
    warnings: list[str] = []
    merged: dict[tuple[PolymerKind, str], list[_Record]] = {}
    for record in _parse(name, _decode(name, read_bytes(path))):
        merged.setdefault(_letters(name, record, warnings), []).append(record)
    entities = [_entity(kind, letters, records) for (kind, letters), records in merged.items()]
    entities = _distinct_chains(name, entities, warnings)
    names = [{record.name for record in records} for records in merged.values()]
    entities = _override(name, entities, names, copies or {})
    warnings += [
        f"{name}: record {entity.name} ({len(entity.letters)} letters) is read as {entity.kind.upper()} and set aside: "
        "only proteins are built"
        for entity in entities
        if entity.kind != "protein"
    ]
    return Sequences(tuple(entities)), warnings


def _decode(path: str, data: bytes) -> str:
    """Text of a file, with or without a byte-order mark; headers in other encodings than UTF-8 do no harm."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as fault:
        if encoding != "utf-8" or _CONTROL.search(data):
            raise InputError(f"{path}: byte {fault.start} is not text; give a FASTA file") from None
        text = data.decode("latin-1")
    if "\0" in text:
        raise InputError(f"{path}: holds binary data, not text; give a FASTA file")
    return text


def _parse(path: str, text: str) -> list[_Record]:
    """Split a FASTA file into records."""
    if not text.strip():
        raise InputError(f"{path}: holds no sequence; give a FASTA file with at least one")
    found: list[tuple[str, int, list[tuple[int, str]]]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line.startswith(">"):
            header = "".join(letter if letter.isprintable() else " " for letter in line[1:])
            found.append((header.strip(), number, []))
        elif line.strip():
            if not found:
                raise InputError(
                    f"{path}: line {number} ({line.strip()[:20]!r}) comes before any header; put a line '>name' first"
                )
            found[-1][2].append((number, line))
    return [_Record(header, number, tuple(lines)) for header, number, lines in found]


def _letters(path: str, record: _Record, warnings: list[str]) -> tuple[PolymerKind, str]:
    """Kind and cleaned letters of a record.

    Raises
    ------
    InputError
        Line and column of a letter that stands for no residue, or of anything after the `*` that ends a sequence.
    """
    letters = ""
    ended = False
    for number, line in record.lines:
        for column, written in enumerate(line, start=1):
            letter = written.upper()
            if letter.isspace():
                continue
            if ended or letter not in LETTERS:
                why = "stands after the '*' that ends the sequence" if ended else "stands for no residue"
                raise InputError(
                    f"{path}: record {record.name}, line {number}, column {column}: "
                    f"{written!r} {why}; remove or replace it"
                )
            if letter == "*":
                ended = True
            else:
                letters += letter
    if not letters:
        raise InputError(f"{path}: line {record.line}: record {record.name} has no sequence; add or remove it")
    kind = _kind(record.header, letters)
    if kind != "protein":
        return kind, letters
    replaced = {letter: number for letter, number in sorted(Counter(letters).items()) if letter in READ_AS}
    if replaced:
        changes = ", ".join(f"{number} {letter} as {READ_AS[letter]}" for letter, number in replaced.items())
        warnings.append(f"{path}: record {record.name}: read {changes} (X is unknown)")
    return kind, "".join(READ_AS.get(letter, letter) for letter in letters)


def _kind(header: str, letters: str) -> PolymerKind:
    """Protein unless all letters are those of nucleotides; the header decides between RNA and DNA without T or U."""
    counts = Counter(letters)
    bases = sum(counts[base] for base in "ACGTU")
    if not set(letters) <= NUCLEOTIDES or bases < 0.5 * len(letters):
        return "protein"
    if counts["U"] != counts["T"]:
        return "rna" if counts["U"] > counts["T"] else "dna"
    return "dna" if re.search(r"\bDNA\b|\bD\(", header) else "rna"


def _entity(kind: PolymerKind, letters: str, records: list[_Record]) -> Entity:
    """Entity of all records of one sequence; chains only where every record names them."""
    chains = tuple(dict.fromkeys(chain for record in records for chain in record.chains))
    total = sum(max(len(record.chains), 1) for record in records)
    if not all(record.chains for record in records) or len(chains) < total:
        chains = ()
    copies = total if chains or total > 1 else None
    return Entity(records[0].name, letters, copies, kind, chains)


def _distinct_chains(path: str, entities: list[Entity], warnings: list[str]) -> list[Entity]:
    """Take the chain names from entities that repeat those of an earlier one."""
    used: set[str] = set()
    result = []
    for entity in entities:
        repeated = sorted(used.intersection(entity.chains))
        if repeated:
            warnings.append(
                f"{path}: record {entity.name}: chain names {', '.join(repeated)} are those of another record; "
                "its chains get free names"
            )
            entity = replace(entity, chains=())
        used.update(entity.chains)
        result.append(entity)
    return result


def _override(path: str, entities: list[Entity], names: list[set[str]], copies: Mapping[str, int]) -> list[Entity]:
    """Entities with the numbers of copies that the user gives."""
    result = list(entities)
    for name, number in copies.items():
        matches = [index for index, known in enumerate(names) if name in known]
        if len(matches) != 1:
            known = ", ".join(entity.name for entity in entities)
            problem = "names several sequences" if matches else "names no sequence"
            raise UsageError(f"--copies {name}={number}: {problem} of {path}; its records are {known}")
        if number < 1:
            raise UsageError(f"--copies {name}={number}: is below 1; give a number of copies, or take the record out")
        entity = result[matches[0]]
        chains = entity.chains[:number] if len(entity.chains) >= number else ()
        result[matches[0]] = replace(entity, copies=number, chains=chains)
    return result
