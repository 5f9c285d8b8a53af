from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import gemmi
import numpy as np
import pytest
from small_models import structure

from cryo2struct.evaluation.q_score import q_scores
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, GridFrame

SMALL = Path(__file__).parents[1] / "data" / "q_score"
"""A corner of the map of the case real_emd20026, its whole model, and the golden values of the atoms in that corner."""
CASES = Path(os.environ.get("CRYO2STRUCT_DATA", "nowhere")) / "map_model"


def carbons(xyz: np.ndarray) -> gemmi.Structure:
    return structure(*[("A", number, "UNK", {"CA": place}) for number, place in enumerate(xyz, 1)])


def map_of(values: np.ndarray, voxel: float = 1.0, origin: float = 0.0) -> DensityMap:
    frame = GridFrame(values.shape, np.full(3, voxel), np.full(3, origin))
    return DensityMap(values.astype(np.float32), frame)


def noise(shape: tuple[int, int, int] = (14, 13, 12)) -> DensityMap:
    values = np.random.default_rng(5).normal(size=shape)
    return DensityMap(values.astype(np.float32), GridFrame(shape, np.array([0.9, 1.0, 1.1]), np.array([3.0, -2, 1])))


def slow_q(xyz: np.ndarray, which: int, density: DensityMap, sigma: float) -> float:
    """The definition, point by point."""
    centre = xyz[which]
    values, reference = [slow_value(density, centre)] * 8, [1.0] * 8
    for shell in range(1, 21):
        radius = shell / 10
        for number in range(8, 107, 2):
            points = [centre + radius * np.array(unit) for unit in slow_spiral(number)]
            kept = [p for p in points if all(math.dist(p, other) >= 0.9 * radius for other in xyz)]
            if len(kept) >= 8:
                values += [slow_value(density, p) for p in kept]
                reference += [math.exp(-(radius**2) / (2 * sigma**2))] * len(kept)
                break
    return float(np.corrcoef(values, reference)[0, 1]) if np.ptp(values) > 0 else 0.0


def slow_spiral(number: int) -> list[tuple[float, float, float]]:
    points, theta = [], 0.0
    for k in range(1, number + 1):
        height = -1 + 2 * (k - 1) / (number - 1)
        step = 0.0 if k in (1, number) else 3.6 / math.sqrt(number * (1 - height**2))
        theta = (theta + step) % (2 * math.pi) if step else 0.0
        phi = math.acos(height)
        points.append((math.sin(phi) * math.cos(theta), math.sin(phi) * math.sin(theta), math.cos(phi)))
    return points


def slow_value(density: DensityMap, place: np.ndarray) -> float:
    index = density.frame.to_index(place)
    if (index < 0).any() or (index > np.array(density.frame.shape) - 1).any():
        return 0.0
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        voxel = np.floor(index).astype(int) + corner
        weight = float(np.prod(1 - np.abs(index - voxel)))
        if weight > 0:
            total += weight * float(density.values[tuple(voxel)])
    return total


@pytest.mark.parametrize("sigma", [0.6, 0.4])
def test_small_case_equals_mapq(sigma: float) -> None:
    rows = json.loads((SMALL / "golden.json").read_text())["atoms"]
    found = q_scores(read_structure(SMALL / "model.cif.gz"), read_map(SMALL / "map.mrc.gz")[0], sigma)
    by_atom = {
        (*found.residues[row], name): value
        for row, name, value in zip(found.residue_of, found.names, found.values, strict=True)
    }
    values = [by_atom[row[0], row[1], row[2], row[4]] for row in rows]
    np.testing.assert_allclose(values, [row[5 if sigma == 0.6 else 6] for row in rows], atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not CASES.is_dir(), reason="CRYO2STRUCT_DATA names no data")
@pytest.mark.parametrize("case", ["sim1_3A", "sim2_22A", "real_emd20026"])
def test_golden_cases_equal_mapq(case: str) -> None:
    golden = json.loads((CASES / case / "golden_qscore.json").read_text())
    model, density = read_structure(CASES / case / "model.cif.gz"), read_map(CASES / case / "map.mrc.gz")[0]
    for sigma in (0.6, 0.4):
        found = q_scores(model, density, sigma)
        assert [(*found.residues[row], name) for row, name in zip(found.residue_of, found.names, strict=True)] == [
            (*row[:3], row[4]) for row in golden["atoms"]
        ]
        np.testing.assert_allclose(found.values, golden[f"mapq_sigma{sigma}"], atol=2e-6)
        assert found.mean_q == pytest.approx(golden["mean"][f"mapq_sigma{sigma}"], abs=1e-6)
    wanted = [row[-1] for row in golden["per_residue_mapq_sigma0.6"]]
    np.testing.assert_allclose(q_scores(model, density).per_residue, wanted, atol=2e-6)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("atoms", [2, 12, 60])
def test_equals_the_definition(atoms: int, seed: int) -> None:
    """Scattered at the edge of the map and outside of it, and so densely that spheres are full."""
    density = noise()
    rng = np.random.default_rng(seed)
    xyz = rng.uniform([1, -4, -1], [8, 4, 7], (atoms, 3))
    xyz[-1] = xyz[0]  # two atoms at one place
    found = q_scores(carbons(xyz), density, 0.5).values
    for which in (0, 1, atoms // 2, atoms - 1):
        wanted = slow_q(xyz, which, density, 0.5)
        assert found[which] == pytest.approx(wanted, abs=1e-6)


def test_the_fullest_sphere_has_106_points() -> None:
    """Some spheres around these atoms have eight free points of the 106 that are tried last, and of no fewer."""
    for seed, which in ((2, 10), (13, 39)):
        xyz = np.random.default_rng(seed).uniform([4, -1, 2], [10, 7, 9], (60, 3))
        wanted = slow_q(xyz, which, noise(), 0.5)
        assert q_scores(carbons(xyz), noise(), 0.5).values[which] == pytest.approx(wanted, abs=1e-6)


def test_a_gaussian_at_an_atom_scores_one() -> None:
    square = (np.mgrid[:61, :61, :61].reshape(3, -1).T - 30.0) ** 2 * 0.01
    values = np.exp(-square.sum(axis=1) / (2 * 0.6**2)).reshape(61, 61, 61)
    place = np.full((1, 3), 3.0)
    assert q_scores(carbons(place), map_of(values, 0.1), 0.6).mean_q == pytest.approx(1, abs=1e-4)
    assert q_scores(carbons(place), map_of(-values, 0.1), 0.6).mean_q == pytest.approx(-1, abs=1e-4)
    assert 0.5 < q_scores(carbons(place), map_of(values, 0.1), 0.3).values[0] < 0.99


def test_scale_and_offset_of_the_map_do_not_matter() -> None:
    xyz = np.random.default_rng(1).uniform(6, 7, (8, 3)) - [0, 6, 2]
    density = noise()
    other = DensityMap(3 * density.values + np.float32(7), density.frame)
    np.testing.assert_allclose(q_scores(carbons(xyz), density).values, q_scores(carbons(xyz), other).values, atol=1e-5)


def test_many_atoms_in_parts_score_like_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    xyz = np.random.default_rng(2).uniform(0, 9, (80, 3))
    whole = q_scores(carbons(xyz), noise()).values
    monkeypatch.setattr("cryo2struct.evaluation.q_score.WORK", 1)
    np.testing.assert_allclose(q_scores(carbons(xyz), noise()).values, whole, atol=1e-12)


def test_atoms_outside_the_map_score_zero_with_a_note() -> None:
    inside, outside = np.array([7.0, 3, 6]), np.array([500.0, 0, 0])
    found = q_scores(carbons(np.array([inside, outside])), noise())
    assert found.values[1] == 0
    assert found.values[0] == pytest.approx(slow_q(inside[None], 0, noise(), 0.6), abs=1e-6)
    assert found.notes == ("1 of 2 atoms are outside the map, which is 0 there",)


@pytest.mark.parametrize("level", [0.0, 3.7])
def test_a_map_without_signal_scores_zero_with_a_note(level: float) -> None:
    found = q_scores(carbons(np.full((2, 3), 5.0)), map_of(np.full((11, 11, 11), level)))
    assert found.values.tolist() == [0, 0]
    assert found.mean_q == 0
    assert "constant" in found.notes[0]


def test_a_flat_part_of_a_map_scores_zero() -> None:
    values = np.full((20, 20, 20), 0.1)
    values[0, 0, 0] = 5
    assert q_scores(carbons(np.full((1, 3), 12.3)), map_of(values)).values.tolist() == [0]


def test_no_atoms() -> None:
    for empty in (gemmi.Structure(), carbons(np.empty((0, 3)))):
        found = q_scores(empty, noise())
        assert found.as_dict() == {
            "mean_q": None,
            "sigma": 0.6,
            "per_chain": {},
            "per_class": {},
            "notes": ["the model has no atoms"],
        }
        assert found.per_residue.shape == (0,)


def test_classes_chains_and_what_is_left_out() -> None:
    places = iter(np.random.default_rng(3).uniform([4, -1, 2], [14, 9, 13], (40, 3)))
    residues = [
        ("A", "LYS", ["N", "CA", "C", "O", "CB", "NZ", "HA"]),
        ("A", "GLY", ["CA"]),
        ("A", "XYZ", ["N", "CA", "C", "C9"]),
        ("B", "DA", ["P", "C1'"]),
        ("B", "CA", ["CA"]),
        ("B", "HOH", ["O"]),
        ("B", "SO4", ["S", "O1"]),
    ]
    model = structure(
        *[
            (chain, number, kind, {name: next(places) for name in names})
            for number, (chain, kind, names) in enumerate(residues, 1)
        ]
    )
    other = model[0]["A"][1]["CA"][0].clone()
    other.altloc, other.pos = "B", gemmi.Position(*next(places))
    model[0]["A"][1].add_atom(other)
    found = q_scores(model, noise())
    assert list(zip(found.names, found.classes, strict=True)) == [
        *((name, "backbone") for name in ("N", "CA", "C", "O")),
        ("CB", "side chain"),
        ("NZ", "side chain"),
        ("CA", "backbone"),
        *((name, "backbone") for name in ("N", "CA", "C")),
        ("C9", "side chain"),
        ("P", "nucleic acid"),
        ("C1'", "nucleic acid"),
        ("CA", "ion"),
        ("O", "water"),
        ("S", "ligand"),
        ("O1", "ligand"),
    ]
    assert found.residues == tuple((chain, number, "") for number, chain in enumerate("AAABBBB", 1))
    assert found.mean_q == pytest.approx(np.mean(found.values))
    assert found.per_chain == pytest.approx({"A": found.values[:11].mean(), "B": found.values[11:].mean()})
    assert found.per_class["side chain"] == pytest.approx(found.values[[4, 5, 10]].mean())
    assert list(found.per_class) == ["backbone", "side chain", "nucleic acid", "ion", "water", "ligand"]
    assert found.per_residue[0] == pytest.approx(found.values[:6].mean())
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.skipif(not CASES.is_dir(), reason="CRYO2STRUCT_DATA names no data")
def test_two_thousand_residues_take_seconds() -> None:
    one = read_structure(CASES / "sim1_3A" / "model.cif.gz")[0][0]
    model = gemmi.Model(1)
    for number in range(7):
        chain = one.clone()
        chain.name = "ABCDEFG"[number]
        for residue in chain:
            for place in residue:
                place.pos = place.pos + gemmi.Position(70 * (number % 3) + 50, 60 * (number // 3) + 20, 30)
        model.add_chain(chain)
    whole = gemmi.Structure()
    whole.add_model(model)
    values = np.random.default_rng(0).standard_normal((220, 220, 220), dtype=np.float32)
    start = time.process_time()
    found = q_scores(whole, map_of(values))
    assert time.process_time() - start < 30
    assert len(found.values) == 7 * 2317
