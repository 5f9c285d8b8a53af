"""What is left to look at in ChimeraX: predictions as maps, and the script that opens them with map and model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo2struct.io.maps import write_map
from cryo2struct.objects import DensityMap, Prediction

PREDICTION_MAPS = {
    "ca.mrc": "gold",
    "n.mrc": "blue",
    "c.mrc": "gray",
    "nucleic_acid.mrc": "magenta",
    "confidence.mrc": "green",
}
"""File name to colour in ChimeraX."""
SHOWN = ("ca.mrc", "nucleic_acid.mrc")  # the others are a click away


def write_prediction_maps(folder: Path, prediction: Prediction) -> list[str]:
    """Write `PREDICTION_MAPS` into a folder: probabilities on the grid that the network saw, of about 1 A.

    ca, n, c: that the backbone atom is in the voxel; confidence: that any of the three is; nucleic_acid: that the cell
    of 2 x 2 x 2 voxels holds a nucleic acid or another molecule that is no protein. 0 where nothing was predicted.

    Returns
    -------
    Names of the files.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    atoms = prediction.atoms.astype(np.float32)
    columns = {"ca.mrc": atoms[:, 1], "n.mrc": atoms[:, 2], "c.mrc": atoms[:, 3], "confidence.mrc": 1 - atoms[:, 0]}
    for name in PREDICTION_MAPS:
        if name in columns:
            values = np.zeros(prediction.frame.shape, dtype=np.float32)
            values[tuple(prediction.voxels.T)] = columns[name]
        else:
            values = _of_cells(prediction, "nonprotein")
        write_map(folder / name, DensityMap(values, prediction.frame), f"prediction: {name.removesuffix('.mrc')}")
    return list(PREDICTION_MAPS)


def view_script(map_file: str, maps: list[str]) -> str:
    """ChimeraX commands that open a map, model.cif coloured by confidence, and prediction maps of the same folder."""
    lines = [
        "# ChimeraX: the map, the model coloured by confidence, and what was predicted, as far as it was kept",
        f"open {json.dumps(map_file)}",
        "open model.cif",
        "color bfactor #2 palette alphafold",
        "show #2 atoms",
        "style #2 stick",
        "cartoon #2",
        "volume #1 style mesh",
    ]
    for number, name in enumerate(maps, 3):
        lines += [f"open {name}", f"volume #{number} style surface level 0.3 color {PREDICTION_MAPS[name]}"]
        lines += [f"transparency #{number} 40" if name in SHOWN else f"hide #{number} models"]
    return "\n".join([*lines, "view"]) + "\n"


def _of_cells(prediction: Prediction, head: str) -> NDArray[np.float32]:
    """A head with one value per cell, in all voxels of each cell (z, y, x)."""
    shape = prediction.frame.shape
    cells = np.zeros([-(-length // 2) for length in shape], dtype=np.float32)
    cells[tuple(prediction.cells.T)] = prediction.heads[head][:, 0]
    voxels = cells.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    return np.ascontiguousarray(voxels[: shape[0], : shape[1], : shape[2]])
