"""Structures that are compared by the tests of paired scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial.transform import Rotation

DATA = Path(__file__).parents[1] / "data" / "tm_lddt"
GOLDEN = json.loads((DATA / "golden_tm_lddt.json").read_text())["pairs"]
PAIRS = sorted(GOLDEN)
WITH_LDDT = [name for name in PAIRS if "lddt_ca_biotite" in GOLDEN[name]]


def read(pair: str, kind: str) -> gemmi.Structure:
    return gemmi.read_structure(str(DATA / pair / f"{kind}.pdb.gz"))


def lysozyme() -> gemmi.Structure:
    """Chain A, residues 1 to 129, main chain."""
    return read("p1_1aki_noise1", "target")


def dimer() -> gemmi.Structure:
    """Chains A and B of different sequence."""
    return read("p6_1SYX_complex_swapped_names", "target")


def full_atoms() -> gemmi.Structure:
    return gemmi.read_structure(str(DATA.parent / "chain_comparison" / "01_perfect" / "target.pdb.gz"))


def move(structure: gemmi.Structure, rotation: Rotation, translation: Sequence[float]) -> gemmi.Structure:
    moved = structure.clone()
    moved[0].transform_pos_and_adp(
        gemmi.Transform(gemmi.Mat33(rotation.as_matrix().tolist()), gemmi.Vec3(*translation))
    )
    return moved


def noisy(structure: gemmi.Structure, size: float, seed: int = 0) -> gemmi.Structure:
    generator = np.random.default_rng(seed)
    result = structure.clone()
    for chain in result[0]:
        for residue in chain:
            for atom in residue:
                atom.pos += gemmi.Position(*generator.normal(scale=size, size=3))
    return result


def of_chains(chains: dict[str, gemmi.Chain]) -> gemmi.Structure:
    """A structure of copies of chains, by name."""
    model = gemmi.Model(1)
    for name, chain in chains.items():
        copy = chain.clone()
        copy.name = name
        model.add_chain(copy)
    result = gemmi.Structure()
    result.add_model(model)
    return result


def ring(copies: int, chain: gemmi.Chain, radius: float = 40.0) -> gemmi.Structure:
    """Copies of a chain around an axis, named A, B, ..."""
    centre = np.mean([atom.pos.tolist() for residue in chain for atom in residue], axis=0)
    one = of_chains({"A": chain})
    chains = {}
    for number in range(copies):
        turn = Rotation.from_rotvec([0, 0, 2 * np.pi * number / copies])
        place = turn.apply(np.array([radius, 0, 0]) - centre)
        chains["ABCDEFGHIJ"[number]] = move(one, turn, place)[0][0]
    return of_chains(chains)
