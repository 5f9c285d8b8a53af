"""Seconds of whole commands, each run three times in a process of its own.

    python benchmarks/speed.py

Prints the first run (kernels may have to be compiled) and the median of the others.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryo2struct.settings import data_path

EXAMPLE = data_path("examples") / "emd_6272"
COMMANDS = {
    "cryo2struct --help": ["--help"],
    "cryo2struct build, EMD-6272 (397 residues)": [
        "build", str(EXAMPLE / "map.mrc.gz"), str(EXAMPLE / "seq.fasta"), "--force", "-o",
    ],
}  # fmt: skip


def main() -> None:
    """Time every command and print a table."""
    print("| command | first run, s | later runs, s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in COMMANDS.items():
            full = [sys.executable, "-m", "cryo2struct.cli.main", *arguments]
            if arguments[-1] == "-o":
                full.append(str(Path(folder) / "model"))
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                subprocess.run(full, check=True, capture_output=True, cwd=folder)
                seconds.append(time.perf_counter() - start)
            print(f"| {name} | {seconds[0]:.2f} | {statistics.median(seconds[1:]):.2f} |")


if __name__ == "__main__":
    main()
