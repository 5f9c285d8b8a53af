"""Atomic displacement parameters to start a refinement from, told from the density at the residues."""

from __future__ import annotations

import gemmi
import numpy as np

from cryo2struct.density.sampling import values_at
from cryo2struct.objects import DensityMap, FloatArray

LEAST_B, LARGEST_B = 20.0, 150.0  # angstrom^2
BEST = 0.9  # quantile of the residues that has the least B
NEIGHBOURS = 2  # residues before and after that a B is averaged over
WIDTH = 0.45  # standard deviation of an atom's image at resolution d is about this times d


def residue_b_factors(structure: gemmi.Structure, density: DensityMap, resolution: float) -> FloatArray:
    """B factor (R,) in angstrom^2 of each residue, 20 to 150, in file order.

    An atom whose image is a Gaussian of variance w + B / (8 pi^2), w from the resolution, has a peak that falls with
    the power -3/2 of that variance. The mean density of a residue's backbone above the median of the map gives B
    relative to the residues that are seen best.
    """
    level = float(np.median(density.values))
    image = 8 * np.pi**2 * (WIDTH * resolution) ** 2
    heights = np.array(
        [
            float(np.mean(values_at(density, [atom.pos.tolist() for atom in residue if atom.name in ("N", "CA", "C")])))
            for chain in structure[0]
            for residue in chain
        ]
    )
    above = np.maximum(heights - level, 1e-12)
    best = np.quantile(above, BEST) if len(above) else 1.0
    b = (image + LEAST_B) * (best / above) ** (2 / 3) - image
    return _smoothed(np.clip(b, LEAST_B, LARGEST_B), [len(chain) for chain in structure[0]])


def _smoothed(values: FloatArray, lengths: list[int]) -> FloatArray:
    """Running mean along each chain."""
    smooth = np.empty_like(values)
    first = 0
    for length in lengths:
        for at in range(first, first + length):
            around = slice(max(at - NEIGHBOURS, first), min(at + NEIGHBOURS + 1, first + length))
            smooth[at] = values[around].mean()
        first += length
    return smooth
