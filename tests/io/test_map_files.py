"""Reading and writing maps: every policy."""

import bz2
import gzip
import itertools
import struct
import warnings
from functools import partial

import gemmi
import mrcfile
import numpy as np
import pytest
from map_bytes import density, map_bytes, refusal

from cryo2struct.errors import InputError, OutputError, UsageError
from cryo2struct.io.maps import read_map, read_mask, write_map
from cryo2struct.objects import DensityMap, GridFrame

PERMUTATIONS = list(itertools.permutations((1, 2, 3)))


@pytest.fixture
def save(tmp_path):
    """Write the bytes of a map (see `map_bytes`) and give the path."""

    def save(values=None, name="map.mrc", **fields):
        path = tmp_path / name
        path.write_bytes(map_bytes(density() if values is None else values, **fields))
        return path

    return save


def read_quietly(path, **options):
    found, warnings_ = read_map(path, **options)
    assert warnings_ == []
    return found


def test_one_map_in_every_way_of_writing_it_is_the_same(tmp_path):
    """Axis orders, byte orders, types, fields that place it, compressions: 360 files, one DensityMap."""
    rng = np.random.default_rng(7)
    values = (np.abs(density((16, 17, 18))) + rng.random((16, 17, 18))).astype(np.float32)
    values[3, 7, 11] = 120  # z, y, x
    voxel = np.array([1.25, 1.5, 1.75])
    compressions = [bytes, partial(gzip.compress, compresslevel=1), partial(bz2.compress, compresslevel=1)]
    ways = [PERMUTATIONS, "<>", [0, 1, 2, 6, 12], ["origin", "nstart"], compressions]
    for axes, order, mode, placed_by, compress in itertools.product(*ways):
        start = rng.integers(-50, 50, 3)
        fields = {"nstart": [start[axis - 1] for axis in axes]} if placed_by == "nstart" else {"origin": start * voxel}
        # Whole numbers lose up to a half, float16 its 11th bit.
        stored = np.rint(values) if mode in (0, 1, 6) else values
        path = tmp_path / "map.mrc"
        path.write_bytes(compress(map_bytes(stored, mode=mode, order=order, axes=axes, voxel=voxel, **fields)))
        found = read_quietly(path)
        np.testing.assert_allclose(found.values, stored, rtol=2**-11 if mode == 12 else 0)
        np.testing.assert_array_equal(found.frame.voxel, voxel)
        np.testing.assert_array_equal(found.frame.origin, start * voxel)
        peak = np.unravel_index(found.values.argmax(), found.values.shape)
        np.testing.assert_array_equal(found.frame.to_xyz(peak), (start + np.array([11, 7, 3])) * voxel)
        assert found.frame.shape == values.shape
        assert found.values.dtype == np.float32
        assert found.values.flags.c_contiguous


@pytest.mark.parametrize("axes", PERMUTATIONS)
def test_mrcfile_and_gemmi_read_the_same(save, axes):
    path = save(axes=axes, nstart=(3, -4, 5), voxel=(1.1, 1.2, 1.3))
    found = read_quietly(path)
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(found.values, mrc.data.transpose([list(axes[::-1]).index(a) for a in (3, 2, 1)]))
    ccp4 = gemmi.read_ccp4_map(str(path))
    ccp4.setup(float("nan"), gemmi.MapSetup.ReorderOnly)
    np.testing.assert_array_equal(found.values, np.array(ccp4.grid.array).transpose(2, 1, 0))
    starts = np.array([ccp4.header_i32(word) for word in (5, 6, 7)])
    np.testing.assert_allclose(found.frame.origin, starts * found.frame.voxel, atol=1e-4)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compression_is_told_by_content(tmp_path, compress):
    path = tmp_path / "map.mrc"
    path.write_bytes(compress(map_bytes(density())))
    np.testing.assert_array_equal(read_quietly(path).values, density())


def test_voxel_is_cell_over_sampling_not_over_size(save):
    path = save(sampling=(48, 40, 24), cell=(72.0, 50.0, 36.0))
    np.testing.assert_allclose(read_quietly(path).frame.voxel, [1.5, 1.25, 1.5])


def test_voxel_size_overrules_the_header(save):
    path = save(cell=(0, 0, 0), nstart=(1, 2, 3))
    frame = read_quietly(path, voxel_size=1.2).frame
    np.testing.assert_allclose(frame.voxel, 1.2)
    np.testing.assert_allclose(frame.origin, [1.2, 2.4, 3.6])
    for wrong in (0, -1, float("nan")):
        with pytest.raises(UsageError) as error:
            read_map(path, voxel_size=wrong)
        assert "--voxel-size" in refusal(error)


def test_origin_policies(save):
    path = save(origin=(10.0, 20.0, 30.0), nstart=(2, 4, 6))
    found, messages = read_map(path)
    np.testing.assert_allclose(found.frame.origin, [10, 20, 30])
    assert len(messages) == 1
    assert "10 20 30" in messages[0]
    assert "3 6 9" in messages[0]
    for policy, expected in (("header", [10, 20, 30]), ("nstart", [3, 6, 9]), ("zero", [0, 0, 0])):
        np.testing.assert_allclose(read_quietly(path, origin=policy).frame.origin, expected)


def test_nstart_is_in_file_order_and_origin_in_xyz(save):
    path = save(axes=(3, 1, 2), nstart=(30, 10, 20))
    np.testing.assert_allclose(read_quietly(path).frame.origin, [15, 30, 45])


def test_origin_and_nstart_that_agree_within_half_a_voxel_are_quiet(save):
    path = save(origin=(3.6, 6.0, 9.0), nstart=(2, 4, 6))
    np.testing.assert_allclose(read_quietly(path).frame.origin, [3.6, 6, 9], rtol=1e-6)


def test_origin_that_is_no_number(save):
    path = save(origin=(float("nan"), 0, 0), nstart=(2, 4, 6))
    found, messages = read_map(path)
    np.testing.assert_allclose(found.frame.origin, [3, 6, 9])
    assert "ORIGIN" in messages[0]
    with pytest.raises(InputError) as error:
        read_map(path, origin="header")
    assert "voxel 0 at nan 0 0 A" in refusal(error)


def test_nstart_that_is_no_place(save):
    path = save(nstart=(2**31 - 1, 0, 0))
    with pytest.raises(InputError) as error:
        read_map(path)
    assert "voxel 0 at 3.22123e+09 0 0 A" in refusal(error)
    np.testing.assert_array_equal(read_quietly(path, origin="zero").frame.origin, 0)


def test_denormal_bits_in_origin_do_not_hide_nstart(save):
    path = save(origin=(1e-40, 0, 0), nstart=(2, 4, 6))
    np.testing.assert_allclose(read_quietly(path).frame.origin, [3, 6, 9])


@pytest.mark.parametrize("order", "<>")
def test_missing_machine_stamp_is_decided_by_the_fields(save, order):
    path = save(order=order, stamp=b"\0\0\0\0")
    np.testing.assert_array_equal(read_quietly(path).values, density())


@pytest.mark.parametrize("order", "<>")
def test_wrong_machine_stamp_is_overruled(save, order):
    path = save(order=order, stamp={">": b"DA\0\0", "<": b"\x11\x11\0\0"}[order])
    found, messages = read_map(path)
    np.testing.assert_array_equal(found.values, density())
    assert "machine stamp" in messages[0]


def test_missing_map_word_is_warned_of(save):
    found, messages = read_map(save(word=b"\0\0\0\0"))
    np.testing.assert_array_equal(found.values, density())
    assert "MAP" in messages[0]


def test_extended_header_is_skipped(save):
    found = read_quietly(save(extended=b"x" * 162))  # not a multiple of 4: voxels are not aligned in the file
    np.testing.assert_array_equal(found.values, density())
    assert found.values.flags.aligned


@pytest.mark.parametrize("nsymbt", [160, -5, 2**31 - 1])
def test_wrong_nsymbt_is_overruled_where_the_size_proves_it(save, nsymbt):
    found, messages = read_map(save(nsymbt=nsymbt))
    np.testing.assert_array_equal(found.values, density())
    assert "NSYMBT" in messages[0]


def test_bytes_after_the_map_are_ignored_with_a_warning(save):
    path = save()
    path.write_bytes(path.read_bytes() + b"tail")
    found, messages = read_map(path)
    np.testing.assert_array_equal(found.values, density())
    assert "ignored" in messages[0]


def test_statistics_and_labels_of_the_header_are_ignored(save):
    path = save()
    data = bytearray(path.read_bytes())
    struct.pack_into("<3f", data, 76, float("nan"), -5, 1e30)
    struct.pack_into("<fi", data, 216, -1, 9999)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_quietly(path).values, density())


def test_few_nan_become_the_median(save):
    values = density()
    values[0, 0, :3] = np.nan
    values[0, 1, :2] = np.inf, -3e38
    found, messages = read_map(save(values))
    assert "5 voxels" in messages[0]
    median = np.median(values[np.abs(values) < 1e9])
    np.testing.assert_array_equal(found.values[0, 0, :3], median)
    np.testing.assert_array_equal(found.values[0, 1, :2], median)


def test_coarse_voxel_is_warned_of(save):
    _, messages = read_map(save(voxel=(2.5, 2.5, 2.5)))
    assert "2.5 A" in messages[0]


def test_tiny_voxel_is_warned_of(save):
    _, messages = read_map(save(density((24, 24, 300)), voxel=(0.15, 1.5, 1.5)))
    assert "--voxel-size" in messages[0]


def test_binary_mask_is_warned_of(save):
    _, messages = read_map(save((density() > 50).astype(np.float32)))
    assert "mask" in messages[0]


def test_inverted_map_is_warned_of(save):
    _, messages = read_map(save(-density()))
    assert "inverted" in messages[0]


def test_identity_skew_is_quiet_and_nonsense_is_warned_of(save):
    identity = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    read_quietly(save(skew=(*identity, 0, 0, 0)))
    _, messages = read_map(save(skew=(0,) * 12))
    assert "skew" in messages[0]


def test_space_group_0_of_a_volume_and_crystal_groups_are_warned_of(save):
    _, messages = read_map(save(ispg=0))
    assert "ISPG 0" in messages[0]
    _, messages = read_map(save(ispg=19))
    assert "space group 19" in messages[0]
    read_quietly(save(ispg=401))


def test_angles_never_set_count_as_right(save):
    _, messages = read_map(save(angles=(0, 0, 0)))
    assert "angles" in messages[0]


@pytest.mark.parametrize("axes", PERMUTATIONS)
def test_written_map_is_as_it_came(save, tmp_path, axes):
    path = save(axes=axes, nstart=(3, -4, 5), sampling=(48, 40, 24), cell=(72.0, 50.0, 36.0))
    found = read_quietly(path)
    write_map(tmp_path / "out.mrc", found)
    assert mrcfile.validate(tmp_path / "out.mrc")
    with mrcfile.open(path) as before, mrcfile.open(tmp_path / "out.mrc") as after:
        np.testing.assert_array_equal(after.data, before.data)
        names = ["nx", "ny", "nz", "mode", "nxstart", "nystart", "nzstart", "mx", "my", "mz", "cella", "cellb"]
        for name in [*names, "mapc", "mapr", "maps", "ispg", "origin"]:
            assert after.header[name] == before.header[name], name


def test_written_map_keeps_both_nstart_and_origin_of_its_input(save, tmp_path):
    found, _ = read_map(save(origin=(10.0, 20.0, 30.0), nstart=(2, 4, 6)))
    write_map(tmp_path / "out.mrc", found)
    with mrcfile.open(tmp_path / "out.mrc") as mrc:
        assert mrc.header.nxstart == 2
        assert mrc.header.origin.y == 20
    moved, _ = read_map(save(origin=(10.0, 20.0, 30.0), nstart=(2, 4, 6)), origin="nstart")
    write_map(tmp_path / "moved.mrc", moved)
    np.testing.assert_allclose(read_quietly(tmp_path / "moved.mrc").frame.origin, [3, 6, 9])


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 1, 2)])
@pytest.mark.parametrize(("origin", "whole"), [((-3.0, 4.0, 12.0), True), ((-3.3, 4.0, 12.0), False)])
def test_new_grid_is_placed_by_nstart_on_whole_voxels_else_by_origin(save, tmp_path, axes, origin, whole):
    header = read_quietly(save(axes=axes)).header
    frame = GridFrame((18, 20, 22), np.array([1.0, 2.0, 1.5]), np.array(origin))
    write_map(tmp_path / "out.mrc", DensityMap(density(frame.shape), frame, header))
    with mrcfile.open(tmp_path / "out.mrc") as mrc:
        assert (mrc.header.origin.item() == (0, 0, 0)) == whole
        assert (mrc.nstart.item() != (0, 0, 0)) == whole
    found = read_quietly(tmp_path / "out.mrc")
    np.testing.assert_allclose(found.frame.origin, origin, atol=1e-5)
    np.testing.assert_allclose(found.frame.voxel, frame.voxel, rtol=1e-6)
    np.testing.assert_array_equal(found.values, density(frame.shape))
    assert found.header["axes"] == axes


def test_map_without_header_is_written_in_the_usual_order_and_always_the_same(tmp_path):
    frame = GridFrame((24, 22, 20), np.ones(3), np.zeros(3))
    for name in ("a.mrc", "b.mrc"):
        write_map(tmp_path / name, DensityMap(density(), frame))
    assert read_quietly(tmp_path / "a.mrc").header["axes"] == (1, 2, 3)
    assert (tmp_path / "a.mrc").read_bytes() == (tmp_path / "b.mrc").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mrc", "b.mrc"]
    with pytest.raises(OutputError) as error:
        write_map(tmp_path / "c.mrc.gz", DensityMap(density(), frame))
    assert "uncompressed" in refusal(error)


def test_mask_on_the_same_grid(save):
    frame = read_quietly(save(nstart=(1, 2, 3))).frame
    soft = np.clip(density() / 50, 0, 1)
    mask, messages = read_mask(save(soft, name="mask.mrc", axes=(3, 2, 1), nstart=(3, 2, 1)), frame)
    assert messages == []
    np.testing.assert_array_equal(mask.values, soft)
    _, messages = read_mask(save(soft * 3, name="mask.mrc", nstart=(1, 2, 3)), frame)
    assert "clipped" in messages[0]


def trilinear(values, index):
    """Value at fractional indices (..., 3), 0 outside: the sum over the eight neighbours, one by one."""
    result = np.zeros(index.shape[:-1])
    lower = np.floor(index).astype(int)
    for corner in itertools.product((0, 1), repeat=3):
        node = lower + corner
        inside = ((node >= 0) & (node < values.shape)).all(axis=-1)
        weight = (1 - np.abs(index - node)).prod(axis=-1)
        result += np.where(inside, weight * values[tuple(np.where(inside, n, 0) for n in np.moveaxis(node, -1, 0))], 0)
    return result


@pytest.mark.parametrize(
    "fields",
    [
        {"nstart": (4, 2, -3)},
        {"nstart": (1, 2, 3), "voxel": (1.2, 1.7, 3.1)},
        {"origin": (-3.3, 8.1, 6.0), "voxel": (0.9, 0.9, 0.9), "axes": (2, 3, 1)},
        {"origin": (1.5, 3.0, 4.5), "voxel": (6.0, 6.0, 6.0)},
    ],
)
def test_mask_on_another_grid_is_resampled(save, fields):
    frame = read_quietly(save(nstart=(1, 2, 3))).frame
    soft = np.clip(np.random.default_rng(3).normal(0.5, 0.5, (15, 18, 21)), 0, 1).astype(np.float32)
    path = save(soft, name="mask.mrc", **fields)
    mask, (warning,) = read_mask(path, frame)
    assert "18x15 voxels" in warning
    assert "20x22x24 voxels" in warning
    assert mask.frame is frame
    own = np.array(fields.get("voxel", (1.5, 1.5, 1.5)))
    corner = np.array(fields.get("origin", np.array(fields.get("nstart", (0, 0, 0))) * own))
    places = np.moveaxis(np.indices(frame.shape), 0, -1)[..., ::-1] * frame.voxel + frame.origin
    np.testing.assert_allclose(mask.values, trilinear(soft, ((places - corner) / own)[..., ::-1]), atol=1e-5)


def test_mask_may_be_the_same_everywhere(save):
    frame = read_quietly(save()).frame
    mask, _ = read_mask(save(np.ones((8, 8, 8), np.float32), name="mask.mrc", nstart=(2, 3, 4)), frame)
    inside = np.zeros(frame.shape)
    inside[4:12, 3:11, 2:10] = 1
    np.testing.assert_array_equal(mask.values > 0.5, inside)


def test_mask_beside_the_map_is_refused_with_both_grids(save):
    frame = read_quietly(save(nstart=(1, 2, 3))).frame
    with pytest.raises(InputError) as error:
        read_mask(save(name="mask.mrc", nstart=(22, 2, 3)), frame)
    assert refusal(error).count("20x22x24 voxels") == 2
    assert "does not overlap" in refusal(error)
    with pytest.raises(InputError) as error:
        read_mask(save(-np.abs(density()), name="mask.mrc", nstart=(1, 2, 3)), frame)
    assert "above 0" in refusal(error)


def test_no_warning_of_python_on_the_way(save, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_quietly(save(mode=12))
        write_map(tmp_path / "out.mrc", found)
