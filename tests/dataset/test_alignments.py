"""Full and modelled sequences and their alignment."""

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import piece

from cryo2struct.dataset.alignments import (
    FullSequence,
    alignment_text,
    full_fasta,
    full_sequences,
    modelled_sequences,
)
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import AMINO_ACIDS, Entity, Sequences

LETTERS = st.integers(0, 10**6).map(
    lambda seed: "".join(np.random.default_rng(seed).choice(list(AMINO_ACIDS), 80 + seed % 70))
)


def rows(text):
    """The two rows of an alignment of one chain."""
    lines = text.splitlines()
    return tuple("".join(line[10:] for line in lines if line.startswith(title)) for title in ("full", "modelled"))


@settings(max_examples=20, deadline=None)
@given(LETTERS, st.data())
def test_what_is_cut_out_is_found_again(letters, data):
    """Ends and one loop are missing: every residue is put beside its own letter."""
    first = data.draw(st.integers(0, 10))
    last = data.draw(st.integers(len(letters) - 10, len(letters)))
    start = data.draw(st.integers(first + 20, last - 30))
    length = data.draw(st.integers(0, last - start - 20))
    seen = letters[first:start] + letters[start + length : last]
    text, identity = alignment_text("x", {"A": seen}, [FullSequence(letters, ())])
    full, modelled = rows(text)
    assert identity == 1
    assert full == letters
    assert modelled.replace("-", "") == seen
    assert all(b in (a, "-") for a, b in zip(full, modelled, strict=True))
    assert f"{len(seen)} of {len(seen)} modelled residues agree with x_1" in text


def test_a_chain_goes_with_the_sequence_that_names_it():
    long, short = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "MKTAYIAKQRQISF"
    both = [FullSequence(long, ("A",)), FullSequence(short, ("B",))]
    text, identity = alignment_text("x", {"A": short, "B": short, "C": short}, both)
    found = [line for line in text.splitlines() if line.startswith("chain")]
    assert [line[-3:] for line in found[:2]] == ["x_1", "x_2"]
    assert identity == 1


def test_a_substitution_lowers_the_identity():
    letters = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    text, identity = alignment_text("x", {"A": letters.replace("Y", "F")}, [FullSequence(letters, ())])
    assert identity == pytest.approx(1 - 1 / len(letters))
    assert text.splitlines()[2].strip(" |") == "."


def test_full_sequences_come_from_the_best_source():
    structure = piece()
    modelled = modelled_sequences(structure)
    assert {chain: len(letters) for chain, letters in modelled.items()} == {"A": 45}
    for entity in structure.entities:
        entity.full_sequence = []
    assert full_sequences(structure, None) == [FullSequence(modelled["A"], ("A",))]
    structure.entities[0].full_sequence = ["MSE,MET", "GLY", "UNK", *["ALA"] * 5]
    assert full_sequences(structure, None) == [FullSequence("MGXAAAAA", ("A",))]
    given_ones = Sequences((Entity("one", "MKT", None, "protein", ("Z",)), Entity("two", "ACGT", None, "dna")))
    assert full_sequences(structure, given_ones) == [FullSequence("MKT", ("Z",))]


def test_unknown_residues_are_x():
    structure = piece(residues=3)
    structure[0][0][1].name = "UNK"
    assert modelled_sequences(structure)["A"][1] == "X"
    assert gemmi.find_tabulated_residue("UNK").is_amino_acid()


def test_headers_are_read_again(tmp_path):
    ones = [FullSequence("MKTAYIAKQRQISFVKSHFSRQ", ("A", "BB")), FullSequence("GLEERLGLIEVQMKTAYI", ())]
    (tmp_path / "s.fasta").write_text(full_fasta("x", ones))
    found = read_sequences(tmp_path / "s.fasta")[0].entities
    assert [(one.letters, one.chains) for one in found] == [(one.letters, one.chains) for one in ones]
    assert [one.name for one in found] == ["x_1", "x_2"]
