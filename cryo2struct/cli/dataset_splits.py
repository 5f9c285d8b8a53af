"""`cryo2struct dataset split` and `cryo2struct dataset check-splits`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryo2struct.cli import common

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Data set of `cryo2struct dataset build`.")]


def split(
    folder: Folder,
    clusters: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clusters of DIR/sequences.fasta, .tsv: representative, member."),
    ] = None,
    shares: Annotated[
        str, typer.Option(metavar="A/B/C", help="Of the entries for training, validation and test.")
    ] = "80/10/10",
    identity: Annotated[float, typer.Option(min=0, max=1, help="Identical residues that join two sequences.")] = 0.3,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="Of the shorter one that must be aligned.")] = 0.6,
    threads: Annotated[int | None, typer.Option(min=1, help="Of MMseqs2; all cores when absent.")] = None,
    seed: common.Seed = 0,
) -> None:
    """Split a data set for training, validation and test by clusters of its sequences: docs/dataset-splits.md."""
    from dataclasses import asdict

    from cryo2struct.dataset.clusters import fasta_of, like_pairs, read_clusters
    from cryo2struct.dataset.records import SPLITS, SPLITS_FILE
    from cryo2struct.dataset.sequences import entry_sequences, read_entries
    from cryo2struct.dataset.splits import assigned, grouped
    from cryo2struct.errors import OutputError, ResourceError
    from cryo2struct.hardware import cores
    from cryo2struct.io.outputs import refuse_inputs, write_csv, write_text

    parts = _shares(shares)
    if (folder / SPLITS_FILE).exists():
        raise OutputError(f"{folder / SPLITS_FILE}: exists; move it away to split again")
    fasta, table = folder / "sequences.fasta", folder / "clusters.tsv"
    refuse_inputs([fasta], [clusters] if clusters is not None else [])
    entries = read_entries(folder)
    sequences = entry_sequences(folder, list(entries))
    letters = {sequence.name: sequence.letters for sequence in sequences}
    write_text(fasta, fasta_of(letters))
    pairs = read_clusters(clusters) if clusters else like_pairs(letters, identity, coverage, threads or cores())
    if pairs is None:
        raise ResourceError(f"mmseqs: is not on PATH; install MMseqs2, or cluster {fasta} and give --clusters FILE")
    if not clusters:
        write_text(table, "".join(f"{one}\t{other}\n" for one, other in pairs))
    groups = grouped(list(entries), sequences, pairs, str(clusters or table))
    rows = assigned(groups, entries, parts, seed)
    write_csv(folder / SPLITS_FILE, [asdict(row) for row in rows])
    for name in SPLITS:
        here = [row for row in rows if row.split == name]
        print(f"{name}: {len(here)} entries in {len({row.cluster for row in here})} clusters")


def _shares(text: str) -> list[float]:
    from cryo2struct.dataset.records import SPLITS
    from cryo2struct.errors import UsageError

    try:
        values = [float(part) for part in text.split("/")]
    except ValueError:
        values = []
    if len(values) != len(SPLITS) or not all(0 <= value < 1e9 for value in values) or values[0] == 0:
        raise UsageError(f"--shares {text}: give three numbers of 0 or more like 80/10/10, the first above 0")
    return [value / sum(values) for value in values]


def check_splits(
    folder: Folder,
    identity: Annotated[float, typer.Option(min=0, max=1, help="Identical residues of two like sequences.")] = 0.3,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="Of the shorter one that must be aligned.")] = 0.6,
) -> None:
    """Find like sequences that stand in different splits of a data set: docs/dataset-splits.md."""
    from cryo2struct.dataset.leaks import find_leaks
    from cryo2struct.dataset.splits import split_sequences
    from cryo2struct.errors import InputError

    sequences, splits = split_sequences(folder)
    side = [splits[sequence.entry] for sequence in sequences]
    with common.Console() as console:
        words = [sequence.letters for sequence in sequences]
        found = find_leaks(words, side, identity, coverage, lambda *done: console.progress("sequences", *done))
    if found:
        print("sequence,split,sequence,split,identity,coverage")
    for leak in found:
        ends = ",".join(f"{sequences[number].name},{side[number]}" for number in (leak.one, leak.other))
        print(f"{ends},{leak.identity:.3f},{leak.coverage:.3f}")
    if found:
        raise InputError(
            f"{folder}: pairs of like sequences in different splits: {len(found)}; join them in a file of --clusters "
            "and split again"
        )
    print(f"{len(sequences)} sequences: no like ones stand in different splits")
