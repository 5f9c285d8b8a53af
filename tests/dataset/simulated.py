"""A small map simulated from part of the example's model, with the model and its sequence."""

from pathlib import Path

import gemmi
import numpy as np

from cryo2struct.density.noise import half_maps
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.io.maps import write_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_6272"
RESIDUES = 45
RESOLUTION = 3.0


def piece(start=60, residues=RESIDUES):
    """Residues of the example's model that follow each other, as a structure."""
    structure = read_structure(EXAMPLE / "reference.cif")
    while len(structure[0]) > 1:
        del structure[0][1]
    chain = structure[0][0]
    for number in reversed(range(len(chain))):
        if not start <= number < start + residues:
            del chain[number]
    return structure


def write_structure(structure, path):
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(path))


def write_inputs(folder, voxel=1.1):
    """Write map.mrc, model.cif and seq.fasta; the structure."""
    structure = piece()
    write_structure(structure, folder / "model.cif")
    frame = box_around(structure, RESOLUTION, voxel, 6.0, 10**7)
    halves = half_maps(simulate(structure, frame, RESOLUTION), RESOLUTION, np.random.default_rng(0))
    write_map(folder / "map.mrc", DensityMap((halves[0].values + halves[1].values) / np.float32(2), frame))
    (folder / "seq.fasta").write_bytes((EXAMPLE / "seq.fasta").read_bytes())
    return structure


def moved(structure, shift):
    copy = structure.clone()
    copy[0].transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift)))
    return copy
