"""What a trace amounts to, in lines for the user."""

from __future__ import annotations

import numpy as np

from cryo2struct.objects import IntArray, Sequences, Trace

WORTH_TELLING = 0.1
"""A residue's other place is told if its probability is above this."""


def summary(trace: Trace, sequences: Sequences, seconds: float) -> list[str]:
    """A line per chain: residues built of those in the sequence, segments, mean confidence; and the time in all.

    A segment is a run of consecutive residues; breaks lie between them.
    """
    names = [_name(trace, sequences, rows) for rows in _chains(trace)]
    width = max(map(len, names), default=0)
    lines = [f"{'chain':{width}s}       built     length  segments  confidence"]
    for name, rows in zip(names, _chains(trace), strict=True):
        built, length = len(rows), len(sequences.entities[trace.entity[rows[0]]].letters)
        segments = 1 + int((np.diff(trace.position[rows]) > 1).sum())
        confidence = float(trace.confidence[rows].mean())
        lines.append(f"{name:{width}s} {built:5d} {built / length:4.0%} {length:10d} {segments:9d} {confidence:11.2f}")
    return [*lines, f"{len(trace)} residues placed in {seconds:.1f} s"]


def alternatives(trace: Trace, sequences: Sequences) -> list[str]:
    """A line for each stretch that might as well be another part of a sequence, or the same part the other way round.

    Residues are numbered from 1.
    """
    if trace.other_prob is None or trace.other_entity is None or trace.other_position is None:
        return []
    lines = []
    for rows in _chains(trace):
        rows = rows[(trace.candidate[rows] >= 0) & (trace.other_prob[rows] > WORTH_TELLING)]
        here, there, entity = trace.position[rows], trace.other_position[rows], trace.other_entity[rows]
        first = 0
        while first < len(rows):
            last, sense = first, 0
            # the other place goes along with this one, or against it
            while last + 1 < len(rows):
                step, other = here[last + 1] - here[last], there[last + 1] - there[last]
                way = 1 if other == step else -1 if other == -step else 0
                if way == 0 or sense == -way or entity[last + 1] != entity[last] or step > 5:
                    break
                last, sense = last + 1, way
            stretch = rows[first : last + 1]
            # a stretch of one residue says no more than that the end of another one is unsure
            if last > first:
                shown = float(trace.other_prob[stretch].max())
                lines.append(
                    f"{_name(trace, sequences, rows)}, residues {here[first] + 1}-{here[last] + 1}: might be "
                    f"{sequences.entities[entity[first]].name} residues {there[first] + 1}-{there[last] + 1} "
                    f"(probability {shown:.2f})"
                )
            first = last + 1
    return lines


def _chains(trace: Trace) -> list[IntArray]:
    """Rows of each chain."""
    ends = np.flatnonzero((np.diff(trace.entity) != 0) | (np.diff(trace.copy) != 0)) + 1
    return [rows for rows in np.split(np.arange(len(trace)), ends) if len(rows)]


def _name(trace: Trace, sequences: Sequences, rows: IntArray) -> str:
    entity, copy = sequences.entities[trace.entity[rows[0]]], int(trace.copy[rows[0]])
    return f"{entity.name} copy {copy + 1}"
