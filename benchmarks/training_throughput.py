"""Crops (48^3 voxels) per second that training makes and learns from, for both networks.

    python benchmarks/training_throughput.py PACK.npz

Producer: one process draws structures and simulates their density. Consumer: steps of the optimiser, forward and
backward, bf16. Batches as in the configurations; the fastest of `--batches` batches after one that warms up, which
other programs on the machine disturb least.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.settings import data_path
from cryo2struct.training.configuration import read_config
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.processes import Place
from cryo2struct.training.run import Trainer


def least_seconds(action: Callable[[int], Any], count: int) -> float:
    """Shortest duration of `action(number)`; the first call does not count."""
    seconds = []
    for number in range(count + 1):
        start = time.perf_counter()
        action(number)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def throughput(task: str, pack: StructurePack, threads: int, count: int, device: str) -> tuple[float, float]:
    """Crops per second of producer and consumer."""
    torch.set_num_threads(threads)
    config = read_config(data_path("configs") / f"train-{task}.yaml", [])
    size = config["optimiser"]["batch"]
    options = {"batch_size": size, "resolutions": tuple(config["data"]["resolutions"]), "seed": config["seed"]}
    stream = CropStream(pack, pack.split("train"), **options, first_batch=0, simulate_here=True)
    made = least_seconds(lambda number: simulate(stream.batch(number)), count)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder), device=device, place=Place.here(), restart_weights=None)
        batches = [stream.batch(number) for number in range(count + 1)]
        ready = [(batch.to(trainer.fabric.device), simulate(batch).to(trainer.fabric.device)) for batch in batches]
        learned = least_seconds(lambda number: trainer.train_step(*ready[number]), count)
    return size / made, size / learned


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--device", default="cpu", help="of the consumer")
    options = parser.parse_args()
    pack = StructurePack(options.pack)
    print("| network | CPU threads | producer, crops/s | consumer, crops/s |\n|---|---|---|---|")
    for task in ("classifier", "residues"):
        for threads in (1, 2):
            made, learned = throughput(task, pack, threads, options.batches, options.device)
            print(f"| {task} | {threads} | {made:.1f} | {learned:.1f} |", flush=True)


if __name__ == "__main__":
    main()
