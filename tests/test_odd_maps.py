"""Maps that no model is built in, or not easily, where CRYO2STRUCT_DATA names the folder of the data: what becomes of
each before a network is loaded."""

import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryo2struct import preflight
from cryo2struct.enhancement import enhance
from cryo2struct.errors import InputError
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.io.sequences import read_sequences
from cryo2struct.settings import load_settings

DATA = Path(os.environ.get("CRYO2STRUCT_DATA", "nowhere")) / "odd_maps"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason="CRYO2STRUCT_DATA names no data")]


def look(name):
    density, warnings = read_map(DATA / name / "map.mrc.gz")
    found = preflight.look(density, load_settings())
    return density, found, warnings + preflight.judge(found)


@pytest.mark.parametrize(
    ("name", "origin", "words"),
    [
        ("nomodel_emd44046", np.array([134, 124, 124]) * 1.044, []),
        ("lowres_emd6824", [0, 0, 0], ["voxel 2.64 A", "resolution"]),
        ("lowres_emd1997", [-101, -101, -101], ["voxel 2.02 A", "resolution"]),
    ],
)
def test_what_can_be_tried_is_read(name, origin, words):
    density, _, warnings = look(name)
    np.testing.assert_allclose(density.frame.origin, origin, atol=0.01)
    assert len(warnings) == len(words)
    for word, warning in zip(words, warnings, strict=True):
        assert word in warning
        assert "unreliable" in warning


@pytest.mark.parametrize("name", ["nomodel_emd44046", "lowres_emd6824", "lowres_emd1997"])
def test_an_enhanced_map_has_the_header_of_the_original(name, tmp_path):
    """Every word that says where the voxels are, bit for bit."""
    path, out = DATA / name / "map.mrc.gz", tmp_path / "out.mrc"
    density, _ = read_map(path)
    settings = load_settings(changes={"map.resolution": 6.0})
    enhanced = enhance(density, settings, method="bfactor")
    write_map(out, enhanced.density, enhanced.label)
    with mrcfile.open(path, header_only=True, permissive=True) as one, mrcfile.open(out, header_only=True) as other:
        for field in ("nx", "ny", "nz", "nxstart", "nystart", "nzstart", "mx", "my", "mz", "cella", "cellb"):
            assert one.header[field].tobytes() == other.header[field].tobytes(), field
        for field in ("mapc", "mapr", "maps", "origin"):
            assert one.header[field].tobytes() == other.header[field].tobytes(), field


def test_protein_among_nucleic_acids():
    _, found, _ = look("nomodel_emd44046")
    assert found.resolution == pytest.approx(2.99, rel=0.2)
    sequences, warnings = read_sequences(DATA / "nomodel_emd44046" / "seq.fasta")
    assert [entity.kind for entity in sequences.entities] == ["dna", "protein", "rna", "dna", "rna"]
    assert len(warnings) == 4
    preflight.require_protein(sequences)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tomogram_emd1155", "voxel 16.4 A is above 4 A"),
        ("subtomo_emd3197", "voxel 11.4 A is above 4 A"),
        ("odd_P21_axis312_emd3001", "cell angles 90 94.326 90 are not 90 degrees; in ChimeraX"),
        ("odd_C2_axis312_emd8216", "cell angles 90 111.55 90 are not 90 degrees; in ChimeraX"),
    ],
)
def test_what_cannot_be_built_in_is_refused(name, words):
    with pytest.raises(InputError, match=words):
        look(name)
