"""The whole path on the bundled example: files written, record complete, README's example."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
from scipy.spatial import cKDTree

import cryo2struct
from cryo2struct.density.resample import mirrored
from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.finding import predict_and_pick
from cryo2struct.io.candidates import read_candidates
from cryo2struct.objects import DensityMap, Entity, GridFrame, Sequences
from cryo2struct.pipeline import BuildResult, build, classify
from cryo2struct.record import Recorder
from cryo2struct.saving import save_run
from cryo2struct.settings import load_settings
from cryo2struct.stereochemistry import amino_acids

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "emd_6272"


@pytest.fixture(scope="module")
def example() -> tuple[DensityMap, Sequences, BuildResult]:
    density, _ = cryo2struct.read_map(EXAMPLE / "map.mrc.gz")
    sequences, _ = cryo2struct.read_sequences(EXAMPLE / "seq.fasta")
    settings = load_settings(None, {"map.resolution": 2.6, "device": "cpu"})
    return density, sequences, cryo2struct.build(density, sequences, settings)


def test_model_agrees_with_the_reference(example):
    """Far below what docs/results.md states, so that it fails for faults and not for other weights."""
    _, _, result = example
    scores = cryo2struct.evaluate(result.model.structure, cryo2struct.read_structure(EXAMPLE / "reference.cif"))
    entire = scores["chain_comparison"]["entire_target"]
    assert entire["found_percent"] > 50
    assert entire["seq_match_percent"] > 50
    assert entire["close_rmsd"] < 1.5


def test_files_of_a_run(example, tmp_path):
    density, sequences, result = example
    inputs = {"map": EXAMPLE / "map.mrc.gz", "fasta": EXAMPLE / "seq.fasta"}
    content = save_run(tmp_path, result, density, load_settings(), inputs)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written | {"run.log"} == set(content["files"])
    assert json.loads((tmp_path / "run.json").read_text()) == json.loads(json.dumps(content))
    assert [warning for warning in content["warnings"] if "1 built; --copies emd_6272_VP6=M" in warning]
    assert content["coverage"]["A"] == {"built": len(result.trace), "residues": 397}
    assert {step["name"] for step in content["steps"]} >= {"predict", "trace"}
    assert all(step["seconds"] >= 0 and step["peak_memory_gb"] > 0 for step in content["steps"])
    model = gemmi.read_structure(str(tmp_path / "model.cif"))
    letters = sequences.entities[0].letters
    for residue in model[0]["A"]:
        assert gemmi.find_tabulated_residue(residue.name).one_letter_code == letters[residue.seqid.num - 1]
    assert len(read_candidates(tmp_path / "candidates.npz")) == len(result.candidates)
    with (tmp_path / "confidence.csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert len(table) == len(result.trace)
    atoms = {int(row["position"]): row["atoms"] for row in table}
    for residue in model[0]["A"]:
        whole = list(amino_acids()[letters[residue.seqid.num - 1]].atoms)
        whole += ["OXT"] * (residue.seqid.num == len(letters))
        assert [atom.name for atom in residue] == (whole if atoms[residue.seqid.num] == "all" else ["CA"])
    placed = list(atoms.values()).count("all")
    counts = content["counts"]
    assert counts["residues_with_backbone"] == counts["residues_with_side_chain"] == placed > 0
    assert "open model.cif" in (tmp_path / "view.cxc").read_text()


@pytest.mark.slow
def test_sequence_features(example, tmp_path):
    density, sequences, plain = example
    changes = {"map.resolution": 2.6, "device": "cpu", "sequence.features": "builtin", "tracing.attention_weight": 0.05}
    changes["sequence.esm_weights"] = "a_path_in_the_record.pt"
    settings = load_settings(None, changes)
    result = build(density, sequences, settings)
    residues = sum(len(entity.letters) for entity in sequences.entities)
    assert result.candidates.attention.shape == (len(plain.candidates), residues)
    assert np.abs(result.candidates.aa_prob - plain.candidates.aa_prob).max() > 0.01
    inputs = {"map": EXAMPLE / "map.mrc.gz", "fasta": EXAMPLE / "seq.fasta"}
    content = save_run(tmp_path, result, density, settings, inputs)
    assert [used["file"] for used in content["weights"]][2:] == ["sequence.safetensors"]
    assert read_candidates(tmp_path / "candidates.npz").attention.dtype == np.float16


def test_maps_and_the_mirrored_map_are_left(example, tmp_path):
    density, _, result = example
    inputs = {"map": EXAMPLE / "map.mrc.gz", "fasta": EXAMPLE / "seq.fasta"}
    result.record.counts["weights"] = []
    content = save_run(tmp_path, replace(result, mirrored=True), density, load_settings(), inputs, maps=True)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written | {"run.log"} == set(content["files"])
    assert written > {"ca.mrc", "confidence.mrc", "map_mirrored.mrc"}
    flipped, _ = cryo2struct.read_map(tmp_path / "map_mirrored.mrc")
    assert np.array_equal(flipped.values[:, :, ::-1], density.values)
    np.testing.assert_allclose(flipped.frame.origin, density.frame.origin)
    ca, _ = cryo2struct.read_map(tmp_path / "ca.mrc")
    z, y, x = np.rint(ca.frame.to_index(result.candidates.xyz)).astype(int).T
    assert np.median(ca.values[z, y, x]) > 20 * np.median(ca.values[ca.values > 0])
    view = (tmp_path / "view.cxc").read_text()
    assert 'open "map_mirrored.mrc"' in view
    assert "open ca.mrc" in view


QUICK = {"map.resolution": 2.6, "device": "cpu", "prediction.rotations": 1, "residues.rounds": 0, "residues.pairs": 1}


@pytest.mark.parametrize(
    ("mirror", "hand"),
    [
        ("auto", "right"),
        pytest.param("no", "left", marks=pytest.mark.slow),
        pytest.param("yes", "right", marks=pytest.mark.slow),
    ],
)
def test_a_mirrored_map(example, mirror, hand):
    """Its candidates, flipped back, are those of the map itself."""
    density, _, result = example
    record = Recorder()
    flipped = mirrored(density, density.frame)
    found = predict_and_pick(flipped, load_settings(None, {**QUICK, "map.mirror": mirror}), None, record)
    assert record.counts["handedness"]["hand"] == hand
    assert found.mirrored == record.counts["mirrored"] == (mirror != "no")
    warned = [warning for warning in record.warnings if "left-handed" in warning]
    assert len(warned) == (mirror != "yes")
    assert ("--mirror yes" in "".join(warned)) == (mirror == "no")
    near, _ = cKDTree(result.candidates.xyz).query(found.candidates.xyz)
    assert (np.median(near) < 1.0) == (mirror != "no")


def test_a_map_that_is_not_mirrored(example):
    _, _, result = example
    assert result.record.counts["handedness"]["hand"] == "right"
    assert not result.mirrored
    assert not any("left-handed" in warning for warning in result.record.warnings)


@pytest.mark.slow
def test_mirroring_what_is_not_mirrored(example):
    density, _, _ = example
    record = Recorder()
    assert not predict_and_pick(density, load_settings(None, {**QUICK, "map.mirror": "auto"}), None, record).mirrored
    wrong = predict_and_pick(density, load_settings(None, {**QUICK, "map.mirror": "yes"}), None, record)
    assert wrong.mirrored
    assert any("left-handed" in warning and "without --mirror" in warning for warning in record.warnings)


def test_readme_example_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    for name in ("map.mrc.gz", "seq.fasta"):
        shutil.copy(EXAMPLE / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert gemmi.read_structure("model.cif").cell is not None


def test_contour_and_mask_restrict_the_search(example):
    density, _, result = example
    inside = np.zeros(density.values.shape, dtype=bool)
    inside[:, :, : density.values.shape[2] // 2] = True
    record = Recorder()
    settings = load_settings(None, {"map.resolution": 2.6, "device": "cpu"})
    found = classify(density, settings, mask=inside, record=record)
    middle = density.frame.to_xyz([0, 0, density.values.shape[2] // 2])[0]
    assert 0 < len(found) < len(result.candidates)
    assert found.xyz[:, 0].max() < middle + 2
    with pytest.raises(NothingToBuildError, match="contour"):
        classify(density, load_settings(None, {"map.resolution": 2.6, "map.contour": 1e6}))


def test_noise_gives_nothing_to_build():
    values = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    noise = DensityMap(values, GridFrame((32, 32, 32), np.ones(3), np.zeros(3)))
    sequences = Sequences((Entity("x", "ACDEFGHIKLMNPQRSTVWY", 1, "protein"),))
    with pytest.raises(NothingToBuildError):
        build(noise, sequences, load_settings(None, {"map.resolution": 3.0, "device": "cpu"}))


def test_refusals_before_any_work():
    density = DensityMap(np.zeros((32, 32, 32), dtype=np.float32), GridFrame((32, 32, 32), np.ones(3), np.zeros(3)))
    nucleic = Sequences((Entity("r", "ACGU", 1, "rna"),))
    with pytest.raises(InputError, match="no protein"):
        build(density, nucleic, load_settings())


def test_resolution_is_judged(example):
    density, _, _ = example
    with pytest.raises(InputError, match="worse than 8"):
        classify(density, load_settings(None, {"map.resolution": 9.0}))
    record = Recorder()
    classify(density, load_settings(None, {"map.resolution": 5.0, "device": "cpu"}), record=record)
    assert any("unreliable" in warning for warning in record.warnings)
