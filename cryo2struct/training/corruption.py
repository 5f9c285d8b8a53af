"""What separates a deposited map from the ideal density of its model, one function per effect.

The first group acts on atoms (numpy, before the density is made), the second on batches of densities (torch, any
device). Amplitudes were set by comparison of radial power on experimental maps; docs/trials holds the figures.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[np.float32]

# ---- atoms -----------------------------------------------------------------------------------------------------------


def weaken_polar_atoms(weight: Array, element: NDArray[np.integer], rng: Generator) -> Array:
    """Partly negative atoms scatter electrons weakly at low angle: oxygen by a factor -0.4 to 0.9, nitrogen 0.6 to
    1.05.

    In experimental maps near 3.4 A the mean density at carbonyl oxygens is 0.2 to 0.3 of that at C-alphas; a factor of
    1 gives 0.7, one of -0.2 gives 0.33.
    """
    oxygen, nitrogen = np.float32(rng.uniform(-0.4, 0.9)), np.float32(rng.uniform(0.6, 1.05))
    return np.where(element == 8, weight * oxygen, np.where(element == 7, weight * nitrogen, weight))


def weaken_carboxylates(weight: Array, carboxylate: NDArray[np.bool_], rng: Generator) -> Array:
    """Oxygens of Asp and Glu fade further by charge and radiation damage: factor -0.5 to 1."""
    return np.where(carboxylate, weight * np.float32(rng.uniform(-0.5, 1.0)), weight)


def weaken_side_chains(
    weight: Array, depth: NDArray[np.integer], residue: NDArray[np.integer], rng: Generator
) -> Array:
    """Side chains fade with their depth (bonds beyond CB; below 0 = backbone), as a whole, and each by its own amount.

    Factors: (1 - q)^depth with q from 0 to 0.18; 0.5 to 1 for all; for each residue, beyond CB, between 1 - v and
    1 with v up to 0.8. `residue` numbers the residue of each atom from 0.
    """
    fade = (1 - rng.uniform(0, 0.18)) ** np.maximum(depth, 0) if rng.random() < 0.6 else 1.0
    whole = rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 1.0
    each = 1 - rng.uniform(0, 0.8) * rng.random(int(residue.max(initial=0)) + 1)
    factor = whole * fade * np.where(depth >= 1, each[residue], 1.0)
    return np.where(depth >= 0, weight * factor, weight).astype(np.float32)


def smooth_field(xyz: Array, wavelength: float, rng: Generator) -> Array:
    """Smooth random values between 0 and 1 at the positions (A, 3) in angstrom: a sum of six plane waves."""
    waves = rng.normal(size=(6, 3)) / wavelength
    phase = xyz @ waves.T.astype(np.float32) * np.float32(2 * np.pi) + rng.uniform(0, 2 * np.pi, 6).astype(np.float32)
    return (0.5 + np.sin(phase).sum(axis=1) / 6).clip(0, 1).astype(np.float32)


def atomic_b_factors(xyz: Array, residue_b: Array, depth: NDArray[np.integer], rng: Generator) -> Array:
    """Relative B factors (A,) in angstrom^2: a smooth field, the residue's own mobility, and the side chain's depth.

    `residue_b` is the deposited B of each atom's residue.
    """
    b = rng.uniform(0, 60) * smooth_field(xyz, 60.0, rng)
    spread = residue_b.std()
    if spread > 1:
        b = b + rng.uniform(0, 25) * ((residue_b - residue_b.mean()) / spread).clip(-2, 4)
    b = b + np.maximum(depth, 0) * min(rng.exponential(6.0), 20.0)
    return (b - b.min()).astype(np.float32)


# ---- densities -------------------------------------------------------------------------------------------------------


def radial_mean(power: Tensor, shell: Tensor, weight: Tensor, shells: int) -> Tensor:
    """Mean over Fourier shells (batch, shells) of `power` (batch, voxels); `shell`, `weight` are (voxels,)."""
    total = torch.zeros(len(power), shells, device=power.device).index_add_(1, shell, power * weight)
    count = torch.zeros(shells, device=power.device).index_add_(0, shell, weight)
    return total / count.clamp_min(1)


def fsc_curve(s: Tensor, resolution: Tensor, width: Tensor) -> Tensor:
    """Logistic Fourier shell correlation of half maps that crosses 0.143 at 1 / resolution: (batch, voxels)."""
    middle = 1 / resolution - 1.79 * width
    return torch.sigmoid((middle[:, None] - s[None]) / width[:, None]).clamp(1e-6, 0.9995)


def add_noise(spectrum: Tensor, fsc: Tensor, power: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """Signal and noise as half-map weighting leaves them.

    The signal is multiplied by sqrt(2 FSC / (1 + FSC)); the noise has the amplitude sqrt(P (1 - FSC) / (1 + FSC)).

    Parameters
    ----------
    spectrum : (batch, z, y, x/2 + 1) complex, Fourier transform of the signal
    fsc : like `spectrum`, real
    power : like `spectrum`, mean power of the signal in the shell over the occupied fraction of the box
    level : (batch,) factor of the noise amplitude
    """
    noise_spectrum = torch.randn(spectrum.shape, generator=generator, device=spectrum.device, dtype=spectrum.dtype)
    amplitude = torch.sqrt(power * (1 - fsc) / (1 + fsc)) * level[:, None, None, None]
    return spectrum * torch.sqrt(2 * fsc / (1 + fsc)) + noise_spectrum * amplitude


def undo_weighting(spectrum: Tensor, fsc: Tensor, left: Tensor) -> Tensor:
    """Take back a part of the FSC weighting: the factor sqrt(2 FSC / (1 + FSC)) becomes its power of `left` (batch,).

    Where the FSC is below 0.02 the noise is that of an FSC of 0.02.
    """
    weight = torch.sqrt(2 * fsc / (1 + fsc)).clamp_min(0.2)
    return spectrum * weight ** (left[:, None, None, None] - 1)


def sharpening(power: Tensor, s: Tensor, resolution: Tensor, target: Tensor) -> Tensor:
    """B factor (batch,) for radial amplitudes that fall off by `target` angstrom^2 from 8 A to the resolution.

    `power` is (batch, shells), `s` (shells,) in 1/angstrom. The fall-off is -4 times the slope of ln amplitude against
    s^2 (Rosenthal and Henderson 2003).
    """
    inside = ((s[None] > 1 / 8) & (s[None] < 1 / resolution[:, None].clamp_max(5.0))).float()
    x = (s**2)[None].expand_as(power)
    y = 0.5 * torch.log(power.clamp_min(1e-12))
    n = inside.sum(1).clamp_min(1)
    mean_x, mean_y = (inside * x).sum(1) / n, (inside * y).sum(1) / n
    covariance = (inside * (x - mean_x[:, None]) * (y - mean_y[:, None])).sum(1)
    slope = covariance / (inside * (x - mean_x[:, None]) ** 2).sum(1).clamp_min(1e-9)
    return (target + 4 * slope).clamp(-300, 400)


def interpolation_blur(s_axis: Tensor, fraction: Tensor) -> Tensor:
    """Amplitude (batch, frequencies) left on one axis by linear interpolation at `fraction` (batch,) of a voxel."""
    f = fraction[:, None]
    return torch.sqrt((1 - 2 * f * (1 - f) * (1 - torch.cos(2 * torch.pi * s_axis[None]))).clamp_min(0))


def vary_contrast(density: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply by a slow random field, exp(strength x normal on a 16 A grid)."""
    size = density.shape[-1]
    coarse = torch.randn(len(density), 1, 4, 4, 4, generator=generator, device=density.device)
    field = functional.interpolate(coarse, size=(size, size, size), mode="trilinear", align_corners=True)[:, 0]
    return density * torch.exp(strength[:, None, None, None] * field)


def soft_mask(density: Tensor, smooth: Tensor) -> Tensor:
    """Solvent flattening: fade where the heavily smoothed density of the atoms is low."""
    level = 0.15 * torch.quantile(smooth.flatten(1)[:, ::7], 0.99, dim=1)[:, None, None, None].clamp_min(1e-6)
    return density * torch.sigmoid(((smooth - level) / (0.2 * level)).clamp(-40, 40))


def zone_mask(kept: Tensor, radius: Tensor) -> Tensor:
    """Voxels within `radius` (batch,) angstrom of the kept atoms, as a mask around a model cuts.

    `kept` (batch, z, y, x) holds ones where kept atoms are; 1 A voxels.
    """
    size = kept.shape[-1]
    axis = torch.fft.fftfreq(size, 1 / size, device=kept.device)
    distance2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    balls = (distance2[None] <= (radius**2)[:, None, None, None]).float()
    spread = torch.fft.rfftn(kept, dim=(1, 2, 3)) * torch.fft.rfftn(balls, dim=(1, 2, 3))
    return torch.fft.irfftn(spread, s=(size, size, size), dim=(1, 2, 3)) > 0.5
