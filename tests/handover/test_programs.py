"""What the programs that the hand-over is for make of its files; each where it is installed.

cctbx is asked in a process of its own (it cannot share one with gemmi), by the Python that CCTBX_PYTHON names, else by
this one. servalcat needs the CCP4 monomer library as well (CLIBD_MON), Phenix its own installation.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.handover import write_handover
from cryo2struct.handover.texts import phenix_parameters
from cryo2struct.io.models import read_structure
from cryo2struct.objects import Entity, Model, Sequences

REFERENCE = Path(__file__).parents[2] / "examples" / "emd_6272" / "reference.cif"
CCTBX = os.environ.get("CCTBX_PYTHON", sys.executable)
DOCUMENTED = {
    "data_manager.real_map_files": '"map.mrc"',
    "data_manager.model.file": '"model_for_refinement.cif"',
    "data_manager.model.type": "electron",
    "resolution": "3.00",
    "ncs_constraints": "False",
    "pdb_interpretation.secondary_structure.enabled": "True",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Hand-over of 60 residues of the reference."""
    path = tmp_path_factory.mktemp("programs")
    structure = read_structure(REFERENCE)
    structure.remove_alternative_conformations()
    chain = structure[0]["A"]
    del chain[60:]
    for number, residue in enumerate(chain, 1):
        residue.seqid, residue.label_seq, residue.subchain, residue.entity_id = (
            gemmi.SeqId(number, " "),
            number,
            "A",
            "1",
        )
    letters = gemmi.one_letter_code([residue.name for residue in chain])
    sequences = Sequences((Entity("protein", letters, 1, "protein"),))
    density = simulate(structure, box_around(structure, 3.0, 1.0, 8.0, 10**7), 3.0)
    assert not write_handover(path, Model(structure, np.ones(60)), sequences, density, 3.0, title="A model").faults
    return path


def definitions(text):
    """Full names and values of a file in PHIL, of which it knows scopes and one definition a line."""
    found, scopes = {}, []
    for line in text.splitlines():
        if opened := re.fullmatch(r"\s*(\w+) \{", line):
            scopes.append(opened[1])
        elif re.fullmatch(r"\s*\}", line):
            scopes.pop()
        else:
            name, value = re.fullmatch(r"\s*(\w+) = (.+)", line).groups()
            full = ".".join([*scopes, name])
            assert full not in found
            found[full] = value
    assert not scopes
    return found


def test_the_parameters_of_phenix_are_those_documented():
    assert definitions(phenix_parameters(3.0)) == DOCUMENTED


@pytest.mark.slow
def test_the_phil_parser_of_cctbx_reads_the_parameters_and_its_reader_the_models(folder):
    there = subprocess.run([CCTBX, "-c", "import libtbx.phil"], capture_output=True, check=False)
    if there.returncode != 0:
        pytest.skip("needs cctbx-base, see CCTBX_PYTHON")
    code = """
import json
import libtbx.phil, iotbx.pdb
from mmtbx.validation.ramalyze import ramalyze
found = libtbx.phil.parse(file_name="phenix_refine.eff").all_definitions()
print(json.dumps({item.path: [word.value for word in item.object.words] for item in found}))
for name in ("cif", "pdb"):
    read = iotbx.pdb.input(file_name="model_for_refinement." + name)
    hierarchy = read.construct_hierarchy()
    helices = read.extract_secondary_structure()
    plot = ramalyze(pdb_hierarchy=hierarchy, outliers_only=False)
    labels = [atom.quote() for atom in hierarchy.atoms()]
    print(json.dumps([len(labels), len(set(labels)), len(helices.helices), len(helices.sheets), plot.n_total]))
"""
    done = subprocess.run([CCTBX, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parameters, cif, pdb = done.stdout.splitlines()[-3:]
    words = {name: [value.strip('"')] for name, value in DOCUMENTED.items()}
    assert json.loads(parameters) == words
    ours = read_structure(folder / "model_for_refinement.cif")
    atoms = ours[0].count_atom_sites()
    counts = [atoms, atoms, len(ours.helices), len(ours.sheets), 58]
    assert json.loads(cif) == counts
    assert json.loads(pdb) == counts


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("servalcat") and os.environ.get("CLIBD_MON")), reason="needs servalcat and CLIBD_MON"
)
def test_servalcat_refines_the_model_in_two_cycles(folder):
    (command,) = (line for line in (folder / "commands.sh").read_text().splitlines() if line.startswith("servalcat"))
    short, changed = re.subn(r"--ncycle \d+", "--ncycle 2", command)
    assert changed == 1
    done = subprocess.run(shlex.split(short), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    refined = read_structure(folder / "refined.mmcif")
    refined.remove_hydrogens()
    assert refined[0].count_atom_sites() == read_structure(folder / "model_for_refinement.cif")[0].count_atom_sites()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("phenix.real_space_refine"), reason="needs Phenix")
def test_phenix_refines_the_model_in_one_macro_cycle(folder):
    command = ["phenix.real_space_refine", "phenix_refine.eff", "macro_cycles=1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert list(folder.glob("*real_space_refined*"))
