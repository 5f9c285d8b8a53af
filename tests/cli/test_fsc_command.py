"""`cryo2struct fsc` as a user meets it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cryo2struct.cli.main import app
from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.objects import DensityMap, GridFrame


def fsc(*arguments):
    return CliRunner().invoke(app, ["fsc", *map(str, arguments)])


@pytest.fixture
def halves(tmp_path):
    """Two half maps: the signal is all in the terms below 1 / (4 angstrom), the noise everywhere."""
    rng = np.random.default_rng(0)
    frame = GridFrame((40, 40, 40), np.full(3, 1.0), np.zeros(3))
    s = np.linalg.norm(np.stack(np.meshgrid(*[np.fft.fftfreq(40)] * 3, indexing="ij")), axis=0)
    signal = np.fft.ifftn(np.where(s < 0.25, np.fft.fftn(rng.normal(size=frame.shape)), 0)).real
    paths = [tmp_path / "half1.mrc", tmp_path / "half2.mrc"]
    for path in paths:
        values = signal + 0.1 * rng.normal(size=frame.shape)
        write_map(path, DensityMap(values.astype(np.float32), frame))
    return paths


def test_curve_crossings_json_and_picture(halves, tmp_path):
    files = [tmp_path / "curve.json", tmp_path / "curve.png"]
    done = fsc(*halves, "--json", files[0], "--picture", files[1])
    assert done.exit_code == 0, done.output
    written = json.loads(files[0].read_text())
    # The shell of 4 A holds terms on both sides of the cut, the next at 1 / 0.275 none that agree.
    assert 1 / 0.275 < written["d_fsc_0143"] <= written["d_fsc_05"] < 1 / 0.225
    assert f"FSC 0.143: {written['d_fsc_0143']:.2f} A" in done.stdout
    assert f"FSC 0.5: {written['d_fsc_05']:.2f} A" in done.stdout
    curve = dict(zip(np.round(written["curve"]["d_inv"], 4), written["curve"]["fsc"], strict=True))
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()[:2] == "0."]
    assert 5 <= len(rows) <= 16
    assert all(float(value) == pytest.approx(curve[float(d_inv)], abs=6e-4) for d_inv, _, value in rows)
    assert float(rows[-1][1]) == pytest.approx(2.0)
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_a_mask_changes_the_curve(halves, tmp_path):
    half = read_map(halves[0])[0]
    mask = np.zeros(half.frame.shape, dtype=np.float32)
    mask[10:30, 10:30, 10:30] = 1
    write_map(tmp_path / "mask.mrc", DensityMap(mask, half.frame))
    names = [tmp_path / "all.json", tmp_path / "masked.json"]
    assert fsc(*halves, "--json", names[0]).exit_code == 0
    done = fsc(*halves, "--mask", tmp_path / "mask.mrc", "--json", names[1])
    assert done.exit_code == 0, done.output
    whole, masked = (json.loads(name.read_text())["curve"]["fsc"] for name in names)
    assert whole != masked


def test_a_map_and_itself_never_fall(halves):
    done = fsc(halves[0], halves[0])
    assert done.stdout.count("not reached before the Nyquist frequency") == 2


def test_refusals_leave_nothing(halves, tmp_path):
    half = read_map(halves[0])[0]
    other = tmp_path / "other.mrc"
    write_map(other, DensityMap(half.values, GridFrame(half.frame.shape, half.frame.voxel, half.frame.origin + 7)))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    refused = fsc(halves[0], other, "--json", tmp_path / "curve.json")
    assert isinstance(refused.exception, InputError)
    assert fsc(halves[0], other, "--origin", "zero").exit_code == 0
    assert isinstance(fsc(halves[0], tmp_path / "none.mrc").exception, InputError)
    assert isinstance(fsc(*halves, "--json", halves[1]).exception, OutputError)
    assert isinstance(fsc(*halves, "--picture", tmp_path / "curve.doc").exception, OutputError)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
