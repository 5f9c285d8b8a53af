"""The enhancer over a whole map, in overlapping tiles, where the map is occupied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cryo2struct.density.resample import VOXEL, resample, resample_back
from cryo2struct.density.tiles import Blend, Start, Tiling
from cryo2struct.networks.classifier import normalise_boxes, on_device
from cryo2struct.objects import DensityMap, FloatArray
from cryo2struct.prediction.batches import Batches
from cryo2struct.prediction.device import arithmetic_type
from cryo2struct.preflight import Region


@dataclass(frozen=True)
class NeuralEnhancer:
    """A network and how it runs.

    Attributes
    ----------
    network : density (batch, 1, z, y, x), mean 0 and standard deviation 1, to enhanced density of the same shape,
        0 in solvent
    tile, overlap : voxels of about 1 A
    batch : tiles per pass
    device : torch.device
    progress : called with tiles done and tiles in all
    warn : called with one line when memory ran out and smaller batches are taken
    """

    network: torch.nn.Module
    tile: int
    overlap: int
    batch: int
    device: torch.device
    progress: Callable[[int, int], None] = lambda done, total: None
    warn: Callable[[str], None] = lambda line: None

    def apply(self, density: DensityMap, region: Region) -> NDArray[np.float32]:
        """The density (z, y, x) that the network makes of a map, on the grid of the map, 0 in solvent.

        The part of the map around the region is resampled to about 1 A; every tile that holds a voxel of the region
        is seen, whole; outside of these tiles the result is 0. What is finer than 2 A is not in the result.

        Raises
        ------
        ResourceError
            Memory runs out with batches of half the size as well.
        """
        around = region.crop(density, self.tile * VOXEL)
        resampled = resample(around)
        values = self._over(resampled.values, region.on(resampled.frame))
        result = np.zeros(density.values.shape, dtype=np.float32)
        result[region.box(self.tile * VOXEL)] = resample_back(values, around.frame, 0.0)
        return result

    def _over(self, values: FloatArray, occupied: NDArray[np.bool_]) -> NDArray[np.float32]:
        tiling = Tiling((values.shape[0], values.shape[1], values.shape[2]), self.tile, self.overlap)
        starts = tiling.starts(occupied)
        blend = Blend(tiling, _covered(values.shape, starts, self.tile), 1)
        network = on_device(self.network, self.device)
        # The value that surrounds the molecule fills what hangs over the box.
        fill = float(np.median(values))
        remedy = "give --set enhancement.batch=1 or --device cpu"
        batches = Batches(self.batch, f"tiles of {self.tile}^3 voxels", remedy, self.warn)

        def look(part: slice) -> FloatArray:
            boxes = np.stack([tiling.cut(values, start, fill) for start in starts[part]])[:, None]
            return self._forward(network, torch.from_numpy(boxes).to(self.device))

        for part, enhanced in batches.over(len(starts), look):
            for start, tile in zip(starts[part], enhanced, strict=True):
                blend.add(tile, start)
            self.progress(part.stop, len(starts))
        result = np.zeros(values.shape, dtype=np.float32)
        result[tuple(blend.index.T)] = blend.result()[:, 0]
        return result

    @torch.inference_mode()
    def _forward(self, network: torch.nn.Module, boxes: torch.Tensor) -> FloatArray:
        dtype = arithmetic_type(boxes.device)
        with torch.autocast(boxes.device.type, dtype=dtype, enabled=dtype != torch.float32):
            enhanced = network(normalise_boxes(boxes))
        found: FloatArray = enhanced.float().cpu().numpy()
        return found


def _covered(shape: tuple[int, ...], starts: list[Start], size: int) -> NDArray[np.bool_]:
    """Voxels in any of the tiles."""
    covered = np.zeros(shape, dtype=np.bool_)
    for z, y, x in starts:
        covered[z : z + size, y : y + size, x : x + size] = True
    return covered
