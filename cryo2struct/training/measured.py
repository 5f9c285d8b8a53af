"""Training crops of experimental maps: density interpolated on a turned grid, labels as of simulated crops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.random import Generator

from cryo2struct.dataset.records import TrainingSet
from cryo2struct.training.labels import (
    BOX,
    CROP,
    MARGIN,
    Array,
    alpha_carbons,
    draw_centre,
    label_atoms,
    random_rotation,
)

B_FACTORS = (-30.0, -15.0, 0.0, 30.0, 60.0)
"""Added to a map's B factor, angstrom^2: interpolation blurs like about 15, and maps are sharpened by taste."""

EDGE = 8  # voxels about what is sharpened; what lies beyond would change a crop by 1 % of its standard deviation


class MeasuredCrops:
    """Crops of the maps of a data set, in several degrees of sharpness.

    Attributes
    ----------
    probability : (maps,) of a crop to be of each map, as `CropStream` has it for structures
    """

    def __init__(self, real: TrainingSet) -> None:
        self.maps = real.maps
        self.atom_names = real.atom_names
        size = np.array([(m.structure.aa <= 20).sum() for m in real.maps], dtype=np.float64) ** 0.7
        self.probability = size / size.sum()

    def draw_crop(self, rng: Generator) -> dict[str, Any]:
        """Density (1, 48, 48, 48) and labels of a random, randomly turned crop, keys as in `CropBatch`."""
        number = rng.choice(len(self.maps), p=self.probability)
        structure, voxel = self.maps[number].structure, self.maps[number].voxel
        b_factor = B_FACTORS[rng.integers(len(B_FACTORS))]
        _, centre = draw_centre(structure.xyz, alpha_carbons(structure, self.atom_names), rng)
        rotation = random_rotation(rng)
        xyz = (structure.xyz - centre) @ rotation + np.float32(BOX / 2)
        inside = np.flatnonzero(((xyz >= 0) & (xyz < BOX - 0.001)).all(axis=1))
        drawn = {"inside": inside, "kept": np.ones(len(inside), dtype=bool)}
        part, first = around(self.maps[number].values, voxel, centre)
        density = on_turned_grid(sharpened(part, voxel, b_factor), voxel, centre - first, rotation)
        return {"measured": density[None], **label_atoms(structure, self.atom_names, drawn, xyz)}


def around(values: Array, voxel: Array, centre: Array) -> tuple[Array, Array]:
    """The part of a map (z, y, x) that a turned crop and its sharpening can reach, and the place (3,) of its voxel 0.

    Parameters
    ----------
    values : (z, y, x)
    voxel, centre : (3,) angstrom
    """
    reach = np.ceil(np.sqrt(3) / 2 * CROP / voxel) + EDGE
    low = np.maximum(np.rint(centre / voxel) - reach, 0).astype(np.int64)
    high = np.maximum(np.rint(centre / voxel) + reach, 0).astype(np.int64)
    x, y, z = (slice(first, last) for first, last in zip(low, high, strict=True))
    return values[z, y, x], low * voxel


def sharpened(values: Array, voxel: Array, b_factor: float) -> Array:
    """A map (z, y, x) with its Fourier terms multiplied by exp(-B s^2 / 4), as float16.

    It is `density.fourier.sharpen`, which training cannot import, with torch.
    """
    axes = [torch.fft.fftfreq(n, float(d)) for n, d in zip(values.shape, voxel[::-1], strict=True)]
    axes[2] = torch.fft.rfftfreq(values.shape[2], float(voxel[0]))
    s2 = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    spectrum = torch.fft.rfftn(torch.from_numpy(values.astype(np.float32))) * torch.exp(-b_factor / 4 * s2)
    changed = torch.fft.irfftn(spectrum, s=values.shape).clamp(-6e4, 6e4).numpy()  # float16 ends at 65504
    return np.where(values == 0, 0, changed).astype(np.float16)


def on_turned_grid(values: Array, voxel: Array, centre: Array, rotation: Array) -> Array:
    """Density (48, 48, 48) of a map at the voxels of a crop, trilinear, 0 outside the map.

    Parameters
    ----------
    values : (z, y, x)
    voxel : (3,) angstrom
    centre : (3,) what lies at the middle of the box, angstrom from the map's voxel 0
    rotation : (3, 3) that takes a row vector of the map to the crop
    """
    axis = np.arange(CROP, dtype=np.float32) + np.float32(MARGIN - BOX / 2)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    places = np.stack([x, y, z], axis=-1).reshape(-1, 3) @ rotation.T + centre
    return interpolated(values, (places / voxel)[:, ::-1]).reshape(CROP, CROP, CROP)


def interpolated(values: Array, index: Array) -> Array:
    """Trilinear interpolation of values (z, y, x) at fractional indices (P, 3) z, y, x: (P,) float32, 0 outside."""
    low = np.floor(index).astype(np.int64)
    fraction = (index - low).astype(np.float32)
    result = np.zeros(len(index), dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        at = low + corner
        there = ((at >= 0) & (at < values.shape)).all(axis=1)
        share = np.where(corner, fraction, 1 - fraction).prod(axis=1)
        result[there] += share[there] * values[tuple(at[there].T)].astype(np.float32)
    return result
