from __future__ import annotations

import numpy as np
import pytest

from cryo2struct.enhancement.blobs import blobs
from cryo2struct.enhancement.kinds import Shape, likely_kind
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


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (Shape(volume=30, height=0.8, elongation=1.1, distance=3), "ion or water"),
        (Shape(volume=250, height=0.8, elongation=1.4, distance=1), "ligand"),
        (Shape(volume=600, height=0.6, elongation=4.0, distance=2), "sugar or nucleic acid"),
        (Shape(volume=9000, height=1.0, elongation=1.5, distance=2), "sugar or nucleic acid"),
        (Shape(volume=20000, height=0.3, elongation=1.2, distance=2), "lipid belt"),
        (Shape(volume=20, height=0.3, elongation=1.2, distance=25), "noise"),
    ],
)
def test_kinds(shape: Shape, kind: str) -> None:
    assert likely_kind(shape) == kind
