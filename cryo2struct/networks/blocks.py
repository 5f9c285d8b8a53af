"""Building blocks of the voxel networks: pre-activation residual convolutions and global self-attention in 3-D."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with group normalisation, added to the input.

    Input and output: (batch, channels, z, y, x).
    """

    def __init__(self, channels_in: int, channels_out: int, group_size: int = 8) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(channels_in // group_size, channels_in)
        self.conv1 = nn.Conv3d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(channels_out // group_size, channels_out)
        self.conv2 = nn.Conv3d(channels_out, channels_out, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        self.skip = nn.Conv3d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        return self.skip(x) + y


class TransformerBlock(nn.Module):
    """Global self-attention over all grid points, then a perceptron, both pre-normalised.

    Positions enter through a depthwise convolution (conditional positional encoding, Chu et al. 2021), so that a
    grid of any size can be processed. Input and output: (batch, channels, z, y, x).
    """

    def __init__(self, channels: int, head_channels: int = 32, expansion: int = 2) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.position = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        grid = x + self.position(x)
        tokens = grid.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.project(attended)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(grid.shape)


def space_to_depth(x: Tensor) -> Tensor:
    """(batch, C, 2z, 2y, 2x) to (batch, 8C, z, y, x); the eight voxels of a cell become channels."""
    batch, channels, depth, height, width = x.shape
    x = x.reshape(batch, channels, depth // 2, 2, height // 2, 2, width // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, 8 * channels, depth // 2, height // 2, width // 2)


def depth_to_space(x: Tensor) -> Tensor:
    """(batch, 8C, z, y, x) to (batch, C, 2z, 2y, 2x); inverse of `space_to_depth`."""
    batch, channels, depth, height, width = x.shape
    x = x.reshape(batch, channels // 8, 2, 2, 2, depth, height, width)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels // 8, 2 * depth, 2 * height, 2 * width)
