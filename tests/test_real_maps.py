"""Experimental maps outside the repository, where CRYO2STRUCT_DATA names the folder of the data."""

import os
from pathlib import Path

import pytest

import cryo2struct

DATA = Path(os.environ.get("CRYO2STRUCT_DATA", "nowhere")) / "real"
# Some way below the figures of docs/results.md: found %, match %.
FLOORS = {"apof_20026": (80, 90), "emd_6272_3j9sA": (80, 90), "qrefine_6i5a": (75, 90), "qrefine_3j06": (65, 75)}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="CRYO2STRUCT_DATA names no data")
@pytest.mark.parametrize("name", FLOORS)
def test_build(name):
    density, _ = cryo2struct.read_map(DATA / name / "map.mrc.gz")
    sequences, _ = cryo2struct.read_sequences(DATA / name / "seq.fasta")
    result = cryo2struct.build(density, sequences, cryo2struct.load_settings())
    target = cryo2struct.read_structure(DATA / name / "model.cif")
    scores = cryo2struct.evaluate(result.model.structure, target)["chain_comparison"]["entire_target"]
    found, match = FLOORS[name]
    assert scores["found_percent"] > found
    assert scores["seq_match_percent"] > match
