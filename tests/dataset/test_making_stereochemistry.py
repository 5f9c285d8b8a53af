"""Making the file of ideal stereochemistry, on structures whose geometry is known."""

import json

import numpy as np
import pytest

from cryo2struct.dataset.stereochemistry import _rotamers, atoms_of, describe
from cryo2struct.io.models import THREE_LETTERS
from cryo2struct.objects import AMINO_ACIDS
from cryo2struct.stereochemistry import DATA, amino_acids


def test_shipped_file_has_what_the_script_describes():
    table = json.loads(DATA.read_text())
    assert list(table["amino_acids"]) == list(AMINO_ACIDS) == list(table["residues"])
    assert DATA.stat().st_size < 200_000
    for letter, row in table["amino_acids"].items():
        assert row["atoms"] == atoms_of(letter)
        assert row["name"] == THREE_LETTERS[letter]
        assert table["residues"][letter] > 4000


def test_medians_of_scattered_copies_are_the_geometry_they_came_from():
    rng = np.random.default_rng(3)
    names = atoms_of("S")
    xyz = np.array(
        [[-1.4, 0.4, 0], [0, 0, 0], [0.5, -0.8, -1.2], [1.7, -0.9, -1.3], [0.5, -0.6, 1.3], [1.9, -0.7, 1.4]]
    )
    copies = xyz + rng.normal(0, 0.01, (400, *xyz.shape))
    row = describe("S", (copies, np.full(400, -60.0), np.full(400, -45.0)))
    bonds = {(a, b): length for a, b, length, _ in row["bonds"]}
    assert bonds["CB", "OG"] == pytest.approx(np.linalg.norm(xyz[5] - xyz[4]), abs=0.003)
    assert row["atoms"] == names
    (atom, *parents, length, angle, torsion, chi) = row["placements"][0]
    assert (atom, parents, torsion, chi) == ("OG", ["CB", "CA", "N"], 0, 0)
    u, v = xyz[5] - xyz[4], xyz[1] - xyz[4]
    assert angle == pytest.approx(np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))), abs=0.3)
    assert length == bonds["CB", "OG"]
    assert len(row["rotamers"]) == 1


def test_rotamers_recover_modes_their_spread_and_their_dependence_on_the_backbone():
    rng = np.random.default_rng(4)
    helix = np.arange(4000) < 2000
    chi = np.where(rng.random(4000) < np.where(helix, 0.9, 0.2), -65.0, 178.0) + rng.normal(0, 8, 4000)
    phi, psi = np.where(helix, -60.0, -120.0), np.where(helix, -45.0, 130.0)
    first, second = _rotamers("C", [chi], phi, psi)
    assert first[0][0] == pytest.approx(-65, abs=1)
    assert abs(second[0][0]) == pytest.approx(178, abs=1)
    assert first[1][0] == pytest.approx(8, abs=0.5)
    assert first[2][:2] == pytest.approx([0.9, 0.2], abs=0.03)
    assert first[2][2] == pytest.approx(0.55, abs=0.03)  # no residue there: all together


def test_shipped_geometry_reads_back():
    assert set(amino_acids()) == set(AMINO_ACIDS)
    assert amino_acids()["W"].rotamers[0].frequency[0] > 0
