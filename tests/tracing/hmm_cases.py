"""The synthetic threading cases in tests/data/hmm_cases: reading and scoring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cryo2struct.io.candidates import read_candidates
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import Candidates, Sequences, Trace

FOLDER = Path(__file__).parents[1] / "data" / "hmm_cases"
NAMES = sorted(path.name.split(".")[0] for path in FOLDER.glob("*.fasta"))
FLOOR = {
    "absent": (0.681, 0.796),
    "copies": (0.672, 0.707),
    "easy": (1.000, 1.000),
    "hard": (0.091, 0.120),
    "hard_vectors": (0.091, 0.120),
    "medium": (0.893, 0.960),
    "nomissing": (0.997, 0.998),
    "nonprotein": (0.893, 0.966),
    "s500": (0.887, 0.963),
    "s700": (0.909, 0.972),
    "s1000": (0.744, 0.811),
}
"""What a first-order sparse Viterbi reaches per group: right / in map, right / placed (3 decimals)."""


class Score(NamedTuple):
    """Right within 3 A of the residue's own CA, per residue in the map and per residue placed."""

    accuracy: float
    precision: float
    placed_per_in_map: float


def group_of(name: str) -> str:
    return name.rsplit("_", 1)[0]


def read_case(name: str) -> tuple[Candidates, Sequences]:
    sequences, _ = read_sequences(FOLDER / f"{name}.fasta")
    return read_candidates(FOLDER / f"{name}.candidates.npz"), sequences


def read_truth(name: str) -> dict[str, NDArray]:
    with np.load(FOLDER / f"{name}.truth.npz") as arrays:
        return dict(arrays)


def states_of(trace: Trace, sequences: Sequences) -> NDArray[np.int64]:
    """Candidate of every FASTA residue (entities in order, their copies in order), -1 where not placed."""
    copies = [entity.copies or 1 for entity in sequences.entities]
    lengths = np.array([len(entity.letters) for entity in sequences.entities])
    first = np.concatenate([[0], np.cumsum(lengths * copies)])
    states = np.full(first[-1], -1)
    states[first[trace.entity] + trace.copy * lengths[trace.entity] + trace.position] = trace.candidate
    return states


def score_case(name: str, trace: Trace, sequences: Sequences, tolerance: float = 3.0) -> Score:
    """Score with the best assignment of whole traced copies, however many, to whole true copies."""
    truth = read_truth(name)
    xyz = np.load(FOLDER / f"{name}.candidates.npz")["xyz"]
    placed, right, chain = trace.candidate >= 0, 0, 0
    for index, entity in enumerate(sequences.entities):
        true = [truth["xyz"][truth["chain"] == chain + k] for k in range(entity.copies or 1)]
        mine = [placed & (trace.entity == index) & (trace.copy == k) for k in np.unique(trace.copy)]
        table = np.zeros((len(mine), len(true)))
        for i, rows in enumerate(mine):
            for j, theirs in enumerate(true):
                distance = np.linalg.norm(xyz[trace.candidate[rows]] - theirs[trace.position[rows]], axis=1)
                table[i, j] = (distance <= tolerance).sum()
        right += int(table[linear_sum_assignment(-table)].sum())
        chain += len(true)
    in_map = truth["in_map"].sum()
    return Score(right / in_map, right / max(1, placed.sum()), placed.sum() / in_map)


def trace_of(states: NDArray[np.integer], candidates: Candidates, sequences: Sequences) -> Trace:
    """A trace that places every FASTA residue (entities in order, their copies in order) at a candidate."""
    keys = [
        (index, copy, position)
        for index, entity in enumerate(sequences.entities)
        for copy in range(entity.copies or 1)
        for position in range(len(entity.letters))
    ]
    entity, copy, position = np.array(keys).T
    ones = np.ones(len(keys))
    return Trace(entity, copy, position, states, np.asarray(candidates.xyz)[states], ones, ones, ones)


def without_copies(sequences: Sequences) -> Sequences:
    """The same sequences as from a file whose headers name no chains."""
    return Sequences(tuple(replace(entity, copies=None, chains=()) for entity in sequences.entities))


def copies_in(trace: Trace, sequences: Sequences) -> list[int]:
    """Number of copies of each entity with a residue in the trace."""
    return [len(np.unique(trace.copy[trace.entity == index])) for index in range(len(sequences.entities))]
