"""Against the sum over atoms and terms."""

from __future__ import annotations

import numpy as np
import pytest

from cryo2struct.density.structure_factors import Atoms, form_factors, squared_frequencies, structure_factors
from cryo2struct.objects import GridFrame


def some_atoms(frame: GridFrame, number: int, b: tuple[float, float], seed: int = 0) -> Atoms:
    rng = np.random.default_rng(seed)
    edges = np.array(frame.shape[::-1]) * frame.voxel
    xyz = frame.origin + rng.uniform(-0.1, 1.1, (number, 3)) * edges
    return Atoms(xyz, rng.choice(["C", "N", "O", "S"], number), rng.uniform(0.2, 1, number), rng.uniform(*b, number))


@pytest.mark.parametrize(
    ("shape", "voxel", "b"),
    [
        ((20, 21, 17), (1.1, 1.1, 1.1), (20, 60)),
        ((16, 24, 19), (0.8, 1.0, 1.3), (0, 0)),
        ((17, 16, 18), (0.6, 0.7, 0.5), (150, 300)),
        ((16, 103, 30), (1.5, 0.4, 0.8), (-5, 10)),
    ],
)
def test_structure_factors_against_the_sum_over_atoms(
    shape: tuple[int, int, int], voxel: tuple[float, ...], b: tuple[float, float]
) -> None:
    frame = GridFrame(shape, np.array(voxel), np.array([12.0, -3.0, 5.5]))
    atoms = some_atoms(frame, 40, b)
    found = structure_factors(atoms, frame) * np.prod(voxel)
    index = np.stack(np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij"), axis=-1)
    index = index[:, :, : shape[2] // 2 + 1]
    index[:, :, -1, 2] = shape[2] // 2
    s = (np.rint(index) / np.array(shape) / np.array(voxel)[::-1])[..., ::-1]
    squares = (s**2).sum(axis=-1)
    wanted = np.zeros(found.shape, dtype=complex)
    heights, widths = form_factors(atoms.elements)
    for place, occupancy, own, height, width in zip(atoms.xyz, atoms.occupancy, atoms.b, heights, widths, strict=True):
        factor = sum(a * np.exp(-w * squares / 4) for a, w in zip(height, width, strict=True))
        phase = np.exp(-2j * np.pi * (s @ (place - frame.origin)))
        wanted += occupancy * factor * np.exp(-own * squares / 4) * phase
    low = (np.abs(np.rint(index)) <= (np.array(shape) - 1) // 2).all(axis=-1)
    assert not found[~low].any()
    np.testing.assert_allclose(squared_frequencies(frame), squares, rtol=1e-12)
    # Right in each range of resolution, however weak the terms are there.
    for part in np.array_split(np.argsort(squares[low]), 6):
        error, whole = (np.linalg.norm(values[low][part]) for values in (found - wanted, wanted))
        assert error < 1e-3 * whole


def test_an_element_without_table_and_no_atom() -> None:
    frame = GridFrame((16, 16, 16), np.ones(3), np.zeros(3))
    heavy = Atoms(np.full((1, 3), 8.0), np.array(["Og"]), np.ones(1), np.full(1, 30.0))
    assert abs(structure_factors(heavy, frame)[0, 0, 0]) > 5
    none = Atoms(np.empty((0, 3)), np.empty(0, dtype=np.str_), np.empty(0), np.empty(0))
    assert not structure_factors(none, frame).any()
