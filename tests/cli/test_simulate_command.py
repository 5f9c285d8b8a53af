"""`cryo2struct simulate` as a user meets it."""

import gemmi
import numpy as np
import pytest
from typer.testing import CliRunner

from cryo2struct.cli.main import app
from cryo2struct.density.fourier import fsc
from cryo2struct.errors import InputError, OutputError, UsageError
from cryo2struct.io.maps import read_map


@pytest.fixture
def model(tmp_path):
    generator = np.random.default_rng(2)
    lines = [
        f"ATOM  {n:5d}  CA  ALA A{n:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 30.00           C\n"
        for n, (x, y, z) in enumerate(generator.uniform(10, 35, (300, 3)), 1)
    ]
    path = tmp_path / "model.pdb"
    path.write_text("".join(lines))
    return path


def simulate(*arguments):
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


def test_maps_lie_where_the_model_is_and_say_what_they_are(model, tmp_path):
    done = simulate(model, "-o", tmp_path / "map.mrc", "--resolution", 3, "--noise", "--half-maps", "--seed", 4)
    assert done.exit_code == 0, done.output
    names = ["map.mrc", "map_half1.mrc", "map_half2.mrc"]
    assert done.stdout.split() == [str(tmp_path / name) for name in names]
    whole, first, second = (read_map(tmp_path / name)[0] for name in names)
    for atom in (site.atom for site in gemmi.read_structure(str(model))[0].all()):
        z, y, x = np.rint(whole.frame.to_index(atom.pos.tolist())).astype(int)
        assert whole.values[z, y, x] > np.percentile(whole.values, 75)
    shells, correlation = fsc(first.values, second.values, whole.frame.voxel)
    assert 1 / np.interp(-0.143, -correlation[shells > 0.15], shells[shells > 0.15]) == pytest.approx(3.0, rel=0.06)
    np.testing.assert_allclose(whole.values, (first.values + second.values) / 2, atol=1e-6 * np.abs(whole.values).max())
    assert b"noise of seed 4" in (tmp_path / "map_half1.mrc").read_bytes()[:1024]
    again = tmp_path / "again.mrc"
    assert simulate(model, "-o", again, "--resolution", 3, "--noise", "--seed", 4).exit_code == 0
    assert again.read_bytes() == (tmp_path / "map.mrc").read_bytes()
    assert simulate(model, "-o", again, "--resolution", 3, "--voxel", 0.8).exit_code == 0
    clean = read_map(again)[0]
    assert clean.frame.voxel == pytest.approx([0.8] * 3)
    # Without noise there is next to nothing in the corner.
    assert np.abs(clean.values[:5, :5, :5]).max() < 0.02 * clean.values.max()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (["--resolution", "0"], UsageError),
        (["--resolution", "3", "--voxel", "2"], UsageError),
        (["--resolution", "3", "--padding", "-2"], UsageError),
        (["--resolution", "3", "--max-voxels", "1000"], InputError),
        (["--resolution", "3", "--seed", "-1"], UsageError),
        (["--resolution", "3", "--half-maps"], UsageError),
    ],
)
def test_refusals_leave_nothing(model, tmp_path, change, error):
    done = simulate(model, "-o", tmp_path / "map.mrc", *change)
    assert isinstance(done.exception, error)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pdb"]


def test_inputs_and_compressed_names_are_refused(model, tmp_path):
    before = model.read_bytes()
    assert isinstance(simulate(model, "-o", model, "--resolution", 3).exception, OutputError)
    assert model.read_bytes() == before
    assert isinstance(simulate(model, "-o", tmp_path / "map.mrc.gz", "--resolution", 3).exception, OutputError)
    assert isinstance(simulate(tmp_path / "none.cif", "-o", "map.mrc", "--resolution", 3).exception, InputError)
