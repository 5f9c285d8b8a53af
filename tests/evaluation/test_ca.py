from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryo2struct.errors import InputError
from cryo2struct.evaluation import evaluate
from cryo2struct.evaluation.ca import Points, ca_points, judged_candidates, pair_points, parse_exclude, score_ca
from cryo2struct.objects import AMINO_ACIDS, Candidates

DATA = Path(__file__).parents[1] / "data" / "chain_comparison"
places = arrays(
    np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(0, 10).map(lambda x: round(x, 2))
)


def candidates(xyz: np.ndarray, letters: str = "") -> Candidates:
    xyz = np.asarray(xyz, dtype=np.float64).reshape(-1, 3)
    types = [AMINO_ACIDS.index(letter) for letter in letters.ljust(len(xyz), "A")]
    return Candidates(xyz, np.ones(len(xyz)), np.eye(20)[types].reshape(-1, 20))


def structure(xyz: np.ndarray, names: list[str] | None = None) -> gemmi.Structure:
    """One chain A of C-alphas numbered from 1."""
    chain = gemmi.Chain("A")
    for number, place in enumerate(np.asarray(xyz, dtype=np.float64).reshape(-1, 3)):
        residue = gemmi.Residue()
        residue.name = names[number] if names else "ALA"
        residue.seqid = gemmi.SeqId(number + 1, " ")
        atom = gemmi.Atom()
        atom.name, atom.element = "CA", gemmi.Element("C")
        atom.pos = gemmi.Position(*place)
        residue.add_atom(atom)
        chain.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(chain)
    result = gemmi.Structure()
    result.add_model(model)
    return result


def read_pdb(*lines: str) -> gemmi.Structure:
    return gemmi.read_pdb_string("\n".join(lines) + "\n")


def line(
    serial: int,
    atom: str,
    residue: str,
    number: str,
    x: float,
    *,
    element: str = "C",
    record: str = "ATOM",
    occ: float = 1,
) -> str:
    """`atom` is four columns and the altloc, `number` four columns and the insertion code."""
    place = f"{x:8.3f}{0:8.3f}{0:8.3f}{occ:6.2f}{10:6.2f}"
    return f"{record:6}{serial:5} {atom:5}{residue} A{number:5}   {place}          {element:>2}"


@settings(max_examples=80, deadline=None)
@given(places, places, st.floats(0.3, 5))
def test_pairs_are_the_closest_first(first: np.ndarray, second: np.ndarray, distance: float) -> None:
    pairs, lengths = pair_points(
        Points(first, np.zeros(len(first), dtype=int)), Points(second, np.zeros(len(second), dtype=int)), distance
    )
    table = np.linalg.norm(first[:, None] - second, axis=-1)
    wanted = []
    while table.size and table.min() <= distance:
        wanted.append(table.min())
        i, j = np.unravel_index(table.argmin(), table.shape)
        table[i] = table[:, j] = np.inf
    np.testing.assert_allclose(lengths[: len(set(wanted))][:1], wanted[:1])
    if len(set(wanted)) == len(wanted):
        np.testing.assert_allclose(lengths, wanted)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)


@settings(max_examples=40, deadline=None)
@given(places)
def test_a_perfect_model_scores_one(xyz: np.ndarray) -> None:
    xyz = np.unique(xyz, axis=0)
    for score in score_ca(structure(xyz), structure(xyz)).values():
        assert score.as_dict() == {"precision": 1, "recall": 1, "f1": 1, "rmsd": 0, "type_match": 1}


@settings(max_examples=40, deadline=None)
@given(places, places, st.randoms(use_true_random=False))
def test_order_of_candidates_does_not_matter(xyz: np.ndarray, target: np.ndarray, random: object) -> None:
    rng = np.random.default_rng(len(xyz))
    types = "".join(rng.choice(list(AMINO_ACIDS), len(xyz)))
    order = rng.permutation(len(xyz))
    shuffled = candidates(xyz[order], "".join(types[index] for index in order))
    assert score_ca(candidates(xyz, types), structure(target)) == score_ca(shuffled, structure(target))


@settings(max_examples=30, deadline=None)
@given(places, places, arrays(np.float64, 3, elements=st.integers(-500, 500).map(float)))
def test_moving_both_changes_nothing(xyz: np.ndarray, target: np.ndarray, shift: np.ndarray) -> None:
    xyz = xyz + np.random.default_rng(1).normal(0, 0.01, xyz.shape)  # no ties, no distances on the limit
    here, there = (
        score_ca(candidates(xyz + move), structure(target + move), near_model=4, exclude={("A", 1, "")})
        for move in (np.zeros(3), shift)
    )
    for distance, score in here.items():
        assert score.as_dict() == pytest.approx(there[distance].as_dict(), abs=1e-6)


def test_scores_by_hand() -> None:
    target = structure(np.array([[0, 0, 0], [4, 0, 0], [8, 0, 0], [12, 0, 0]]), ["ALA", "GLY", "TRP", "UNK"])
    found = candidates(np.array([[0, 0.6, 0], [4, 1.2, 0], [8, 2.5, 0], [12, 0, 0], [30, 0, 0]]), "AGAAA")
    scores = score_ca(found, target)
    assert scores[1.0].as_dict() == pytest.approx(
        {"precision": 2 / 5, "recall": 2 / 4, "f1": 4 / 9, "rmsd": np.sqrt(0.36 / 2), "type_match": 1 / 2}
    )
    assert scores[1.5].type_match == pytest.approx(2 / 3)
    assert scores[3.0].as_dict() == pytest.approx(
        {"precision": 4 / 5, "recall": 1, "f1": 8 / 9, "rmsd": np.sqrt((0.36 + 1.44 + 6.25) / 4), "type_match": 2 / 4}
    )


def test_what_is_zero_divided_by_zero_is_none() -> None:
    nothing, one = np.empty((0, 3)), np.zeros((1, 3))
    empty = score_ca(candidates(nothing), structure(one))[1.0].as_dict()
    assert empty == {"precision": None, "recall": 0, "f1": 0, "rmsd": None, "type_match": None}
    assert score_ca(candidates(one), structure(nothing))[1.0].recall is None
    assert set(score_ca(candidates(nothing), structure(nothing))[1.0].as_dict().values()) == {None}


def test_candidates_far_from_the_target_are_ignored() -> None:
    target = structure(np.array([[0.0, 0, 0], [4, 0, 0]]))
    found = candidates(np.array([[0.0, 0, 0], [0, 3.9, 0], [0, 4.1, 0], [50, 0, 0]]))
    assert score_ca(found, target)[1.0].precision == pytest.approx(1 / 4)
    assert score_ca(found, target, near_model=4.0)[1.0].precision == pytest.approx(1 / 2)


def test_side_chains_are_near_the_target_and_hydrogens_are_not() -> None:
    target = read_pdb(
        line(1, " CA  ", "LYS", "   1 ", 0),
        line(2, " NZ  ", "LYS", "   1 ", 6, element="N"),
        line(3, " HZ1 ", "LYS", "   1 ", 9, element="H"),
    )
    found = candidates(np.array([[0.0, 0, 0], [8, 0, 0], [11, 0, 0]]))
    assert score_ca(found, target, near_model=3.0)[1.0].precision == pytest.approx(1 / 2)


def test_candidates_of_the_context_are_ignored() -> None:
    target = structure(np.zeros((1, 3)))
    context = structure(np.array([[8.0, 0, 0], [2, 0, 0]]))
    # On the target; between, but within 3 A of the target; on the context; over 3 A away, yet nearer to the target.
    found = candidates(np.array([[0.0, 0, 0], [2, 0, 0], [8, 0, 0], [-5, 0, 0]]))
    assert score_ca(found, target, context=context)[1.0].precision == pytest.approx(1 / 3)


def test_excluded_residues_count_neither_for_nor_against() -> None:
    target = structure(np.array([[0.0, 0, 0], [4, 0, 0], [8, 0, 0]]), ["ALA", "GLY", "TRP"])
    found = candidates(np.array([[0, 0.5, 0], [4, 0.2, 0], [4, 2.9, 0], [4, 3.1, 0]]))
    scores = score_ca(found, target, exclude={("A", 2, ""), ("B", 9, "")})
    for score in scores.values():
        assert (score.precision, score.recall) == (pytest.approx(1 / 2), pytest.approx(1 / 2))
    # The candidate of an excluded residue is not handed to its neighbour.
    close = structure(np.array([[0.0, 0, 0], [1, 0, 0]]))
    assert score_ca(candidates(np.array([[0.9, 0, 0]])), close, exclude={("A", 2, "")})[3.0].recall == 0


@settings(max_examples=60, deadline=None)
@given(places, places)
def test_candidates_that_count_are_those_of_the_scores(xyz: np.ndarray, target: np.ndarray) -> None:
    found, known = candidates(xyz), structure(target)
    options = {"near_model": 4.0, "context": structure(target[:2] + 3.0), "exclude": {("A", 1, "")}}
    counted, pairs = judged_candidates(found, known, 2.0, **options)
    score = score_ca(found, known, **options)[2.0]
    assert set(pairs[:, 0]) <= set(counted)
    assert score.precision == (len(pairs) / len(counted) if len(counted) else None)
    assert score.recall == (len(pairs) / (len(target) - 1) if len(target) > 1 else None)
    lengths = np.linalg.norm(xyz[pairs[:, 0]] - target[pairs[:, 1]], axis=1)
    assert (lengths <= 2.0 + 1e-6).all()
    if score.rmsd is not None:
        assert np.sqrt((lengths**2).mean()) == pytest.approx(score.rmsd, abs=1e-4)


def test_which_atoms_are_alpha_carbons() -> None:
    points = ca_points(
        read_pdb(
            "MODEL        1",
            line(1, " CA A", "SER", "   1 ", 1, occ=0.3),
            line(2, " CA B", "THR", "   1 ", 2, occ=0.7),
            line(3, " CA  ", "MSE", "   2 ", 3, record="HETATM"),
            line(4, " CA  ", "GLY", "   2A", 4),
            line(5, " CA  ", "UNK", "   3 ", 5),
            line(6, "CA   ", " CA", "   4 ", 6, element="CA", record="HETATM"),
            line(7, " CA  ", "HEM", "   5 ", 7, record="HETATM"),
            "ENDMDL",
            "MODEL        2",
            line(8, " CA  ", "GLY", "   6 ", 9),
            "ENDMDL",
        )
    )
    np.testing.assert_allclose(points.xyz[:, 0], [1, 3, 4, 5])
    assert [AMINO_ACIDS[index] if index >= 0 else "?" for index in points.types] == list("SMG?")


def test_list_of_residues_to_exclude() -> None:
    text = "A 1\n\n# flexible\nB -3  # end\nAA 52A\r\n"
    assert parse_exclude(text) == {("A", 1, ""), ("B", -3, ""), ("AA", 52, "A")}


@pytest.mark.parametrize("text", ["A", "A B", "A 1 2", "A 5AB", "A -", "A 1.5"])
def test_lines_that_name_no_residue_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="line 2"):
        parse_exclude(f"A 1\n{text}\n")


def test_evaluate_nests_the_keys_that_are_written() -> None:
    (target,), (model,) = ((DATA / "04_hetero_noise20").glob(f"{kind}.*.gz") for kind in ("target", "model"))
    reference = gemmi.read_structure(str(target))
    result = evaluate(gemmi.read_structure(str(model)), reference)
    assert set(result["chain_comparison"]) == {"default", "entire_target", "unique_target"}
    assert result["chain_comparison"]["default"]["close_n"] == 98
    assert list(result["ca"]) == ["at_1.0", "at_1.5", "at_2.0", "at_3.0"]
    assert set(result["ca"]["at_3.0"]) == {"precision", "recall", "f1", "rmsd", "type_match"}
    perfect = evaluate(candidates(ca_points(reference).xyz), reference, near_model=4.0)
    assert "chain_comparison" not in perfect
    assert perfect["ca"]["at_1.0"]["f1"] == 1
