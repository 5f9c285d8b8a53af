"""The curve against a full transform in double precision, crossings against curves that are known."""

import json

import numpy as np
import pytest

from cryo2struct.errors import InputError
from cryo2struct.evaluation.fsc import draw, map_fsc
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.training.plot import save_figure, start_figure

FRAME = GridFrame((20, 25, 32), np.array([1.1, 0.9, 1.3]), np.array([1.0, 2.0, 3.0]))


def maps(seed=0, frame=FRAME):
    """Two maps with common signal that fades towards high resolution."""
    rng = np.random.default_rng(seed)
    axes = (np.fft.fftfreq(n, v) for n, v in zip(frame.shape, frame.voxel[::-1], strict=True))
    s = np.linalg.norm(np.stack(np.meshgrid(*axes, indexing="ij")), axis=0)
    signal = np.fft.ifftn(np.fft.fftn(rng.normal(size=frame.shape)) * np.exp(-40 * s**2)).real
    noise = 0.1 * rng.normal(size=(2, *frame.shape))
    return [DensityMap((signal + one).astype(np.float32), frame) for one in noise]


def by_numpy(first, second):
    one, two = (np.fft.fftn(values.astype(np.float64)) for values in (first, second))
    edges = np.array(FRAME.shape) * FRAME.voxel[::-1]
    index = np.indices(FRAME.shape)
    number = [np.where(i > n // 2, i - n, i) for i, n in zip(index, FRAME.shape, strict=True)]
    s = np.sqrt(sum((n / edge) ** 2 for n, edge in zip(number, edges, strict=True)))
    shell = np.rint(s * edges.max()).astype(int)
    last = int(edges.max() * 0.5 / FRAME.voxel.max())
    curve = []
    for k in range(1, last + 1):
        a, b = one[shell == k], two[shell == k]
        curve.append((a * b.conj()).sum().real / np.sqrt((abs(a) ** 2).sum() * (abs(b) ** 2).sum()))
    return np.arange(1, last + 1) / edges.max(), curve


def test_curve_against_numpy_with_and_without_mask():
    first, second = maps()
    d_inv, curve = by_numpy(first.values, second.values)
    found = map_fsc(first, second)
    np.testing.assert_allclose(found.d_inv, d_inv)
    np.testing.assert_allclose(found.fsc, curve, atol=1e-5)
    assert curve[0] > 0.9 > 0.3 > curve[-1]
    mask = DensityMap(np.random.default_rng(1).random(FRAME.shape, dtype=np.float32), FRAME)
    _, masked = by_numpy(first.values * mask.values, second.values * mask.values)
    np.testing.assert_allclose(map_fsc(first, second, mask).fsc, masked, atol=1e-5)
    assert np.abs(np.array(masked) - curve).max() > 0.01


def test_equal_maps_never_fall():
    first, _ = maps()
    found = map_fsc(first, first)
    assert found.fsc == pytest.approx(1)
    assert (found.d_fsc_05, found.d_fsc_0143) == (None, None)
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert written["d_fsc_0143"] is None
    assert len(written["curve"]["fsc"]) == len(written["curve"]["d_inv"]) == len(found.fsc)


@pytest.mark.parametrize(
    "frame",
    [
        GridFrame((20, 25, 30), FRAME.voxel, FRAME.origin),
        GridFrame(FRAME.shape, 1.01 * FRAME.voxel, FRAME.origin),
        GridFrame(FRAME.shape, FRAME.voxel, FRAME.origin + 0.5),
    ],
)
def test_other_grids_are_refused(frame):
    with pytest.raises(InputError, match=r"MAP2: its grid is not that of MAP1 .* resample") as refused:
        map_fsc(maps()[0], maps(frame=frame)[1])
    assert "\n" not in str(refused.value)


def test_a_map_without_density_in_the_mask_is_refused():
    first, second = maps()
    second.values[:10] = 0
    mask = np.zeros(FRAME.shape, dtype=np.float32)
    mask[:8] = 1
    with pytest.raises(InputError, match="MAP2: is 0 everywhere inside the mask"):
        map_fsc(first, second, DensityMap(mask, FRAME))


def test_the_picture_shows_the_curve_and_both_levels(tmp_path):
    first, second = maps()
    found = map_fsc(first, second)
    figure = start_figure(tmp_path / "fsc.png", 6, 4)
    draw(figure, found)
    curve, *levels = figure.axes[0].lines
    np.testing.assert_array_equal(curve.get_xydata(), np.column_stack([found.d_inv, found.fsc]))
    assert {line.get_ydata()[0] for line in levels} == {0.5, 0.143}
    assert f"0.143 at {found.d_fsc_0143:.2f} Å" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    save_figure(figure, tmp_path / "fsc.png")
    assert (tmp_path / "fsc.png").read_bytes().startswith(b"\x89PNG")
