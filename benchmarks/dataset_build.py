"""Seconds and memory of `dataset build`, step by step.

    python benchmarks/dataset_build.py $CRYO2STRUCT_DATA/real [-o FOLDER]
    python benchmarks/dataset_build.py --box 512 --voxel 0.8

The first writes a list of the maps of a folder (its index.csv names them), FOLDER/list.csv, builds each in a process of
its own, then all of them by the command from that list, into FOLDER/set. The second builds one entry of a
simulated map that copies of the example's model fill. Steps are in seconds of the processor: other work on the computer
counts little. Peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import multiprocessing
import subprocess
import sys
import tempfile
import time
import types
from itertools import product
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from cryo2struct import record
from cryo2struct.dataset.entry import Limits, Options, write_entry
from cryo2struct.evaluation.map_model_overall import _model_map
from cryo2struct.io.manifest import DatasetEntry, hashes_of, read_dataset_manifest
from cryo2struct.io.maps import write_by_origin
from cryo2struct.io.models import read_structure
from cryo2struct.objects import GridFrame

EXAMPLE = Path(__file__).parents[1] / "examples" / "emd_6272"
ALL = ["--min-cc-mask", "-1", "--min-cc-box", "-1", "--coarsest", "9"]
STEPS = ("read", "CC", "resample", "sequences", "training", "maps", "labels")


def make_list(real: Path, output: Path) -> None:
    """Write the list of all maps of a folder."""
    with (real / "index.csv").open(newline="") as handle, output.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["name", "map", "model", "fasta", "context", "resolution"])
        for row in csv.DictReader(handle):
            folder = (real / row["name"]).resolve()
            context = folder / "context.cif"
            files = [folder / "map.mrc.gz", folder / "model.cif", folder / "seq.fasta"]
            table.writerow([row["name"], *files, context if context.exists() else "", row["resolution"]])


def make_map(folder: Path, box: int, voxel: float, copies: int) -> DatasetEntry:
    """Simulate a map at 3 angstrom with noise, filled with copies of a model along each axis."""
    piece = read_structure(EXAMPLE / "reference.cif")
    xyz = np.array([atom.pos.tolist() for chain in piece[0] for residue in chain for atom in residue])
    size = xyz.max(axis=0) - xyz.min(axis=0) + 4
    edge = box * voxel
    many = np.clip((edge - 20) // size, 1, copies).astype(int)
    structure, model = gemmi.Structure(), gemmi.Model(1)
    for number, place in enumerate(product(*map(range, many))):
        copy = piece[0].clone()
        shift = (edge - many * size) / 2 + np.array(place) * size - xyz.min(axis=0)
        copy.transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift)))
        for chain in copy:
            chain.name = f"{chain.name}{number}"
            model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(folder / "model.cif"))
    frame = GridFrame((box, box, box), np.full(3, voxel), np.zeros(3))
    values = _model_map([atom for chain in model for residue in chain for atom in residue], frame, 3.0)
    values /= values.std()
    generator = np.random.default_rng(0)
    for section in values:
        section += generator.normal(0, 0.3, section.shape).astype(np.float32)
    write_by_origin(folder / "map.mrc", values, frame, "simulated")
    return DatasetEntry("simulated", folder / "map.mrc", folder / "model.cif", None, None, 3.0, None)


def build(entry: DatasetEntry, folder: Path, pipe: Any) -> None:
    """Make one entry; its record goes into the pipe."""
    record.time = types.SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment]
    pipe.send(write_entry(folder, entry, hashes_of(entry), Options(), Limits(-1, -1, 0, 9)))


def in_own_process(function: Any, *arguments: Any) -> Any:
    """What a function sends into the pipe that it is given as its last argument."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(*arguments, there))
    process.start()
    answer = here.recv()
    process.join()
    return answer


def simulated(folder: Path, box: int, voxel: float, copies: int, pipe: Any) -> None:
    """`make_map` in a process of its own, so that its memory is gone."""
    pipe.send(make_map(folder, box, voxel, copies))


def row(name: str, found: dict[str, Any]) -> list[str]:
    """One entry: voxels of the larger grid, residues, seconds of each step, and what follows from them."""
    million = max(math.prod(found["map"]["shape_xyz"]), math.prod(found["grid"]["shape_xyz"])) / 1e6
    seconds = {step["name"]: step["seconds"] for step in found["steps"]}
    peak = found["steps"][-1]["peak_memory_gb"]
    other = sum(seconds.values()) - seconds["CC"]
    return [
        name,
        f"{million:.2f}",
        str(found["model"]["residues"]),
        *(f"{seconds[step]:.2f}" for step in STEPS),
        f"{million / other:.1f}",
        f"{peak:.2f}",
        f"{1000 * peak / million:.1f}",
        f"{peak * 2**30 / (4e6 * million):.1f}",
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, nargs="?", help="folder with index.csv")
    parser.add_argument("-o", "--output", type=Path, help="folder of the data set")
    parser.add_argument("--box", type=int, default=256, help="voxels along each edge")
    parser.add_argument("--voxel", type=float, default=0.8, help="angstrom")
    parser.add_argument("--copies", type=int, default=3, help="copies of the model along each edge, at most")
    options = parser.parse_args()
    output = options.output or Path(tempfile.mkdtemp(prefix="dataset_build_"))
    output.mkdir(parents=True, exist_ok=True)
    if options.real:
        make_list(options.real, output / "list.csv")
        entries = [one for one in read_dataset_manifest(output / "list.csv") if isinstance(one, DatasetEntry)]
    else:
        entries = [in_own_process(simulated, output, options.box, options.voxel, options.copies)]
    titles = [*STEPS, "million voxels/s but CC", "peak GB", "MB per million voxels", "times the larger grid"]
    print("| " + " | ".join(["map", "million voxels", "residues", *titles]) + " |")
    print("|---" + "|---:" * (len(titles) + 2) + "|")
    for entry in entries:
        with tempfile.TemporaryDirectory(dir=output) as folder:
            print("| " + " | ".join(row(entry.name, in_own_process(build, entry, Path(folder)))) + " |", flush=True)
    if options.real:
        command = ["dataset", "build", str(output / "list.csv"), "-o", str(output / "set"), *ALL]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cryo2struct.cli.main", *command], check=True)
        print(f"as one list: {time.perf_counter() - start:.1f} s; {output / 'set'}")
        seconds = [json.loads(path.read_text())["steps"] for path in (output / "set").glob("*/entry.json")]
        print(f"of this in the entries: {sum(step['seconds'] for steps in seconds for step in steps):.1f} s")


if __name__ == "__main__":
    main()
