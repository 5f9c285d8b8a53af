"""Helices and sheets in the files for refinement: what other readers find there is what the main chain shows."""

from itertools import pairwise
from pathlib import Path

import gemmi
import numpy as np
import pytest
from Bio.PDB.MMCIF2Dict import MMCIF2Dict
from hypothesis import given
from hypothesis import strategies as st

from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.dssp import HELIX, STRAND, backbone_of, secondary_structure
from cryo2struct.handover import write_handover
from cryo2struct.handover.secondary_structure import PARALLEL, _paths, list_secondary_structure
from cryo2struct.io.models import read_structure
from cryo2struct.objects import Entity, Model, Sequences

REFERENCE = Path(__file__).parents[2] / "examples" / "emd_6272" / "reference.cif"


@pytest.fixture(scope="module")
def listed() -> gemmi.Structure:
    structure = read_structure(REFERENCE)
    structure.helices.clear()
    structure.sheets.clear()
    list_secondary_structure(structure)
    return structure


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("handover")
    structure = read_structure(REFERENCE)
    structure.remove_alternative_conformations()
    chain = structure[0]["A"]
    letters = ["A"] * chain[-1].seqid.num
    for residue in chain:
        residue.subchain, residue.entity_id, residue.label_seq = "A", "1", residue.seqid.num
        letters[residue.seqid.num - 1] = gemmi.find_tabulated_residue(residue.name).one_letter_code
    sequences = Sequences((Entity("protein", "".join(letters), 1, "protein"),))
    density = simulate(structure, box_around(structure, 3.0, 1.0, 8.0, 10**7), 3.0)
    made = write_handover(path, Model(structure, np.ones(len(chain))), sequences, density, 3.0, title="A model")
    assert made.faults == []
    return path


def ranges(structure):
    """Helices, and strands of sheets with their sense, by number of residue."""

    def ends(element):
        return element.start.chain_name, element.start.res_id.seqid.num, element.end.res_id.seqid.num

    helices = [(*ends(helix), helix.pdb_helix_class) for helix in structure.helices]
    return helices, [[(*ends(strand), strand.sense) for strand in sheet.strands] for sheet in structure.sheets]


def point(structure, address):
    return np.array(structure[0].find_cra(address).atom.pos.tolist())


def test_pdb_and_mmcif_list_the_same(folder, listed):
    files = [read_structure(folder / f"model_for_refinement.{suffix}") for suffix in ("cif", "pdb")]
    assert ranges(files[0]) == ranges(files[1]) == ranges(listed)
    assert len(listed.helices) > 5
    assert len(listed.sheets) > 2


def test_another_reader_finds_the_same_helices(folder, listed):
    table = MMCIF2Dict(str(folder / "model_for_refinement.cif"))
    columns = ("beg_auth_asym_id", "beg_auth_seq_id", "end_auth_seq_id", "pdbx_PDB_helix_length")
    rows = list(zip(*(table[f"_struct_conf.{name}"] for name in columns), strict=True))
    expected = [(name, first, last, last - first + 1) for name, first, last, _ in ranges(listed)[0]]
    assert [(chain, *map(int, numbers)) for chain, *numbers in rows] == expected
    assert table["_struct_sheet.id"] == [sheet.name for sheet in listed.sheets]


def test_what_is_listed_is_what_the_hydrogen_bonds_say(listed):
    helices, sheets = ranges(listed)
    kinds = secondary_structure(backbone_of(listed))
    numbers = np.array([residue.seqid.num for residue in listed[0]["A"]])
    in_helix = {n for _, first, last, _ in helices for n in range(first, last + 1)}
    in_strand = {n for sheet in sheets for _, first, last, _ in sheet for n in range(first, last + 1)}
    assert in_helix <= set(numbers[kinds == HELIX])
    assert len(in_helix) > 0.95 * (kinds == HELIX).sum()
    assert in_strand <= set(numbers[kinds == STRAND])
    assert len(in_strand) > 0.95 * (kinds == STRAND).sum()


def direction(structure, address):
    """From the residue before the one named to the one after it."""
    chain = list(structure[0]["A"])
    row = next(row for row, residue in enumerate(chain) if residue.seqid == address.res_id.seqid)
    ends = [chain[at].find_atom("CA", "*").pos.tolist() for at in (row - 1, row + 1)]
    return np.subtract(ends[1], ends[0])


def test_strands_run_as_their_sense_says_and_are_bonded(listed):
    checked = set()
    for before, here in (pair for sheet in listed.sheets for pair in pairwise(sheet.strands)):
        bond = here.hbond_atom2, here.hbond_atom1
        for strand, address in zip((here, before), bond, strict=True):
            numbers = (strand.start.res_id.seqid.num, strand.end.res_id.seqid.num)
            assert numbers[0] <= address.res_id.seqid.num <= numbers[1]
        assert {address.atom_name for address in bond} == {"N", "O"}
        assert 2.4 < np.linalg.norm(point(listed, bond[0]) - point(listed, bond[1])) < 3.5
        assert np.sign(direction(listed, bond[0]) @ direction(listed, bond[1])) == here.sense
        checked.add(here.sense)
    assert checked == {1, -1}
    assert {sheet.strands[0].sense for sheet in listed.sheets} == {0}


@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda pair: pair[0] < pair[1])))
def test_each_pair_of_strands_stands_in_one_sheet(pairs):
    paths = _paths(dict.fromkeys(pairs, PARALLEL))
    found = [(min(pair), max(pair)) for path in paths for pair in pairwise(path)]
    assert sorted(found) == sorted(pairs)


def test_a_model_without_helices_and_sheets_lists_none():
    structure = read_structure(REFERENCE)
    del structure[0]["A"][3:]
    list_secondary_structure(structure)
    assert len(structure.helices) == len(structure.sheets) == 0
