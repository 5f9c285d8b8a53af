"""Entries of a data set to train on, to choose by, and to report on: like sequences never stand on two sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryo2struct.dataset.clusters import components
from cryo2struct.dataset.records import SPLITS, SPLITS_FILE, read_splits
from cryo2struct.dataset.sequences import DatasetSequence, entry_sequences, read_entries
from cryo2struct.errors import InputError

STRATA = (2.5, 3.0, 3.5, 4.0)  # angstrom; bounds between the strata of resolution


@dataclass(frozen=True)
class SplitEntry:
    """A row of splits.csv: `cluster` is the first entry of those that must stand on one side."""

    name: str
    cluster: str
    split: str


def grouped(
    entries: Sequence[str], sequences: Sequence[DatasetSequence], clusters: Sequence[tuple[str, str]], source: str
) -> dict[str, list[str]]:
    """Groups of entries that share a cluster through any of their sequences, by their first entry.

    Parameters
    ----------
    entries : names, in the order of the result
    sequences : of the entries; an entry without a protein is a group of its own
    clusters : representative and member, by names of sequences; a sequence may stand in several
    source : of the clusters, for messages

    Raises
    ------
    InputError
        A sequence is in no cluster.
    """
    known = {name for pair in clusters for name in pair}
    missing = [sequence.name for sequence in sequences if sequence.name not in known]
    if missing:
        raise InputError(
            f"{source}: {len(missing)} of {len(sequences)} sequences are in no cluster, {missing[0]} the first; "
            "cluster all of sequences.fasta"
        )
    # Names of entries and of sequences may be the same: they are told apart by their kind.
    links = [(("sequence", one), ("sequence", other)) for one, other in clusters]
    links += [(("sequence", sequence.name), ("entry", sequence.entry)) for sequence in sequences]
    group_of = components([*links, *((("entry", entry), ("entry", entry)) for entry in entries)])
    groups: dict[object, list[str]] = {}
    for entry in entries:
        groups.setdefault(group_of["entry", entry], []).append(entry)
    return {members[0]: members for members in groups.values()}


def assigned(
    groups: dict[str, list[str]], resolution: dict[str, float | None], shares: Sequence[float], seed: int
) -> list[SplitEntry]:
    """Whole groups dealt out to the splits, by name of the entry.

    Stratum after stratum of the groups' median resolutions, large groups first, each group goes to the split that
    lacks most of its share of the entries so far. Equal ones are in an order drawn from the seed.

    Parameters
    ----------
    groups : of `grouped`
    resolution : angstrom, or None, of each entry
    shares : of the splits, in the order of `SPLITS`; their sum is 1
    seed : int
    """
    names = sorted(groups)
    names = [names[number] for number in np.random.default_rng(seed).permutation(len(names))]
    stratum = {name: _stratum([resolution[entry] for entry in groups[name]]) for name in names}
    names.sort(key=lambda name: (stratum[name], -len(groups[name])))
    lacking = np.zeros(len(SPLITS))
    found = []
    for kind in sorted(set(stratum.values())):
        here = [name for name in names if stratum[name] == kind]
        lacking += np.array(shares) * sum(len(groups[name]) for name in here)
        for name in here:
            # A split of share 0 gets nothing.
            split = int(np.argmax(np.where(np.array(shares) > 0, lacking, -np.inf)))
            lacking[split] -= len(groups[name])
            found += [SplitEntry(entry, name, SPLITS[split]) for entry in groups[name]]
    return sorted(found, key=lambda row: row.name)


def _stratum(resolutions: list[float | None]) -> int:
    known = [value for value in resolutions if value is not None]
    return int(np.searchsorted(STRATA, np.median(known), side="right")) if known else len(STRATA) + 1


def split_sequences(folder: Path) -> tuple[list[DatasetSequence], dict[str, str]]:
    """Sequences of a data set that has been split, and the split of each entry.

    Raises
    ------
    InputError
        The data set has not been split, or not as it is now.
    """
    path = folder / SPLITS_FILE
    entries = list(read_entries(folder))
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; run `cryo2struct dataset split {folder}`")
    splits = read_splits(path)
    missing = [entry for entry in entries if entry not in splits]
    if missing:
        raise InputError(f"{path}: {missing[0]} of the data set has no split; remove the file and split again")
    return entry_sequences(folder, entries), splits
