import numpy as np

from cryo2struct.objects import Entity, Sequences, Trace
from cryo2struct.tracing import alternatives, summary

SEQUENCES = Sequences((Entity("a", "A" * 40, 1, "protein"), Entity("b", "C" * 50, 2, "protein")))


def some_trace():
    """Residues 11-20 and 24-28 of a, 1-10 of the second copy of b."""
    position = np.concatenate([np.arange(10, 20), np.arange(23, 28), np.arange(10)])
    entity = np.repeat([0, 1], [15, 10])
    n = len(position)
    other_prob, other_entity, other_position = np.zeros(n), np.zeros(n, int), position.copy()
    other_prob[2:9], other_position[2:9] = 0.2, position[2:9] + 4  # shifted by four
    other_prob[5] = 0.3
    other_prob[10:15], other_entity[10:15], other_position[10:15] = 0.15, 1, 40 - np.arange(5)  # the other way round
    other_prob[18] = 0.4  # a single residue
    return Trace(
        entity, entity, position, np.arange(n), np.zeros((n, 3)), np.repeat([0.8, 0.5], [15, 10]), np.ones(n),
        np.ones(n), other_prob, other_entity, other_position,
    )  # fmt: skip


def test_a_line_per_chain():
    lines = [line.split() for line in summary(some_trace(), SEQUENCES, 1.26)]
    assert lines[0] == ["chain", "built", "length", "segments", "confidence"]
    assert lines[1] == ["a", "copy", "1", "15", "38%", "40", "2", "0.80"]
    assert lines[2] == ["b", "copy", "2", "10", "20%", "50", "1", "0.50"]
    assert " ".join(lines[3]) == "25 residues placed in 1.3 s"


def test_other_registers_are_told_where_they_are_likely():
    assert alternatives(some_trace(), SEQUENCES) == [
        "a copy 1, residues 13-19: might be a residues 17-23 (probability 0.30)",
        "a copy 1, residues 24-28: might be b residues 41-37 (probability 0.15)",
    ]


def test_the_reference_mode_knows_no_others():
    rows = {name: values for name, values in vars(some_trace()).items() if not name.startswith("other")}
    assert alternatives(Trace(**rows), SEQUENCES) == []
