"""`cryo2struct enhance` on small files, through the function that the console script calls."""

import re

import mrcfile
import numpy as np
import pytest
import scipy.ndimage
import torch
from calling import run

from cryo2struct.density import noise
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.networks.enhancer import Enhancer, EnhancerConfig
from cryo2struct.networks.store import save_weights
from cryo2struct.objects import DensityMap, GridFrame

SHAPE = (36, 40, 32)


def blob(shape=SHAPE, seed=1):
    """Structure in the middle of a box, little noise around it."""
    generator = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    middle = (np.array(shape) - 1) / 2
    inside = ((z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2) < (min(shape) / 3.2) ** 2
    values = scipy.ndimage.gaussian_filter(inside * generator.exponential(1, shape), 1.3)
    return (values + 0.002 * generator.standard_normal(shape)).astype(np.float32)


def frame(shape=SHAPE, voxel=(1.0, 1.1, 0.9), origin=(-20.0, 33.0, 9.0)):
    return GridFrame(shape, np.array(voxel), np.array(origin))


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "map.mrc"
    write_map(path, DensityMap(blob(), frame()))
    return path


def rewritten(path, density, axes, nstart, origin):
    """The map in a file of another axis order and placement (big-endian, cell not equal to the box)."""
    order = tuple(3 - axis for axis in axes[::-1])
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.ascontiguousarray(density.values.transpose(order)))
        header = mrc.header
        header.mapc, header.mapr, header.maps = axes
        header.mx, header.my, header.mz = 64, 80, 48
        header.cella.x, header.cella.y, header.cella.z = density.frame.voxel * [64, 80, 48]
        header.nxstart, header.nystart, header.nzstart = nstart
        header.origin.x, header.origin.y, header.origin.z = origin


def words(path):
    """Everything in a header that says where the voxels are."""
    with mrcfile.open(path, header_only=True, permissive=True) as mrc:
        h = mrc.header
        names = ["nx", "ny", "nz", "mode", "mx", "my", "mz", "mapc", "mapr", "maps", "ispg", "nsymbt"]
        names += ["nxstart", "nystart", "nzstart"]
        return [int(h[name]) for name in names], h.cella.tolist(), h.cellb.tolist(), h.origin.tolist()


def test_the_file_says_what_it_is(monkeypatch, capsys, plain, tmp_path):
    out = tmp_path / "out.mrc"
    code, printed, said = run(
        monkeypatch, capsys, "enhance", plain, "-o", out, "--method", "bfactor", "--resolution", 3
    )
    assert (code, printed.splitlines()[-1]) == (0, str(out))
    assert "resolution 3.00 A (given)" in said
    assert "B factor -" in said
    with mrcfile.open(out) as mrc:
        assert mrc.data.dtype == np.float32
        label = mrc.header.label[1].decode()
    assert label.startswith("enhanced: bfactor -")
    assert label.endswith("A^2 to 3.00 A; not for deposition")


@pytest.mark.parametrize(
    ("axes", "nstart", "origin"),
    [((1, 2, 3), (7, -8, 9), (0, 0, 0)), ((3, 1, 2), (-3, 0, 5), (0, 0, 0)), ((2, 1, 3), (0, 0, 0), (4.5, -3.25, 9))],
)
def test_grid_order_and_place_are_those_of_the_input(monkeypatch, capsys, plain, tmp_path, axes, nstart, origin):
    """And the values are the same, voxel for voxel, as those of the plain file."""
    density, _ = read_map(plain)
    odd, out, reference = (tmp_path / name for name in ("odd.mrc", "odd_out.mrc", "out.mrc"))
    rewritten(odd, density, axes, nstart, origin)
    for given, made in ((plain, reference), (odd, out)):
        code, *_ = run(monkeypatch, capsys, "enhance", given, "-o", made, "--method", "bfactor", "--resolution", 3)
        assert code == 0
    assert words(out) == words(odd)
    wanted = read_map(reference)[0].values
    np.testing.assert_allclose(read_map(out)[0].values, wanted, atol=1e-5 * wanted.std())  # voxel sizes are rounded


def test_contrast_is_that_of_the_original(monkeypatch, capsys, plain, tmp_path):
    out = tmp_path / "out.mrc"
    run(monkeypatch, capsys, "enhance", plain, "-o", out, "--method", "bfactor", "--resolution", 3)
    before, after = read_map(plain)[0].values, read_map(out)[0].values
    middle = tuple(slice(n // 3, 2 * n // 3) for n in SHAPE)
    assert np.sqrt(np.mean(after[middle] ** 2)) == pytest.approx(np.sqrt(np.mean(before[middle] ** 2)), rel=0.15)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.5


def test_what_a_mask_zeroed_stays_zero(monkeypatch, capsys, tmp_path):
    values = blob()
    z, y, x = np.indices(values.shape)
    outside = (z - 18) ** 2 + (y - 20) ** 2 + (x - 16) ** 2 > 14**2
    values[outside] = 0
    path, out = tmp_path / "masked.mrc", tmp_path / "out.mrc"
    write_map(path, DensityMap(values, frame()))
    code, _, said = run(monkeypatch, capsys, "enhance", path, "-o", out, "--method", "bfactor", "--resolution", 3)
    assert code == 0
    assert "warning: map: is masked: what the noise around the molecule becomes cannot be judged" in said
    after = read_map(out)[0].values
    assert not after[outside].any()
    assert np.count_nonzero(after[~outside]) > 0.99 * (~outside).sum()


def test_resolution_is_estimated_where_it_is_not_given(monkeypatch, capsys, plain, tmp_path):
    code, _, said = run(monkeypatch, capsys, "enhance", plain, "-o", tmp_path / "out.mrc", "--method", "bfactor")
    assert code == 0
    assert "(estimated from the map)" in said


def pair_of(folder, resolution=4.0):
    """Files of two half maps, and of their mean."""
    halves = noise.half_maps(DensityMap(blob(), frame()), resolution, np.random.default_rng(6))
    paths = [folder / name for name in ("half1.mrc", "half2.mrc", "mean.mrc")]
    mean = DensityMap((halves[0].values + halves[1].values) * np.float32(0.5), frame())
    for path, density in zip(paths, [*halves, mean], strict=True):
        write_map(path, density)
    return paths


def test_half_maps_alone_are_enough(monkeypatch, capsys, tmp_path):
    first, second, mean = pair_of(tmp_path)
    options = ["--method", "halfmaps", "--half1", first, "--half2", second]
    made = []
    for given in ([], [mean]):
        out = tmp_path / f"out{len(given)}.mrc"
        code, printed, said = run(monkeypatch, capsys, "enhance", *given, "-o", out, *options)
        assert (code, printed.splitlines()[-1]) == (0, str(out))
        assert "(FSC 0.143 of the half maps)" in said
        assert "local resolution" in said
        made.append(read_map(out)[0].values)
    np.testing.assert_array_equal(*made)
    with mrcfile.open(out, header_only=True) as mrc:
        assert mrc.header.label[1].decode().startswith("enhanced: halfmaps, bfactor ")
    for path in (first, second):  # a constant on both changes nothing but the level
        half, _ = read_map(path)
        write_map(path, DensityMap(half.values + np.float32(0.5), half.frame))
    run(monkeypatch, capsys, "enhance", mean, "-o", out, *options)
    np.testing.assert_allclose(read_map(out)[0].values, made[0], atol=0.02 * made[0].std())
    noise_left, noise_before = (values[:7, :7, :7].std() for values in (made[0], read_map(mean)[0].values))
    assert noise_left < noise_before  # sharpening alone would raise it


def test_resolution_of_half_maps_serves_the_other_methods(monkeypatch, capsys, plain, tmp_path):
    first, second, _ = pair_of(tmp_path)
    options = ["-o", tmp_path / "out.mrc", "--method", "bfactor", "--half1", first, "--half2", second]
    assert "(FSC 0.143 of the half maps)" in run(monkeypatch, capsys, "enhance", plain, *options)[2]
    assert "2.50 A (given)" in run(monkeypatch, capsys, "enhance", plain, *options, "--resolution", 2.5)[2]


def test_refused_half_maps(monkeypatch, capsys, plain, tmp_path):
    first, second, _ = pair_of(tmp_path)
    moved, copy = tmp_path / "moved.mrc", tmp_path / "copy.mrc"
    write_map(moved, DensityMap(blob(), frame(voxel=(1.2, 1.2, 1.2))))
    copy.write_bytes(first.read_bytes())
    out = ["-o", tmp_path / "out.mrc", "--method", "halfmaps"]
    for arguments, code, words in [
        ([plain, *out], 2, "--method halfmaps: needs both half maps; give --half1 and --half2"),
        ([*out], 2, "MAP: is missing; give a map, or --half1 and --half2"),
        ([*out, "--half1", first], 2, "--half1: a half map alone says nothing; give --half2 as well"),
        ([*out, "--half2", first], 2, "--half2: a half map alone says nothing; give --half1 as well"),
        ([*out, "--half1", first, "--half2", first], 3, "is the file of --half1; give the other half map"),
        ([*out, "--half1", first, "--half2", copy], 3, "holds the same values as --half1"),
        ([*out, "--half1", first, "--half2", moved], 3, "--half2: its grid is not that of --half1"),
        ([moved, *out, "--half1", first, "--half2", second], 3, "--half1: its grid is not that of MAP"),
        (["-o", second, "--method", "halfmaps", "--half1", first, "--half2", second], 4, "is the input"),
    ]:
        found, printed, said = run(monkeypatch, capsys, "enhance", *arguments)
        assert (found, printed) == (code, "")
        assert words in said.splitlines()[-1]
    assert not (tmp_path / "out.mrc").exists()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network that has learnt nothing."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    config = EnhancerConfig("plain", (16, 16, 32), 1)
    save_weights(folder, "enhancer", Enhancer(config).state_dict(), {"config": config.as_dict()})
    return folder


def test_the_network_in_any_frame(monkeypatch, capsys, plain, weights, tmp_path):
    density, _ = read_map(plain)
    odd, out, reference = (tmp_path / name for name in ("odd.mrc", "odd_out.mrc", "out.mrc"))
    rewritten(odd, density, (2, 3, 1), (5, -6, 7), (0, 0, 0))
    for given, made in ((plain, reference), (odd, out)):
        options = ["-o", made, "--weights", weights, "--device", "cpu", "--resolution", 3]
        code, printed, said = run(monkeypatch, capsys, "enhance", given, *options)
        assert (code, printed.splitlines()[-1]) == (0, str(made))
    assert words(out) == words(odd)
    assert "warning: map: the network sees little of a molecule (contrast 0." in said
    wanted = read_map(reference)[0].values
    assert 0 < wanted.std() < 0.7 * density.values.std()  # a network without training gives next to nothing
    np.testing.assert_allclose(read_map(out)[0].values, wanted, atol=0.02 * wanted.std())  # bfloat16
    with mrcfile.open(out, header_only=True) as mrc:
        assert re.fullmatch(r"enhanced: neural [0-9a-f]{8}; not for deposition", mrc.header.label[1].decode())


def test_weights_that_are_missing(monkeypatch, capsys, plain, tmp_path):
    options = ["-o", tmp_path / "out.mrc", "--weights", tmp_path / "none", "--resolution", 3]
    code, printed, said = run(monkeypatch, capsys, "enhance", plain, *options)
    assert (code, printed) == (6, "")
    assert "manifest.json: not found" in said
    assert not (tmp_path / "out.mrc").exists()


def test_an_enhanced_map_is_warned_of(monkeypatch, capsys, plain, tmp_path):
    once, twice = tmp_path / "once.mrc", tmp_path / "twice.mrc"
    options = ["--method", "bfactor", "--resolution", 3]
    assert "warning" not in run(monkeypatch, capsys, "enhance", plain, "-o", once, *options)[2]
    code, _, said = run(monkeypatch, capsys, "enhance", once, "-o", twice, *options)
    assert code == 0
    assert "warning: map: its header says 'enhanced: bfactor" in said


def test_refusals(monkeypatch, capsys, plain, tmp_path):
    before = plain.read_bytes()
    for arguments, code, words in [
        (["-o", plain, "--method", "bfactor"], 4, "is the input"),
        (["-o", tmp_path / "a.mrc", "--method", "magic"], 2, "--method magic: not known; give one of"),
        (["-o", tmp_path / "a.mrc", "--method", "bfactor", "--resolution", 12], 3, "check --resolution"),
        (["-o", tmp_path / "no" / "a.mrc", "--method", "bfactor", "--resolution", 3], 4, "there is no folder"),
        (["-o", tmp_path / "a.mrc.gz", "--method", "bfactor", "--resolution", 3], 4, "uncompressed"),
        (["-o", tmp_path / "a.mrc", "--method", "bfactor", "--contour", 1e6], 5, "nothing in it stands out"),
    ]:
        found, printed, said = run(monkeypatch, capsys, "enhance", plain, *arguments)
        assert (found, printed) == (code, "")
        assert words in said.splitlines()[-1]
    assert plain.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["map.mrc"]
