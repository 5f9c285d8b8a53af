"""Which residue stands for which: chains by sequence and place, residues by number, alignment or place."""

from __future__ import annotations

from itertools import permutations

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paired_structures import dimer, lysozyme, move, noisy, of_chains, read, ring
from scipy.spatial.transform import Rotation

from cryo2struct.evaluation.chain_mapping import ChainPair, map_chains
from cryo2struct.evaluation.pairing import Pairing, pair
from cryo2struct.evaluation.tm_score import length_scale

LYSOZYME = lysozyme()[0][0]


def numbers(pairing: Pairing, pairs: np.ndarray) -> list[tuple[int, int]]:
    return [(pairing.model.keys[i][1], pairing.target.keys[j][1]) for i, j in pairs.tolist()]


def part(chain: gemmi.Chain, first: int, last: int) -> gemmi.Chain:
    result = gemmi.Chain(chain.name)
    for residue in chain:
        if first <= residue.seqid.num <= last:
            result.add_residue(residue)
    return result


def without(structure: gemmi.Structure, first: int, end: int) -> gemmi.Structure:
    kept = [residue for residue in structure[0][0] if not first <= residue.seqid.num < end]
    chain = gemmi.Chain("A")
    for residue in kept:
        chain.add_residue(residue)
    return of_chains({"A": chain})


def renumbered(structure: gemmi.Structure, shift: int) -> gemmi.Structure:
    result = structure.clone()
    for chain in result[0]:
        for residue in chain:
            residue.seqid.num += shift
    return result


def of_type(structure: gemmi.Structure, name: str) -> gemmi.Structure:
    result = structure.clone()
    for chain in result[0]:
        for residue in chain:
            residue.name = name
    return result


def test_names_of_chains_do_not_matter() -> None:
    pairing = pair(read("p6_1SYX_complex_swapped_names", "model"), dimer())
    assert pairing.chains == {"A": ["B"], "B": ["A"]}
    assert len(pairing.pairs) == 191
    assert all(first == second for first, second in numbers(pairing, pairing.pairs))


def test_another_numbering_is_aligned() -> None:
    pairing = pair(renumbered(of_chains({"A": part(LYSOZYME, 20, 129)}), 7), lysozyme())
    assert numbers(pairing, pairing.pairs) == [(number + 7, number) for number in range(20, 130)]


def test_numbers_tell_which_alignment_is_meant() -> None:
    """Of a repeated residue one is missing: only its number tells which."""
    pairing = pair(read("p5_5h73_partial", "model"), read("p5_5h73_partial", "target"))
    assert all(first == second for first, second in numbers(pairing, pairing.sequence))
    # US-align's alignment, which the TM-score is defined by, exchanges two.
    assert sum(first != second for first, second in numbers(pairing, pairing.aligned)) == 2


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 100), st.integers(2, 12), st.integers(1, 100), st.integers(2, 12))
def test_numbers_hold_where_both_lack_residues(first: int, length: int, second: int, other: int) -> None:
    """An alignment would pair residues that the target lacks with some that the model lacks."""
    model = without(lysozyme(), first, first + length)
    target = without(lysozyme(), second, second + other)
    common = set(range(1, 130)) - set(range(first, first + length)) - set(range(second, second + other))
    assert numbers(pair(model, target), pair(model, target).pairs) == [(number, number) for number in sorted(common)]


def test_numbers_that_contradict_the_sequence_are_not_believed() -> None:
    pairing = pair(read("p2_2nwd_vs_1aki", "model"), read("p2_2nwd_vs_1aki", "target"))
    assert np.array_equal(pairing.sequence, pairing.aligned)
    assert sum(first != second for first, second in numbers(pairing, pairing.sequence)) > 50


def test_a_number_used_twice_tells_nothing() -> None:
    model = lysozyme()
    for residue in model[0][0]:
        residue.seqid.num = 1 + residue.seqid.num % 65
    pairing = pair(model, lysozyme())
    assert np.array_equal(pairing.pairs, np.column_stack([np.arange(129)] * 2))


def test_a_model_without_types_is_paired_by_place() -> None:
    target = lysozyme()
    for name in ("ALA", "UNK"):
        pairing = pair(noisy(of_type(renumbered(target, 3), name), 0.3), target)
        assert pairing.chains == {}
        assert len(pairing.sequence) == 0
        assert all(first == second + 3 for first, second in numbers(pairing, pairing.place))
        assert len(pairing.place) > 120


@pytest.mark.parametrize("moved", [False, True])
def test_pieces_of_a_chain_belong_to_it(moved: bool) -> None:
    parts = {"A": part(LYSOZYME, 1, 60), "B": part(LYSOZYME, 71, 100), "C": part(LYSOZYME, 104, 129)}
    model = noisy(renumbered(of_chains(parts), 50), 0.3)
    if moved:
        model = move(model, Rotation.random(random_state=2), (90, 0, 10))
    pairing = pair(model, lysozyme())
    assert pairing.chains == {"A": ["A", "B", "C"]}
    assert numbers(pairing, pairing.sequence) == [
        (number + 50, number) for number in (*range(1, 61), *range(71, 101), *range(104, 130))
    ]


def test_a_chain_traced_twice_counts_once() -> None:
    model = of_chains({"A": part(LYSOZYME, 1, 80), "B": part(LYSOZYME, 61, 129)})
    pairing = pair(model, lysozyme())
    assert pairing.chains == {"A": ["A", "B"]}
    assert [pairing.model.keys[i][0] for i, _ in pairing.pairs] == ["A"] * 80 + ["B"] * 49


def test_a_copy_that_the_target_lacks_is_no_piece() -> None:
    target = ring(3, LYSOZYME)
    alone = of_chains({"A": part(target[0]["A"], 1, 129)})
    model = of_chains({"A": part(target[0]["A"], 1, 90), "B": target[0]["B"]})
    pairing = pair(model, alone)
    assert pairing.chains == {"A": ["A"]}
    assert len(pairing.pairs) == 90


def test_a_few_residues_alike_make_no_chains_alike() -> None:
    """A piece of another sequence, with three of eight residues as somewhere in the target."""
    piece = of_chains({"P": part(LYSOZYME, 60, 67)})
    for number, residue in enumerate(piece[0][0]):
        if number % 3:
            residue.name = "PRO"
    pairing = pair(piece, lysozyme())
    assert pairing.chains == {}
    assert numbers(pairing, pairing.pairs) == [(number, number) for number in range(60, 68)]


def test_no_residue_is_in_two_pairs() -> None:
    for name in ("p2_2nwd_vs_1aki", "p3_3rd3A_vs_3lsjA", "p5_5h73_partial"):
        pairing = pair(read(name, "model"), read(name, "target"))
        for pairs in (pairing.pairs, np.concatenate([pairing.aligned, pairing.place])):
            assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("order", [(2, 0, 1, 3), (3, 2, 1, 0)])
def test_copies_are_mapped_by_place(order: tuple[int, ...], moved: bool) -> None:
    target = ring(4, LYSOZYME)
    # A place of its own for each: the ring itself looks the same after a quarter turn.
    chains = {"ABCD"[place]: target[0]["ABCD"[place]] for place in range(4)}
    chains["D"] = move(of_chains({"D": chains["D"]}), Rotation.identity(), (0, 0, 25))[0][0]
    target = of_chains(chains)
    model = of_chains({f"m{place}": chains["ABCD"[place]] for place in order})
    if moved:
        model = move(model, Rotation.random(random_state=4), (300, -20, 5))
    assert pair(noisy(model, 0.5), target).chains == {"ABCD"[place]: [f"m{place}"] for place in range(4)}


def test_fewer_copies_than_in_the_target() -> None:
    target = ring(5, LYSOZYME)
    model = of_chains({"x": target[0]["D"], "y": target[0]["B"]})
    assert pair(model, target).chains == {"B": ["y"], "D": ["x"]}
    assert pair(target, model).chains == {"x": ["D"], "y": ["B"]}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_mapping_in_place_is_the_best_of_all(seed: int, n_model: int, n_target: int) -> None:
    generator = np.random.default_rng(seed)
    size = 12
    target = generator.random((n_target, 1, 3)) * 40 + generator.normal(size=(n_target, size, 3)) * 5
    model = generator.permutation(np.concatenate([target] * 4))[:n_model] + generator.normal(size=(n_model, size, 3))
    rows = np.arange(size)
    candidates = {
        (f"m{a}", f"t{b}"): ChainPair(np.column_stack([a * size + rows, b * size + rows]), 1.0)
        for a in range(n_model)
        for b in range(n_target)
    }
    scale = length_scale(n_target * size) ** 2

    def score(mapping: list[tuple[str, str]]) -> float:
        squares = [((model[int(a[1:])] - target[int(b[1:])]) ** 2).sum(axis=1) for a, b in mapping]
        return float(sum((1 / (1 + square / scale)).sum() for square in squares))

    few, many = sorted([n_model, n_target])
    mapped = map_chains(candidates, model.reshape(-1, 3), target.reshape(-1, 3))
    found = mapped[:few]  # those that follow are pieces
    best = 0.0
    for chosen in permutations(range(many), few):
        pairs = [(k, c) if n_model <= n_target else (c, k) for k, c in enumerate(chosen)]
        best = max(best, score([(f"m{a}", f"t{b}") for a, b in pairs]))
    assert len({a for a, _ in found}) == len({b for _, b in found}) == few
    assert len({a for a, _ in mapped}) == len(mapped)
    # Another frame may give a better mapping than the place does, but only where the place gives little.
    if best >= 0.6 * few * size:
        assert score(found) == pytest.approx(best, rel=1e-4)


def test_nothing_in_common() -> None:
    far = move(of_type(lysozyme(), "UNK"), Rotation.identity(), (500, 0, 0))
    pairing = pair(far, lysozyme())
    assert pairing.chains == {}
    assert pairing.pairs.shape == (0, 2)


def test_a_structure_without_models() -> None:
    assert len(pair(gemmi.Structure(), lysozyme()).pairs) == 0
    assert len(pair(lysozyme(), gemmi.Structure()).pairs) == 0
