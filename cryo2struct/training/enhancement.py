"""Training of the enhancer: the density that the atoms of a crop would have, and how far a network is from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.enhancer import Enhancer
from cryo2struct.training.crops import CropBatch, frequencies, simulate, splat
from cryo2struct.training.evaluate import BATCH, validation_batches
from cryo2struct.training.labels import BOX, CROP, MARGIN

FINEST = 2.2  # A; sharper atoms would not fit between the 1 A voxels
PROTEIN_DENSITY = 0.4  # mean of the atoms' weights per cubic angstrom inside a protein
VISIBLE = 0.05  # density, mean of a protein 1, above which a voxel counts in the masked error
WINDOW = 7  # voxels along the edge of the cubes that structural similarity compares


def target_density(batch: CropBatch) -> Tensor:
    """Density (crops, 1, 48, 48, 48) of the atoms that are in the map, mean inside a protein about 1.

    Each atom is a Gaussian, exp(-k r^2) with k = (pi / (0.9 d))^2 (Selvaraj, Wang and Cheng 2025, Eq. 1), weighted by
    its scattering, d the map's resolution; ligands and nucleic acids as well. Its transform is exp(-(0.9 d s)^2).
    """
    crops = len(batch.group_b)
    axes, s = frequencies(batch.atom_xyz.device)
    kept = batch.atom_kept
    grid = splat(batch.atom_crop[kept], batch.atom_xyz[kept], batch.atom_full[kept], crops)
    d = batch.map_resolution.clamp_min(FINEST)[:, None, None, None]
    kernel = torch.sinc(axes[0])[:, None, None] * torch.sinc(axes[1])[None, :, None] * torch.sinc(axes[2])[None, None]
    spectrum = torch.fft.rfftn(grid, dim=(1, 2, 3)) * torch.exp(-((0.9 * d * s) ** 2)) / kernel**2
    density = torch.fft.irfftn(spectrum, s=(BOX,) * 3, dim=(1, 2, 3)) / PROTEIN_DENSITY
    middle = slice(MARGIN, MARGIN + CROP)
    return density[:, None, middle, middle, middle]


def structural_similarity(one: Tensor, other: Tensor) -> Tensor:
    """Mean structural similarity of two densities (Wang et al. 2004, IEEE Trans. Image Process. 13, 600-612).

    Constants are those of the paper for values of 0 to 1, times the range 4 that densities near atoms reach.
    """
    c1, c2 = (0.01 * 4) ** 2, (0.03 * 4) ** 2

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool3d(values, WINDOW, stride=2)

    a, b = mean(one), mean(other)
    aa, bb, ab = mean(one * one) - a * a, mean(other * other) - b * b, mean(one * other) - a * b
    similarity = (2 * a * b + c1) * (2 * ab + c2) / ((a * a + b * b + c1) * (aa + bb + c2))
    return similarity.mean()


def enhancer_losses(enhanced: Tensor, batch: CropBatch) -> dict[str, Tensor]:
    """Losses (scalars) of enhanced densities: masked squared error, smooth L1, 1 - structural similarity."""
    enhanced, target = enhanced.float(), target_density(batch)
    seen = (target > VISIBLE) | (enhanced.detach().abs() > VISIBLE)
    squared = ((enhanced - target) ** 2)[seen].sum() / seen.sum().clamp_min(1000)
    return {
        "squared": squared,
        "smooth": functional.smooth_l1_loss(enhanced, target, beta=0.5),
        "similarity": 1 - structural_similarity(enhanced, target),
    }


@torch.inference_mode()
def validate_enhancer(
    network: Enhancer, pack: StructurePack, config: dict[str, Any], device: torch.device
) -> dict[str, float]:
    """Losses, and the correlation with the target before and after, on fixed crops of unseen structures.

    Returns `validate.D.NAME` for each resolution D of the configuration.
    """
    figures: dict[str, float] = {}
    batches = max(1, config["validate"]["crops"] // BATCH)
    for resolution in config["validate"]["resolutions"]:
        sums: dict[str, float] = {}
        for batch in validation_batches(pack, config, resolution, device):
            density = simulate(batch)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                enhanced = network(density)
            values = enhancer_losses(enhanced, batch)
            target = target_density(batch)
            values |= {"before": _correlation(density, target), "after": _correlation(enhanced.float(), target)}
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value) / batches
        figures |= {f"validate.{resolution}.{name}": value for name, value in sums.items()}
    return figures


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Mean over crops of the correlation about the means."""
    a, b = (values.flatten(1) - values.flatten(1).mean(dim=1, keepdim=True) for values in (one, other))
    return functional.cosine_similarity(a, b, dim=1).mean()
