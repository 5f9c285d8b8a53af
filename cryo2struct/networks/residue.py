"""The residue network: what one residue is, from the density around it seen in the residue's own frame.

A frame is made from three consecutive C-alphas. In it every residue looks alike but for its side chain, so that a small
network learns from each residue what a voxel network must learn anew for every orientation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryo2struct.networks.blocks import ResidualBlock, space_to_depth

RESIDUE_HEADS = {"aa": 20, "ss": 3, "frame": 4, "ca": 3, "n": 3, "c": 3, "o": 3, "next": 3, "prev": 3}
"""Heads and their channels: types, secondary structure (coil, helix, strand), whether the frame is right, reversed or
wrong, or there is no residue (logits); positions of CA, N, C, O from the frame's origin in angstrom and directions to
the next and previous CA, in the axes of the frame."""

RIGHT, REVERSED, WRONG, NOTHING = 0, 1, 2, 3
"""Kinds of frames: that of the residue, the same seen from its end, with a wrong neighbour, and of no residue."""

PATCH = 16
"""Voxels of 1 A along the side of a patch."""

PATCH_CENTRE = (0.0, 2.0, 1.3)
"""Centre of a patch in the frame, angstrom: the mean of all side chains is near."""


@dataclass(frozen=True)
class ResidueConfig:
    """Shape of the network.

    Attributes
    ----------
    widths : channels at 2 and 4 A per grid point
    hidden : units of the layer that joins the whole patch
    """

    widths: tuple[int, int] = (32, 96)
    hidden: int = 384

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest of the weights."""
        return asdict(self)


class ResidueNetwork(nn.Module):
    """Patches (batch, 1, 16, 16, 16), each with mean 0 and standard deviation 1, to a dictionary of `RESIDUE_HEADS`."""

    def __init__(self, config: ResidueConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2 = config.widths
        self.convolutions = nn.Sequential(
            nn.Conv3d(8, w1, 3, padding=1),
            ResidualBlock(w1, w1),
            nn.Conv3d(w1, w2, 2, stride=2),
            ResidualBlock(w2, w2),
            ResidualBlock(w2, w2),
            nn.GroupNorm(w2 // 8, w2),
            nn.SiLU(),
        )
        self.join = nn.Sequential(
            nn.Linear(w2 * (PATCH // 4) ** 3, config.hidden),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(config.hidden, sum(RESIDUE_HEADS.values())),
        )

    def forward(self, patches: Tensor) -> dict[str, Tensor]:
        """Predict all heads."""
        x = self.join(self.convolutions(space_to_depth(patches)).flatten(1))
        return dict(zip(RESIDUE_HEADS, x.split(list(RESIDUE_HEADS.values()), dim=1), strict=True))


def residue_frames(to_next: Tensor, to_prev: Tensor) -> Tensor:
    """Axes (batch, 3, 3), one per row, from vectors (batch, 3) to the next and to the previous C-alpha; x, y, z.

    The first axis runs along the chain, the second out of its bend, and the third completes a right-handed frame.
    """
    a, b = functional.normalize(to_next, dim=1), functional.normalize(to_prev, dim=1)
    along = functional.normalize(a - b, dim=1)
    outward = -(a + b)
    outward = functional.normalize(outward - (outward * along).sum(dim=1, keepdim=True) * along, dim=1)
    return torch.stack([along, outward, torch.cross(along, outward, dim=1)], dim=1)


def sample_patches(density: Tensor, centre: Tensor, frames: Tensor, spacing: float = 1.0) -> Tensor:
    """Patches (batch, 1, 16, 16, 16) of a density by trilinear interpolation, each with mean 0 and deviation 1.

    Parameters
    ----------
    density : (z, y, x)
        The value at the border continues outside.
    centre : (batch, 3)
        C-alphas, x, y, z in voxels.
    frames : (batch, 3, 3)
        See `residue_frames`. The patch's axes run along the frame's rows.
    spacing : float
        Angstrom per voxel.
    """
    steps = torch.arange(PATCH, device=density.device) - (PATCH - 1) / 2
    grid = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1).view(-1, 3)
    grid = (grid + torch.tensor(PATCH_CENTRE, device=density.device)) / spacing
    points = centre[:, None] + grid @ frames
    size = torch.tensor(density.shape[::-1], device=density.device)
    patches = functional.grid_sample(
        density[None, None], (points / (size - 1) * 2 - 1)[None, :, :, None], align_corners=True, padding_mode="border"
    ).view(-1, 1, PATCH, PATCH, PATCH)
    mean, deviation = patches.mean(dim=(1, 2, 3, 4), keepdim=True), patches.std(dim=(1, 2, 3, 4), keepdim=True)
    return (patches - mean) / deviation.clamp_min(1e-6)
