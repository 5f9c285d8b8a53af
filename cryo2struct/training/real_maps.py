"""Write a map pack: experimental maps with their models, for training on them beside simulated crops.

    python -m cryo2struct.training.real_maps INDEX.csv -o real.npz

INDEX.csv is as `evaluate-classifier` reads it. A map is resampled to about 1 A, its solvent level taken off and its
standard deviation set to 1. Where a structure of neighbours is given as `context`, its density is set to 0: it must not
count as "no residue".
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from cryo2struct.dataset.map_pack import MappedStructure
from cryo2struct.dataset.map_record import UNKNOWN_RESIDUE, training_record, write_map_pack
from cryo2struct.density.resample import resample
from cryo2struct.errors import Cryo2StructError, InputError
from cryo2struct.evaluation.ca import modelled_residues
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.io.outputs import refuse_inputs
from cryo2struct.training.map_index import MapRow, read_index

LEAST_INSIDE = 0.9  # of the C-alphas must lie in the map


def mapped_structure(row: MapRow, atom_names: list[str]) -> MappedStructure:
    """A row's map and model.

    Raises
    ------
    InputError
        There is no model, it has no C-alpha, or it does not lie in the map.
    """
    if row.model is None:
        raise InputError(f"{row.map}: has no model in the index; training needs one")
    structure = read_structure(row.model)
    read, warnings = read_map(row.map)
    for warning in warnings:
        print(f"cryo2struct: {warning}", file=sys.stderr)
    density = resample(read)
    frame = density.frame
    alphas = np.array([atom.pos.tolist() for _, _, atom in modelled_residues(structure)]).reshape(-1, 3)
    index = frame.to_index(alphas)
    inside = ((index >= 0) & (index <= np.array(frame.shape) - 1)).all(axis=1)
    if not len(alphas) or inside.mean() < LEAST_INSIDE:
        raise InputError(
            f"{row.model}: {int(inside.sum())} of {len(alphas)} C-alphas lie in {row.map}; give the model of this map"
        )
    context = None if row.context is None else read_structure(row.context)
    return training_record(density, structure, context, atom_names)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write a pack of experimental maps and models for training.")
    parser.add_argument("index", type=Path, metavar="INDEX.csv", help="of maps and models, as for evaluate-classifier")
    parser.add_argument("-o", "--output", type=Path, default=Path("real.npz"))
    options = parser.parse_args(arguments)
    try:
        rows = read_index(options.index)
        used = [path for row in rows for path in (row.map, row.model, row.context) if path is not None]
        refuse_inputs([options.output], [options.index, *used])
        atom_names = ["CA", "N", "C", "O"]
        maps = []
        for row in rows:
            one = mapped_structure(row, atom_names)
            maps.append((row.name, one))
            shape = "x".join(map(str, one.values.shape[::-1]))
            print(
                f"{row.name}: {shape} voxels, {int((one.structure.aa <= UNKNOWN_RESIDUE).sum())} residues", flush=True
            )
        write_map_pack(options.output, maps, atom_names)
    except Cryo2StructError as error:
        print(f"cryo2struct: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
