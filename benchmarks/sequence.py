"""What the sequence head changes: the types of candidates, and what is traced through them.

    python benchmarks/sequence.py PACK [--sets N] [--real FOLDER NAME=CANDIDATES ...] [--weights FOLDER]
        [--weight W ...] [--attention W ...]

Simulated candidate sets come from the pack's calibration structures (cryo2struct/training/candidates.py), real ones
from files that `cryo2struct classify` wrote for maps in FOLDER (one folder per map with seq.fasta and model.cif).
`wrong` are the simulated ones with the sequences of the next set: what is trusted there should not be.

Rows: without the head; with the head that sees no sequence (`surroundings`); with the built-in encoder, its types
alone, its attention alone, both. `types` is the share of right types among candidates paired with a C-alpha within
2 A, `nats` their mean log probability of the right type against its background. `found` is the share of C-alphas with
a traced one within 3 A, one to one, and `match` the share of these with the right type. `trusted` are the traced
residues that are in register with a probability above the threshold, per C-alpha.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.errors import NothingToBuildError
from cryo2struct.evaluation.ca import Points, ca_points, pair_points
from cryo2struct.io.candidates import read_candidates
from cryo2struct.io.models import read_structure
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences
from cryo2struct.prediction.sequence import apply_head, read_for_head
from cryo2struct.settings import SequenceSettings, TracingSettings, data_path, load_settings
from cryo2struct.tracing import trace
from cryo2struct.training.candidates import FREQUENCIES, draw_set

MODES = ("none", "surroundings", "types", "attention", "both")


@dataclass(frozen=True)
class Case:
    """Candidates, sequences, and the true C-alphas with their types (-1 unknown)."""

    name: str
    candidates: Candidates
    sequences: Sequences
    truth: Points


def simulated(pack: StructurePack, count: int, left_out: set[str]) -> Iterator[Case]:
    """Candidate sets of calibration structures, always the same ones."""
    indices = [i for i in pack.split("calibrate") if pack.ids[i] not in left_out]
    for number in range(count):
        drawn = draw_set(pack, indices[number % len(indices)], np.random.default_rng([11, number]))
        candidates = Candidates(
            drawn.xyz,
            drawn.presence,
            np.exp(drawn.types),
            drawn.after,
            drawn.before,
            drawn.structure,
        )
        # each residue is seen at most once per copy: as many copies as the residue seen most often
        seen = Counter(drawn.residue[drawn.residue >= 0].tolist())
        first = np.concatenate([[0], np.cumsum([len(text) for text in drawn.letters])])
        entities = []
        for k, text in enumerate(drawn.letters):
            copies = max((seen[r] for r in range(first[k], first[k + 1])), default=0)
            if copies and len(text) >= 4:
                entities.append(Entity(f"e{k}", text, copies, "protein"))
        true = drawn.residue != -1
        yield Case(
            f"{pack.ids[indices[number % len(indices)]]}_{number}",
            candidates,
            Sequences(tuple(entities)),
            Points(drawn.xyz[true].astype(float), drawn.aa[true]),
        )


def real(folder: Path, named: list[str]) -> Iterator[Case]:
    """Cases NAME=CANDIDATES of maps with known structures."""
    for text in named:
        name, _, file = text.partition("=")
        sequences, _ = read_sequences(folder / name / "seq.fasta", {})
        truth = ca_points(read_structure(folder / name / "model.cif"))
        yield Case(name, read_candidates(file), sequences, truth)


def with_head(case: Case, mode: str, weights: Path | None, weight: float) -> Candidates:
    """The candidates as the head leaves them, its correction times `weight`."""
    if mode == "none":
        return case.candidates
    settings = SequenceSettings(features="builtin", weight=weight, esm_weights=None, head=weights)
    read = read_for_head(case.sequences, settings, data_path("weights"))
    if mode == "surroundings":
        read = replace(read, embeddings=[None] * len(read.embeddings))
    found = apply_head(case.candidates, read, weight)
    if mode == "attention":
        return replace(found, aa_prob=case.candidates.aa_prob)
    return found if mode == "both" else replace(found, attention=None)


def scores(case: Case, candidates: Candidates, settings: TracingSettings) -> tuple[float, ...]:
    """`types`, `nats`, `found`, `match`, residues trusted per residue, seconds of tracing."""
    points = Points(np.asarray(candidates.xyz, dtype=float), np.argmax(candidates.aa_prob, axis=1))
    pairs, _ = pair_points(points, case.truth, 2.0)
    mine, true = pairs[case.truth.types[pairs[:, 1]] >= 0].T
    right = case.truth.types[true]
    nats = np.log(np.asarray(candidates.aa_prob, dtype=float)[mine, right] + 1e-6) - np.log(FREQUENCIES / 100)[right]
    begin = time.perf_counter()
    try:
        found = trace(candidates, case.sequences, settings)
    except NothingToBuildError:
        return (float((points.types[mine] == right).mean()), float(nats.mean()), 0, np.nan, 0, 0)
    seconds = time.perf_counter() - begin
    letters = [case.sequences.entities[e].letters[p] for e, p in zip(found.entity, found.position, strict=True)]
    built = Points(np.asarray(found.xyz, dtype=float), np.array([AMINO_ACIDS.find(letter) for letter in letters]))
    near, _ = pair_points(built, case.truth, 3.0)
    same = built.types[near[:, 0]] == case.truth.types[near[:, 1]]
    n = len(case.truth.xyz)
    return (
        float((points.types[mine] == right).mean()),
        float(nats.mean()),
        len(near) / n,
        float(same.mean()) if len(same) else np.nan,
        float((found.confidence >= settings.min_confidence).sum()) / n,
        seconds,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--sets", type=int, default=34)
    parser.add_argument("--exclude", type=Path, help="structures of the pack to leave out, one code a line")
    parser.add_argument("--real", nargs="+", default=[])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--weight", type=float, nargs="+", default=[1.0], help="values of sequence.weight")
    parser.add_argument("--attention", type=float, nargs="+", default=[0.1], help="values of attention_weight")
    arguments = parser.parse_args()
    left_out = set(arguments.exclude.read_text().split()) if arguments.exclude else set()
    groups = {"simulated": list(simulated(StructurePack(arguments.pack), arguments.sets, left_out))}
    cases = groups["simulated"]
    following = [*cases[1:], *cases[:1]]
    groups["wrong"] = [replace(c, sequences=other.sequences) for c, other in zip(cases, following, strict=True)]
    if arguments.real:
        groups |= {case.name: [case] for case in real(Path(arguments.real[0]), arguments.real[1:])}
    print("| candidates | head | weight | attention | types | nats | found | match | product | trusted | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for label, cases in groups.items():
        for mode in arguments.modes if cases else ():
            for weight in arguments.weight if mode not in ("none", "attention") else [0.0]:
                changed = [with_head(case, mode, arguments.weights, weight) for case in cases]
                for attention in arguments.attention if mode in ("attention", "both") else [0.0]:
                    settings = load_settings(None, {"tracing.attention_weight": attention}).tracing
                    rows = np.array([scores(c, found, settings) for c, found in zip(cases, changed, strict=True)])
                    _print_row(f"| {label} | {mode} | {weight} | {attention}", rows)


def _print_row(start: str, rows: np.ndarray) -> None:
    right = np.nan_to_num(rows[:, 2] * rows[:, 3]).mean()
    types, nats, found, match, trusted, seconds = np.nanmean(rows, axis=0)
    traced = f"{found:.3f} | {match:.3f} | {right:.3f} | {trusted:.3f} | {seconds:.1f}"
    print(f"{start} | {types:.3f} | {nats:.2f} | {traced} |", flush=True)


if __name__ == "__main__":
    main()
