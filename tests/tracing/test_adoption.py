"""Chains of other programs' models find their sequence, copy and positions."""

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo2struct.errors import InputError
from cryo2struct.objects import AMINO_ACIDS, Entity, Sequences
from cryo2struct.tracing import adopt

rng = np.random.default_rng(14)
FIRST, SECOND = ("".join(rng.choice(list(AMINO_ACIDS), size)) for size in (120, 90))
SEQUENCES = Sequences((Entity("one", FIRST, 1, "protein"), Entity("two", SECOND, None, "protein")))


def chain_of(name, letters, positions, first_number=1):
    """C-alphas on a line, 3.8 A for each position of the sequence; the numbers of the residues go on without gaps."""
    chain = gemmi.Chain(name)
    for number, position in enumerate(positions):
        residue = gemmi.Residue()
        residue.name = gemmi.expand_one_letter(letters[position], gemmi.ResidueKind.AA)
        residue.seqid = gemmi.SeqId(first_number + number, " ")
        atom = gemmi.Atom()
        atom.name, atom.element, atom.b_iso = "CA", gemmi.Element("C"), 80.0
        atom.pos = gemmi.Position(3.8 * position, 0, 0)
        residue.add_atom(atom)
        chain.add_residue(residue)
    return chain


def model_of(*chains):
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    for chain in chains:
        structure[0].add_chain(chain)
    return structure


def test_numbers_and_order_of_chains_do_not_matter():
    built = [*range(10, 40), *range(52, 90)]
    adopted = adopt(model_of(chain_of("x", SECOND, range(90), 700), chain_of("y", FIRST, built, -5)), SEQUENCES)
    trace = adopted.trace
    assert adopted.notes == ()
    assert trace.entity.tolist() == [0] * 68 + [1] * 90
    assert trace.position.tolist() == [*built, *range(90)]
    assert not trace.copy.any()
    np.testing.assert_allclose(trace.xyz[:, 0], 3.8 * trace.position)
    np.testing.assert_allclose(trace.confidence, 0.8)
    assert [entity.chains for entity in adopted.sequences.entities] == [("y",), ("x",)]


def test_each_chain_is_a_copy_and_keeps_its_name():
    chains = [chain_of("b", FIRST, range(120)), chain_of("a", FIRST, range(60)), chain_of("c", SECOND, range(90))]
    adopted = adopt(model_of(*chains), SEQUENCES)
    assert adopted.trace.copy.tolist() == [0] * 120 + [1] * 60 + [0] * 90
    assert adopted.sequences.entities[0].chains == ("b", "a")
    assert adopted.sequences.entities[0].copies == 2
    assert adopted.notes == ("2 chains are one, 1 in the FASTA file; all are kept",)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gaps_lie_where_the_chain_is_broken(data):
    """With few kinds of residues the letters leave the place of a gap open; the steps of the C-alphas tell it."""
    letters = "".join(data.draw(st.lists(st.sampled_from("AAG"), min_size=60, max_size=60)))
    sequence = FIRST[:20] + letters + FIRST[20:40]
    first = data.draw(st.integers(22, 70))
    missing = data.draw(st.integers(1, 8))
    built = [*range(first), *range(first + missing, 100)]
    adopted = adopt(model_of(chain_of("A", sequence, built)), Sequences((Entity("one", sequence, 1, "protein"),)))
    placed = adopted.trace.position.tolist()
    assert [sequence[position] for position in placed] == [sequence[position] for position in built]
    # the steps cannot say more where the alignment of equal score has other breaks
    if sum(step > 1 for step in np.diff(placed)) == 1:
        assert placed == built


def test_what_differs_from_the_sequence_is_told():
    positions = list(range(100))
    tagged = chain_of("A", "HHHHHHHH" + FIRST, range(108))
    changed = model_of(tagged)
    for number, residue in enumerate(changed[0]["A"]):
        if number in (30, 60):
            residue.name = "TRP" if residue.name != "TRP" else "ALA"
        if number == 45:
            residue.name = "UNK"
    adopted = adopt(changed, SEQUENCES)
    assert adopted.trace.position.tolist() == positions
    assert adopted.notes == (
        "chain A: 8 of 108 residues have no place in one; left out",
        "chain A: 3 of 100 residues become those of one",
    )


def test_chains_like_no_sequence_are_left_out():
    other = "".join(np.random.default_rng(3).permutation(list(FIRST)))
    adopted = adopt(model_of(chain_of("A", FIRST, range(120)), chain_of("Z", other, range(120))), SEQUENCES)
    assert set(adopted.trace.entity) == {0}
    assert adopted.notes == ("chain Z: its 120 residues are like no sequence; left out",)
    with pytest.raises(InputError, match="none of its 1 chains is like a sequence"):
        adopt(model_of(chain_of("Z", other, range(120))), SEQUENCES)


def test_nucleic_acid_is_no_sequence_to_be_found():
    acid = Sequences((Entity("rna", "ACGU" * 20, 1, "rna"),))
    with pytest.raises(InputError, match="like a sequence"):
        adopt(model_of(chain_of("A", "ACGA" * 20, range(80))), acid)


def test_b_factors_are_confidences_of_0_to_100_or_of_0_to_1():
    structure = model_of(chain_of("A", FIRST, range(40)))
    for column, read in ((120.0, 1.0), (-3.0, 0.0), (np.nan, 0.0), (40.0, 0.4)):
        structure[0]["A"][7][0].b_iso = column
        assert adopt(structure, SEQUENCES).trace.confidence[7] == pytest.approx(read)
    for residue in structure[0]["A"]:
        residue[0].b_iso = 0.25
    np.testing.assert_allclose(adopt(structure, SEQUENCES).trace.confidence, 0.25)


def test_a_model_without_c_alphas_is_refused():
    structure = model_of(chain_of("A", FIRST, range(30)))
    for residue in structure[0]["A"]:
        residue[0].name = "CB"
    with pytest.raises(InputError, match="no residue has a C-alpha"):
        adopt(structure, SEQUENCES)
