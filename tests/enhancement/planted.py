"""A small made-up molecule on a grid, with an ion and a ligand beside it."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from cryo2struct.objects import DensityMap, GridFrame

FRAME = GridFrame((44, 48, 52), np.array([1.0, 1.1, 0.9]), np.array([10.0, -20.0, 5.0]))
CENTRE = FRAME.to_xyz((np.array(FRAME.shape) - 1) / 2)
ION = CENTRE + np.array([0.0, 0.0, 14.5])
LIGAND = CENTRE + np.array([[1.4 * step, 15 + 0.3 * (-1) ** step, 0.0] for step in range(-3, 4)])
WIDTH = 1.1  # angstrom; standard deviation of an atom


def molecule() -> np.ndarray:
    """Atoms (A, 3) about 1.5 angstrom apart within 11 angstrom of the centre, with holes."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.arange(-10.5, 11, 1.9)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[np.linalg.norm(grid, axis=1) < 11]
    kept = grid[rng.random(len(grid)) < 0.6]
    return CENTRE + kept + rng.normal(scale=0.25, size=kept.shape)


def density(atoms: np.ndarray, heights: np.ndarray | float = 1.0) -> np.ndarray:
    """Gaussians of `WIDTH`, height about 1."""
    values = np.zeros(FRAME.shape)
    grid = FRAME.to_xyz(np.moveaxis(np.indices(FRAME.shape), 0, -1))
    for place, height in zip(atoms, np.broadcast_to(heights, len(atoms)), strict=True):
        values += height * np.exp(-((grid - place) ** 2).sum(axis=-1) / (2 * WIDTH**2))
    return values


def noise(seed: int, height: float = 0.05) -> np.ndarray:
    smooth = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=FRAME.shape), 0.8)
    return height * smooth / smooth.std()


def as_map(values: np.ndarray) -> DensityMap:
    return DensityMap(values.astype(np.float32), FRAME)
