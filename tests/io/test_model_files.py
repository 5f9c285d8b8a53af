"""Models written and read back: by gemmi, Biopython and biotite."""

import csv
import gzip
import io
import warnings

import biotite.structure.io.pdb as biotite_pdb
import biotite.structure.io.pdbx as biotite_pdbx
import gemmi
import numpy as np
import pytest
from Bio.PDB import MMCIFParser, PDBParser
from Bio.PDB.MMCIF2Dict import MMCIF2Dict
from Bio.SeqIO import parse
from map_bytes import refusal

from cryo2struct.errors import InputError, InternalError
from cryo2struct.io.models import (
    chain_names,
    model_from_trace,
    read_structure,
    why_no_pdb,
    write_confidence,
    write_mmcif,
    write_pdb,
)
from cryo2struct.objects import Backbone, Entity, Model, Sequences, Trace

SEQUENCES = Sequences(
    (
        Entity("8ABC_1", "MKVLXAG", 2, "protein", ("B", "D")),
        Entity("it's RNA", "ACGU", 1, "rna", ("A",)),
        Entity("no chains; 'quoted'", "GGSWYCDEFH" * 12, None, "protein"),
        Entity("not built", "MMMMM", None, "protein"),
    )
)
KEYS = [(2, 1, 7), (0, 0, 1), (0, 0, 0), (0, 1, 4), (0, 1, 5), (2, 0, 119), (2, 0, 3)]
CHAINS = (("B", 0), ("D", 0), ("C", 2), ("E", 2))
CELL = (100.0, 90.0, 80.5)


def trace_of(keys, candidate=0):
    rng = np.random.default_rng(3)
    entity, copy, position = np.array(keys).T
    values = [rng.random(len(keys)) for _ in range(3)]
    return Trace(entity, copy, position, np.full(len(keys), candidate), rng.normal(0, 50, (len(keys), 3)), *values)


def backbone_of(trace):
    """Atoms anywhere; none but the C-alpha in the first row."""
    xyz = trace.xyz[:, None] + np.arange(15).reshape(5, 3)
    xyz[0, [0, 2, 3, 4]] = np.nan
    return Backbone(xyz)


@pytest.fixture
def trace():
    return trace_of(KEYS)


@pytest.fixture
def rows(trace):
    """(chain, residue, number, B, xyz) in the order of the file."""
    names = {(0, 0): "B", (0, 1): "D", (2, 0): "C", (2, 1): "E"}
    order = sorted(range(len(KEYS)), key=KEYS.__getitem__)
    found = []
    for row in order:
        entity, copy, position = KEYS[row]
        residue = gemmi.expand_one_letter(SEQUENCES.entities[entity].letters[position], gemmi.ResidueKind.AA)
        found.append((names[entity, copy], residue, position + 1, 100 * trace.confidence[row], trace.xyz[row]))
    return found


def assert_rows(found, rows):
    found = list(found)
    assert [row[:3] for row in found] == [row[:3] for row in rows]
    np.testing.assert_allclose([row[3] for row in found], [row[3] for row in rows], atol=0.006)
    np.testing.assert_allclose([row[4] for row in found], [row[4] for row in rows], atol=0.0006)


def atoms_of_gemmi(structure):
    for site in structure[0].all():
        yield site.chain.name, site.residue.name, site.residue.seqid.num, site.atom.b_iso, site.atom.pos.tolist()


def atoms_of_biopython(structure):
    for atom in structure.get_atoms():
        residue = atom.get_parent()
        yield residue.get_parent().id, residue.resname, residue.id[1], atom.bfactor, atom.coord


def atoms_of_biotite(array):
    yield from zip(array.chain_id, array.res_name, array.res_id, array.b_factor, array.coord, strict=True)


@pytest.fixture
def mmcif(tmp_path, trace):
    path = tmp_path / "model.cif"
    write_mmcif(path, model_from_trace(trace, SEQUENCES), SEQUENCES, title="A model; with 'quotes'", cell=CELL)
    return path


@pytest.fixture
def pdb(tmp_path, trace):
    path = tmp_path / "model.pdb"
    model = model_from_trace(trace, SEQUENCES)
    assert write_pdb(path, model, SEQUENCES, title="A model", cell=CELL) is None
    return path


def test_gemmi_reads_the_mmcif(mmcif, rows):
    structure = read_structure(mmcif)
    assert_rows(atoms_of_gemmi(structure), rows)
    for chain in structure[0]:
        for residue in chain:
            assert residue.label_seq == residue.seqid.num
            assert residue.subchain == chain.name
            assert residue.entity_type == gemmi.EntityType.Polymer
    assert [(entity.name, list(entity.subchains)) for entity in structure.entities] == [
        ("1", ["B", "D"]),
        ("3", ["C", "E"]),
    ]
    for entity in structure.entities:
        letters = gemmi.one_letter_code(entity.full_sequence)
        assert letters == SEQUENCES.entities[int(entity.name) - 1].letters
    assert structure.cell.parameters == (*CELL, 90, 90, 90)
    assert structure.spacegroup_hm == "P 1"


def test_biopython_reads_the_mmcif(mmcif, rows):
    assert_rows(atoms_of_biopython(MMCIFParser(QUIET=False).get_structure("m", mmcif)), rows)
    with mmcif.open() as stream:
        records = {record.id.split(":")[-1]: str(record.seq) for record in parse(stream, "cif-seqres")}
    assert records == {name: SEQUENCES.entities[e].letters for name, e in CHAINS}


def test_biotite_reads_the_mmcif(mmcif, rows):
    file = biotite_pdbx.CIFFile.read(mmcif)
    assert_rows(atoms_of_biotite(biotite_pdbx.get_structure(file, model=1, extra_fields=["b_factor"])), rows)
    label = biotite_pdbx.get_structure(file, model=1, extra_fields=["b_factor"], use_author_fields=False)
    assert_rows(atoms_of_biotite(label), rows)
    sequences = {chain: str(sequence) for chain, sequence in biotite_pdbx.get_sequence(file).items()}
    assert sequences == {name: SEQUENCES.entities[e].letters for name, e in CHAINS}


def test_modelcif_confidence(mmcif, rows, trace):
    table = MMCIF2Dict(mmcif)
    assert table["_ma_qa_metric.mode"] == ["global", "local"]
    assert table["_ma_qa_metric.name"] == ["pLDDT", "pLDDT"]
    assert float(table["_ma_qa_metric_global.metric_value"][0]) == pytest.approx(
        100 * trace.confidence.mean(), abs=0.01
    )
    local = "_ma_qa_metric_local."
    found = zip(
        table[local + "label_asym_id"],
        table[local + "label_comp_id"],
        map(int, table[local + "label_seq_id"]),
        map(float, table[local + "metric_value"]),
        [row[4] for row in rows],
        strict=True,
    )
    assert_rows(found, rows)
    assert set(table[local + "metric_id"]) == {"2"}
    assert table["_ma_qa_metric.id"][1] == "2"


def test_descriptions_are_complete(mmcif):
    table = MMCIF2Dict(mmcif)
    assert table["_struct.title"] == ["A model; with 'quotes'"]
    assert table["_entity.pdbx_description"] == ["8ABC_1", "no chains; 'quoted'"]
    assert table["_entity.pdbx_number_of_molecules"] == ["2", "2"]
    assert table["_entity_poly.pdbx_strand_id"] == ["B,D", "C,E"]
    assert table["_entity_poly.pdbx_seq_one_letter_code_can"][0] == "MKVLXAG"
    assert table["_entity_poly.pdbx_seq_one_letter_code"][0] == "MKVL(UNK)AG"
    assert table["_software.name"] == ["cryo2struct"]
    assert table["_exptl.method"] == ["ELECTRON MICROSCOPY"]
    assert dict(zip(table["_chem_comp.id"], table["_chem_comp.type"], strict=True))["MET"] == "L-peptide linking"
    assert table["_entity_poly_seq.mon_id"].count("UNK") == 1


def test_three_readers_read_the_pdb(pdb, rows):
    structure = read_structure(pdb)
    assert_rows(atoms_of_gemmi(structure), rows)
    assert structure.cell.parameters == (*CELL, 90, 90, 90)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_rows(atoms_of_biopython(PDBParser().get_structure("m", pdb)), rows)
    file = biotite_pdb.PDBFile.read(pdb)
    assert_rows(atoms_of_biotite(file.get_structure(model=1, extra_fields=["b_factor"])), rows)


def test_pdb_has_the_sequence_and_ends_chains_only_at_their_ends(pdb):
    lines = pdb.read_text().splitlines()
    with pdb.open() as stream:
        records = {record.annotations["chain"]: str(record.seq) for record in parse(stream, "pdb-seqres")}
    assert records == {name: SEQUENCES.entities[e].letters for name, e in CHAINS}
    kinds = [line[:6].strip() + line[21:22] for line in lines if line.startswith(("ATOM", "TER"))]
    assert kinds == ["ATOMB", "ATOMB", "TERB", "ATOMD", "ATOMD", "TERD", "ATOMC", "ATOMC", "TERC", "ATOME", "TERE"]


def test_without_a_cell_none_is_made_up(tmp_path, trace):
    model = model_from_trace(trace, SEQUENCES)
    write_mmcif(tmp_path / "m.cif", model, SEQUENCES, title="t")
    assert not read_structure(tmp_path / "m.cif").cell.is_crystal()


def test_b_factors_of_the_structure_can_be_kept(tmp_path, trace):
    model = model_from_trace(trace, SEQUENCES)
    for site in model.structure[0].all():
        site.atom.b_iso = 33
    write_mmcif(tmp_path / "m.cif", model, SEQUENCES, title="t", b_column="structure")
    write_pdb(tmp_path / "m.pdb", model, SEQUENCES, title="t", b_column="structure")
    for name in ("m.cif", "m.pdb"):
        assert {site.atom.b_iso for site in read_structure(tmp_path / name)[0].all()} == {33}
    local = map(float, MMCIF2Dict(tmp_path / "m.cif")["_ma_qa_metric_local.metric_value"])
    np.testing.assert_allclose(list(local), 100 * model.confidence, atol=0.006)


def test_free_names_skip_those_of_the_file():
    names = chain_names(trace_of([(2, copy, 0) for copy in range(70)]), SEQUENCES)
    assert list(names.values())[:3] == ["C", "E", "F"]
    assert len(set(names.values())) == 70
    assert names[2, 58] == "9"
    assert names[2, 59] == "AA"
    more = chain_names(trace_of([(0, copy, 0) for copy in range(3)]), SEQUENCES)
    assert list(more.values()) == ["B", "D", "C"]


def test_names_of_two_letters_survive_mmcif(tmp_path):
    trace = trace_of([(2, copy, 0) for copy in range(70)])
    write_mmcif(tmp_path / "m.cif", model_from_trace(trace, SEQUENCES), SEQUENCES, title="t")
    read = read_structure(tmp_path / "m.cif")
    assert [chain.name for chain in read[0]] == list(chain_names(trace, SEQUENCES).values())


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([(2, copy, 0) for copy in range(63)], "63 chains"),
        ([(2, copy, 0) for copy in range(60)], "chain name AA"),
    ],
)
def test_too_many_chains_for_pdb(tmp_path, keys, words):
    model = model_from_trace(trace_of(keys), SEQUENCES)
    line = write_pdb(tmp_path / "m.pdb", model, SEQUENCES, title="t")
    assert words in line
    assert "m.pdb is not written" in line
    assert list(tmp_path.iterdir()) == []
    write_mmcif(tmp_path / "m.cif", model, SEQUENCES, title="t")
    assert [chain.name for chain in read_structure(tmp_path / "m.cif")[0]] == [
        chain.name for chain in model.structure[0]
    ]


def test_other_limits_of_pdb():
    long = Sequences((Entity("long", "A" * 10001, 1, "protein"),))
    assert "residue number 10001" in why_no_pdb(model_from_trace(trace_of([(0, 0, 10000)]), long))
    far = trace_of([(0, 0, 0)])
    far.xyz[0] = [0, -1000, 0]
    assert "coordinate" in why_no_pdb(model_from_trace(far, long))
    model = model_from_trace(trace_of([(0, 0, position) for position in range(9999)]), long)
    assert why_no_pdb(model) is None
    for residue in model.structure[0][0]:
        for _ in range(10):
            residue.add_atom(residue[0])
    assert "109989 atoms" in why_no_pdb(model)


def test_impossible_traces(trace):
    for keys in ([(0, 0, 1), (0, 0, 1)], [(0, 0, 7)]):
        with pytest.raises(InternalError) as error:
            model_from_trace(trace_of(keys), SEQUENCES)
        assert "chain B" in refusal(error)
    model = Model(model_from_trace(trace, SEQUENCES).structure, np.ones(3))
    with pytest.raises(InternalError) as error:
        write_mmcif("none.cif", model, SEQUENCES, title="t")
    assert "7 residues but 3" in refusal(error)


def test_confidence_table(tmp_path, rows):
    trace = trace_of(KEYS, candidate=-1)
    write_confidence(
        tmp_path / "confidence.csv", trace, SEQUENCES, model_from_trace(trace, SEQUENCES, backbone_of(trace))
    )
    with (tmp_path / "confidence.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [(line["chain"], int(line["position"])) for line in table] == [(row[0], row[2]) for row in rows]
    np.testing.assert_allclose([float(line["confidence"]) for line in table], [row[3] for row in rows], atol=0.006)
    assert {line["interpolated"] for line in table} == {"1"}
    assert [line["residue"] for line in table][:4] == ["M", "K", "X", "A"]
    assert [line["entity"] for line in table] == ["1", "1", "1", "1", "3", "3", "3"]
    assert [line["copy"] for line in table] == ["1", "1", "2", "2", "1", "1", "2"]
    # the row that has no backbone is the first of KEYS: chain E, the last of the file
    letters = [line["residue"] for line in table[:-1]]
    assert [line["atoms"] for line in table] == [*("all" if x in "AG" else "backbone" for x in letters), "CA"]
    assert "local_resolution" not in table[0]


def test_local_resolution_stands_with_its_residue(tmp_path, rows):
    trace = trace_of(KEYS)
    model = model_from_trace(trace, SEQUENCES, backbone_of(trace))
    told = np.array([100 * entity + 10 * copy + position for entity, copy, position in KEYS])
    write_confidence(tmp_path / "confidence.csv", trace, SEQUENCES, model, told)
    with (tmp_path / "confidence.csv").open() as stream:
        for line in csv.DictReader(stream):
            entity, copy, position = (int(line[name]) - 1 for name in ("entity", "copy", "position"))
            assert float(line["local_resolution"]) == 100 * entity + 10 * copy + position


def test_backbone_atoms_in_the_order_of_files(tmp_path, trace):
    backbone = backbone_of(trace)
    model = model_from_trace(trace, SEQUENCES, backbone)
    write_mmcif(tmp_path / "m.cif", model, SEQUENCES, title="t")
    write_pdb(tmp_path / "m.pdb", model, SEQUENCES, title="t")
    order = sorted(range(len(KEYS)), key=KEYS.__getitem__)
    for name in ("m.cif", "m.pdb"):
        residues = [residue for chain in read_structure(tmp_path / name)[0] for residue in chain]
        assert [[atom.name for atom in residue] for residue in residues] == [["N", "CA", "C", "O", "CB"]] * 6 + [["CA"]]
        assert [atom.element.name for atom in residues[0]] == ["N", "C", "C", "O", "C"]
        for row, residue in zip(order, residues, strict=True):
            xyz = backbone.xyz[row][np.isfinite(backbone.xyz[row]).all(axis=1)]
            np.testing.assert_allclose([atom.pos.tolist() for atom in residue], xyz, atol=0.0006)


def test_compressed_and_misnamed_structures_are_read(tmp_path, mmcif, pdb, rows):
    for source in (mmcif, pdb):
        (tmp_path / "model").write_bytes(gzip.compress(source.read_bytes()))
        assert_rows(atoms_of_gemmi(read_structure(tmp_path / "model")), rows)
    (tmp_path / "model").write_bytes(b"# comment\n\n" + mmcif.read_bytes())
    assert_rows(atoms_of_gemmi(read_structure(tmp_path / "model")), rows)


def test_all_models_are_kept(tmp_path, mmcif):
    structure = read_structure(mmcif)
    structure.add_model(structure[0].clone())
    structure.renumber_models()
    structure.make_mmcif_document().write_file(str(tmp_path / "two.cif"))
    assert len(read_structure(tmp_path / "two.cif")) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello\nworld\n", "no atom"),
        (b"data_x\n_cell.length_a 10\n", "no atom"),
        (b"data_x\nloop_\n_a.b\n_a.c\n1\n", "no readable"),
        (b"ATOM garbage\n", "no readable"),
        (np.random.default_rng(0).bytes(3000), "no atom"),
    ],
)
def test_structures_refused(tmp_path, content, words):
    path = tmp_path / "model.cif"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_structure(path)
    assert words in refusal(error)


def test_atoms_without_coordinates_are_refused(tmp_path, mmcif):
    text = io.StringIO(mmcif.read_text())
    lines = [line.replace(line.split()[10], "?", 1) if line.startswith("ATOM 1 ") else line.strip() for line in text]
    (tmp_path / "bad.cif").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as error:
        read_structure(tmp_path / "bad.cif")
    assert "1 atoms have no coordinates" in refusal(error)
