"""The voxel classifier: a U-Net on 2 A cells with a transformer at its bottom.

The eight 1 A voxels of a 2 A cell enter as channels (space to depth). Two C-alphas never share a cell (they are 3.8 A
apart, a cell's diagonal is 3.5 A), so whatever belongs to a residue is predicted once per cell, and the classes of the
1 A voxels come back by depth to space from the same features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cryo2struct.networks.blocks import ResidualBlock, TransformerBlock, depth_to_space, space_to_depth

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)

ATOM_CLASSES = ("none", "CA", "N", "C")
CELL_HEADS = {"aa": 20, "ss": 3, "nonprotein": 1, "offset": 3, "next": 3, "prev": 3}
"""Heads per cell and their channels: types, secondary structure (coil, helix, strand), nucleic acid or other
non-protein (logit), CA position from the cell's centre (A; x, y, z), directions to the next and previous CA."""


@dataclass(frozen=True)
class ClassifierConfig:
    """Shape of the network.

    Attributes
    ----------
    widths : channels at 2, 4 and 8 A per grid point
    blocks : residual blocks per level and direction (one at the bottom)
    attention_blocks : transformer blocks on the 8 A grid
    """

    widths: tuple[int, int, int] = (48, 96, 192)
    blocks: int = 2
    attention_blocks: int = 4

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest of the weights."""
        return asdict(self)


class Classifier(nn.Module):
    """Density (batch, 1, z, y, x), sides a multiple of 8, to a dictionary of heads.

    `atoms` is (batch, 4, z, y, x), the heads of `CELL_HEADS` are (batch, channels, z/2, y/2, x/2); logits throughout.
    Each box is normalised to mean 0 and standard deviation 1 before it enters.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3 = config.widths
        n = config.blocks
        self.stem = nn.Conv3d(8, w1, 3, padding=1)
        self.encoder1 = nn.Sequential(*(ResidualBlock(w1, w1) for _ in range(n)))
        self.down1 = nn.Conv3d(w1, w2, 2, stride=2)
        self.encoder2 = nn.Sequential(*(ResidualBlock(w2, w2) for _ in range(n)))
        self.down2 = nn.Conv3d(w2, w3, 2, stride=2)
        self.bottom = nn.Sequential(
            ResidualBlock(w3, w3),
            *(TransformerBlock(w3) for _ in range(config.attention_blocks)),
        )
        self.up2 = nn.ConvTranspose3d(w3, w2, 2, stride=2)
        self.decoder2 = nn.Sequential(*(ResidualBlock(w2, w2) for _ in range(n)))
        self.up1 = nn.ConvTranspose3d(w2, w1, 2, stride=2)
        self.decoder1 = nn.Sequential(*(ResidualBlock(w1, w1) for _ in range(n)))
        self.norm = nn.GroupNorm(w1 // 8, w1)
        self.atoms = nn.Conv3d(w1, 8 * len(ATOM_CLASSES), 1)
        self.cells = nn.Sequential(nn.Conv3d(w1, 2 * w1, 1), nn.SiLU(), nn.Conv3d(2 * w1, sum(CELL_HEADS.values()), 1))
        # Nearly every voxel is empty: starting from that prior saves the first hundreds of steps.
        prior = torch.tensor([0.0, -6.0, -6.0, -6.0]).repeat_interleave(8)
        with torch.no_grad():
            self.atoms.weight.mul_(0.1)
            self.atoms.bias = nn.Parameter(prior)

    def forward(self, density: Tensor) -> dict[str, Tensor]:
        """Predict all heads in one pass."""
        x1 = self.encoder1(self.stem(space_to_depth(density)))
        x2 = self.encoder2(self.down1(x1))
        x = self.decoder2(self.up2(self.bottom(self.down2(x2))) + x2)
        x = self.decoder1(self.up1(x) + x1)
        x = nn.functional.silu(self.norm(x))
        heads = dict(zip(CELL_HEADS, self.cells(x).split(list(CELL_HEADS.values()), dim=1), strict=True))
        return {"atoms": depth_to_space(self.atoms(x)), **heads}


def on_device(network: AnyNetwork, device: torch.device) -> AnyNetwork:
    """The network on a device, its weights laid out channels last, which 3-D convolutions prefer."""
    return network.to(device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def normalise_boxes(boxes: Tensor) -> Tensor:
    """Each box (batch, 1, z, y, x) minus its mean over its standard deviation."""
    mean = boxes.mean(dim=(1, 2, 3, 4), keepdim=True)
    deviation = boxes.std(dim=(1, 2, 3, 4), keepdim=True)
    return (boxes - mean) / deviation.clamp_min(1e-6)
