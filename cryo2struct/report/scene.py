"""Map and model, small enough for a page: the map about the model in 8 bits, the backbone in 16."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.density.normalise import background
from cryo2struct.density.resample import resample
from cryo2struct.io.run_folder import BuiltChain
from cryo2struct.objects import DensityMap, FloatArray, GridFrame

MARGIN = 6.0  # angstrom of map about the model
MOST_VOXELS = 96**3
STEPS = 254  # between the background and the highest value shown
HIGHEST = 99.95  # percentile of the values shown; above it they are cut
FIRST_LEVEL = 0.4  # of the median at the C-alphas: the surface that is shown first


def model_scene(chains: Sequence[BuiltChain]) -> dict[str, Any]:
    """The backbone of the model as the page's script reads it.

    Coordinates are 16-bit steps of `step` angstrom from `centre`; -32768 stands for an atom that is missing.
    """
    xyz = np.concatenate([chain.backbone for chain in chains]).reshape(-1, 3)
    low, high = np.nanmin(xyz, axis=0), np.nanmax(xyz, axis=0)
    centre = (low + high) / 2
    step = max(float((high - low).max()) / 65_000, 1e-3)
    packed = np.where(np.isfinite(xyz), np.round((xyz - centre) / step), -32768).astype("<i2")
    return {
        "chains": [
            {"name": chain.name, "count": len(chain.position), "letters": _built_letters(chain)} for chain in chains
        ],
        "centre": centre.round(3).tolist(),
        "step": step,
        "xyz": _text(packed),
        "position": _text(np.concatenate([chain.position for chain in chains]).astype("<i4")),
        "confidence": _text(np.round(100 * np.concatenate([chain.confidence for chain in chains])).astype("<u2")),
    }


def map_scene(density: DensityMap, chains: Sequence[BuiltChain]) -> dict[str, Any] | None:
    """The map about the model, at most `MOST_VOXELS`; None where the model lies outside of it.

    Values are whole numbers from 0, the background, to `STEPS`; less 127 they fit into 8 bits. x is the slowest axis.
    """
    calphas = np.concatenate([chain.backbone[:, 1] for chain in chains])
    calphas = calphas[np.isfinite(calphas).all(axis=1)]
    cropped = crop(density, calphas)
    if cropped is None:
        return None
    small = reduce_map(cropped)
    about = background(density.values)
    top = float(np.percentile(small.values, HIGHEST))
    if top <= about.level:
        return None
    step = (top - about.level) / STEPS
    values = np.clip(np.round((small.values - about.level) / step), 0, STEPS).astype(np.int16)
    at_calphas = scipy.ndimage.map_coordinates(values, small.frame.to_index(calphas).T, np.float32, order=1)
    level = round(float(np.clip(FIRST_LEVEL * np.median(at_calphas), 1, STEPS - 1)))
    return {
        "size": list(small.frame.shape[::-1]),
        "voxel": np.round(small.frame.voxel, 6).tolist(),
        "origin": np.round(small.frame.origin, 4).tolist(),
        "background": about.level,
        "noise": about.sigma,
        "step": step,
        "steps": STEPS,
        "level": level,
        "values": _text((values - 127).astype(np.int8).transpose(2, 1, 0)),
    }


def crop(density: DensityMap, xyz: FloatArray) -> DensityMap | None:
    """The part of a map within `MARGIN` of points (N, 3) along each axis; None where there is none."""
    frame = density.frame
    margin = MARGIN / frame.voxel[::-1]
    index = frame.to_index(xyz)
    first = np.maximum(np.floor(index.min(axis=0) - margin), 0).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0) + margin), np.array(frame.shape) - 1).astype(int)
    if (last - first < 1).any():
        return None
    part = density.values[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    return DensityMap(part, GridFrame(part.shape, frame.voxel, frame.to_xyz(first)), density.header)


def reduce_map(density: DensityMap) -> DensityMap:
    """The same map with at most `MOST_VOXELS`."""
    voxel = float(np.prod(density.frame.voxel)) ** (1 / 3)
    while density.values.size > MOST_VOXELS:
        voxel *= max((density.values.size / MOST_VOXELS) ** (1 / 3), 1.01)
        density = resample(density, voxel)
    return density


def _built_letters(chain: BuiltChain) -> str:
    return "".join(chain.letters[position - 1] for position in chain.position.tolist())


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
