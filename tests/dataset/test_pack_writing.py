"""Packs made of files hold what the files hold, and leave out what the rules leave out."""

import gzip
import stat
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest
from typer.testing import CliRunner

from cryo2struct import parallel
from cryo2struct.cli.main import app
from cryo2struct.dataset.pack import StructurePack
from cryo2struct.dataset.pack_writing import pack_arrays, read_for_pack, structure_files
from cryo2struct.dssp import backbone_of, secondary_structure
from cryo2struct.errors import InputError
from cryo2struct.io.models import read_structure
from cryo2struct.objects import AMINO_ACIDS
from cryo2struct.residues import modelled_residues

ROOT = Path(__file__).parents[2]
PROTEIN = ROOT / "tests" / "data" / "q_score" / "model.cif.gz"  # 172 residues and 12 ions
LARGER = ROOT / "examples" / "emd_6272" / "reference.cif"
GROUPS = {  # chain: residues, each 6 A from the one before
    "P": ["ATP", "SO4", "NAG", "CLR", "ZN", "HOH", "UNX"],
    "X": ["DA", "DC", "DG", "DT", "DU"],
    "Y": ["A", "C", "G", "U", "PSU"],
}
ATOMS = {"ATP": "PG O1G C1'", "SO4": "S O1", "NAG": "C1 O5", "CLR": "C1 C2", "ZN": "ZN", "HOH": "O", "UNX": "X1"}


def rich():
    """A structure of a protein with selenomethionine, nucleic acids, ligands, hydrogens and conformers."""
    structure = read_structure(PROTEIN)
    for residue in structure[0][0]:
        if residue.name == "MET":
            residue.name = "MSE"
            residue["SD"][0].element = gemmi.Element("Se")
            residue["SD"][0].name = "SE"
    first = structure[0][0][3]
    for name, element, altloc, shift in (("HA", "H", "\0", 1.0), ("CB", "C", "B", 0.5)):
        atom = first["CB"][0].clone()
        atom.name, atom.element, atom.altloc = name, gemmi.Element(element), altloc
        atom.pos += gemmi.Position(shift, 0, 0)
        first.add_atom(atom)
    first["CB"][0].altloc = "A"
    corner = np.array([site.atom.pos.tolist() for site in structure[0].all()]).max(axis=0)
    for row, (name, residues) in enumerate(GROUPS.items()):
        chain = structure[0].add_chain(gemmi.Chain(name))
        for number, residue_name in enumerate(residues):
            residue = gemmi.Residue()
            residue.name, residue.seqid = residue_name, gemmi.SeqId(9 - number, " ")
            residue.het_flag = "H" if name == "P" else "A"
            for step, atom_name in enumerate(ATOMS.get(residue_name, "P C1'").split()):
                atom = gemmi.Atom()
                atom.name, atom.element = atom_name, gemmi.Element("Zn" if atom_name == "ZN" else atom_name[0])
                atom.pos = gemmi.Position(corner[0] + 6 * number, corner[1] + 8 * row + 2 * step, corner[2])
                residue.add_atom(atom)
            chain.add_residue(residue)
    structure.setup_entities()
    return structure


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of three structures, one below the folder and one as the PDB names its files."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "below").mkdir(parents=True)
    (folder / "pdb1abc.ent.gz").write_bytes(gzip.compress(read_structure(PROTEIN).make_pdb_string().encode()))
    (folder / "2abc.cif").write_bytes(LARGER.read_bytes())
    rich().make_mmcif_document().write_file(str(folder / "below" / "3ABC.cif"))
    (folder / "README.txt").write_text("no structure")
    return folder


PATHS = {"1abc": "pdb1abc.ent.gz", "2abc": "2abc.cif", "3abc": "below/3ABC.cif"}


@pytest.fixture
def here(monkeypatch):
    """No processes of their own: they take seconds to start."""

    def run(function, tasks, *, ended, **_):
        outcomes = [parallel._outcome(function, task) for task in tasks]
        for number, outcome in enumerate(outcomes):
            ended(number, outcome)
        return outcomes

    monkeypatch.setattr(parallel, "run_tasks", run)


def call(*arguments):
    """Exit code, standard output and standard error of the command."""
    result = CliRunner().invoke(app, ["dataset", "pack", *map(str, arguments)])
    code, said = result.exit_code, result.stderr
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        code, said = result.exception.exit_code, f"{said}{result.exception}\n"
    return code, result.stdout, said


def expected_atoms(path):
    """Residue name and number, atom name, atomic number and place of all heavy atoms of what is known, by gemmi."""
    structure = read_structure(path)
    structure.remove_alternative_conformations()
    structure.remove_hydrogens()
    structure.remove_waters()
    rows = []
    for chain in structure[0]:
        for residue in chain:
            if residue.name == "UNX":
                continue
            selenium = residue.name == "MSE"
            for atom in residue:
                name, number = ("SD", 16) if selenium and atom.name == "SE" else (atom.name, atom.element.atomic_number)
                place = ("MET" if selenium else residue.name, residue.seqid.num, name, number)
                rows.append((*place, *atom.pos.tolist()))
    return rows


def test_a_pack_holds_its_files_atom_for_atom(files, tmp_path):
    code, out, said = call(files, "-o", tmp_path / "pack.npz")
    assert code == 0, said
    pack = StructurePack(tmp_path / "pack.npz")
    assert pack.ids == ["1abc", "2abc", "3abc"]
    assert out.endswith(f"pack.npz: 3 of 3 structures, {pack.protein_residues.sum()} residues of proteins\n")
    with np.load(tmp_path / "pack.npz") as arrays:
        archive = dict(arrays)
    assert archive["source"].tolist() == ["pdb1abc.ent.gz", "2abc.cif", "3ABC.cif"]
    residue_names = archive["res_names"][archive["resname"]].tolist()
    seqid = np.cumsum(archive["seqid_delta"], dtype=np.int16)
    for number, name in enumerate(pack.ids):
        one, rows = pack[number], expected_atoms(files / PATHS[name])
        residue = (one.residue + archive["res_offset"][number]).tolist()
        names = [pack.atom_names[n] for n in one.name]
        found = [(residue_names[r], seqid[r], atom, z) for r, atom, z in zip(residue, names, one.element, strict=True)]
        assert found == [row[:4] for row in rows]
        xyz = np.array([row[4:] for row in rows])
        # 0.005 of the two decimals, and what the middle of the box loses in float32
        assert np.abs(one.xyz + archive["center"][number] - xyz).max() < 0.0052
        np.testing.assert_allclose(archive["center"][number], (xyz.min(axis=0) + xyz.max(axis=0)) / 2, atol=1e-4)
        structure = read_structure(files / PATHS[name])
        alphas = [residue for _, residue, _ in modelled_residues(structure)]
        letters = [gemmi.find_tabulated_residue(residue.name).one_letter_code.upper() for residue in alphas]
        assert [AMINO_ACIDS[n] for n in one.aa[one.aa <= 20]] == letters
        np.testing.assert_array_equal(one.ss[one.aa <= 20], np.maximum(secondary_structure(backbone_of(structure)), 0))
        assert not one.ss[one.aa > 20].any()


def test_kinds_of_residues_and_their_numbers(files):
    one = read_for_pack(("3abc", [files / PATHS["3abc"]], None))
    kinds = dict(zip(one.residue_names, one.structure.aa.tolist(), strict=True))
    assert [kinds[name] for name in ("ATP", "SO4", "NAG", "CLR", "ZN")] == [22, 22, 24, 24, 23]
    assert [kinds[name] for name in (*GROUPS["X"], *GROUPS["Y"])] == [21] * 10
    assert kinds["MET"] == AMINO_ACIDS.index("M")
    assert not {"MSE", "HOH", "UNX"} & kinds.keys()
    arrays = pack_arrays([one])
    bases = dict(zip(one.residue_names, arrays["base"].tolist(), strict=True))
    assert [bases[name] for name in (*GROUPS["X"], *GROUPS["Y"], "ATP")] == [0, 1, 2, 3, 4, 0, 1, 2, 4, 5, 255]
    places, chain = np.cumsum(arrays["resnum_delta"]), arrays["chain"]
    for number in np.unique(chain):
        assert places[chain == number].tolist() == list(range((chain == number).sum()))
    strand = [row for row, name in enumerate(one.residue_names) if name in GROUPS["Y"]]
    assert np.cumsum(arrays["seqid_delta"])[strand].tolist() == [9, 8, 7, 6, 5]


def test_large_steps_between_atoms_wrap_and_come_back():
    """Coordinates are differences of 16 bits: also those of more than half of the range return."""
    one = read_for_pack(("1abc", [PROTEIN], None))
    one.structure.xyz[::2] = 320.0
    one.structure.xyz[1::2] = -320.0
    arrays = pack_arrays([one, one])
    code = arrays["xyz_lo"].astype(int) + 256 * arrays["xyz_hi"].astype(int)
    steps = np.where(code % 2, -(code + 1) // 2, code // 2)  # what zig-zag stands for
    xyz = (np.cumsum(steps, axis=1) + 32768) % 65536 - 32768
    np.testing.assert_array_equal(xyz.T, np.rint(100 * np.tile(one.structure.xyz, (2, 1))))


def test_names_beyond_the_most_common_are_a_star():
    one = read_for_pack(("1abc", [PROTEIN], None))
    count = len(one.structure.xyz)
    assert count > 300
    changed = one.structure.name.copy()
    changed[:300] = len(one.atom_names) + np.arange(300)
    renamed = type(one.structure)(**{**vars(one.structure), "name": changed})
    many = (*one.atom_names, *(f"X{n}" for n in range(300)))
    arrays = pack_arrays([type(one)(**{**vars(one), "structure": renamed, "atom_names": many})])
    names = arrays["atom_names"].tolist()
    assert len(names) == 255
    assert names[-1] == "*"
    for index, name in zip(changed, arrays["name"], strict=True):
        assert names[name] in (many[index], "*")
    assert names[arrays["name"][-1]] == many[changed[-1]]


def edited(path, change):
    """A file of a model that `change` has been called with."""
    structure = read_structure(PROTEIN)
    change(structure)
    structure.make_mmcif_document().write_file(str(path))


def cut_chains(structure):
    for chain in structure[0]:
        del chain[20:]


def drop_side_chains(structure):
    for chain in structure[0]:
        for number, residue in enumerate(chain):
            if number % 4 == 0 and "CB" in residue:
                residue.remove_atom("CB", "\0", gemmi.Element("C"))


def pile_up(structure):
    for chain in structure[0]:
        shift = chain[30][0].pos - chain[0][0].pos
        for residue in chain[:12]:
            for atom in residue:
                atom.pos += shift
        for number in range(12):
            for atom, other in zip(chain[number], chain[30 + number], strict=False):
                other.pos = atom.pos + gemmi.Position(0.5, 0, 0)


def spread(structure):
    for residue in structure[0][0][:5]:
        for atom in residue:
            atom.pos += gemmi.Position(800, 0, 0)


def tell(name, value):
    def change(structure):
        structure.info[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut_chains, "residues of proteins, not 40 to 6000"),
        (drop_side_chains, "of its residues lack atoms, more than 15 %"),
        (pile_up, "of its atoms are within 1 A of another residue"),
        (spread, "A wide, more than 650 A"),
        (tell("_exptl.method", "SOLUTION NMR"), "is an NMR structure"),
        (tell("_exptl.method", "THEORETICAL MODEL"), "is a predicted model"),
        (tell("_struct.title", "ALPHAFOLD MONOMER V2.0 PREDICTION"), "is a predicted model"),
    ],
)
def test_structures_that_are_not_fit(tmp_path, change, said):
    edited(tmp_path / "1abc.cif", change)
    with pytest.raises(InputError, match=said):
        read_for_pack(("1abc", [tmp_path / "1abc.cif"], None))


def test_the_resolution_of_the_file_counts_before_that_of_the_list(tmp_path):
    path = tmp_path / "1abc.cif"
    block = read_structure(PROTEIN).make_mmcif_block()
    block.init_loop("_refine.", ["pdbx_refine_id", "ls_d_res_high"]).add_row(["any", "3.4"])
    block.write_file(str(path))
    assert read_for_pack(("1abc", [path], 3.6)).resolution == 3.4
    assert read_for_pack(("1abc", [PROTEIN], 3.4)).resolution == 3.4
    with pytest.raises(InputError, match=r"resolution 3.5 A is not below 3.5 A"):
        read_for_pack(("1abc", [PROTEIN], 3.5))


def test_of_files_of_one_code_the_fuller_is_taken(tmp_path):
    (tmp_path / "part").mkdir()

    def half(structure):
        structure.resolution = 0
        for chain in structure[0]:
            del chain[-5:]

    edited(tmp_path / "part" / "1abc.cif", half)
    edited(tmp_path / "1abc.cif", lambda structure: None)
    files = structure_files(tmp_path)
    assert [path.parent.name for path in files["1abc"]] == [tmp_path.name, "part"]
    best = read_for_pack(("1abc", files["1abc"][::-1], None))
    assert len(best.structure.xyz) == len(read_for_pack(("1abc", [tmp_path / "1abc.cif"], None)).structure.xyz)


def test_ids_choose_and_give_resolutions(files, tmp_path, here):
    ids = tmp_path / "ids.csv"
    ids.write_text("id,resolution\n3ABC,2.5\n1abc,\n9xyz,1.0\n")
    code, out, said = call(files, "--ids", ids, "-o", tmp_path / "pack.npz")
    assert code == 0
    pack = StructurePack(tmp_path / "pack.npz")
    assert pack.ids == ["1abc", "3abc"]
    assert np.isnan(pack.resolution[0])
    assert pack.resolution[1] == 2.5
    assert "9xyz: no file of it" in said
    assert "mmseqs" not in said  # what is listed is taken as it is
    assert "2 of 3 structures" in out


def test_what_is_left_out_is_told(files, tmp_path, here):
    letters = gemmi.one_letter_code(read_structure(LARGER)[0][0].get_polymer().extract_sequence())
    (tmp_path / "kept_aside.fasta").write_text(f">any\n{letters}\n")
    ids = tmp_path / "ids.csv"
    ids.write_text("id,resolution\n1abc,3.6\n2abc,2.0\n")
    code, _, said = call(files, "--ids", ids, "--exclude", tmp_path / "kept_aside.fasta", "-o", tmp_path / "pack.npz")
    assert code == 5
    assert f"left out: {files / PATHS['1abc']}: resolution 3.6 A is not below 3.5 A\n" in said
    assert "left out: 2abc: is like an excluded sequence\n" in said
    assert "no structure is fit for a pack" in said
    assert not (tmp_path / "pack.npz").exists()


FAKE = """#!{python}
import sys
assert sys.argv[1] == "easy-search" and sys.argv[sys.argv.index("--min-seq-id") + 1] == "0.4", sys.argv
records = [record.split("\\n")[0] for record in open(sys.argv[2]).read().split(">")[1:]]
with open(sys.argv[4], "w") as table:
    for one in records:
        for other in records:
            if one == other or {{one[:4], other[:4]}} == set({alike}):
                table.write(one + "\\t" + other + "\\n")
"""


def test_redundant_structures_are_left_out_where_mmseqs_is(files, tmp_path, monkeypatch, here):
    """Of two that are alike the one with nucleic acids stays."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    code, _, said = call(files, "-o", tmp_path / "pack.npz")
    assert code == 0
    assert "warning: mmseqs is not on PATH" in said
    assert len(StructurePack(tmp_path / "pack.npz")) == 3
    program = tmp_path / "bin" / "mmseqs"
    program.write_text(FAKE.format(python=sys.executable, alike=["2abc", "3abc"]))
    program.chmod(stat.S_IRWXU)
    code, _, said = call(files, "-o", tmp_path / "pack.npz")
    assert code == 0
    assert "mmseqs" not in said
    assert "left out: 2abc: most of it is like others" in said
    assert StructurePack(tmp_path / "pack.npz").ids == ["1abc", "3abc"]


def test_what_cannot_be_packed_is_refused(files, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "ids.csv").write_text("name\n1abc\n")
    for arguments, code, said in (
        ((tmp_path / "nowhere",), 3, "there is no such folder"),
        ((empty,), 3, "holds no file *.cif"),
        ((files, "--ids", tmp_path / "ids.csv"), 3, "has no column 'id'"),
        ((files, "--ids", tmp_path / "none.csv"), 3, "none.csv"),
        ((files, "-o", files / "2abc.cif"), 4, "is the input"),
        ((files, "-o", tmp_path / "none" / "pack.npz"), 4, "there is no folder"),
    ):
        found, _, err = call(*arguments)
        assert found == code
        assert said in err
        assert err.count("\n") == 1


def test_the_list_of_our_pack_is_one_of_codes():
    lines = (ROOT / "configs" / "structure-pack.csv").read_text().splitlines()
    assert lines[0] == "id,resolution"
    codes = [line.split(",")[0] for line in lines[1:]]
    assert codes == sorted(set(codes))
    assert len(codes) == 1566
    assert all(len(code) == 4 and code[0].isdigit() for code in codes)
