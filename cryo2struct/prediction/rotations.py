"""Rotations of a cubic box that map its grid onto itself, for averaging what a network says of the box turned.

A rotation is given as (axes, signs): axis a of the turned box is axis axes[a] of the original, reversed where signs[a]
is -1. All are proper (determinant 1): a mirrored protein does not exist.
"""

from __future__ import annotations

from torch import Tensor

Rotation = tuple[tuple[int, int, int], tuple[int, int, int]]

ROTATIONS: tuple[Rotation, ...] = (
    ((0, 1, 2), (1, 1, 1)),
    ((1, 2, 0), (1, 1, 1)),
    ((2, 0, 1), (1, 1, 1)),
    ((0, 2, 1), (-1, 1, 1)),
    ((2, 1, 0), (1, -1, 1)),
    ((1, 0, 2), (1, 1, -1)),
    ((0, 1, 2), (1, -1, -1)),
    ((0, 1, 2), (-1, -1, 1)),
)
"""The identity first."""


def turn(boxes: Tensor, rotation: Rotation) -> Tensor:
    """Boxes (batch, channels, z, y, x) turned."""
    axes, signs = rotation
    return _reverse(boxes.permute(0, 1, *(2 + axis for axis in axes)), signs)


def turn_back(boxes: Tensor, rotation: Rotation) -> Tensor:
    """Inverse of `turn`."""
    axes, signs = rotation
    return _reverse(boxes, signs).permute(0, 1, *(2 + axes.index(axis) for axis in range(3)))


def turn_vectors_back(vectors: Tensor, rotation: Rotation) -> Tensor:
    """Vectors (batch, 3, z, y, x) with components x, y, z, found in turned boxes, as they are in the original ones."""
    axes, signs = rotation
    turned = turn_back(vectors, rotation)
    original = turned.clone()
    for axis in range(3):
        original[:, 2 - axes[axis]] = signs[axis] * turned[:, 2 - axis]
    return original


def _reverse(boxes: Tensor, signs: tuple[int, int, int]) -> Tensor:
    return boxes.flip([2 + axis for axis in range(3) if signs[axis] < 0])
