"""Records of maps and models for training: what of a model goes into one, and which of them are read."""

import gemmi
import numpy as np
import pytest

from cryo2struct.dataset.pack import ION, LIGAND, NUCLEOTIDE, SUGAR, UNKNOWN_RESIDUE
from cryo2struct.dataset.packing import cleaned, pack_structure, residue_class
from cryo2struct.dataset.record_writing import training_record, write_record
from cryo2struct.dataset.records import TrainingSet, read_record
from cryo2struct.errors import InputError
from cryo2struct.objects import DensityMap, GridFrame

BACKBONE = {"N": (0.0, 1.4, 0.0), "CA": (0.0, 0.0, 0.0), "C": (1.5, 0.0, 0.0), "O": (2.0, 1.1, 0.0)}


def structure_of(residues, spacing=3.0):
    """Chains by name of residues (name, atoms as name -> xyz), each moved along x."""
    model = gemmi.Model(1)
    for name, listed in residues.items():
        chain = model.add_chain(gemmi.Chain(name))
        for number, (residue_name, atoms, kind) in enumerate(listed):
            residue = gemmi.Residue()
            residue.name, residue.seqid, residue.entity_type = residue_name, gemmi.SeqId(number + 1, " "), kind
            for atom_name, xyz in atoms.items():
                atom = gemmi.Atom()
                atom.name, atom.element = atom_name, gemmi.Element("Se" if atom_name == "SE" else atom_name[0])
                atom.pos = gemmi.Position(xyz[0] + spacing * number, *xyz[1:])
                residue.add_atom(atom)
            chain.add_residue(residue)
    structure = gemmi.Structure()
    structure.add_model(model)
    return structure


POLYMER, OTHER, BRANCHED = gemmi.EntityType.Polymer, gemmi.EntityType.NonPolymer, gemmi.EntityType.Branched


@pytest.mark.parametrize(
    ("name", "atoms", "kind", "expected"),
    [
        ("ALA", BACKBONE, POLYMER, 0),
        ("TYR", BACKBONE, POLYMER, 19),
        ("HIE", BACKBONE, POLYMER, 6),
        ("MSE", BACKBONE | {"SE": (0, 0, 3)}, POLYMER, 10),
        ("SEP", BACKBONE, POLYMER, UNKNOWN_RESIDUE),
        ("UNK", BACKBONE, POLYMER, UNKNOWN_RESIDUE),
        ("ZZ9", BACKBONE, POLYMER, UNKNOWN_RESIDUE),
        ("GLY", BACKBONE, OTHER, LIGAND),
        ("ACE", {"C": (0, 0, 0), "CH3": (1.5, 0, 0)}, POLYMER, LIGAND),
        ("DA", {"P": (0, 0, 0), "C1'": (4, 0, 0)}, POLYMER, NUCLEOTIDE),
        ("U", {"P": (0, 0, 0), "C1'": (4, 0, 0)}, POLYMER, NUCLEOTIDE),
        ("ZZ8", {"P": (0, 0, 0), "C1'": (4, 0, 0)}, POLYMER, NUCLEOTIDE),
        ("ATP", {"PG": (0, 0, 0), "C1'": (4, 0, 0)}, OTHER, LIGAND),
        ("SO4", {"S": (0, 0, 0), "O1": (1.5, 0, 0)}, OTHER, LIGAND),
        ("ZN", {"ZN": (0, 0, 0)}, OTHER, ION),
        ("NAG", {"C1": (0, 0, 0), "O5": (1.5, 0, 0)}, BRANCHED, SUGAR),
        ("CLR", {"C1": (0, 0, 0), "C2": (1.5, 0, 0)}, OTHER, SUGAR),
    ],
)
def test_classes_of_residues(name, atoms, kind, expected):
    structure = cleaned(structure_of({"A": [(name, atoms, kind)]}))
    assert residue_class(structure[0]["A"][0]) == expected


def test_selenium_becomes_sulphur_and_what_is_no_structure_goes():
    conformers = structure_of({"A": [("MSE", BACKBONE | {"SE": (0, 0, 3)}, POLYMER), ("HOH", {"O": (0, 0, 0)}, OTHER)]})
    hydrogen = gemmi.Atom()
    hydrogen.name, hydrogen.element = "HA", gemmi.Element("H")
    conformers[0]["A"][0].add_atom(hydrogen)
    structure = cleaned(conformers)
    packed, names = pack_structure(structure, np.zeros(3))
    assert [names[number] for number in packed.name] == ["N", "CA", "C", "O", "SD"]
    assert packed.element.tolist() == [7, 6, 6, 8, 16]
    assert conformers[0]["A"][0].name == "MSE"  # the caller's own is left alone


def test_links_are_those_of_peptide_bonds():
    """Residues 3 A apart on a line: the N of one is 2.05 A from the C of the one before it."""
    residues = [("ALA", BACKBONE, POLYMER)] * 2
    for spacing, linked in ((2.5, True), (3.0, False)):
        packed, _ = pack_structure(structure_of({"A": residues, "B": residues}, spacing), np.zeros(3))
        assert packed.linked.tolist() == [False, linked, False, linked]
        assert packed.chain.tolist() == [0, 0, 1, 1]


def record_of(structure, size=16, values=None):
    frame = GridFrame((size,) * 3, np.ones(3), np.full(3, -4.0))
    values = np.random.default_rng(0).normal(size=frame.shape) if values is None else values
    return training_record(DensityMap(values.astype(np.float32), frame), structure)


@pytest.fixture
def chain():
    return structure_of({"A": [("ALA", BACKBONE, POLYMER)] * 5})


def test_residues_outside_of_the_map_are_left_out(chain):
    """The box ends at x = 11: the fourth residue reaches from 9 to 11, the fifth lies outside."""
    record = record_of(chain)
    assert len(record.structure.aa) == 4
    np.testing.assert_allclose(record.structure.xyz[1], [4, 4, 4])
    with pytest.raises(InputError, match="no C-alpha of the model lies in the map"):
        record_of(chain, size=3)


def test_level_and_scale_of_the_map(chain):
    values = np.full((16, 16, 16), 7.0)
    values[5:9, 5:9, 5:9] = 10.0
    one, other = (record_of(chain, values=v).values.astype(float) for v in (values, 100 * values - 30))
    assert one[0, 0, 0] == 0
    assert one.std() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(one, other, rtol=1e-3)


def test_records_are_read_as_written_and_equal_ones_have_equal_bytes(tmp_path, chain):
    record = record_of(chain)
    for name in ("a", "b"):
        write_record(tmp_path / name, record)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = read_record(tmp_path / "a")
    assert isinstance(read.values, np.memmap)
    np.testing.assert_array_equal(read.values, record.values)
    assert read.atom_names == record.atom_names
    for field in ("xyz", "name", "residue", "aa", "ss", "linked"):
        np.testing.assert_array_equal(getattr(read.structure, field), getattr(record.structure, field))


@pytest.fixture
def folder(tmp_path, chain):
    """A data set of three entries with atoms of different names."""
    for number, name in enumerate(("one", "two", "three")):
        (tmp_path / name).mkdir()
        ligand = ("LIG", {f"C{number}": (0, 0, 0), f"X{number}": (1, 0, 0)}, OTHER)
        structure = structure_of({"A": [("ALA", BACKBONE, POLYMER)] * (number + 1), "L": [ligand]})
        write_record(tmp_path / name / "training.npz", record_of(structure))
    return tmp_path


def test_all_entries_are_read_without_splits(folder):
    read = TrainingSet(folder)
    assert [len(one.structure.aa) for one in read.maps] == [2, 4, 3]  # one, three, two
    names = [[read.atom_names[n] for n in one.structure.name[-2:]] for one in read.maps]
    assert names == [["C0", "X0"], ["C2", "X2"], ["C1", "X1"]]


def test_only_the_training_split_is_read(folder):
    (folder / "splits.csv").write_text("name,cluster,split\none,1,test\ntwo,2,train\nthree,3,validation\n")
    assert [len(one.structure.aa) for one in TrainingSet(folder).maps] == [3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,cluster,split\none,1,test\n", "no entry is in the split train"),
        ("name,cluster,split\none,1,training\n", "row 2: split is 'training'"),
        ("nothing\n1\n", "row 2: split is None"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_split_tables_that_are_refused(folder, content, said):
    (folder / "splits.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=said):
        TrainingSet(folder)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no \*/training.npz"):
        TrainingSet(tmp_path)
