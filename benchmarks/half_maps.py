"""Models refined against one half map, judged by the other.

    python benchmarks/half_maps.py MAPS

MAPS holds index.csv (map, model, resolution) and for each NAME.mrc the raw half maps NAME_half1.mrc and NAME_half2.mrc
and the structure. A model is built into the map without refinement, which half 2 is a part of; then it is refined
against half 1, weighted as reconstructions are: each term by sqrt(2 FSC / (1 + FSC)), none from where the FSC of the
two falls below 0.143. CC_mask is that of `evaluate`; both models have the B factors that half 1 gives the first one.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import gemmi
import numpy as np

from cryo2struct.density.fourier import frequencies, fsc
from cryo2struct.evaluation.map_model import map_model
from cryo2struct.handover.displacement import residue_b_factors
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, Entity, FloatArray, Sequences
from cryo2struct.pipeline import build
from cryo2struct.refinement import refine
from cryo2struct.settings import load_settings

LEAST_FSC = 0.143


def sequences_of(structure: gemmi.Structure) -> Sequences:
    """The letters of each chain as a sequence."""
    letters = [gemmi.one_letter_code([r.name for r in chain.get_polymer()]).upper() for chain in structure[0]]
    entities = (Entity(f"chain {n}", text, 1, "protein") for n, text in enumerate(letters) if text)
    return Sequences(tuple(entities))


def weighted(halves: list[DensityMap]) -> list[DensityMap]:
    """Both half maps, weighted by their Fourier shell correlation."""
    frame = halves[0].frame
    inverse, curve = fsc(halves[0].values, halves[1].values, frame.voxel)
    below = np.flatnonzero(curve < LEAST_FSC)
    curve = np.clip(curve, 0, 1)
    curve[below[0] if len(below) else len(curve) :] = 0
    weight = np.interp(frequencies(frame.shape, frame.voxel), inverse, np.sqrt(2 * curve / (1 + curve)))
    axes = (0, 1, 2)
    terms = [np.fft.rfftn(half.values) * weight for half in halves]
    return [DensityMap(np.fft.irfftn(f, s=frame.shape, axes=axes).astype(np.float32), frame) for f in terms]


def fit(structure: gemmi.Structure, density: DensityMap, resolution: float) -> float:
    """CC_mask."""
    found = map_model(structure, density, resolution).cc_mask
    assert found is not None
    return found


def with_b_factors(structure: gemmi.Structure, b_factors: FloatArray) -> gemmi.Structure:
    """Copy with these B factors (R,) of its residues."""
    copy = structure.clone()
    for residue, b in zip((r for chain in copy[0] for r in chain), b_factors.tolist(), strict=True):
        for atom in residue:
            atom.b_iso = b
    return copy


def cells(plain: gemmi.Structure, halves: list[DensityMap], resolution: float) -> list[float]:
    """CC_mask before and after refinement: half 1 and half 2 weighted, half 2 as it is."""
    first, second = weighted(halves)
    refined = refine(plain, first, resolution).structure
    b_factors = residue_b_factors(plain, first, resolution)
    models = [with_b_factors(structure, b_factors) for structure in (plain, refined)]
    return [fit(model, half, resolution) for half in (first, second, halves[1]) for model in models]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("maps", type=Path)
    folder = parser.parse_args().maps
    print("| map | residues | half 1 | refined | half 2 | refined | half 2 as it is | refined |\n" + "|---" * 8 + "|")
    with (folder / "index.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        resolution = float(row["resolution"])
        halves = [read_map(folder / row["map"].replace(".mrc", f"_half{n}.mrc"))[0] for n in (1, 2)]
        sequences = sequences_of(read_structure(folder / row["model"]))
        settings = load_settings(None, {"map.resolution": resolution, "refinement.mode": "none"})
        density, _ = read_map(folder / row["map"])
        plain = build(density, sequences, settings).model.structure
        shown = " | ".join(f"{value:.3f}" for value in cells(plain, halves, resolution))
        print(f"| {Path(row['map']).stem} | {sum(map(len, plain[0]))} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
