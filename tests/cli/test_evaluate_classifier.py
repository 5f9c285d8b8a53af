"""`evaluate-classifier` as a user meets it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cryo2struct.cli.main import main
from cryo2struct.evaluation.ca import ca_residues
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, GridFrame

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_6272"
HEADER = "map,model,resolution,residues,nucleotides,near_model,exclude,fasta"
KNOWN = f"map.mrc,{EXAMPLE}/reference.cif,2.6,397,0,4,exclude.txt,"
UNKNOWN = f"map.mrc,,2.6,,,,,{EXAMPLE}/seq.fasta"
QUICK = ["--set", "prediction.rotations=1", "--set", "residues.rounds=0", "--threads", "1"]
EDGE = 48


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A part of the example's map, and a list of the residues that are not well inside of it."""
    density, _ = read_map(EXAMPLE / "map.mrc.gz")
    low = np.array([30, 8, 6])  # z, y, x; voxels of 1 A
    z, y, x = low
    frame = GridFrame((EDGE,) * 3, density.frame.voxel, density.frame.to_xyz(low))
    write_map(tmp_path / "map.mrc", DensityMap(density.values[z : z + EDGE, y : y + EDGE, x : x + EDGE], frame))
    keys, truth = ca_residues(read_structure(EXAMPLE / "reference.cif"))
    index = frame.to_index(truth.xyz)
    outside = ((index < 5) | (index > EDGE - 6)).any(axis=1)
    assert 50 < (~outside).sum() < 200
    listed = [f"{chain} {number}\n" for (chain, number, _), out in zip(keys, outside, strict=True) if out]
    (tmp_path / "exclude.txt").write_text((EXAMPLE / "exclude.txt").read_text() + "".join(listed))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command; gives exit code, standard output and standard error."""
    threads = torch.get_num_threads()

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cryo2struct", "evaluate-classifier", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, *capsys.readouterr()

    yield run
    torch.set_num_threads(threads)


def test_figures_of_the_example(folder, run):
    (folder / "index.csv").write_text("\n".join([HEADER, KNOWN, UNKNOWN]) + "\n")
    code, shown, steps = run("index.csv", "--json", "f.json", "--reliability", "r.png", *QUICK)
    assert code == 0, steps
    lines = steps.splitlines()
    assert [line.split()[0] for line in lines] == ["1/2", "2/2"]
    assert "secondary" in shown
    content = json.loads((folder / "f.json").read_text())
    known, unknown = content["maps"]
    presence, types = (content["reliability"][name]["bins"] for name in ("presence", "types"))
    counted, right = sum(b["count"] for b in presence), sum(b["count"] * (b["observed"] or 0) for b in presence)
    assert right / counted == pytest.approx(known["ca_precision_2A"])
    assert sum(b["count"] for b in types) == round(right)
    assert (folder / "r.png").read_bytes().startswith(b"\x89PNG")
    assert list(known) == [
        *("map", "resolution", "residues", "nucleotides", "ca_recall_2A", "ca_precision_2A", "ca_rms_2A"),
        *("ca_recall_3A", "ca_precision_3A", "type_at_ca", "type_nats", "ss_at_ca", "next_angle_median"),
        *("prev_angle_median", "false_ca_per_nucleotide", "seconds"),
    ]
    assert known["ca_recall_2A"] > 0.95
    assert known["ca_precision_2A"] > 0.9
    assert known["type_at_ca"] > 0.2
    assert known["type_nats"] > 0.5
    assert known["ss_at_ca"] > 0.7
    assert max(known["next_angle_median"], known["prev_angle_median"]) < 30
    assert list(unknown) == ["map", "resolution", "candidates", "candidates_per_residue", "seconds"]
    assert unknown["candidates"] > 50
    assert unknown["candidates_per_residue"] == pytest.approx(unknown["candidates"] / 397)


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        (f"{HEADER}\n{KNOWN}", ["--json", "index.csv"], 4, "is the input"),
        (f"{HEADER}\n{KNOWN.replace('2.6', '9.5')}", [], 3, "map.mrc: map: resolution 9.5 A is worse"),
        (f"{HEADER}\n{KNOWN.replace('map.mrc', 'none.mrc')}", [], 3, "row 2, map: there is no file"),
        (f"{HEADER}\n{KNOWN}", ["--weights", "nowhere"], 6, "nowhere"),
        (f"{HEADER}\n{KNOWN}", ["--reliability", "index.csv"], 4, "is the input"),
        (f"{HEADER}\n{KNOWN}", ["--reliability", "r.nonsense"], 4, "r.nonsense: .nonsense is no kind of picture"),
    ],
)
def test_refusals(folder, run, text, arguments, code, said):
    (folder / "index.csv").write_text(text + "\n")
    refused, shown, line = run("index.csv", *arguments)
    assert refused == code
    assert said in line
    assert len(line.splitlines()) == 1
    assert not shown
