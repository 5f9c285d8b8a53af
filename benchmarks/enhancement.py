"""What enhancement does to maps: scores against known models, what half maps say of it, seconds and memory.

python benchmarks/enhancement.py scores INDEX.csv... [--methods bfactor neural] [--weights FOLDER]
python benchmarks/enhancement.py halves FOLDER [--methods bfactor halfmaps neural] [--weights FOLDER]
python benchmarks/enhancement.py judge MAP MODEL BETTER_MAP BETTER_MODEL [--methods bfactor neural] [--weights FOLDER]
python benchmarks/enhancement.py speed MAP [--edge 100] [--voxel 1.0] [--methods bfactor neural] [--weights FOLDER]

INDEX.csv is a list as evaluate-classifier reads it; maps with `near_model` are cut to the box of their model and 5 A
around it; the method halfmaps takes NAME_half1.mrc and NAME_half2.mrc beside a map. FOLDER holds such pairs, raw.
`speed` repeats MAP until it fills a cube of that
edge (A), writes it, and runs the command on it.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.density.fourier import crossing, frequencies, fsc, shell_frequencies
from cryo2struct.density.sampling import values_at
from cryo2struct.enhancement import HalfMaps, enhance
from cryo2struct.enhancement import half_maps as two
from cryo2struct.evaluation.ca import ca_residues, heavy_atoms
from cryo2struct.evaluation.map_model import map_model
from cryo2struct.evaluation.superposition import superpose
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.settings import Settings, load_settings
from cryo2struct.training.map_index import read_index

SCORES = ("d FSC 0.5", "CC_box", "CC_peaks", "CC_mask")
LOWER_IS_BETTER = (True, False, False, False)
AROUND = 5.0  # A kept around a model
LEAST_TERMS = 500  # of a shell that counts
FSC_AT_MOST = 0.5  # of the raw half maps, in shells that count


def near(density: DensityMap, structure: gemmi.Structure) -> DensityMap:
    """The part of a map around the atoms of a structure."""
    xyz = np.array([atom.pos.tolist() for chain in structure[0] for residue in chain for atom in residue])
    corners = density.frame.to_index([xyz.min(axis=0) - AROUND, xyz.max(axis=0) + AROUND])
    first = np.maximum(np.floor(corners[0]).astype(int), 0)
    last = np.minimum(np.ceil(corners[1]).astype(int) + 1, density.frame.shape)
    values = density.values[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    frame = GridFrame(
        (values.shape[0], values.shape[1], values.shape[2]), density.frame.voxel, density.frame.to_xyz(first)
    )
    return DensityMap(np.ascontiguousarray(values), frame)


def scores_of(structure: gemmi.Structure, density: DensityMap, resolution: float) -> list[float]:
    """Numbers of `SCORES`; NaN for a curve that stays above 0.5."""
    found = map_model(structure, density, resolution)
    half = found.fsc_unmasked.d_fsc_model_05
    return [np.nan if half is None else half, found.cc_box, found.cc_peaks, found.cc_mask]


def compare_scores(indexes: list[Path], methods: list[str], settings: Settings) -> None:
    """A row per map and method; then means, and how many maps got better."""
    print(f"| map | method | {' | '.join(SCORES)} | CPU s |\n|{'---|' * (len(SCORES) + 3)}")
    table: dict[str, list[list[float]]] = {name: [] for name in ("original", *methods)}
    for row in (row for index in indexes for row in read_index(index) if row.model is not None):
        density, _ = read_map(row.map)
        structure = read_structure(row.model)
        for name in table:
            start = time.process_time()
            known = settings.model_copy(update={"map": settings.map.model_copy(update={"resolution": row.resolution})})
            made = density if name == "original" else enhanced(row.map, density, name, known)
            seconds = time.process_time() - start
            table[name].append(scores_of(structure, near(made, structure) if row.near_model else made, row.resolution))
            numbers = " | ".join(f"{value:.3f}" for value in table[name][-1])
            print(f"| {row.name} | {name} | {numbers} | {seconds:.1f} |", flush=True)
    before = np.array(table["original"])
    for name, rows in table.items():
        after = np.array(rows)
        print(f"| mean | {name} | {' | '.join(f'{value:.3f}' for value in np.nanmean(after, axis=0))} | |")
        if name != "original":
            better = np.where(LOWER_IS_BETTER, after < before, after > before).sum(axis=0)
            print(f"| better of {len(after)} | {name} | {' | '.join(map(str, better))} | |")


def enhanced(path: Path, density: DensityMap, method: str, settings: Settings) -> DensityMap:
    """A map enhanced; by the method halfmaps from the half maps beside it."""
    pair = [path.with_name(f"{path.stem}_half{number}.mrc") for number in (1, 2)] if method == "halfmaps" else []
    halves = HalfMaps(*(read_map(half)[0] for half in pair)) if pair else None
    return enhance(density, settings, method=method, half_maps=halves).density


def enhanced_half(halves: HalfMaps, method: str, settings: Settings) -> np.ndarray:
    """The first half map, enhanced; by the method halfmaps with the weights that both give."""
    if method != "halfmaps":
        return enhance(halves.first, settings, method=method).density.values
    agreed = two.agreement(halves)
    b_factor = two.weighted_b(halves, agreed, agreed.resolution)
    local = two.local_agreement(halves, agreed.resolution, b_factor)
    return two.apply_local(halves.first.values, halves.first.frame, local, b_factor)


def compare_halves(folder: Path, methods: list[str], settings: Settings) -> None:
    """How far FSC(enhanced half 1, raw half 2) lies below FSC(raw, raw): worst and mean of the shells that count.

    The error of a correlation of N terms is about 1 / sqrt(N / 2): also given are the shells up to FSC 0.143 alone.
    """
    print("| half maps | method | worst | mean | worst to FSC 0.143 | shells |\n|---|---|---|---|---|---|")
    for path in sorted(folder.glob("*_half1.mrc")):
        name = path.name.removesuffix("_half1.mrc")
        halves = HalfMaps(read_map(path)[0], read_map(path.with_name(f"{name}_half2.mrc"))[0])
        frame = halves.first.frame
        shell = shell_frequencies(frame.shape, frame.voxel)
        index = np.rint(frequencies(frame.shape, frame.voxel) / shell[1]).astype(int).ravel()
        terms = 2 * np.bincount(index, minlength=len(shell))[: len(shell)]
        _, raw = fsc(halves.first.values, halves.second.values, frame.voxel)
        counted = (terms >= LEAST_TERMS) & (raw < FSC_AT_MOST)
        known = counted & (np.arange(len(raw)) <= np.flatnonzero(raw[1:] < two.CRITERION)[0])
        for method in methods:
            made = enhanced_half(halves, method, settings)
            gain = fsc(made, halves.second.values, frame.voxel)[1] - raw
            to_resolution = f"{gain[known].min():+.3f}" if known.any() else "none"
            numbers = f"{gain[counted].min():+.3f} | {gain[counted].mean():+.3f} | {to_resolution} | {counted.sum()}"
            print(f"| {name} | {method} | {numbers} |", flush=True)


def first_chain(structure: gemmi.Structure) -> dict[int, np.ndarray]:
    """Number to C-alpha of the residues of the first chain."""
    keys, points = ca_residues(structure)
    return {key[1]: xyz for key, xyz in zip(keys, points.xyz, strict=True) if key[0] == keys[0][0]}


def judge(paths: list[Path], methods: list[str], settings: Settings) -> None:
    """Where the FSC with a better map of the same molecule falls to 0.5, raw and enhanced."""
    density, better = read_map(paths[0])[0], read_map(paths[2])[0]
    models = [read_structure(path) for path in (paths[1], paths[3])]
    moving, fixed = (first_chain(model) for model in models)
    common = sorted(moving.keys() & fixed.keys())
    pairs = [np.array([chain[number] for number in common]) for chain in (fixed, moving)]
    rotations, shifts = superpose(*pairs, np.ones((1, len(common))))
    places = better.frame.to_xyz(np.indices(better.frame.shape).reshape(3, -1).T)
    away = cKDTree(heavy_atoms(models[1])).query(places, distance_upper_bound=12.0)[0]
    soft = np.clip((8.0 - away) / 4.0, 0, 1).reshape(better.frame.shape)  # 1 to 4 A from the atoms, 0 from 8 A
    for method in ("original", *methods):
        made = density if method == "original" else enhanced(paths[0], density, method, settings)
        values = values_at(made, places @ rotations[0].T + shifts[0]).reshape(better.frame.shape)
        found = crossing(
            *fsc((values - values.mean()) * soft, (better.values - better.values.mean()) * soft, better.frame.voxel),
            0.5,
        )
        print(
            f"{paths[0].parent.name}, {method}: FSC 0.5 at {found:.2f} A, {len(common)} residues laid upon each other"
        )


def measure_speed(map_file: Path, edge: float, voxel: float, methods: list[str], weights: Path | None) -> None:
    """Seconds of the clock and of the CPU, Python's start included, and peak memory."""
    values = read_map(map_file)[0].values
    voxels = round(edge / voxel)
    values = values[np.ix_(*(np.arange(voxels) % length for length in values.shape))]
    print(f"cube of {voxels} voxels of {voxel:g} A\n\n| method | s | CPU s | GB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        cube = Path(folder) / "cube.mrc"
        write_map(cube, DensityMap(values, GridFrame((voxels,) * 3, np.full(3, voxel), np.zeros(3))))
        for method in methods:
            command = [sys.executable, "-m", "cryo2struct.cli.main", "enhance", str(cube), "-o", f"{folder}/out.mrc"]
            command += ["--method", method, "--resolution", "3.5", *(["--weights", str(weights)] if weights else [])]
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            peak = after.ru_maxrss / 2**20  # of the largest child until now: give one method for its own figure
            print(f"| {method} | {time.perf_counter() - start:.1f} | {busy:.1f} | {peak:.2f} |", flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scores", "halves", "judge", "speed"])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--methods", nargs="+", default=["bfactor"])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--edge", type=float, default=100.0)
    parser.add_argument("--voxel", type=float, default=1.0)
    options = parser.parse_args()
    settings = load_settings(changes={"enhancement.weights": options.weights} if options.weights else None)
    if options.what == "scores":
        compare_scores(options.paths, options.methods, settings)
    elif options.what == "halves":
        compare_halves(options.paths[0], options.methods, settings)
    elif options.what == "judge":
        judge(options.paths, options.methods, settings)
    else:
        measure_speed(options.paths[0], options.edge, options.voxel, options.methods, options.weights)


if __name__ == "__main__":
    main()
