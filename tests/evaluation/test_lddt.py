"""lDDT; tests/data/tm_lddt/README.md says where the golden values come from."""

from __future__ import annotations

import tracemalloc

import biotite.structure as biotite
import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paired_structures import GOLDEN, WITH_LDDT, full_atoms, lysozyme, noisy, read
from scipy.spatial.transform import Rotation

from cryo2struct.evaluation import lddt as module
from cryo2struct.evaluation.against_target import against_target
from cryo2struct.evaluation.lddt import lddt


def brute_force(model: np.ndarray, target: np.ndarray, residues: np.ndarray) -> tuple[float, np.ndarray]:
    """All distances in one table."""
    wanted = np.linalg.norm(target[:, None] - target, axis=-1)
    found = np.linalg.norm(model[:, None] - model, axis=-1)
    counted = (wanted < 15) & (residues[:, None] != residues)
    kept = np.mean([np.abs(found - wanted) <= threshold for threshold in (0.5, 1, 2, 4)], axis=0) * counted
    with np.errstate(invalid="ignore"):
        return kept.sum() / counted.sum(), kept.sum(axis=1) / counted.sum(axis=1)


def atom_array(structure: gemmi.Structure) -> biotite.AtomArray:
    atoms = [(residue, atom) for residue in structure[0][0] for atom in residue if not atom.is_hydrogen()]
    array = biotite.AtomArray(len(atoms))
    array.coord = np.array([atom.pos.tolist() for _, atom in atoms])
    array.res_id = np.array([residue.seqid.num for residue, _ in atoms])
    array.atom_name = np.array([atom.name for _, atom in atoms])
    array.element = np.array([atom.element.name for _, atom in atoms])
    array.chain_id[:] = "A"
    return array


@pytest.mark.parametrize("pair", WITH_LDDT)
def test_golden(pair: str) -> None:
    golden = GOLDEN[pair]
    found = against_target(read(pair, "model"), read(pair, "target"))
    assert found.lddt_ca == pytest.approx(golden["lddt_ca_biotite"], abs=1e-5)
    assert found.lddt_ca_mean_of_residues == pytest.approx(golden["lddt_ca_numpy_mean_of_residues"], abs=1e-5)
    per_residue = [row.lddt for row in found.per_residue]
    np.testing.assert_allclose(per_residue, golden["lddt_ca_biotite_per_residue"], atol=1e-4)


@pytest.mark.parametrize("size", [0.2, 0.7, 2.0])
def test_all_atoms_like_biotite(size: float) -> None:
    target = full_atoms()
    model = noisy(target, size)
    wanted = biotite.lddt(atom_array(target), atom_array(model))
    assert against_target(model, target).lddt_all_atom == pytest.approx(wanted, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.floats(0.1, 5), st.integers(1, 70))
def test_like_brute_force(seed: int, number: int, size: float, chunk: int) -> None:
    generator = np.random.default_rng(seed)
    target = generator.random((number, 3)) * 40
    residues = generator.integers(0, number // 2 + 1, number)
    model = target + generator.normal(size=target.shape) * size
    model[generator.random(number) < 0.2] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        found = lddt(model, target, residues)
    with np.errstate(invalid="ignore"):
        pooled, atoms = brute_force(model, target, residues)
    np.testing.assert_allclose(found.atoms, atoms, atol=1e-12)
    if found.pooled is None:
        assert np.isnan(pooled)
        assert found.mean is None
    else:
        assert found.pooled == pytest.approx(pooled)
        assert found.mean == pytest.approx(np.nanmean(atoms))


def test_a_rigid_move_keeps_all() -> None:
    target = np.random.default_rng(0).random((200, 3)) * 30
    moved = Rotation.random(random_state=1).apply(target) + 500
    assert lddt(moved, target, np.arange(200)).pooled == pytest.approx(1)


@pytest.mark.parametrize("number", [0, 1])
def test_without_distances_there_is_no_score(number: int) -> None:
    found = lddt(np.zeros((number, 3)), np.zeros((number, 3)), np.arange(number))
    assert found.pooled is None
    assert found.mean is None


def test_without_other_atoms_there_is_no_score_of_all_atoms() -> None:
    target, model = lysozyme(), lysozyme()
    for residue in model[0][0]:
        for name in ("N", "C", "O"):
            residue.remove_atom(name, "*")
    found = against_target(model, target)
    assert found.lddt_all_atom is None
    assert found.lddt_ca == 1
    assert against_target(target, model).lddt_all_atom is None


def test_side_chains_of_another_type_are_lost() -> None:
    target = full_atoms()
    model, stub = target.clone(), target.clone()
    for residue in model[0][0]:
        if residue.name == "LEU":
            residue.name = "ILE"  # atoms of the same names stay
    for residue in stub[0][0]:
        if residue.name == "LEU":
            for atom in [atom.name for atom in residue if atom.name not in {"N", "CA", "C", "O"}]:
                residue.remove_atom(atom, "*")
    assert any(residue.name == "ILE" for residue in model[0][0])
    wanted = against_target(stub, target).lddt_all_atom
    assert wanted is not None
    assert wanted < 0.99
    assert against_target(model, target).lddt_all_atom == pytest.approx(wanted)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_distances() -> None:
    generator = np.random.default_rng(0)
    number = 40_000  # atoms, as dense as in proteins: 15 million distances, 1 GB if all were held at a time
    target = generator.random((number, 3)) * (number / 0.055) ** (1 / 3)
    tracemalloc.start()
    found = lddt(target + generator.normal(size=target.shape) * 0.1, target, np.arange(number) // 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6
    assert found.pooled is not None
    assert 0.9 < found.pooled < 1
