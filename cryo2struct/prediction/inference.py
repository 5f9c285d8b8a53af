"""The classifier over a whole map, in overlapping tiles, where the map is occupied."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryo2struct.density.tiles import Blend, Tiling
from cryo2struct.networks.classifier import CELL_HEADS, Classifier, normalise_boxes, on_device
from cryo2struct.objects import DensityMap, FloatArray, IntArray, Prediction
from cryo2struct.prediction.batches import Batches
from cryo2struct.prediction.device import arithmetic_type
from cryo2struct.prediction.rotations import ROTATIONS, turn, turn_back, turn_vectors_back

CELL = 2
"""Voxels along the side of a cell."""


def predict(
    density: DensityMap,
    occupied: NDArray[np.bool_],
    network: Classifier,
    *,
    tile: int,
    overlap: int,
    batch: int,
    rotations: int,
    device: torch.device,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Prediction:
    """Run the network over the occupied part of a map.

    Parameters
    ----------
    density : DensityMap
        Voxels of about 1 A.
    occupied : bool (z, y, x)
        Voxels to predict.
    network : Classifier
    tile, overlap : int
        Side of a tile and overlap of neighbours, voxels.
    batch : int
        Tiles per pass.
    rotations : int
        Number of `ROTATIONS` in which each tile is predicted; the predictions are averaged.
    device : torch.device
    progress : called with tiles done and tiles in all
    warn : called with one line when memory ran out and smaller batches are taken

    Raises
    ------
    ResourceError
        Memory runs out with batches of half the size as well.
    """
    tiling = Tiling(density.values.shape, tile, overlap, multiple=CELL)
    voxels = Blend(tiling, occupied, 4)
    cells = Blend(tiling.coarser(CELL), _cells_of(occupied), sum(CELL_HEADS.values()))
    starts = tiling.starts(occupied)
    network = on_device(network, device)
    # The value that surrounds the molecule fills what hangs over the box.
    fill = float(np.median(density.values))
    remedy = "give --set prediction.batch=1, a smaller --set prediction.tile, or --device cpu"
    batches = Batches(batch, f"tiles of {tile}^3 voxels", remedy, warn)

    def look(part: slice) -> tuple[FloatArray, FloatArray]:
        boxes = np.stack([tiling.cut(density.values, start, fill) for start in starts[part]])[:, None]
        return _forward(network, torch.from_numpy(boxes).to(device), rotations)

    for part, found in batches.over(len(starts), look):
        for start, atoms, heads in zip(starts[part], *found, strict=True):
            voxels.add(atoms, start)
            z, y, x = start
            cells.add(heads, (z // CELL, y // CELL, x // CELL))
        progress(part.stop, len(starts))
    return _collect(density, voxels, cells)


def _cells_of(occupied: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells with an occupied voxel; those at the end may hang over the box."""
    z, y, x = (-(-length // CELL) for length in occupied.shape)
    even = np.pad(occupied, [(0, length % CELL) for length in occupied.shape])
    return np.asarray(even.reshape(z, CELL, y, CELL, x, CELL).any(axis=(1, 3, 5)))


@torch.inference_mode()
def _forward(network: Classifier, boxes: Tensor, rotations: int) -> tuple[FloatArray, FloatArray]:
    """Probabilities of the voxel classes and all heads per cell, (batch, channels, z, y, x), mean over rotations."""
    dtype = arithmetic_type(boxes.device)
    boxes = normalise_boxes(boxes)
    atoms = cells = torch.zeros(())
    for rotation in ROTATIONS[:rotations]:
        with torch.autocast(boxes.device.type, dtype=dtype, enabled=dtype != torch.float32):
            heads = {name: value.float() for name, value in network(turn(boxes, rotation)).items()}
        scalars = {
            "atoms": heads["atoms"].softmax(dim=1),
            "aa": heads["aa"].softmax(dim=1),
            "ss": heads["ss"].softmax(dim=1),
            "nonprotein": heads["nonprotein"].sigmoid(),
        }
        vectors = {
            "offset": heads["offset"],
            "next": torch.nn.functional.normalize(heads["next"], dim=1),
            "prev": torch.nn.functional.normalize(heads["prev"], dim=1),
        }
        upright = {name: turn_back(value, rotation) for name, value in scalars.items()}
        upright |= {name: turn_vectors_back(value, rotation) for name, value in vectors.items()}
        atoms = atoms + upright["atoms"].cpu() / rotations
        cells = cells + torch.cat([upright[name] for name in CELL_HEADS], dim=1).cpu() / rotations
    return atoms.numpy(), cells.numpy()


def _collect(density: DensityMap, voxels: Blend, cells: Blend) -> Prediction:
    values = cells.result().astype(np.float16)
    edges = np.cumsum([0, *CELL_HEADS.values()])
    heads = {name: values[:, a:b] for name, a, b in zip(CELL_HEADS, edges[:-1], edges[1:], strict=True)}
    index: IntArray = voxels.index
    atoms = voxels.result().astype(np.float16)
    return Prediction(frame=density.frame, voxels=index, atoms=atoms, cells=cells.index, heads=heads)


def estimate_seconds(
    network: Classifier, occupied: NDArray[np.bool_], tile: int, overlap: int, rotations: int, device: torch.device
) -> float:
    """Seconds that `predict` will need, from its arithmetic and the usual speed of such hardware."""
    shape = occupied.shape
    tiles = len(Tiling((shape[0], shape[1], shape[2]), tile, overlap, multiple=CELL).starts(occupied))
    w1, w2, w3 = network.config.widths
    blocks = network.config.blocks
    per_cell = 54 * (4 * blocks * w1**2 + 4 * blocks * w2**2 / 8 + 2 * w3**2 / 64)
    operations = tiles * rotations * (tile / CELL) ** 3 * per_cell
    fast = arithmetic_type(device) == torch.bfloat16
    if device.type == "cuda":
        return operations / 2e13
    return operations / (torch.get_num_threads() * (1.5e11 if fast else 5e10))
