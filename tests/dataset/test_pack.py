"""The structure pack decodes to sensible chemistry, and its split does not leak."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.errors import InputError

PACK = Path(__file__).parents[1] / "data" / "small_pack.npz"


@pytest.fixture(scope="module")
def pack() -> StructurePack:
    return StructurePack(PACK)


def test_linked_residues_are_a_peptide_bond_apart(pack):
    for index in range(len(pack)):
        structure = pack[index]
        names = np.array(pack.atom_names)[structure.name]
        first = {
            name: dict(zip(structure.residue[names == name], structure.xyz[names == name], strict=True))
            for name in ("N", "C", "CA")
        }
        linked = [r for r in np.flatnonzero(structure.linked) if r in first["N"] and r - 1 in first["C"]]
        assert linked
        bonds = np.array([np.linalg.norm(first["N"][r] - first["C"][r - 1]) for r in linked])
        assert np.abs(bonds - 1.33).max() < 0.3
        steps = np.array([np.linalg.norm(first["CA"][r] - first["CA"][r - 1]) for r in linked if r in first["CA"]])
        assert abs(np.median(steps) - 3.80) < 0.05


def test_known_protein(pack):
    pin1 = pack[pack.ids.index("1pin")]
    letters = "".join("ACDEFGHIKLMNPQRSTVWY"[a] for a in pin1.aa if a < 20)
    assert "KLPPGWEKRMSRSSGRVYYFNHITNASQWERP" in letters  # WW domain of human Pin1


def test_split_by_checksum(pack):
    parts = {name: {pack.ids[i] for i in pack.split(name)} for name in ("train", "validate", "calibrate")}
    assert set.union(*parts.values()) == set(pack.ids)
    assert sum(len(p) for p in parts.values()) == len(pack)
    assert all(zlib.crc32(i.encode()) % 50 == 0 for i in parts["validate"])
    assert all(zlib.crc32(i.encode()) % 50 == 25 for i in parts["calibrate"])
    assert not any(zlib.crc32(i.encode()) % 25 == 0 for i in parts["train"])


def test_missing_pack_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.pack .*dataset pack FOLDER --ids configs/structure-pack\.csv"):
        StructurePack(tmp_path / "pack.npz")
