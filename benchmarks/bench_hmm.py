"""Accuracy and speed of tracing on the synthetic threading cases.

`python benchmarks/bench_hmm.py [--mode default|reference] [--cases NAME ...]` prints a line per case and group:
`acc` right within 3 A per residue in the map, `r/p` right per residue placed, `placed` placed per residue in the map,
seconds of the second run. Beside them: acc of the original program's own answer, which is also its r/p, and the
seconds of its engine (`-` where it crashes, with fewer candidates than residues); acc and r/p of a first-order sparse
Viterbi (the floor); and in default mode the model's score of the paths found and that of the true paths: a true path
that scores higher was missed by the search, one that scores lower is a fault of the model.

With `--curve GROUP` it prints what is right of the most probable residues of a group, however many are kept.
With `--unknown-copies` the numbers of copies are withheld from the default mode; the table has the true number of
copies of each sequence and the number built, and the figures beside those with known numbers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tracing"))

import hmm_cases as cases
from threading_cases import Case, print_curve

from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import Candidates, Sequences, Trace
from cryo2struct.settings import load_settings
from cryo2struct.tracing import trace, trace_reference
from cryo2struct.tracing.chains import protein_chains, symbols_of
from cryo2struct.tracing.readings import both_ways
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import find_placements, make_decoder


def search_scores(name: str, candidates: Candidates, sequences: Sequences) -> tuple[float, float]:
    """Score of the paths found and of the true ones under the default model."""
    settings = load_settings().tracing
    chains = protein_chains(sequences)
    readings = both_ways(candidates, settings)
    emission = emission_scores(candidates, settings)
    decoder = make_decoder(readings, settings)
    truth = cases.read_truth(name)
    true_states = [truth["state"][truth["chain"] == c] for c in range(len(chains))]
    found = find_placements(readings, chains, emission, settings)
    return (
        sum(decoder.score(symbols_of(p.chain), p.path.state, emission) for p in found),
        sum(decoder.score(symbols_of(c), s, emission) for c, s in zip(chains, true_states, strict=True)),
    )


def as_case(name: str) -> Case:
    """A case with its answer."""
    candidates, sequences = cases.read_case(name)
    truth, chains = cases.read_truth(name), protein_chains(sequences)
    entity, copy = (
        np.array([getattr(chain, field) for chain in chains])[truth["chain"]] for field in ("entity", "copy")
    )
    return Case(candidates, sequences, entity, copy, truth["position"], truth["xyz"])


def original(name: str, candidates: Candidates, sequences: Sequences) -> tuple[float, float]:
    """Right per residue of the original program's answer, and the seconds of its engine; NaN where it crashes."""
    path = cases.FOLDER / f"{name}.original_path.npz"
    if not path.exists():
        return np.nan, np.nan
    with np.load(path) as arrays:
        states, seconds = arrays["state"], float(arrays["engine_seconds"])
    return cases.score_case(name, cases.trace_of(states, candidates, sequences), sequences).accuracy, seconds


def second_run(
    run: Callable[[Candidates, Sequences], Trace], candidates: Candidates, sequences: Sequences
) -> tuple[Trace, float]:
    """Trace, and the seconds of the second run."""
    run(candidates, sequences)
    begin = time.perf_counter()
    return run(candidates, sequences), time.perf_counter() - begin


def compare_unknown_copies(names: list[str]) -> None:
    """Print the table of `--unknown-copies`."""
    print("case             copies true / built    acc known unknown   r/p known unknown   seconds known unknown")
    groups: dict[str, list[tuple[float, ...]]] = {}
    for name in names:
        candidates, sequences = cases.read_case(name)
        known, known_seconds = second_run(trace, candidates, sequences)
        result, seconds = second_run(trace, candidates, cases.without_copies(sequences))
        before, after = cases.score_case(name, known, sequences), cases.score_case(name, result, sequences)
        row = (before.accuracy, after.accuracy, before.precision, after.precision, known_seconds, seconds)
        groups.setdefault(cases.group_of(name), []).append(row)
        true = " ".join(str(entity.copies) for entity in sequences.entities)
        _print_copies(name, f"{true} / {' '.join(map(str, cases.copies_in(result, sequences)))}", row)
    print("\ngroup means")
    for group, rows in groups.items():
        _print_copies(group, "", tuple(np.mean(rows, axis=0)))


def _print_copies(label: str, copies: str, row: tuple[float, ...]) -> None:
    print("{:16s} {:24s} {:.3f} {:.3f}           {:.3f} {:.3f}           {:.2f} {:.2f}".format(label, copies, *row))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["default", "reference"], default="default")
    parser.add_argument("--cases", nargs="*", default=cases.NAMES)
    parser.add_argument("--curve", choices=sorted(cases.FLOOR))
    parser.add_argument("--unknown-copies", action="store_true")
    arguments = parser.parse_args()
    if arguments.curve:
        print_curve([as_case(name) for name in arguments.cases if cases.group_of(name) == arguments.curve])
        return
    if arguments.unknown_copies:
        compare_unknown_copies(arguments.cases)
        return
    run = trace if arguments.mode == "default" else trace_reference
    print(f"{'case':16s}   acc   r/p placed seconds original acc seconds floor acc   r/p  found   true score")
    groups: dict[str, list[tuple[float, ...]]] = {}
    for name in arguments.cases:
        candidates, sequences = cases.read_case(name)
        try:
            result, seconds = second_run(run, candidates, sequences)
            score = cases.score_case(name, result, sequences)
        except (InputError, NothingToBuildError) as error:
            print(f"{name:16s} {error}")
            continue
        scores = search_scores(name, candidates, sequences) if arguments.mode == "default" else (np.nan, np.nan)
        theirs = original(name, candidates, sequences)
        row = (*score, seconds, *theirs, *cases.FLOOR[cases.group_of(name)], *scores)
        groups.setdefault(cases.group_of(name), []).append(row)
        _print(name, row)
    print("\ngroup means")
    for group, rows in groups.items():
        _print(group, tuple(np.mean(rows, axis=0)))


def _print(label: str, row: tuple[float, ...]) -> None:
    shown = "{:16s} {:.3f} {:.3f}  {:.2f}  {:6.2f}        {:5.3f}  {:6.2f}     {:.3f} {:.3f} {:6.0f} {:6.0f}"
    print(shown.format(label, *row).replace("nan", "  -"), flush=True)


if __name__ == "__main__":
    main()
