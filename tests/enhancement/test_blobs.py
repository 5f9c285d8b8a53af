from __future__ import annotations

import numpy as np
import pytest

from cryo2struct.enhancement.blobs import blobs
from cryo2struct.enhancement.kinds import NEXT, Shape, clusters_of, likely_kind
from cryo2struct.objects import GridFrame

FRAME = GridFrame((40, 44, 48), np.array([0.5, 0.6, 0.7]), np.zeros(3))
GRID = FRAME.to_xyz(np.moveaxis(np.indices(FRAME.shape), 0, -1))


def bump(place: tuple[float, ...], widths: tuple[float, ...], height: float) -> np.ndarray:
    return height * np.exp(-0.5 * (((GRID - place) / widths) ** 2).sum(axis=-1))


def test_volume_at_half_height_and_shape_of_gaussians() -> None:
    values = bump((6, 7, 8), (1.5, 1.5, 1.5), 2.0) + bump((17, 18, 19), (3.0, 1.2, 1.2), 1.0)
    found = blobs(values, 0.5, FRAME)
    half = np.sqrt(2 * np.log(2))
    wanted = [4 / 3 * np.pi * half**3 * np.prod(widths) for widths in ((1.5, 1.5, 1.5), (3.0, 1.2, 1.2))]
    assert found.volume == pytest.approx(wanted, rel=0.07)
    assert found.elongation == pytest.approx([1.0, 2.5], rel=0.1)
    places = FRAME.to_xyz([peaks[0] for peaks in found.peaks])
    assert np.abs(places - [[6, 7, 8], [17, 18, 19]]).max() <= 0.35
    assert set(np.unique(found.labels)) == {0, 1, 2}


def test_a_weak_peak_beside_a_strong_one_is_a_blob_of_its_own() -> None:
    values = bump((9, 13, 14), (1.0, 1.0, 1.0), 5.0) + bump((13, 13, 14), (1.0, 1.0, 1.0), 1.2)
    found = blobs(values, 1.0, FRAME)
    assert [len(peaks) for peaks in found.peaks] == [1, 1]
    assert found.height == pytest.approx([5.0, 1.2], rel=0.05)


def test_a_chain_of_peaks_is_one_blob_that_knows_them_all() -> None:
    places = [(x, 13.0, 14.0) for x in (6.0, 9.0, 12.0, 15.0)]
    values = sum((bump(place, (1.0, 1.0, 1.0), 2.0 - 0.1 * row) for row, place in enumerate(places)), np.zeros(()))
    (peaks,) = blobs(values, 1.0, FRAME).peaks
    assert np.abs(FRAME.to_xyz(peaks) - places).max() < 0.5


def test_random_values_against_a_flood_fill() -> None:
    values = np.random.default_rng(2).normal(size=(12, 13, 14))
    values[3, 3, 3] = 9.0
    frame = GridFrame(values.shape, np.ones(3), np.zeros(3))
    found = blobs(values, 6.0, frame)
    assert len(found.peaks) == 1
    pending, filled = [(3, 3, 3)], {(3, 3, 3)}
    while pending:
        centre = np.array(pending.pop())
        for step in np.argwhere(np.ones((3, 3, 3))) - 1:
            voxel = tuple(int(v) for v in centre + step)
            inside = all(0 <= v < size for v, size in zip(voxel, values.shape, strict=True))
            if inside and voxel not in filled and values[voxel] >= 4.5:
                filled.add(voxel)
                pending.append(voxel)
    assert {tuple(voxel) for voxel in np.argwhere(found.labels == 1).tolist()} == filled


def test_nothing_high_enough_gives_no_blobs() -> None:
    found = blobs(np.zeros(FRAME.shape), 1.0, FRAME)
    assert found.peaks == ()
    assert len(found.volume) == len(found.height) == len(found.elongation) == 0


def test_small_blobs_can_be_left_out() -> None:
    values = bump((6, 7, 8), (0.7, 0.7, 0.7), 2.0) + bump((17, 18, 19), (2.0, 2.0, 2.0), 1.0)
    every = blobs(values, 0.5, FRAME)
    (large,) = every.of_volume(10).peaks
    assert np.array_equal(large, every.peaks[1])
    assert np.array_equal(every.of_volume(10).labels == 1, every.labels == 2)


def shape_of(**changes: float) -> Shape:
    values = {"volume": 100.0, "cluster": 100.0, "height": 1.0, "cluster_height": 1.0, "buried": 0.4, "distance": 2.0}
    return Shape(**{**values, **changes})


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (shape_of(volume=20, cluster=20), "ion or water"),
        (shape_of(), "ligand"),
        (shape_of(buried=0.1), "sugar or nucleic acid"),
        (shape_of(buried=0.1, height=0.6), "ligand"),
        (shape_of(cluster=9000, buried=0.0, distance=40), "sugar or nucleic acid"),
        (shape_of(cluster=9000, cluster_height=0.6), "lipid belt"),
        (shape_of(volume=20, cluster=20, distance=25), "noise"),
    ],
)
def test_kinds(shape: Shape, kind: str) -> None:
    assert likely_kind(shape) == kind


def test_clusters_against_every_pair() -> None:
    rng = np.random.default_rng(4)
    peaks = [rng.uniform(0, 40, size=(rng.integers(1, 4), 3)) for _ in range(25)]
    volumes, heights = rng.uniform(1, 50, 25), rng.uniform(0, 2, 25)
    member = list(range(25))
    for one in range(25):
        for other in range(25):
            if np.linalg.norm(peaks[one][:, None] - peaks[other], axis=-1).min() <= NEXT:
                member = [member[one] if m == member[other] else m for m in member]
    total, mean = clusters_of(peaks, volumes, heights)
    for row in range(25):
        same = np.array(member) == member[row]
        assert total[row] == pytest.approx(volumes[same].sum())
        assert mean[row] == pytest.approx(np.average(heights[same], weights=volumes[same]))
    assert 1 < len(set(member)) < 25
