"""How many copies are built where their number is unknown, on assemblies made from calibration structures.

`python benchmarks/copies.py PACK [--exclude FILE] [--cases N] [--shares S ...]` makes N sets of candidates: one to
three proteins of the pack's calibration structures, each in 1 to 12 copies that touch each other, up to two sequences
that are not there, loops left out, and candidates of four qualities (`LEVELS`). For each value of `tracing.copy_share`
it prints the share of sequences whose number of copies is right, copies built too many and too few, and the residues
right within 3 A per residue in the map beside those with known numbers. The value in configs/build.yaml was chosen with
it. FILE has structures that are left out, one code a line.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.errors import NothingToBuildError
from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences, Trace
from cryo2struct.settings import load_settings
from cryo2struct.tracing import trace
from cryo2struct.tracing.scores import FREQUENCIES

Array = NDArray[np.float64]
LOOK_ALIKE = ["AGS", "CSA", "DNE", "EQD", "FYH", "GAS", "HFN", "IVL", "KRE", "LIM", "MLK", "NDQ", "PVA", "QEK", "RKQ"]
LOOK_ALIKE += ["SAC", "TVS", "VTI", "WFY", "YFW"]
"""For each amino acid those that a network takes it for."""

LEVELS = {
    "good": {"sd": 0.3, "sure": 0.8, "missing": 0.02, "false": 0.1},
    "medium": {"sd": 0.5, "sure": 0.7, "missing": 0.05, "false": 0.1},
    "noisy": {"sd": 0.7, "sure": 0.55, "missing": 0.08, "false": 0.25},
    "poor": {"sd": 0.6, "sure": 0.45, "missing": 0.1, "false": 0.3},
}
"""Noise of the positions (A per coordinate), share of types right, of residues without a candidate, of false ones."""

MOST_RESIDUES = 1300


@dataclass(frozen=True)
class Case:
    """Candidates, the sequences, and per sequence the true C-alphas (L, 3) of each copy, NaN where absent."""

    level: str
    candidates: Candidates
    letters: list[str]
    truth: list[list[Array]]


def proteins(pack: StructurePack, left_out: set[str]) -> dict[str, list[tuple[str, Array]]]:
    """Letters and C-alphas of the chains of 45 to 350 residues, by structure."""
    alpha = pack.atom_names.index("CA")
    found: dict[str, list[tuple[str, Array]]] = {}
    for index, code in enumerate(pack.ids):
        if zlib.crc32(code.encode()) % 25 or code in left_out:
            continue
        structure = pack[index]
        atoms = np.flatnonzero((structure.name == alpha) & (structure.aa[structure.residue] < 20))
        residues = structure.residue[atoms]
        for chain in np.unique(structure.chain[residues]):
            rows = structure.chain[residues] == chain
            if 45 <= rows.sum() <= 350:
                letters = "".join(AMINO_ACIDS[kind] for kind in structure.aa[residues[rows]])
                found.setdefault(code, []).append((letters, structure.xyz[atoms[rows]].astype(float)))
    return found


def dock(xyz: Array, others: list[Array], rng: np.random.Generator) -> Array:
    """A copy turned at random that touches the others: no C-alphas nearer than 5.5 A."""
    turned = Rotation.random(random_state=int(rng.integers(2**31))).apply(xyz - xyz.mean(axis=0))
    if not others:
        return turned
    tree, middle = cKDTree(np.concatenate(others)), np.concatenate(others).mean(axis=0)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    away = 0.0
    while tree.query(turned + middle + away * direction)[0].min() < 5.5:
        away += 2.0
    return turned + middle + away * direction


def type_vectors(types: NDArray[np.int64], sure: float, rng: np.random.Generator) -> Array:
    """Type probabilities (n, 20) whose largest is right at about the rate `sure`."""
    shown = types.copy()
    wrong = rng.random(len(types)) >= sure
    similar = [AMINO_ACIDS.index(LOOK_ALIKE[kind][rng.integers(3)]) for kind in types[wrong]]
    shown[wrong] = np.where(rng.random(wrong.sum()) < 0.7, similar, rng.choice(20, wrong.sum(), p=FREQUENCIES))
    mean = 0.45 * np.eye(20)[shown] + 0.2 * np.eye(20)[types] + 0.35 * FREQUENCIES
    drawn = rng.gamma(6 * mean)
    return np.asarray(0.97 * drawn / drawn.sum(axis=1, keepdims=True) + 0.03 * FREQUENCIES)


def candidates_of(
    truth: list[list[Array]], letters: list[str], options: dict[str, float], rng: np.random.Generator
) -> Candidates:
    """Candidates near the true C-alphas, some missing, and false ones about them; options as in `LEVELS`."""
    xyz = np.concatenate([copy for copies in truth for copy in copies])
    kinds = [AMINO_ACIDS.index(a) for text, copies in zip(letters, truth, strict=True) for _ in copies for a in text]
    kept = np.isfinite(xyz[:, 0]) & (rng.random(len(xyz)) >= options["missing"])
    near = xyz[kept] + rng.normal(0, options["sd"], (kept.sum(), 3))
    extra = int(options["false"] * len(near))
    false = near[rng.integers(len(near), size=extra)] + rng.normal(0, 2.5, (extra, 3))
    false_types = rng.choice(20, extra, p=FREQUENCIES)
    everywhere = np.concatenate([near, false])
    types = np.concatenate([np.array(kinds)[kept], false_types])
    pairs = cKDTree(everywhere).query_pairs(2.0, output_type="ndarray")
    keep = np.setdiff1d(np.arange(len(everywhere)), pairs.max(axis=1) if len(pairs) else [])
    rng.shuffle(keep)
    return Candidates(everywhere[keep], np.full(len(keep), 0.8), type_vectors(types[keep], options["sure"], rng))


def make_cases(pack: StructurePack, left_out: set[str], count: int) -> Iterator[Case]:
    """Cases, always the same ones."""
    rng = np.random.default_rng(0)
    found = proteins(pack, left_out)
    codes = sorted(found)
    for _ in range(count):
        letters: list[str] = []
        truth: list[list[Array]] = []
        placed: list[Array] = []
        present = rng.integers(1, 4)
        for number, code in enumerate(rng.choice(codes, present + rng.integers(3), replace=False)):
            text, xyz = found[code][0]
            room = (MOST_RESIDUES - sum(map(len, placed))) // len(text)
            copies = min(room, int(rng.choice([1, 2, 3, 4, 6, 8, 12]))) if number < present else 0
            letters.append(text)
            truth.append([])
            for _ in range(copies):
                placed.append(dock(xyz, placed, rng))
                truth[-1].append(placed[-1].copy())
        for copy in (copy for copies in truth for copy in copies):
            for _ in range(rng.integers(3)):
                start = rng.integers(len(copy))
                copy[start : start + rng.integers(8, 25)] = np.nan
        level = str(rng.choice(list(LEVELS)))
        yield Case(level, candidates_of(truth, letters, LEVELS[level], rng), letters, truth)


def run(case: Case, copies: list[int | None], share: float) -> Trace | None:
    """Trace with these numbers of copies (0: the sequence is withheld), None where nothing is built."""
    numbers = [number for number, n in enumerate(copies) if n != 0]
    sequences = Sequences(tuple(Entity(f"e{k}", case.letters[k], copies[k], "protein") for k in numbers))
    try:
        found = trace(case.candidates, sequences, load_settings(None, {"tracing.copy_share": share}).tracing)
    except NothingToBuildError:
        return None
    return Trace(**{**vars(found), "entity": np.array(numbers)[found.entity]})


def accuracy(case: Case, found: Trace | None) -> float:
    """Residues within 3 A of their own C-alpha, whole copies assigned to whole copies, per residue in the map."""
    right = 0
    for entity, copies in enumerate(case.truth if found is not None else []):
        mine = [(found.entity == entity) & (found.copy == k) for k in np.unique(found.copy)]
        table = np.zeros((len(mine), len(copies)))
        for i, rows in enumerate(mine):
            for j, true in enumerate(copies):
                table[i, j] = (np.linalg.norm(found.xyz[rows] - true[found.position[rows]], axis=1) <= 3).sum()
        right += int(table[linear_sum_assignment(-table)].sum())
    return right / sum(int(np.isfinite(copy[:, 0]).sum()) for copies in case.truth for copy in copies)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--exclude", type=Path)
    parser.add_argument("--cases", type=int, default=80)
    parser.add_argument("--shares", type=float, nargs="*", default=[load_settings().tracing.copy_share])
    arguments = parser.parse_args()
    left_out = set(arguments.exclude.read_text().split()) if arguments.exclude else set()
    cases = list(make_cases(StructurePack(arguments.pack), left_out, arguments.cases))
    known = [accuracy(case, run(case, [len(c) for c in case.truth], arguments.shares[0])) for case in cases]
    print("| share | level | cases | number right | too many | too few | acc | acc, numbers known |")
    print("|---|---|---|---|---|---|---|---|")
    for share in arguments.shares:
        rows: dict[str, list[tuple[float, ...]]] = {level: [] for level in LEVELS}
        for case, before in zip(cases, known, strict=True):
            found = run(case, [None] * len(case.truth), share)
            built = [0 if found is None else len(set(found.copy[found.entity == k])) for k in range(len(case.truth))]
            off = np.array(built) - [len(copies) for copies in case.truth]
            row = (
                np.mean(off == 0),
                np.maximum(off, 0).sum(),
                np.maximum(-off, 0).sum(),
                accuracy(case, found),
                before,
            )
            rows[case.level].append(row)
        for level, values in rows.items():
            if values:
                right, many, few, after, before = np.mean(values, axis=0)
                many, few = many * len(values), few * len(values)
                print(
                    f"| {share} | {level} | {len(values)} | {right:.2f} | {many:.0f} | {few:.0f} "
                    f"| {after:.3f} | {before:.3f} |"
                )


if __name__ == "__main__":
    main()
