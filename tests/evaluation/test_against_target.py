"""Scores do not depend on how a structure is written; where there is nothing to score, they say so."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import gemmi
import numpy as np
import pytest
from paired_structures import full_atoms, lysozyme, move, noisy, of_chains, read, ring
from scipy.spatial.transform import Rotation

from cryo2struct.evaluation.against_target import AgainstTarget, against_target
from cryo2struct.io.models import read_structure

Change = Callable[[gemmi.Structure], gemmi.Structure]
DIMER = "p6_1SYX_complex_swapped_names"
NUMBERS = ("tm_score", "lddt_ca", "lddt_ca_mean_of_residues", "lddt_all_atom", "superposition_rmsd")


def scores(found: AgainstTarget) -> dict[str, object]:
    """All scores but names."""
    return {
        **{name: getattr(found, name) for name in (*NUMBERS, "direction_correct")},
        "tm_per_chain": list(found.tm_per_chain.values()),
        "shifted": (found.register.judged, found.register.shifted, [s.shift for s in found.register.stretches]),
        "completeness": found.completeness.as_dict(),
        "rows": [(row.ca_distance, row.type_right, row.register_shift, row.lddt) for row in found.per_residue],
    }


def other_names(structure: gemmi.Structure) -> gemmi.Structure:
    for name in ("A", "B"):
        structure[0][name].name = {"A": "heavy", "B": "AA1"}[name]
    return structure


def another_numbering(structure: gemmi.Structure) -> gemmi.Structure:
    for chain in structure[0]:
        for residue in chain:
            residue.seqid.num += 1000
    return structure


def insertion_codes(structure: gemmi.Structure) -> gemmi.Structure:
    """Residues 30 to 39 of each chain are 30, 30A, 30B ..."""
    for chain in structure[0]:
        for residue in chain:
            if 30 < residue.seqid.num < 40:
                residue.seqid = gemmi.SeqId(30, "ABCDEFGHI"[residue.seqid.num - 31])
    return structure


def one_insertion_code(structure: gemmi.Structure) -> gemmi.Structure:
    structure[0][0][30].seqid = gemmi.SeqId(structure[0][0][29].seqid.num, "A")
    return structure


def selenium(structure: gemmi.Structure) -> gemmi.Structure:
    for chain in structure[0]:
        for residue in chain:
            if residue.name == "MET":
                residue.name, residue.het_flag = "MSE", "H"
    return structure


def conformers(structure: gemmi.Structure) -> gemmi.Structure:
    """A second conformer of every third residue, far off."""
    for chain in structure[0]:
        for residue in chain:
            if residue.seqid.num % 3 == 0:
                others = [atom.clone() for atom in residue]
                for atom, second in zip(residue, others, strict=True):
                    atom.altloc, second.altloc = "A", "B"
                    second.pos += gemmi.Position(3, 3, 3)
                for second in others:
                    residue.add_atom(second)
    return structure


def hydrogens(structure: gemmi.Structure) -> gemmi.Structure:
    for chain in structure[0]:
        for residue in chain:
            hydrogen = gemmi.Atom()
            hydrogen.name, hydrogen.element = "HA", gemmi.Element("H")
            hydrogen.pos = residue["CA"][0].pos + gemmi.Position(1, 0, 0)
            residue.add_atom(hydrogen)
    return structure


def calcium_and_empty_chains(structure: gemmi.Structure) -> gemmi.Structure:
    ion = gemmi.Residue()
    ion.name, ion.het_flag, ion.seqid = "CA", "H", gemmi.SeqId(900, " ")
    atom = gemmi.Atom()
    atom.name, atom.element = "CA", gemmi.Element("Ca")
    atom.pos = structure[0][0][5]["CA"][0].pos
    ion.add_atom(atom)
    chain = gemmi.Chain("I")
    chain.add_residue(ion)
    structure[0].add_chain(chain)
    structure[0].add_chain(gemmi.Chain("E"))
    return structure


def two_models(structure: gemmi.Structure) -> gemmi.Structure:
    second = noisy(structure, 20)[0].clone()
    second.num = 2
    structure.add_model(second)
    return structure


def swapped_order(structure: gemmi.Structure) -> gemmi.Structure:
    return of_chains({chain.name: chain for chain in reversed(list(structure[0]))})


CHANGES: list[Change] = [
    *(other_names, another_numbering, insertion_codes, one_insertion_code, selenium, conformers, hydrogens),
    *(calcium_and_empty_chains, two_models, swapped_order),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_another_way_to_write_the_model_changes_nothing(change: Change) -> None:
    model, target = read(DIMER, "model"), read(DIMER, "target")
    wanted = scores(against_target(model, target))
    assert scores(against_target(change(model.clone()), target)) == wanted


@pytest.mark.parametrize("change", CHANGES[:-1], ids=lambda change: change.__name__)
def test_another_way_to_write_the_target_changes_nothing(change: Change) -> None:
    model, target = read(DIMER, "model"), read(DIMER, "target")
    wanted = scores(against_target(model, target))
    assert scores(against_target(model, change(target.clone()))) == wanted


def test_selenium_is_sulphur() -> None:
    target = full_atoms()
    model = target.clone()
    residue = next(residue for residue in target[0][0] if residue.name == "MET")
    sulphur = gemmi.Atom()
    sulphur.name, sulphur.element = "SD", gemmi.Element("S")
    sulphur.pos = residue["CA"][0].pos + gemmi.Position(0, 3, 0)
    residue.add_atom(sulphur)
    selenated = model[0][0][residue.seqid.num - 1]
    assert selenated.seqid == residue.seqid
    selenated.name, selenated.het_flag = "MSE", "H"
    sulphur.name, sulphur.element = "SE", gemmi.Element("Se")
    selenated.add_atom(sulphur)
    assert against_target(model, target).lddt_all_atom == 1


def test_pdb_and_mmcif_are_the_same(tmp_path: Path) -> None:
    model, target = read(DIMER, "model"), read(DIMER, "target")
    wanted = scores(against_target(model, target))
    for structure, name in ((model, "model"), (target, "target")):
        structure.setup_entities()
        structure.make_mmcif_document().write_file(str(tmp_path / f"{name}.cif"))
    found = against_target(read_structure(tmp_path / "model.cif"), read_structure(tmp_path / "target.cif"))
    assert scores(found) == wanted


def test_a_rigid_move_keeps_what_needs_no_frame() -> None:
    model, target = read(DIMER, "model"), read(DIMER, "target")
    moved = move(model, Rotation.random(random_state=3), (200, 0, -90))
    wanted, found = against_target(model, target), against_target(moved, target)
    for name in NUMBERS:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=1e-4), name
    assert found.completeness.by_place == 0
    assert found.notes == (
        "the model lies elsewhere than the target: register, direction and completeness say nothing",
    )
    assert wanted.notes == ()


def test_a_moved_assembly_of_copies() -> None:
    target = ring(5, lysozyme()[0][0])
    moved = move(noisy(target, 0.5), Rotation.random(random_state=3), (200, 0, -90))
    model = of_chains({f"m{name}": moved[0][name] for name in "CADBE"})
    found, wanted = against_target(model, target), against_target(noisy(target, 0.5), target)
    # The ring may be laid on itself in five ways.
    assert found.tm_score == pytest.approx(wanted.tm_score, abs=2e-3)
    assert found.lddt_ca == pytest.approx(wanted.lddt_ca, abs=2e-3)


def atoms_named(structure: gemmi.Structure, name: str) -> gemmi.Structure:
    for residue in structure[0][0]:
        for atom in [atom.name for atom in residue if atom.name != name]:
            residue.remove_atom(atom, "*")
    return structure


def untyped_and_far(structure: gemmi.Structure) -> gemmi.Structure:
    for residue in structure[0][0]:
        residue.name = "UNK"
    return move(structure, Rotation.identity(), (500, 0, 0))


@pytest.mark.parametrize(
    ("model", "target", "note"),
    [
        (gemmi.Structure(), lysozyme(), "no C-alpha in the model: nothing can be compared"),
        (lysozyme(), gemmi.Structure(), "no C-alpha in the target: nothing can be compared"),
        (atoms_named(lysozyme(), "N"), atoms_named(lysozyme(), "O"), "no C-alpha in the model and in the target: "),
        (untyped_and_far(lysozyme()), lysozyme(), "no chain of the model is like one of the target, and no C-alpha"),
    ],
    ids=["model", "target", "both", "apart"],
)
def test_nothing_to_score(model: gemmi.Structure, target: gemmi.Structure, note: str) -> None:
    found = against_target(model, target)
    assert found.notes[0].startswith(note)
    assert found.tm_score == 0
    assert found.superposition_rmsd is None
    assert found.direction_correct is None
    assert found.register.as_dict() == {"judged": 0, "shifted": 0, "shifted_fraction": None, "stretches": []}
    there = note.startswith("no C-alpha in the target") or "and in" in note
    assert found.lddt_ca == (None if there else 0)
    assert found.completeness.by_place == (None if there else 0)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("number", [1, 2])
def test_tiny_structures(number: int) -> None:
    chain = gemmi.Chain("A")
    for residue in list(lysozyme()[0][0])[:number]:
        chain.add_residue(residue)
    found = against_target(of_chains({"A": chain}), of_chains({"B": chain}))
    assert found.tm_score == 1
    assert found.lddt_ca == (None if number == 1 else 1)
    json.dumps([found.as_dict(), [row.as_dict() for row in found.per_residue]], allow_nan=False)


def test_names_of_the_scores() -> None:
    found = against_target(lysozyme(), lysozyme())
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert written == {
        "tm_score": pytest.approx(1),
        "tm_per_chain": {"A": pytest.approx(1)},
        "chain_mapping": {"A": ["A"]},
        **dict.fromkeys(("lddt_ca", "lddt_ca_mean_of_residues", "lddt_all_atom", "direction_correct"), 1),
        "superposition_rmsd": pytest.approx(0, abs=1e-6),
        "register": {"judged": 129, "shifted": 0, "shifted_fraction": 0, "stretches": []},
        "completeness": {"by_sequence": 1, "by_place": 1},
        "notes": [],
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.tm_score = 0.0  # type: ignore[misc]


def copies(number: int, keep: float, size: float, seed: int) -> gemmi.Structure:
    """Copies of 7GSA on a lattice, each turned its own way, with residues left out, in any order."""
    generator = np.random.default_rng(seed)
    chain = read("p4_7gsa_hinge25", "target")[0][0]
    one = of_chains({"A": chain})
    centre = np.mean([residue["CA"][0].pos.tolist() for residue in chain], axis=0)
    chains = {}
    for index in generator.permutation(number):
        turn = Rotation.random(random_state=int(index))
        place = np.array([index % 4, index // 4 % 4, index // 16]) * 50.0 - turn.apply(centre)
        placed = noisy(move(one, turn, place), size, seed=int(index))[0][0]
        chains[f"{seed}_{index}"] = part = gemmi.Chain("A")
        for residue in placed:
            if residue.seqid.num <= 250 and generator.random() < keep:
                part.add_residue(residue)
    return of_chains(chains)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "seconds"), [(8, 5), (60, 60)])
def test_speed(number: int, seconds: float) -> None:
    target, model = copies(number, 1.0, 0.0, 1), copies(number, 0.9, 0.5, 2)
    start = time.process_time()
    found = against_target(model, target)
    assert time.process_time() - start < seconds
    assert found.chain_mapping == {f"1_{index}": [f"2_{index}"] for index in range(number)}
    assert found.tm_score == pytest.approx(0.9, abs=0.03)
