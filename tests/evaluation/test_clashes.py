from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from small_models import moved, structure

from cryo2struct.evaluation.ca import heavy_atoms
from cryo2struct.evaluation.clashes import find_clashes
from cryo2struct.io.models import read_structure

SMALL = Path(__file__).parents[1] / "data" / "ramachandran"


def test_clashes_of_two_copies_are_those_of_all_pairs() -> None:
    model = read_structure(SMALL / "3o5r_altloc.pdb.gz")
    model.remove_alternative_conformations()
    xyz = heavy_atoms(model)
    other = moved(model, lambda place: place + np.array([4.0, 3.0, 5.0]))
    for chain in list(other[0]):
        chain.name = "Z"
        model[0].add_chain(chain)
    assert len(find_clashes(other).pairs) == 0
    table = cdist(xyz, heavy_atoms(other))
    found = find_clashes(model)
    assert len(found.pairs) == int((table < 2.2).sum()) > 20
    assert [pair[2] for pair in found.pairs] == pytest.approx(np.sort(table[table < 2.2]), abs=1e-9)
    assert found.per_1000_atoms == pytest.approx(1000 * len(found.pairs) / (2 * len(xyz)))


def line(*gaps: float) -> list[np.ndarray]:
    return [np.array([x, 0, 0]) for x in np.concatenate([[0], np.cumsum(gaps)])]


def n_clashes(*residues: tuple[str, int, str, dict[str, np.ndarray]]) -> int:
    return len(find_clashes(structure(*residues)).pairs)


def test_what_three_bonds_join_does_not_clash() -> None:
    lysine = dict(zip(["N", "CA", "CB", "CG", "CD"], line(0.6, 0.6, 0.6, 0.3), strict=True))
    # All pairs are nearer than 2.2 A; four bonds join N and CD alone.
    assert n_clashes(("A", 1, "LYS", lysine)) == 1
    # CA 1, C 1, N 2, CA 2: three bonds; C-beta 1 and CA 2: four, unless the residues are not next to each other.
    n, ca, c, following, last = line(0.7, 0.7, 0.5, 0.6)
    first = {"N": n, "CA": ca, "C": c}
    second = {"N": following, "CA": last}
    wanted = sum(np.linalg.norm(a - b) < 2.2 for a in first.values() for b in second.values())
    assert wanted == 5
    assert n_clashes(("A", 1, "ALA", first), ("A", 2, "ALA", second)) == 0
    assert n_clashes(("A", 1, "ALA", first), ("B", 2, "ALA", second)) == wanted


@pytest.mark.parametrize(("distance", "wanted"), [(2.19, 1), (2.2, 0)])
def test_the_limit_itself_is_no_clash(distance: float, wanted: int) -> None:
    places = line(distance)
    assert n_clashes(("A", 1, "HOH", {"O": places[0]}), ("A", 2, "HOH", {"O": places[1]})) == wanted


def test_bonds_between_residues() -> None:
    near, far = np.zeros(3), np.array([2.05, 0, 0])
    assert n_clashes(("A", 1, "CYS", {"SG": near}), ("B", 9, "CYS", {"SG": far})) == 0
    assert n_clashes(("A", 1, "CYS", {"SG": near}), ("B", 9, "SER", {"OG": far})) == 1
    assert n_clashes(("A", 1, "HIS", {"NE2": near}), ("B", 9, "ZN", {"ZN": far})) == 0
    assert n_clashes(("A", 1, "HOH", {"O": near}), ("A", 2, "HOH", {"O": far})) == 1
    assert n_clashes(("A", 1, "DA", {"O3'": near}), ("A", 2, "DC", {"P": far})) == 0
    assert n_clashes(("A", 1, "SO4", {"S": near, "O1": far * 0.7, "O2": -far * 0.3})) == 0


def test_links_of_the_file_are_bonds() -> None:
    model = structure(("A", 1, "ASN", {"ND2": np.zeros(3)}), ("B", 2, "NAG", {"C1": np.array([1.45, 0, 0])}))
    assert len(find_clashes(model).pairs) == 1
    link = gemmi.Connection()
    link.type = gemmi.ConnectionType.Covale
    link.partner1 = gemmi.AtomAddress("A", gemmi.SeqId("1"), "ASN", "ND2")
    link.partner2 = gemmi.AtomAddress("B", gemmi.SeqId("2"), "NAG", "C1")
    model.connections.append(link)
    assert len(find_clashes(model).pairs) == 0
    link.partner2 = gemmi.AtomAddress("B", gemmi.SeqId("2"), "NAG", "C9")
    model.connections.clear()
    model.connections.append(link)
    assert len(find_clashes(model).pairs) == 1
