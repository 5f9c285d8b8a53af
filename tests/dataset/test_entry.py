"""One entry of a data set: its files against other ways to the same, and every reason for which it is rejected."""

import json
import re

import gemmi
import mrcfile
import numpy as np
import pytest
from scipy.spatial import cKDTree
from simulated import RESIDUES, RESOLUTION, moved, piece, write_inputs, write_structure

from cryo2struct.dataset.entry import Limits, Options, write_entry
from cryo2struct.dataset.records import read_record
from cryo2struct.density.resample import resample
from cryo2struct.errors import InputError
from cryo2struct.evaluation.map_model import map_model
from cryo2struct.io.manifest import DatasetEntry, hashes_of
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.io.models import read_structure
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import DensityMap


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


def an_entry(inputs, **changes):
    given = {"map": inputs / "map.mrc", "model": inputs / "model.cif", "fasta": inputs / "seq.fasta"}
    return DatasetEntry(
        **{"name": "one", **given, "context": None, "resolution": RESOLUTION, "contour": None, **changes}
    )


def made(folder, entry, options=None, limits=None):
    folder.mkdir()
    return write_entry(folder, entry, hashes_of(entry), options or Options(), limits or Limits())


@pytest.fixture(scope="module")
def entry(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "one"
    made(folder, an_entry(inputs, contour=0.0), Options(raw_map=True))
    return folder


def main_chain(structure, name):
    return np.array([r[name][0].pos.tolist() for c in structure[0] for r in c if name in r])


def read_by_origin(path):
    """A file as a program reads it that knows nothing of this one: values and where voxel 0 is."""
    with mrcfile.open(path) as mrc:
        header = mrc.header
        assert (int(header.nxstart), int(header.nystart), int(header.nzstart)) == (0, 0, 0)
        assert (int(header.mapc), int(header.mapr), int(header.maps)) == (1, 2, 3)
        origin = np.array([header.origin.x, header.origin.y, header.origin.z])
        voxel = np.array([mrc.voxel_size.x, mrc.voxel_size.y, mrc.voxel_size.z])
        return mrc.data.copy(), voxel.astype(float), origin.astype(float)


@pytest.mark.parametrize(("code", "name"), [(1, "CA"), (2, "N"), (3, "C")])
def test_labels_lie_at_their_atoms(inputs, entry, code, name):
    values, voxel, origin = read_by_origin(entry / "atom_emd_normalized_map.mrc")
    found = np.argwhere(values == code)[:, ::-1] * voxel + origin
    atoms = main_chain(read_structure(inputs / "model.cif"), name)
    assert len(atoms) == RESIDUES
    there = cKDTree(found).query(atoms)[0]
    record = json.loads((entry / "entry.json").read_text())
    assert np.count_nonzero(there > 0.87) <= record["labels"]["atom"]["shared"]
    assert cKDTree(atoms).query(found)[0].max() < 0.87


def test_codes_at_the_alphas(inputs, entry):
    """Amino acids and secondary structure stand where C-alphas do; a helix is called a helix."""
    alphas = read_by_origin(entry / "atom_ca_emd_normalized_map.mrc")[0]
    amino, voxel, origin = read_by_origin(entry / "amino_emd_normalized_map.mrc")
    kinds = read_by_origin(entry / "sec_struc_emd_normalized_map.mrc")[0]
    assert np.array_equal(alphas > 0, amino > 0)
    assert np.array_equal(alphas > 0, kinds > 0)
    names = [gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA) for letter in "ARNDCQEGHILKMFPSTWYV"]
    residues = list(read_structure(inputs / "model.cif")[0][0])
    for residue in residues:
        z, y, x = np.rint((np.array(residue["CA"][0].pos.tolist()) - origin) / voxel).astype(int)[::-1]
        assert names[amino[z, y, x] - 1] == residue.name
    assert set(np.unique(kinds[kinds > 0])) <= {1, 2, 3}
    assert np.count_nonzero(kinds == 2) > RESIDUES / 3


def test_maps(inputs, entry):
    """The raw map is the resampled one; the other is it divided by a percentile of its values above 0."""
    raw, voxel, origin = read_by_origin(entry / "raw_map.mrc")
    expected = resample(read_map(inputs / "map.mrc")[0])
    assert np.allclose(raw, expected.values)
    assert np.allclose(voxel, expected.frame.voxel)
    assert np.allclose(origin, expected.frame.origin, atol=1e-4)
    normalised = read_by_origin(entry / "emd_normalized_map.mrc")[0]
    assert np.allclose(normalised, np.clip(raw / np.percentile(raw[raw > 0], 95), 0, 1), atol=1e-6)


def test_training_record(inputs, entry):
    """What training reads is the resampled map, of another level and scale, and the residues of the model."""
    record = read_record(entry / "training.npz")
    raw, voxel, origin = read_by_origin(entry / "raw_map.mrc")
    assert np.corrcoef(record.values.ravel().astype(float), raw.ravel())[0, 1] > 0.99999
    assert record.values.std(dtype=float) == pytest.approx(1, abs=1e-2)
    assert np.allclose(record.voxel, voxel)
    alphas = record.structure.xyz[record.structure.name == record.atom_names.index("CA")]
    assert np.allclose(alphas + origin, main_chain(read_structure(inputs / "model.cif"), "CA"), atol=2e-3)


def test_sequences(entry):
    full = read_sequences(entry / "full_sequence.fasta")[0].entities
    modelled = read_sequences(entry / "modelled_sequence.fasta")[0].entities
    assert len(full[0].letters) > 300
    assert len(modelled[0].letters) == RESIDUES
    assert modelled[0].letters in full[0].letters
    rows = (entry / "alignment.txt").read_text().splitlines()
    seen = "".join(row[10:] for row in rows if row.startswith("modelled"))
    whole = "".join(row[10:] for row in rows if row.startswith("full"))
    assert whole == full[0].letters
    assert len(seen) == len(whole)
    assert seen.strip("-") == modelled[0].letters == whole[seen.index(modelled[0].letters) :][:RESIDUES]


def test_record(inputs, entry):
    record = json.loads((entry / "entry.json").read_text())
    scores = map_model(read_structure(inputs / "model.cif"), read_map(inputs / "map.mrc")[0], RESOLUTION)
    assert record["scores"]["cc_mask"] == pytest.approx(scores.cc_mask, abs=1e-3)
    assert record["scores"]["cc_box"] == pytest.approx(scores.cc_box, abs=1e-3)
    assert record["scores"]["identity"] == 1
    assert record["scores"]["ca_above_contour"] > 0.9
    assert record["model"]["residues"] == RESIDUES
    assert sorted(path.name for path in entry.iterdir()) == record["files"]


def test_published_labels(inputs, tmp_path):
    made(tmp_path / "one", an_entry(inputs), Options(published_labels=True))
    values, voxel, origin = read_by_origin(tmp_path / "one" / "atom_ca_emd_normalized_map.mrc")
    alphas = main_chain(read_structure(inputs / "model.cif"), "CA")
    steps = np.ceil(np.floor(alphas.astype("f4") - origin.astype("f4")) / np.round(voxel, 5)).astype(int)
    assert {tuple(place) for place in np.argwhere(values)} == {tuple(place[::-1]) for place in steps}


def test_assembly_larger_than_the_map(inputs, tmp_path):
    """What lies outside is left out and told; the rest is as without it."""
    model = read_structure(inputs / "model.cif")
    other = moved(piece(), (500, 0, 0))[0][0]
    other.name = "B"
    model[0].add_chain(other)
    write_structure(model, tmp_path / "large.cif")
    record = made(tmp_path / "one", an_entry(inputs, model=tmp_path / "large.cif"))
    assert record["model"]["residues_outside"] == RESIDUES
    assert (record["model"]["residues"], record["model"]["chains"]) == (RESIDUES, 1)
    assert record["labels"]["atom_ca"]["labels"] == RESIDUES


def test_pdb_model_and_no_fasta(inputs, tmp_path):
    read_structure(inputs / "model.cif").write_pdb(str(tmp_path / "model.pdb"))
    record = made(tmp_path / "one", an_entry(inputs, model=tmp_path / "model.pdb", fasta=None))
    assert record["model"]["residues"] == RESIDUES
    assert len(read_sequences(tmp_path / "one" / "full_sequence.fasta")[0].entities[0].letters) >= RESIDUES


def test_the_models_file_may_tell_the_resolution(inputs, tmp_path):
    structure = read_structure(inputs / "model.cif")
    structure.resolution = 3.2
    structure.write_pdb(str(tmp_path / "model.pdb"))
    record = made(tmp_path / "one", an_entry(inputs, model=tmp_path / "model.pdb", resolution=None))
    assert record["resolution"] == 3.2


def tilted(inputs, path):
    (path / "tilted.mrc").write_bytes((inputs / "map.mrc").read_bytes())
    with mrcfile.open(path / "tilted.mrc", mode="r+") as mrc:
        mrc.header.cellb.beta = 100
    return {"map": path / "tilted.mrc"}


def negative(inputs, path):
    density = read_map(inputs / "map.mrc")[0]
    values = density.values - density.values.max() - 1
    write_map(path / "negative.mrc", DensityMap(values, density.frame))
    return {"map": path / "negative.mrc"}


def model_file(structure, path):
    write_structure(structure, path / "other.cif")
    return {"model": path / "other.cif"}


def without_protein(inputs, path):
    structure = piece(residues=1)
    structure[0][0][0].name = "ATP"
    for name in ("CA", "N", "C"):
        structure[0][0][0].remove_atom(name, "\0", gemmi.Element(name[0]))
    return model_file(structure, path)


def nucleic_sequence(inputs, path):
    (path / "dna.fasta").write_text(">d\nACGTACGTACGTTTACG\n")
    return {"fasta": path / "dna.fasta"}


def damaged(inputs, path):
    (path / "damaged.mrc").write_bytes((inputs / "map.mrc").read_bytes()[:5000])
    return {"map": path / "damaged.mrc"}


REASONS = {
    "axes": (tilted, r"cell angles 90 100 90 are not 90 degrees"),
    "cut map": (damaged, r"damaged\.mrc: truncated"),
    "negative map": (negative, r"no voxel is above 0"),
    "outside": (lambda i, p: model_file(moved(piece(), (0, 400, 0)), p), r"none of 45 C-alphas lies in .*map\.mrc"),
    "elsewhere in the map": (lambda i, p: model_file(moved(piece(), (9, -8, 9)), p), r"CC_\w+ -?0\.\d+ is not above"),
    "no protein": (without_protein, r"other\.cif: holds no protein residue"),
    "no model": (lambda i, p: {"model": i / "seq.fasta"}, r"seq\.fasta: (is no readable mmCIF or PDB|holds no atom)"),
    "no sequence": (nucleic_sequence, r"dna\.fasta: holds no protein sequence"),
    "no resolution": (lambda i, p: {"resolution": None}, r"neither the list nor .* tells the resolution"),
    "too coarse": (lambda i, p: {"resolution": 4.01}, r"resolution 4\.01 A is not within 1 to 4 A"),
    "too fine": (lambda i, p: {"resolution": 0.99}, r"resolution 0\.99 A is not within 1 to 4 A"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_rejected(inputs, tmp_path, reason):
    change, said = REASONS[reason]
    with pytest.raises(InputError) as refusal:
        made(tmp_path / "one", an_entry(inputs, **change(inputs, tmp_path)))
    assert re.search(said, str(refusal.value))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "one" / "entry.json").exists()


@pytest.mark.parametrize("score", ["cc_mask", "cc_box"])
def test_limits_of_scores(inputs, entry, tmp_path, score):
    """The score itself is not above the limit, a hair less is passed."""
    reached = json.loads((entry / "entry.json").read_text())["scores"][score]
    other = {"cc_mask": -1.0, "cc_box": -1.0}
    with pytest.raises(InputError, match=f"CC_{score[3:]} 0.* is not above .*; see --min-{score.replace('_', '-')}"):
        made(tmp_path / "a", an_entry(inputs), limits=Limits(**{**other, score: reached}))
    made(tmp_path / "b", an_entry(inputs), limits=Limits(**{**other, score: reached - 1e-6}))
