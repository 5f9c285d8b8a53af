"""The least that tracing must reach: a first-order sparse Viterbi, on threading cases or on experimental maps.

    python benchmarks/floor.py [--real $CRYO2STRUCT_DATA/real --built FOLDER]

Log odds of the types, a Gaussian of 0.75 A about the usual distance, up to four residues skipped for 2 nats and 0.5 for
each after the first, free ends, one piece per chain; a chain takes its candidates from those that come after it. A path
may visit a candidate twice. Without `--real` the groups of tests/data/hmm_cases are printed, where the figures of
another program with these rules are known. `--built` is what `benchmarks/real_maps.py -o` left: the same candidates,
and the models to compare with.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tracing"))

import hmm_cases as cases

from cryo2struct.evaluation import evaluate
from cryo2struct.io.candidates import read_candidates
from cryo2struct.io.models import model_from_trace, read_structure
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import Candidates, Sequences, Trace
from cryo2struct.tracing.chains import canonical_order, protein_chains
from cryo2struct.tracing.scores import FREQUENCIES, STEP_MEAN

SD, OPEN, EXTEND = 0.75, 2.0, 0.5
FURTHEST = 3.0  # sd


def links(xyz: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Source, target and score of the links of 1 to 5 steps, sorted by target."""
    tree, found = cKDTree(xyz), []
    for step, mean in enumerate(STEP_MEAN):
        sd = SD * np.sqrt(step + 1)
        pairs = tree.query_pairs(mean + FURTHEST * sd, output_type="ndarray")
        source, target = np.concatenate([pairs, pairs[:, ::-1]]).T
        distance = np.linalg.norm(xyz[source] - xyz[target], axis=1)
        score = -0.5 * ((distance - mean) / sd) ** 2 - (step > 0) * (OPEN + EXTEND * (step - 1))
        order = np.lexsort((source, target))
        order = order[score[order] > -0.5 * FURTHEST**2 - OPEN - EXTEND * step]
        found.append((source[order], target[order], score[order]))
    return found


def viterbi(emission: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """State (L,) of each residue, -1 where there is none; `emission` is (L, N)."""
    length, states = emission.shape
    best, came = emission.copy(), np.full((length, states), -1)
    joined = links(xyz)
    for residue in range(length):
        for step, (source, target, score) in enumerate(joined, 1):
            if step > residue or len(target) == 0:
                continue
            value = best[residue - step, source] + score
            first = np.flatnonzero(np.diff(target, prepend=-1))
            top = np.maximum.reduceat(value, first)
            at = np.flatnonzero(value == np.repeat(top, np.diff(np.append(first, len(value)))))
            here, link = np.unique(target[at], return_index=True)
            better = top + emission[residue, here] > best[residue, here]
            best[residue, here[better]] = (top + emission[residue, here])[better]
            came[residue, here[better]] = step * states + source[at[link]][better]
    path = np.full(length, -1)
    residue, state = np.unravel_index(best.argmax(), best.shape)
    while True:
        path[residue] = state
        if came[residue, state] < 0:
            return path
        step, state = divmod(int(came[residue, state]), states)
        residue -= step


def thread(candidates: Candidates, sequences: Sequences) -> Trace:
    """The residues that have a candidate, the longest chain first."""
    xyz = np.asarray(candidates.xyz, dtype=np.float64)
    odds = np.log((candidates.aa_prob + 1e-6) / FREQUENCIES)
    left, rows = np.arange(len(candidates)), []
    for chain in canonical_order(protein_chains(sequences)):
        emission = np.where(chain.types[:, None] >= 0, odds[left][:, chain.types].T, 0.0)
        path = viterbi(emission, xyz[left])
        placed = np.flatnonzero(path >= 0)
        taken = left[path[placed]]
        rows.append([np.full(len(placed), chain.entity), np.full(len(placed), chain.copy), placed, taken])
        left = np.setdiff1d(left, taken)
    entity, copy, position, candidate = np.concatenate(rows, axis=1)
    ones = np.ones(len(candidate))
    return Trace(entity, copy, position, candidate, xyz[candidate], ones, ones, ones)


def on_cases() -> None:
    """Print the groups of threading cases."""
    groups = defaultdict(list)
    for name in cases.NAMES:
        candidates, sequences = cases.read_case(name)
        traced = thread(candidates, sequences)
        groups[cases.group_of(name)].append(cases.score_case(name, traced, sequences)[:2])
    print("| group | acc | right/placed | known: acc | right/placed |\n|---|---|---|---|---|")
    for group, scores in sorted(groups.items()):
        acc, right = np.nanmean(scores, axis=0)
        known = cases.FLOOR[group]
        print(f"| {group} | {acc:.3f} | {right:.3f} | {known[0]:.3f} | {known[1]:.3f} |")


def on_maps(real: Path, built: Path) -> None:
    """Print a line per map: this method and the model that was built, from the same candidates."""
    print("| map | floor: found % | match % | built: found % | match % |\n|---|---|---|---|---|")
    for folder in sorted(path.parent for path in built.glob("*/model.cif")):
        target = read_structure(real / folder.name / "model.cif")
        candidates = read_candidates(folder / "candidates.npz")
        sequences, _ = read_sequences(real / folder.name / "seq.fasta", {})
        cells = []
        traced = model_from_trace(thread(candidates, sequences), sequences).structure
        for model in (traced, read_structure(folder / "model.cif")):
            score = evaluate(model, target)["chain_comparison"]["entire_target"]
            cells += [f"{score['found_percent']:.1f}", f"{score['seq_match_percent'] or 0:.1f}"]
        print(f"| {folder.name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--built", type=Path)
    options = parser.parse_args()
    if options.real is None:
        on_cases()
    else:
        on_maps(options.real, options.built)


if __name__ == "__main__":
    main()
