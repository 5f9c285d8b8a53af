"""`complete`: all atoms on another program's C-alphas, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryo2struct import preflight
from cryo2struct.cli.complete import check_outputs
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.errors import InputError, OutputError, UsageError
from cryo2struct.io.maps import write_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, Entity, Model, Sequences
from cryo2struct.record import Recorder
from cryo2struct.saving import save_model

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "examples" / "emd_6272" / "reference.cif"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Folder with 45 residues of the reference: truth.cif, their map, FASTA, and C-alphas as Cryo2Struct writes them.

    These begin with a line of no PDB record; serial and residue numbers count from 0; the B column is 0 to 1.
    """
    folder = tmp_path_factory.mktemp("complete")
    structure = read_structure(REFERENCE)
    del structure[0]["A"][45:]
    structure.make_mmcif_document().write_file(str(folder / "truth.cif"))
    density = simulate(structure, box_around(structure, 3.0, 1.0, 8.0, 10**7), 3.0)
    write_map(folder / "map.mrc", density, "simulated")
    letters = gemmi.one_letter_code([residue.name for residue in structure[0]["A"]])
    (folder / "seq.fasta").write_text(f">protein\nMSG{letters}KLV\n")
    lines = ["Author Cryo2Struct\n"]
    for residue in [*structure[0]["A"]][:20] + [*structure[0]["A"]][23:]:
        number, point = len(lines) - 1, residue["CA"][0].pos
        place = "".join(f"{value:8.3f}" for value in point.tolist())
        lines.append(f"ATOM  {number:5d}  CA  {residue.name} Q{number:4d}    {place}   1.0   0.7           C  \n")
    (folder / "ca.pdb").write_text("".join(lines))
    return folder, density


def run(folder, *arguments):
    command = [sys.executable, "-m", "cryo2struct.cli.main", "complete", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_c_alphas_become_a_model_for_refinement(case):
    folder, _ = case
    given = ["ca.pdb", "--map", "map.mrc", "--fasta", "seq.fasta", "-o", "model.pdb", "--device", "cpu"]
    done = run(folder, *given, "--resolution", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "model.pdb\n"
    model, truth = read_structure(folder / "model.pdb"), read_structure(folder / "truth.cif")
    (chain,) = model[0]
    assert chain.name == "Q"
    # the numbers are positions in the FASTA sequence, and the gap is where the C-alphas have it
    assert [residue.seqid.num for residue in chain] == [*range(4, 24), *range(27, 49)]
    assert {atom.b_iso for residue in chain for atom in residue} == {70}
    known = {residue.seqid.num: residue for residue in truth[0]["A"]}
    first = truth[0]["A"][0].seqid.num
    far = []
    for residue in chain:
        twin = known[residue.seqid.num - 4 + first]
        assert residue.name == twin.name
        assert {atom.name for atom in residue} == {atom.name for atom in twin if atom.name != "OXT"}
        far += [residue.find_atom(name, "*").pos.dist(twin.find_atom(name, "*").pos) for name in ("N", "CA", "C")]
    assert np.sqrt(np.mean(np.square(far))) < 0.6
    handed = {path.name for path in (folder / "model_handover").iterdir()}
    assert {"model_for_refinement.cif", "map.mrc", "phenix_refine.eff"} <= handed
    before = (folder / "model.pdb").read_bytes()
    again = run(folder, *given)
    assert again.returncode == 4
    assert again.stderr == "cryo2struct: model.pdb: exists; choose another output, or add --force\n"
    assert (folder / "model.pdb").read_bytes() == before


def test_a_chain_like_no_sequence_is_refused_in_one_line(case):
    folder, _ = case
    (folder / "other.fasta").write_text(">other\n" + "ACDEFGHIKLMNPQRSTVWY" * 3 + "\n")
    done = run(folder, "ca.pdb", "--map", "map.mrc", "--fasta", "other.fasta", "-o", "new.cif")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("cryo2struct: model: none of its 1 chains is like a sequence")
    assert not (folder / "new.cif").exists()
    assert not (folder / "new_handover").exists()


def test_maps_of_other_models_are_refused(case):
    folder, density = case
    xyz = np.array([residue[0].pos.tolist() for residue in read_structure(folder / "ca.pdb")[0][0]])
    near = preflight.around(xyz, density)
    places = density.frame.to_xyz(np.argwhere(np.ones(near.shape)))
    off = np.abs(places[:, None] - xyz).max(axis=2).min(axis=1).reshape(near.shape)
    assert near[off <= 5].all()
    assert not near[off > 6.5].any()
    with pytest.raises(InputError, match=r"42 of the 42 C-alphas are outside"):
        preflight.around(xyz + 300, density)
    with pytest.raises(InputError, match="is not above that of the box"):
        preflight.around(xyz, DensityMap(-density.values, density.frame))
    with pytest.raises(InputError, match="is not above that of the box"):
        preflight.around(xyz, DensityMap(np.zeros_like(density.values), density.frame))


def test_outputs_that_would_replace_something_are_refused(tmp_path):
    given = [tmp_path / name for name in ("ca.pdb", "map.mrc", "seq.fasta")]
    for path in given:
        path.write_text("kept")
    check_outputs(tmp_path / "model.cif", tmp_path / "model_handover", given, False)
    with pytest.raises(UsageError, match="ends in"):
        check_outputs(tmp_path / "model.mrc", None, given, True)
    with pytest.raises(OutputError, match="is the input"):
        check_outputs(tmp_path / "ca.pdb", None, given, True)
    with pytest.raises(OutputError, match="there is no folder"):
        check_outputs(tmp_path / "none" / "model.cif", None, given, True)
    (tmp_path / "model_handover").mkdir()
    with pytest.raises(OutputError, match="model_handover: exists"):
        check_outputs(tmp_path / "model.cif", tmp_path / "model_handover", given, False)
    check_outputs(tmp_path / "model.cif", tmp_path / "model_handover", given, True)
    inside = tmp_path / "model_handover" / "map.mrc"
    inside.write_text("kept")
    with pytest.raises(OutputError, match="in the folder of the hand-over"):
        check_outputs(tmp_path / "model.cif", tmp_path / "model_handover", [inside], True)
    (tmp_path / "model.pdb.cif").write_text("kept")
    with pytest.raises(OutputError, match=r"model\.pdb\.cif: exists"):
        check_outputs(tmp_path / "model.pdb", None, given, False)


def test_a_model_too_large_for_pdb_is_written_as_mmcif(case, tmp_path):
    folder, density = case
    structure = read_structure(folder / "truth.cif")
    structure[0]["A"].name = "AA"
    for number, residue in enumerate(structure[0]["AA"], 1):
        residue.subchain, residue.entity_id, residue.label_seq = "AA", "1", number
    letters = gemmi.one_letter_code([residue.name for residue in structure[0]["AA"]])
    sequences = Sequences((Entity("protein", letters, 1, "protein"),))
    record = Recorder()
    written = save_model(tmp_path / "m.pdb", Model(structure, np.ones(45)), density, sequences, "A model", record)
    assert written == tmp_path / "m.pdb.cif"
    assert [path.name for path in tmp_path.iterdir()] == ["m.pdb.cif"]
    assert "longer than the 1 letter" in record.warnings[0]
    assert read_structure(written)[0][0].name == "AA"
