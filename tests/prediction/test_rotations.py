"""Rotations of boxes, and predictions averaged over them."""

import numpy as np
import pytest
import torch

from cryo2struct.prediction.rotations import ROTATIONS, turn, turn_back, turn_vectors_back


def gradient(boxes):
    """Central differences (batch, 3, z, y, x) with components x, y, z: a vector field that turns with its box."""
    by_axis = [(torch.roll(boxes, -1, 2 + a) - torch.roll(boxes, 1, 2 + a))[:, 0] for a in range(3)]
    return torch.stack(by_axis[::-1], dim=1)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_turning_back(rotation):
    boxes = torch.randn(2, 3, 6, 6, 6)
    assert torch.equal(turn_back(turn(boxes, rotation), rotation), boxes)
    assert torch.equal(turn_vectors_back(gradient(turn(boxes[:, :1], rotation)), rotation), gradient(boxes[:, :1]))


def test_rotations_are_proper_and_differ():
    matrices = []
    for axes, signs in ROTATIONS:
        matrix = np.zeros((3, 3))
        matrix[range(3), axes] = signs
        assert np.linalg.det(matrix) == pytest.approx(1)
        matrices.append(tuple(matrix.ravel()))
    assert len(set(matrices)) == len(ROTATIONS)
    assert np.array_equal(np.reshape(matrices[0], (3, 3)), np.eye(3))
