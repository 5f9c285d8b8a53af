"""Synthetic threading cases from structures of the pack, on which the weights of tracing are fitted.

`python benchmarks/threading_cases.py PACK --exclude FILE` makes cases of each group (`RECIPES`) and prints, as
benchmarks/bench_hmm.py does, what is right per residue in the map and per residue placed. FILE has structures that are
left out, one code a line. With `--curve GROUP` it prints what is right of the most probable residues of a group.

The recipe is that of the cases in tests/data/hmm_cases: C-alphas with errors, some of them missing, false candidates
near other atoms and at random, types right at a given rate, directions with errors.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from cryo2struct.dataset.pack import PackStructure, StructurePack
from cryo2struct.errors import NothingToBuildError
from cryo2struct.objects import AMINO_ACIDS, Candidates, Entity, Sequences, Trace
from cryo2struct.settings import load_settings
from cryo2struct.tracing import trace
from cryo2struct.tracing.scores import FREQUENCIES

Array = NDArray[Any]


# heavy atoms, length, branch at CB, aromatic, branch at the end, polar
FEATURES = {
    "A": (1, 1, 0, 0, 0, 0), "C": (2, 2, 0, 0, 0, 0.3), "D": (4, 3, 0, 0, 1, 1), "E": (5, 4, 0, 0, 1, 1),
    "F": (7, 5, 0, 1, 0, 0), "G": (0, 0, 0, 0, 0, 0.3), "H": (6, 4, 0, 1, 0, 0.7), "I": (4, 3, 1, 0, 0, 0),
    "K": (5, 5, 0, 0, 0, 1), "L": (4, 3, 0, 0, 1, 0), "M": (4, 4, 0, 0, 0, 0), "N": (4, 3, 0, 0, 1, 1),
    "P": (3, 2, 0, 0, 0, 0), "Q": (5, 4, 0, 0, 1, 1), "R": (7, 6, 0, 0, 1, 1), "S": (2, 2, 0, 0, 0, 1),
    "T": (3, 2, 1, 0, 0, 0.7), "V": (3, 2, 1, 0, 0, 0), "W": (10, 6, 0, 1, 0, 0.2), "Y": (8, 6, 0, 1, 0, 0.5),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How good the candidates of a case are.

    Attributes
    ----------
    sigma : error per coordinate, A
    right : rate at which the most likely type is right
    missing : share of the residues without a candidate
    false : false candidates per residue
    vectors : whether directions are given
    absent : share of the residues of a chain, at its ends and in loops, that the map does not show
    nonprotein : further false candidates per residue, on a model of a nucleic-acid helix
    """

    sigma: float
    right: float
    missing: float = 0.05
    false: float = 0.10
    vectors: bool = False
    absent: float = 0.0
    nonprotein: float = 0.0


RECIPES = {
    "nomissing": Recipe(0.3, 0.8, 0.0, 0.05),
    "medium": Recipe(0.5, 0.7),
    "absent": Recipe(0.5, 0.7, absent=0.2),
    "nonprotein": Recipe(0.5, 0.7, nonprotein=0.3),
    "copies": Recipe(0.5, 0.7, vectors=True),
    "hard": Recipe(1.0, 0.4, 0.10, 0.20),
    "hard_vectors": Recipe(1.0, 0.4, 0.10, 0.20, vectors=True),
}


@dataclass(frozen=True)
class Case:
    """Candidates with their answer: entity, copy, position and true place (NaN: not in the map) of each residue."""

    candidates: Candidates
    sequences: Sequences
    entity: Array
    copy: Array
    position: Array
    xyz: Array


def make_case(pack: StructurePack, structure: int, recipe: Recipe, rng: np.random.Generator) -> Case:
    """Candidates of all pieces of at least 30 linked residues of a structure."""
    s = pack[structure]
    pieces = _pieces(s, pack.atom_names)
    letters = ["".join(AMINO_ACIDS[a] for a in s.aa[piece]) for piece in pieces]
    names = sorted(set(letters), key=letters.index)
    xyz = [_ca(s, pack.atom_names)[piece] for piece in pieces]
    in_map = [_in_map(len(piece), recipe.absent, rng) for piece in pieces]
    shown = np.concatenate(in_map)
    true = np.concatenate(xyz)
    types = np.concatenate([s.aa[piece] for piece in pieces])
    following = np.concatenate([_ahead(x, m) for x, m in zip(xyz, in_map, strict=True)])
    preceding = np.concatenate([_ahead(x[::-1], m[::-1])[::-1] for x, m in zip(xyz, in_map, strict=True)])
    kept = np.flatnonzero(shown & (rng.random(len(true)) >= recipe.missing))
    places = _displaced(true[kept], recipe.sigma, rng)
    false, near = _false_places(s, places, true[shown], recipe, rng)
    reliability = _reliability(recipe.right, rng)
    aa = np.concatenate(
        [
            _type_vectors(types[kept], reliability, rng),
            _type_vectors(np.where(near >= 0, near, rng.integers(0, 20, len(near))), 0.5 * reliability, rng),
        ]
    )
    ca_prob = np.concatenate([_beta(8, 2.5, len(kept), rng), _beta(4, 4, len(false), rng)])
    directions = [
        np.concatenate([_turned(vectors[kept], rng), _unit(rng.normal(size=(len(false), 3)))])
        for vectors in (following, preceding)
    ]
    order = rng.permutation(len(ca_prob))
    candidates = Candidates(
        xyz=np.concatenate([places, false])[order].astype(np.float32),
        ca_prob=ca_prob[order].astype(np.float32),
        aa_prob=aa[order].astype(np.float32),
        next_vec=directions[0][order].astype(np.float32) if recipe.vectors else None,
        prev_vec=directions[1][order].astype(np.float32) if recipe.vectors else None,
    )
    entities = tuple(Entity(f"p{k}", name, letters.count(name), "protein") for k, name in enumerate(names))
    copy = [letters[:k].count(text) for k, text in enumerate(letters)]
    lengths = [len(piece) for piece in pieces]
    return Case(
        candidates,
        Sequences(entities),
        np.repeat([names.index(text) for text in letters], lengths),
        np.repeat(copy, lengths),
        np.concatenate([np.arange(n) for n in lengths]),
        np.where(shown[:, None], true, np.nan),
    )


def _ca(s: PackStructure, atom_names: list[str]) -> Array:
    xyz = np.full((len(s.aa), 3), np.nan)
    rows = np.flatnonzero(s.name == atom_names.index("CA"))
    xyz[s.residue[rows]] = s.xyz[rows]
    return xyz


def _pieces(s: PackStructure, atom_names: list[str]) -> list[Array]:
    good = (s.aa < 20) & np.isfinite(_ca(s, atom_names)).all(axis=1)
    opens = ~s.linked | np.concatenate([[True], np.diff(s.chain) != 0]) | ~good
    number = np.cumsum(opens)
    pieces = [np.flatnonzero((number == k) & good) for k in np.unique(number[good])]
    return [piece for piece in pieces if len(piece) >= 30]


def _in_map(length: int, absent: float, rng: np.random.Generator) -> Array:
    """Both ends and up to three loops are not in the map."""
    shown = np.ones(length, dtype=bool)
    if absent > 0:
        parts = rng.dirichlet(np.ones(4)) * absent * length
        shown[: int(parts[0])] = False
        shown[length - int(parts[1]) :] = False
        for part in parts[2:]:
            begin = rng.integers(0, max(1, length - int(part)))
            shown[begin : begin + int(part)] = False
    return shown


def _ahead(xyz: Array, shown: Array) -> Array:
    """Unit vectors to the following residue, NaN where there is none in the map."""
    vectors = np.full(xyz.shape, np.nan)
    vectors[:-1] = _unit(xyz[1:] - xyz[:-1])
    vectors[:-1][~shown[1:]] = np.nan
    return vectors


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _displaced(xyz: Array, sigma: float, rng: np.random.Generator) -> Array:
    places = np.empty_like(xyz)
    for i, point in enumerate(xyz):
        for _ in range(50):
            places[i] = point + rng.normal(0, sigma, 3)
            if i == 0 or np.linalg.norm(places[:i] - places[i], axis=1).min() >= 2.0:
                break
    return places


def _false_places(
    s: PackStructure, places: Array, residues: Array, recipe: Recipe, rng: np.random.Generator
) -> tuple[Array, Array]:
    """False candidates, 2 A from all others, and the type of the residue that they lie near (-1: none)."""
    protein = np.flatnonzero((s.aa < 20)[s.residue])
    backbone = protein[_first_atoms(s, protein)]
    side = np.setdiff1d(protein, backbone)
    side = side if len(side) else backbone
    found, near = list(places), []
    for _ in range(int(recipe.false * len(residues))):
        for _ in range(50):
            kind = rng.random()
            atom = rng.choice(backbone if kind < 0.35 else side if kind < 0.7 else protein)
            point = s.xyz[atom] + rng.normal(0, 0.4 if kind < 0.7 else 1.5, 3)
            if np.linalg.norm(np.array(found) - point, axis=1).min() >= 2.0:
                found.append(point)
                near.append(s.aa[s.residue[atom]] if kind < 0.7 else -1)
                break
    for point in _duplex(residues, int(recipe.nonprotein * len(residues)), rng):
        if np.linalg.norm(np.array(found) - point, axis=1).min() >= 2.0:
            found.append(point)
            near.append(-1)
    return np.array(found[len(places) :]).reshape(-1, 3), np.array(near, dtype=np.int64)


def _first_atoms(s: PackStructure, atoms: Array) -> Array:
    """Which of these atoms are N, C or O: the first, third and fourth of their residue."""
    first = np.searchsorted(s.residue, s.residue[atoms])
    return np.isin(atoms - first, (0, 2, 3))


def _duplex(residues: Array, count: int, rng: np.random.Generator) -> Array:
    """Points on two helical strands beside the protein: phosphates, sugars, bases (radius 9, 7 and 4 A; rise 3.4 A)."""
    if count == 0:
        return np.empty((0, 3))
    pairs = -(-count // 6)
    index = np.arange(pairs)
    points = []
    for strand in (0.0, 2.4):
        for radius, shift in ((9.0, 0.0), (7.0, 1.5), (4.0, 2.0)):
            angle = index * np.radians(36) + strand
            points.append(np.stack([radius * np.cos(angle), radius * np.sin(angle), index * 3.4 + shift], axis=1))
    helix = np.concatenate(points)[:count]
    direction = _unit(rng.normal(size=(1, 3)))[0]
    tree = cKDTree(residues)
    helix = helix - helix.mean(axis=0) + residues.mean(axis=0)
    while tree.query(helix)[0].min() < 4.0:
        helix = helix + direction
    return helix + rng.normal(0, 0.4, helix.shape)


def _similarity() -> Array:
    """How often each type (row) is taken for another one."""
    features = np.array([FEATURES[letter] for letter in AMINO_ACIDS], dtype=float)
    features /= features.max(axis=0)
    distance = np.linalg.norm(features[:, None] - features[None], axis=2)
    similarity = np.exp(-distance / 0.9) * np.sqrt(FREQUENCIES)
    return np.asarray(similarity / similarity.sum(axis=1, keepdims=True))


def _type_vectors(types: Array, weight: float, rng: np.random.Generator) -> Array:
    row = 0.96 * (weight * np.eye(20)[types] + (1 - weight) * _similarity()[types]) + 0.04 * FREQUENCIES
    drawn = np.array([rng.dirichlet(6 * r) for r in row]).reshape(-1, 20)
    return 0.97 * drawn + 0.03 * FREQUENCIES


def _reliability(right: float, rng: np.random.Generator) -> float:
    """Weight of the true type at which the most likely type is right at a given rate."""
    low, high = 0.0, 1.0
    types = rng.choice(20, 1500, p=FREQUENCIES / FREQUENCIES.sum())
    for _ in range(10):
        middle = (low + high) / 2
        if (_type_vectors(types, middle, rng).argmax(axis=1) == types).mean() < right:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta(a: float, b: float, count: int, rng: np.random.Generator) -> Array:
    drawn = rng.beta(a, b, 20 * count + 20)
    return drawn[drawn > 0.4][:count]


def _turned(vectors: Array, rng: np.random.Generator) -> Array:
    """Directions with an error of 25 degrees; 10 % of them, and all that are NaN, at random."""
    away = _unit(np.cross(np.where(np.isfinite(vectors), vectors, 1.0), rng.normal(size=vectors.shape)))
    angle = np.radians(np.abs(rng.normal(0, 25, len(vectors))))[:, None]
    turned = np.cos(angle) * vectors + np.sin(angle) * away
    lost = ~np.isfinite(vectors[:, 0]) | (rng.random(len(vectors)) < 0.1)
    return np.where(lost[:, None], _unit(rng.normal(size=vectors.shape)), turned)


def choose(pack: StructurePack, left_out: set[str], copies: bool, rng: np.random.Generator) -> int:
    """A structure of 120 to 900 residues whose sequences are equal or unlike, with or without copies."""
    while True:
        index = int(rng.integers(len(pack)))
        s = pack[index]
        pieces = [bytes(s.aa[piece]) for piece in _pieces(s, pack.atom_names)]
        distinct = sorted(set(pieces))
        words = [{text[k : k + 12] for k in range(len(text) - 11)} for text in distinct]
        alike = any(words[a] & words[b] for a in range(len(words)) for b in range(a))
        fits = 120 <= sum(map(len, pieces)) <= 900 and len(pieces) <= 5
        if fits and not alike and (len(distinct) < len(pieces)) == copies and pack.ids[index].lower() not in left_out:
            return index


def right_of(case: Case, found: Trace, tolerance: float = 3.0) -> Array:
    """Which rows (R,) of a trace are placed right, whole copies assigned to whole copies."""
    right = np.zeros(len(found), dtype=bool)
    for entity, named in enumerate(case.sequences.entities):
        copies = range(named.copies or 1)
        rows = [np.flatnonzero((found.candidate >= 0) & (found.entity == entity) & (found.copy == k)) for k in copies]
        true = [case.xyz[(case.entity == entity) & (case.copy == k)] for k in copies]
        near = [
            [np.linalg.norm(found.xyz[r] - xyz[found.position[r]], axis=1) <= tolerance for xyz in true] for r in rows
        ]
        table = np.array([[these.sum() for these in line] for line in near])
        for mine, theirs in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            right[rows[mine]] = near[mine][theirs]
    return right


def score(case: Case, found: Trace) -> tuple[float, float]:
    """Right within 3 A per residue in the map and per residue placed, see `right_of`."""
    right = right_of(case, found).sum()
    return right / np.isfinite(case.xyz[:, 0]).sum(), right / max(1, (found.candidate >= 0).sum())


def print_curve(cases: list[Case]) -> None:
    """What is right of the most probable residues, all cases together, however many are kept."""
    settings = load_settings(None, {"tracing.min_confidence": 0.0, "tracing.min_right": 0.0}).tracing
    probability, right = [], []
    for case in cases:
        found = trace(case.candidates, case.sequences, settings)
        rows = found.candidate >= 0
        probability.append(found.confidence[rows])
        right.append(right_of(case, found)[rows])
    order = np.argsort(-np.concatenate(probability), kind="stable")
    expected, correct = np.concatenate(probability)[order], np.concatenate(right)[order]
    in_map = sum(np.isfinite(case.xyz[:, 0]).sum() for case in cases)
    print("placed/in map  least probability    acc    r/p  expected r/p")
    for share in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        count = int(share * in_map)
        if count <= len(order):
            acc, precision, mean = correct[:count].sum() / in_map, correct[:count].mean(), expected[:count].mean()
            print(f"{share:13.2f}  {expected[count - 1]:17.2f}  {acc:.3f}  {precision:.3f}  {mean:12.3f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--exclude", type=Path)
    parser.add_argument("--cases", type=int, default=6, help="per group")
    parser.add_argument("--curve", choices=list(RECIPES), help="of one group, what is right if fewer residues are kept")
    arguments = parser.parse_args()
    left_out = set(arguments.exclude.read_text().lower().split()) if arguments.exclude else set()
    pack, rng = StructurePack(arguments.pack), np.random.default_rng(1)

    def new_case(group: str) -> Case:
        return make_case(pack, choose(pack, left_out, group == "copies", rng), RECIPES[group], rng)

    if arguments.curve:
        print_curve([new_case(arguments.curve) for _ in range(arguments.cases)])
        return
    print("group            acc    r/p")
    for group in RECIPES:
        rows = []
        for _ in range(arguments.cases):
            case = new_case(group)
            try:
                rows.append(score(case, trace(case.candidates, case.sequences)))
            except NothingToBuildError:
                rows.append((0.0, 1.0))
        print("{:14s} {:.3f}  {:.3f}".format(group, *np.mean(rows, axis=0)), flush=True)


if __name__ == "__main__":
    main()
