"""Clusters of like sequences: made by MMseqs2 (Steinegger & Soeding 2017, Nat. Biotechnol. 35, 1026), or given."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Hashable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from cryo2struct.errors import InputError, ResourceError
from cryo2struct.io.streams import read_bytes


def mmseqs_clusters(fasta: str, identity: float, coverage: float, threads: int) -> str | None:
    """Two columns, representative and member, of all sequences; None where there is no `mmseqs` on PATH.

    Sequences are joined, directly or through others, where an alignment has this share of identical residues and
    covers this share of the shorter one.

    Parameters
    ----------
    fasta : FASTA file
    identity, coverage : 0 to 1
    threads : int

    Raises
    ------
    ResourceError
        mmseqs fails.
    """
    program = shutil.which("mmseqs")
    if program is None:
        return None
    with TemporaryDirectory(prefix="cryo2struct-mmseqs-") as name:
        folder = Path(name)
        (folder / "sequences.fasta").write_text(fasta, encoding="utf-8")
        command = [program, "easy-cluster", "sequences.fasta", "found", "temporary", "--dbtype", "1", "-s", "7.5"]
        command += ["--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "1", "--max-seqs", "100000"]
        # Connected components of all pairs; by default clusters are stars about representatives, found in steps.
        command += ["--cluster-mode", "1", "--single-step-clustering", "1", "--threads", str(threads), "-v", "1"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        table = folder / "found_cluster.tsv"
        if done.returncode or not table.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise ResourceError(f"{program}: ended with code {done.returncode} ({said[-1].strip()}); give --clusters")
        return table.read_text(encoding="utf-8")


def parse_clusters(text: str, source: str) -> list[tuple[str, str]]:
    """Representative and member of each line of a table of two columns, parted by a tab.

    Raises
    ------
    InputError
        A line has not two columns.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 2 or not all(columns):
            raise InputError(f"{source}: line {number}: give a representative and a member with a tab between them")
        found.append((columns[0], columns[1]))
    return found


def read_clusters(path: Path) -> list[tuple[str, str]]:
    """Clusters of a file as MMseqs2 writes it, see `parse_clusters`; raises InputError."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: byte {fault.start} is not UTF-8; give the clusters as text") from None
    return parse_clusters(text, str(path))


def components(links: Iterable[tuple[Hashable, Hashable]]) -> dict[Hashable, Hashable]:
    """What is linked -> one and the same of those that a chain of links leads to (union-find)."""
    parent: dict[Hashable, Hashable] = {}

    def root(key: Hashable) -> Hashable:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for one, other in links:
        parent[root(other)] = root(one)
    return {key: root(key) for key in list(parent)}
