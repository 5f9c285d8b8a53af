"""Like sequences: found by MMseqs2 (Steinegger & Soeding 2017, Nat. Biotechnol. 35, 1026), or given as clusters."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from cryo2struct.errors import InputError, ResourceError
from cryo2struct.io.streams import read_bytes

LINE = 60  # letters


def like_pairs(
    sequences: Mapping[str, str], identity: float, coverage: float, threads: int
) -> list[tuple[str, str]] | None:
    """Names of one sequence and another that it is like, each with itself first; None without `mmseqs` on PATH.

    Two are alike where an alignment has this share of identical residues and covers this share of the first.

    Parameters
    ----------
    sequences : name to letters
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
        (folder / "sequences.fasta").write_text(fasta_of(sequences), encoding="utf-8")
        command = [program, "easy-search", "sequences.fasta", "sequences.fasta", "found.tsv", "temporary"]
        command += ["--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "2", "-s", "7.5"]
        command += ["--max-seqs", "100000", "--format-output", "query,target", "--threads", str(threads), "-v", "1"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        table = folder / "found.tsv"
        if done.returncode or not table.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise ResourceError(f"{program}: ended with code {done.returncode} ({said[-1].strip()}); try it by hand")
        found = parse_clusters(table.read_text(encoding="utf-8"), program)
    return [*((name, name) for name in sequences), *(pair for pair in found if pair[0] != pair[1])]


def fasta_of(sequences: Mapping[str, str]) -> str:
    """FASTA file of sequences, name to letters."""
    records = []
    for name, letters in sequences.items():
        records.append("\n".join([f">{name}", *(letters[n : n + LINE] for n in range(0, len(letters), LINE))]))
    return "\n".join(records) + "\n"


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
