"""Register, direction and completeness of models with known faults."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paired_structures import dimer, lysozyme, noisy, of_chains

from cryo2struct.evaluation.against_target import AgainstTarget, against_target
from cryo2struct.evaluation.register import Stretch


def with_places(places: dict[int, int]) -> gemmi.Structure:
    """Lysozyme with residues (of index 0 to 128) at the places of others; those without a place are left out."""
    chain = lysozyme()[0][0]
    result = gemmi.Chain("A")
    for index, place in sorted(places.items()):
        residue = chain[index].clone()
        for atom, there in zip(residue, chain[place], strict=True):
            atom.pos = there.pos
        result.add_residue(residue)
    return of_chains({"M": result})


def score(places: dict[int, int]) -> AgainstTarget:
    return against_target(with_places(places), lysozyme())


def test_a_right_model() -> None:
    found = against_target(noisy(lysozyme(), 0.3), lysozyme())
    assert found.register.judged == 129
    assert found.register.shifted_fraction == 0
    assert found.register.stretches == ()
    assert found.direction_correct == 1
    assert found.completeness.by_sequence == found.completeness.by_place == 1


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 6), st.integers(20, 60), st.integers(10, 50), st.booleans())
def test_a_shifted_stretch_is_found(shift: int, first: int, length: int, back: bool) -> None:
    end, step = min(first + length, 120), -shift if back else shift
    places = {index: index for index in range(first - shift)}
    places |= {index: index + step for index in range(first, end)}
    places |= {index: index for index in range(end + shift, 129)}
    found = score(places)
    assert found.register.judged == len(places)
    assert found.register.shifted == end - first
    assert found.register.stretches == (Stretch("A", "M", f"{first + 1}", f"{end}", end - first, step),)
    assert found.completeness.by_place == pytest.approx(len(places) / 129)
    assert found.completeness.by_sequence == pytest.approx((len(places) - (end - first)) / 129)
    rows = {int(row.number): row for row in found.per_residue}
    for index, place in places.items():
        assert rows[index + 1].register_shift == place - index
        assert rows[index + 1].model_number == f"{index + 1}"


def test_longest_stretches_come_first() -> None:
    places = {index: index for index in range(129)}
    for first, length in ((10, 3), (30, 12), (60, 6)):
        places |= {index: index + 2 for index in range(first, first + length)}
        del places[first + length], places[first + length + 1]
    found = score(places).register
    assert [(stretch.first, stretch.length) for stretch in found.stretches] == [("31", 12), ("61", 6), ("11", 3)]
    assert found.shifted == 21


def test_a_reversed_part_is_no_shift_of_one_kind() -> None:
    places = {index: index for index in range(60)} | {index: 180 - index for index in range(60, 121)}
    found = score(places)
    assert found.direction_correct == pytest.approx(59 / 119)
    assert found.register.shifted == 60  # the residue in the middle is at its place
    assert all(stretch.length == 1 for stretch in found.register.stretches)


def test_steps_across_gaps_have_no_direction() -> None:
    assert score({index: index for index in range(0, 129, 2)}).direction_correct is None


def test_half_a_model() -> None:
    found = score({index: index for index in range(64)})
    assert found.completeness.by_sequence == found.completeness.by_place == pytest.approx(64 / 129)
    assert found.tm_score == pytest.approx(64 / 129)
    assert found.superposition_rmsd == pytest.approx(0, abs=1e-6)
    assert [row.model_number is None for row in found.per_residue] == [False] * 64 + [True] * 65


def test_the_place_in_another_chain_is_no_shift() -> None:
    target = dimer()
    model = of_chains({"A": target[0]["A"], "B": target[0]["B"]})
    for residue, there in zip(model[0]["B"], target[0]["A"], strict=False):
        for atom, other in zip(residue, there, strict=True):
            atom.pos = other.pos
    found = against_target(model, target)
    assert found.register.shifted == 0
    assert {row.register_shift for row in found.per_residue if row.chain == "B"} == {None}


def test_rows_say_what_is_where() -> None:
    model = with_places({index: index for index in range(100)})
    model[0][0][4].name = "TRP"
    model[0][0][9]["CA"][0].pos += gemmi.Position(2, 0, 0)
    found = against_target(model, lysozyme())
    rows = [row.as_dict() for row in found.per_residue]
    assert list(rows[0]) == [
        *("chain", "number", "name", "model_chain", "model_number", "model_name"),
        *("ca_distance", "type_right", "register_shift", "lddt"),
    ]
    assert [row["number"] for row in rows] == [f"{number}" for number in range(1, 130)]
    assert (rows[4]["type_right"], rows[4]["model_name"], rows[5]["type_right"]) == (False, "TRP", True)
    assert rows[9]["ca_distance"] == pytest.approx(2)
    assert rows[9]["lddt"] < 1
    assert rows[128] | {"name": ""} == {
        "chain": "A",
        "number": "129",
        "name": "",
        **dict.fromkeys(("model_chain", "model_number", "model_name", "ca_distance", "type_right")),
        "register_shift": None,
        "lddt": 0.0,
    }
    known = [row["lddt"] for row in rows if row["lddt"] is not None]
    assert found.lddt_ca_mean_of_residues == pytest.approx(np.mean(known))
