"""`cryo2struct evaluate`: every score in one command, in JSON names that scripts rely on; refusals in one line."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cryo2struct.cli.main import app
from cryo2struct.evaluation.ca import ca_points
from cryo2struct.io.candidates import write_candidates
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import Candidates, DensityMap

DATA = Path(__file__).parents[1] / "data"
MAP, MODEL = DATA / "map_model" / "map.mrc.gz", DATA / "map_model" / "model.cif.gz"
GOLDEN = json.loads(gzip.decompress((DATA / "map_model" / "golden_map_model.json.gz").read_bytes()))
FASTA = ">one\nACDEFGHIKLMNPQRSTVWY\n>two\nACDEF\n"


def evaluate(*arguments, code=0):
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "s.fasta").write_text(FASTA)
    done = evaluate(
        *(MODEL, MODEL, "--map", MAP, "--resolution", 2.2, "--fasta", folder / "s.fasta"),
        *("--json", folder / "scores.json", "--per-residue", folder / "residues.csv"),
    )
    with (folder / "residues.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return done.stdout, json.loads((folder / "scores.json").read_text()), rows


def test_a_structure_against_itself_has_the_best_scores(scored):
    _, scores, _ = scored
    assert scores["chain_comparison"]["default"]["found_percent"] == 100
    assert scores["ca"]["at_1.0"]["f1"] == 1
    assert scores["chamfer"] == 0
    for name in ("tm_score", "lddt_ca", "lddt_all_atom", "direction_correct"):
        assert scores[name] == pytest.approx(1, abs=1e-6), name
    assert scores["superposition_rmsd"] == pytest.approx(0, abs=1e-4)


def test_map_scores_stand_under_the_names_that_scripts_read(scored):
    """Golden values are those of mmtbx; that they are met to the last digit asked for is tested beside the scores."""
    _, scores, _ = scored
    golden = GOLDEN["map_model_cc"]
    for name in ("cc_mask", "cc_box", "cc_volume", "cc_peaks"):
        assert scores["map_model"][name] == pytest.approx(golden[name], abs=0.005)
    for kind in ("masked", "unmasked"):
        crossings = scores["map_model"]["fsc"][kind]
        assert 2 < crossings["d_fsc_model_05"] < 4
        assert crossings["d_fsc_model_0143"] <= crossings["d_fsc_model_05"]
    assert 0.5 < scores["q_score"]["mean_q"] < 1
    assert scores["geometry"]["ramachandran"]["n"] > 100
    assert scores["sequence"] == {"residues": 25, "built": 141, "built_per_residue": 141 / 25}


def test_one_row_for_each_residue(scored):
    _, _, rows = scored
    residues = [
        (chain.name, str(residue.seqid.num))
        for chain in read_structure(MODEL)[0]
        for residue in chain
        if "CA" in residue
    ]
    assert [(row["chain"], row["number"]) for row in rows] == residues
    for row in rows:
        assert -1 < float(row["cc"]) < 1
        assert -1 < float(row["q_score"]) < 1
        assert float(row["distance_to_target"]) == 0
        assert row["type_right"] == "True"


def test_the_terminal_shows_what_was_asked_for(scored):
    shown, _, _ = scored
    for title in ("chain_comparison", "C-alpha positions", "TM-score", "CC_mask", "Q-score", "Ramachandran"):
        assert title in shown
    assert "TM-score" not in evaluate(MODEL).stdout


def test_half_maps_tell_the_resolution_and_make_the_map(tmp_path):
    density, _ = read_map(MAP)
    rng = np.random.default_rng(1)
    for name in ("1", "2"):
        noise = rng.normal(scale=density.values.std(), size=density.values.shape).astype(np.float32)
        write_map(tmp_path / f"half{name}.mrc", DensityMap(density.values + noise, density.frame))
    halves = ["--half1", tmp_path / "half1.mrc", "--half2", tmp_path / "half2.mrc"]
    evaluate(MODEL, *halves, "--json", tmp_path / "s.json")
    scores = json.loads((tmp_path / "s.json").read_text())
    told = scores["half_maps"]["d_fsc_0143"]
    assert 1.5 < told < 3
    _given, _ = (read_map(tmp_path / f"half{name}.mrc") for name in ("1", "2"))
    first, second = (read_map(tmp_path / f"half{name}.mrc")[0] for name in ("1", "2"))
    write_map(tmp_path / "mean.mrc", DensityMap((first.values + second.values) / 2, first.frame))
    evaluate(MODEL, "--map", tmp_path / "mean.mrc", "--resolution", told, "--json", tmp_path / "t.json")
    same = json.loads((tmp_path / "t.json").read_text())
    assert same["map_model"]["cc_mask"] == pytest.approx(scores["map_model"]["cc_mask"], abs=1e-5)
    assert "half_maps" not in same


def test_candidates_are_compared_with_structure_and_sequences(tmp_path):
    xyz = ca_points(read_structure(MODEL)).xyz
    write_candidates(tmp_path / "c.npz", Candidates(xyz, np.ones(len(xyz)), np.full((len(xyz), 20), 0.05)))
    (tmp_path / "s.fasta").write_text(FASTA)
    evaluate(tmp_path / "c.npz", MODEL, "--fasta", tmp_path / "s.fasta", "--json", tmp_path / "s.json")
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["ca"]["at_1.0"]["recall"] == 1
    assert scores["sequence"]["candidates_per_residue"] == pytest.approx(141 / 25)
    assert not {"chain_comparison", "tm_score", "geometry", "map_model"} & set(scores)


def test_a_model_in_no_density_scores_zero_with_a_note(tmp_path):
    density, _ = read_map(MAP)
    away = density.frame.__class__(density.frame.shape, density.frame.voxel, density.frame.origin + 500)
    write_map(tmp_path / "away.mrc", DensityMap(density.values, away))
    done = evaluate(MODEL, "--map", tmp_path / "away.mrc", "--resolution", 2.2, "--json", tmp_path / "s.json")
    scores = json.loads((tmp_path / "s.json").read_text(), parse_constant=pytest.fail)
    assert scores["map_model"]["cc_mask"] == 0
    assert scores["map_model"]["notes"]
    assert "note" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--map", MAP], 2, "--resolution"),
        (["--map", MAP, "--resolution", "0"], 2, "--resolution"),
        (["--half1", MAP], 2, "--half2"),
        (["--half2", MAP], 2, "--half1"),
        (["--max-dist", "-1"], 2, "--max-dist"),
        (["--map", MODEL, "--resolution", "3"], 3, "model.cif.gz"),
        (["none.cif"], 3, "none.cif"),
        (["--json", MODEL], 4, "is the input"),
        (["--per-residue", MODEL], 4, "is the input"),
    ],
)
def test_refusals(arguments, code, said):
    import sys
    from subprocess import run

    done = run(
        [sys.executable, "-m", "cryo2struct.cli.main", "evaluate", MODEL, *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
