"""Time and memory of tracing against size: copies of one protein on an icosahedral shell.

`python benchmarks/tracing_scale.py PACK [--exclude FILE] [--copies N ...] [--unknown]` takes a chain of about 250
residues from the pack's calibration structures, turns it by the 60 rotations of an icosahedral shell, far enough out
that the copies just touch, and keeps the N copies nearest to the first. Every residue gets a candidate but 5 %; the
noise and the types are those of `LEVELS["medium"]` in copies.py; false candidates fill up to 4 candidates per
3 residues. For each N it prints residues, candidates, seconds of the second run (wall clock and processor), peak memory
of the process, residues right within 3 A (of whole copies, best assignment) per residue and per residue placed, and the
copies built. Each size runs in a process of its own. With `--unknown` the number of copies is withheld. FILE has
structures that are left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from copies import Array, candidates_of, proteins
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.objects import Candidates, Entity, Sequences, Trace
from cryo2struct.tracing import trace

CONTACT = 4.5
"""Least distance of C-alphas of two copies, angstrom."""

HEADER = (
    "| copies | residues | candidates | s | processor s | processor ms per residue | GB | right | right of placed "
    "| copies built |"
)

PER_RESIDUE = 4 / 3
"""Candidates per residue."""


def shell(xyz: Array, copies: int, rng: np.random.Generator) -> list[Array]:
    """The `copies` neighbouring ones of 60 copies on an icosahedral shell, as small as they fit on."""
    group = Rotation.create_group("I")
    centred = Rotation.random(random_state=int(rng.integers(2**31))).apply(xyz - xyz.mean(axis=0))
    outward = rng.normal(size=3)
    outward /= np.linalg.norm(outward)
    radius = 20.0
    while True:
        everywhere = [turn.apply(centred + radius * outward) for turn in group]
        tree = cKDTree(everywhere[0])
        if min(tree.query(other)[0].min() for other in everywhere[1:]) >= CONTACT:
            break
        radius += 1.0
    away = [np.linalg.norm(other.mean(axis=0) - everywhere[0].mean(axis=0)) for other in everywhere]
    return [everywhere[k] for k in np.argsort(away, kind="stable")[:copies]]


def make_case(path: Path, left_out: set[str], copies: int) -> tuple[Candidates, str, list[Array]]:
    """Candidates, the sequence, and the true C-alphas (L, 3) of each copy."""
    rng = np.random.default_rng(copies)
    chains = [chain for code, found in sorted(proteins(StructurePack(path), left_out).items()) for chain in found]
    letters, xyz = min(chains, key=lambda chain: (abs(len(chain[0]) - 250), chain[0]))
    truth = shell(xyz, copies, rng)
    options = {"sd": 0.5, "sure": 0.7, "missing": 0.05, "false": 0.1}
    low, high = 0.0, 3.0
    # false candidates too near to others are dropped: find out how many it takes
    for _ in range(12):
        options["false"] = (low + high) / 2
        made = candidates_of([truth], [letters], options, np.random.default_rng(copies))
        low, high = (
            (options["false"], high) if len(made) < PER_RESIDUE * len(letters) * copies else (low, options["false"])
        )
    return made, letters, truth


def right(found: Trace, truth: list[Array]) -> tuple[int, int]:
    """Residues right within 3 A, and placed: candidates only, whole copies assigned to whole copies."""
    placed = found.candidate >= 0
    copy, position, xyz = found.copy[placed], found.position[placed], found.xyz[placed]
    table = np.zeros((copy.max() + 1, len(truth)))
    for k, true in enumerate(truth):
        near = np.linalg.norm(xyz - true[position], axis=1) <= 3
        table[:, k] = np.bincount(copy[near], minlength=len(table))
    return int(table[linear_sum_assignment(-table)].sum()), int(placed.sum())


def measure(candidates: Candidates, letters: str, truth: list[Array], unknown: bool, small: Candidates) -> str:
    """The line of the table for one case; `small` is traced before, so that nothing is compiled meanwhile."""
    copies, residues = len(truth), len(letters) * len(truth)
    trace(small, Sequences((Entity("shell", letters, None if unknown else 1, "protein"),)))
    begin, begin_processor = time.perf_counter(), time.process_time()
    found = trace(candidates, Sequences((Entity("shell", letters, None if unknown else copies, "protein"),)))
    seconds, processor = time.perf_counter() - begin, time.process_time() - begin_processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    n_right, n_placed = right(found, truth)
    return (
        f"| {copies} | {residues} | {len(candidates)} | {seconds:.1f} | {processor:.1f} "
        f"| {1e3 * processor / residues:.2f} | {memory:.2f} | {n_right / residues:.3f} | {n_right / n_placed:.3f} "
        f"| {len(np.unique(found.copy))} |"
    )


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in a process of its own, so that its peak memory is that of the call."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--exclude", type=Path)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 4, 15, 60])
    parser.add_argument("--unknown", action="store_true")
    arguments = parser.parse_args()
    left_out = set(arguments.exclude.read_text().split()) if arguments.exclude else set()
    small, letters, _ = alone(make_case, arguments.pack, left_out, 1)
    print(HEADER)
    print("|---|---|---|---|---|---|---|---|---|---|")
    for copies in arguments.copies:
        candidates, _, truth = alone(make_case, arguments.pack, left_out, copies)
        print(alone(measure, candidates, letters, truth, arguments.unknown, small), flush=True)


if __name__ == "__main__":
    main()
