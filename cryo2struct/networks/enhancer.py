"""Networks that turn a density into the density that its atoms would have: U-Nets on 2 A cells of three families.

`paired` follows CryoTEN (Selvaraj, Wang and Cheng 2025): attention over space and over channels that share queries and
keys, the keys of the former pooled to few tokens. `swin` follows EMReady (He, Li and Huang 2023): half of the channels
attend within shifted windows, half are convolved. `plain` has convolutions alone, to compare with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryo2struct.networks.blocks import ResidualBlock, depth_to_space, space_to_depth

HEAD_CHANNELS = 16
TOKENS = 4  # along an axis, that keys and values of the spatial attention are pooled to
WINDOW = 4  # grid points along an axis
FINE = 8  # channels on the 1 A grid


@dataclass(frozen=True)
class EnhancerConfig:
    """Shape of the network.

    Attributes
    ----------
    family : paired, swin or plain
    widths : channels at 2, 4 and 8 A per grid point
    blocks : per level and direction
    """

    family: str = "swin"
    widths: tuple[int, int, int] = (48, 96, 192)
    blocks: int = 2

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest of the weights."""
        return asdict(self)


class PairedAttention(nn.Module):
    """Attention over space and over channels with common queries and keys, then a residual convolution.

    Input and output: (batch, channels, z, y, x), any size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_CHANNELS
        self.norm = nn.GroupNorm(1, channels)
        self.project = nn.Conv3d(channels, 4 * channels, 1)  # query, key, spatial and channel value
        self.temperature = nn.Parameter(torch.ones(self.heads, 1, 1))
        self.join = nn.Conv3d(2 * channels, channels, 1)
        nn.init.zeros_(self.join.weight)
        self.convolve = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        query, key, spatial, channel = self.project(self.norm(x)).chunk(4, dim=1)
        few_keys, few_values = (self._tokens(functional.adaptive_avg_pool3d(part, TOKENS)) for part in (key, spatial))
        query_tokens = self._tokens(query)
        over_space = functional.scaled_dot_product_attention(query_tokens, few_keys, few_values)
        q, k = (functional.normalize(part.transpose(-1, -2), dim=-1) for part in (query_tokens, self._tokens(key)))
        weight = (q @ k.transpose(-1, -2) * self.temperature).softmax(dim=-1)  # (batch, heads, channels, channels)
        over_channels = (weight @ self._tokens(channel).transpose(-1, -2)).transpose(-1, -2)
        both = torch.cat([self._grid(part, x) for part in (over_space, over_channels)], dim=1)
        return self.convolve(x + self.join(both))

    def _tokens(self, grid: Tensor) -> Tensor:
        """(batch, channels, z, y, x) to (batch, heads, tokens, channels of a head)."""
        return grid.reshape(len(grid), self.heads, HEAD_CHANNELS, -1).transpose(-1, -2)

    def _grid(self, tokens: Tensor, like: Tensor) -> Tensor:
        return tokens.transpose(-1, -2).flatten(1, 2).reshape(like.shape)


class SwinConvolution(nn.Module):
    """Half of the channels attend within windows, the other half passes a residual convolution; both are joined.

    Input and output: (batch, channels, z, y, x), sides a multiple of `WINDOW`. A shifted block has its windows moved by
    half a window; what they reach outside is 0.
    """

    def __init__(self, channels: int, shifted: bool) -> None:
        super().__init__()
        half = channels // 2
        self.shift = WINDOW // 2 if shifted else 0
        self.heads = max(1, half // HEAD_CHANNELS)
        self.split = nn.Conv3d(channels, channels, 1)
        self.norm = nn.LayerNorm(half)
        self.qkv = nn.Linear(half, 3 * half)
        self.project = nn.Linear(half, half)
        self.position = nn.Parameter(torch.zeros(self.heads, WINDOW**3, WINDOW**3))
        self.mlp = nn.Sequential(nn.LayerNorm(half), nn.Linear(half, 2 * half), nn.GELU(), nn.Linear(2 * half, half))
        self.convolve = ResidualBlock(half, half)
        self.join = nn.Conv3d(channels, channels, 1)
        nn.init.zeros_(self.join.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        attended, convolved = self.split(x).chunk(2, dim=1)
        joined = torch.cat([self._attend(attended), self.convolve(convolved)], dim=1)
        return x + self.join(joined)

    def _attend(self, x: Tensor) -> Tensor:
        grid = functional.pad(x, (self.shift,) * 6)
        batch, channels, depth, height, width = grid.shape
        counts = (depth // WINDOW, height // WINDOW, width // WINDOW)
        windows = grid.reshape(batch, channels, counts[0], WINDOW, counts[1], WINDOW, counts[2], WINDOW)
        tokens = windows.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(-1, WINDOW**3, channels)
        q, k, v = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.position.to(q.dtype)[None]
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
        tokens = tokens + self.project(attended)
        tokens = tokens + self.mlp(tokens)
        windows = tokens.reshape(batch, *counts, WINDOW, WINDOW, WINDOW, channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
        grid = windows.reshape(grid.shape)
        inside = [slice(self.shift, size - self.shift) for size in (depth, height, width)]
        return grid[:, :, inside[0], inside[1], inside[2]]


class Enhancer(nn.Module):
    """Density (batch, 1, z, y, x), mean 0 and standard deviation 1, sides a multiple of 16, to enhanced density.

    The output has the shape of the input; 1 is the mean density inside a protein and 0 that of the solvent.
    """

    def __init__(self, config: EnhancerConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3 = config.widths
        self.stem = nn.Conv3d(8, w1, 3, padding=1)
        self.encoder1, self.decoder1 = self._level(w1), self._level(w1)
        self.down1 = nn.Conv3d(w1, w2, 2, stride=2)
        self.encoder2, self.decoder2 = self._level(w2), self._level(w2)
        self.down2 = nn.Conv3d(w2, w3, 2, stride=2)
        self.bottom = nn.Sequential(ResidualBlock(w3, w3), ResidualBlock(w3, w3))
        self.up2 = nn.ConvTranspose3d(w3, w2, 2, stride=2)
        self.up1 = nn.ConvTranspose3d(w2, w1, 2, stride=2)
        self.norm = nn.GroupNorm(w1 // 8, w1)
        self.fine = nn.Conv3d(w1, 8 * FINE, 1)
        self.finish = nn.Sequential(nn.Conv3d(FINE + 1, FINE, 3, padding=1), nn.SiLU(), nn.Conv3d(FINE, 1, 1))

    def _level(self, width: int) -> nn.Sequential:
        blocks: list[nn.Module] = []
        for number in range(self.config.blocks):
            if self.config.family == "paired":
                blocks.append(PairedAttention(width))
            elif self.config.family == "swin":
                blocks.append(SwinConvolution(width, shifted=number % 2 == 1))
            else:
                blocks.append(ResidualBlock(width, width))
        return nn.Sequential(*blocks)

    def forward(self, density: Tensor) -> Tensor:
        """Enhance boxes."""
        x1 = self.encoder1(self.stem(space_to_depth(density)))
        x2 = self.encoder2(self.down1(x1))
        x = self.decoder2(self.up2(self.bottom(self.down2(x2))) + x2)
        x = self.decoder1(self.up1(x) + x1)
        fine = depth_to_space(self.fine(functional.silu(self.norm(x))))
        enhanced: Tensor = self.finish(torch.cat([fine, density.to(fine.dtype)], dim=1))
        return enhanced
