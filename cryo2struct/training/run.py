"""The training loop: resumable, bf16, exponential moving average of the weights.

    python -m cryo2struct.training.run --config configs/train-classifier.yaml --run runs/classifier --set data.pack=PATH
    torchrun --nproc-per-node 2 -m cryo2struct.training.run -- --config ...    (two processes, each with its own crops)

Needs torch, numpy, safetensors, PyYAML and lightning-fabric only, so that it starts on a bare GPU machine.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.errors import Cryo2StructError, InputError, InternalError, OutputError, ResourceError, UsageError
from cryo2struct.networks.store import save_weights
from cryo2struct.prediction.device import is_out_of_memory
from cryo2struct.training.checkpoint import fill, fill_optimiser, read_checkpoint, write_checkpoint
from cryo2struct.training.configuration import Config, read_config
from cryo2struct.training.crops import CropBatch, simulate
from cryo2struct.training.processes import (
    Interruption,
    Place,
    any_process,
    is_lost_process,
    is_lost_worker,
    leave,
    load_batches,
    mean_of_processes,
    start_fabric,
)
from cryo2struct.training.tasks import TASKS

CHECKPOINT = "checkpoint.pt"


def fixed_part(config: Config) -> Config:
    """What must not change when a training is resumed: everything but paths, workers and reporting."""
    data = config["data"]
    return {
        "seed": config["seed"],
        "network": config["network"],
        **{name: data.get(name) for name in ("resolutions", "nucleic_share", "structureless_share")},
        "optimiser": config["optimiser"],
        "loss": config["loss"],
        **({"real_share": data["real_share"]} if data.get("real") else {}),  # absent from former checkpoints
    }


def learning_rate(step: int, config: Config) -> float:
    """Linear warm-up, then a cosine from `learning_rate` to `final_learning_rate`."""
    o = config["optimiser"]
    if step < o["warmup"]:
        return float(o["learning_rate"] * (step + 1) / o["warmup"])
    done = min(1.0, (step - o["warmup"]) / max(1, o["steps"] - o["warmup"]))
    return float(
        o["final_learning_rate"] + (o["learning_rate"] - o["final_learning_rate"]) * (1 + math.cos(math.pi * done)) / 2
    )


class Trainer:
    """Network, optimiser, moving average and files of one run.

    With several processes each holds the same weights: gradients are the mean over the processes of those of each
    process's own loss. The first process writes the files.
    """

    def __init__(self, config: Config, run: Path, *, device: str, place: Place, restart_weights: Path | None) -> None:
        self.config = config
        self.run = run
        self.place = place
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--run {run}: cannot be made ({error.strerror}): give another folder") from error
        self.fabric = start_fabric(device, place)
        torch.manual_seed(config["seed"])
        self.task = TASKS[config["task"]]
        network = self.task.build(config["network"])
        if restart_weights is not None:
            fill(network, self.task.load(restart_weights).state_dict(), restart_weights)
        network = self.task.place(network, self.fabric.device)
        self.ema = {k: v.detach().clone().to(self.fabric.device) for k, v in network.state_dict().items()}
        decay = [p for p in network.parameters() if p.ndim > 1]
        keep = [p for p in network.parameters() if p.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": config["optimiser"]["weight_decay"]},
            {"params": keep, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.step = 0
        self.seconds = 0.0
        self.processes = place.count
        self.intact = True

    def save(self) -> None:
        """The first process writes the checkpoint, under a temporary name, and renames it."""
        if not self.place.first:
            return
        state = {
            "config": fixed_part(self.config),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "seconds": self.seconds,
            "processes": self.processes,
        }
        write_checkpoint(self.run / CHECKPOINT, state)

    def resume(self) -> bool:
        """Continue from the run's checkpoint, see `read_checkpoint`; False when there is none."""
        path = self.run / CHECKPOINT
        if not path.is_file():
            return False
        state = read_checkpoint(path, fixed_part(self.config), self.fabric.device)
        fill(self.network, state["network"], path)
        fill_optimiser(self.optimiser, state["optimiser"], path)
        self.ema, self.step, self.seconds = state["ema"], state["step"], state["seconds"]
        self.processes = state.get("processes", 1)
        return True

    def train_step(self, batch: CropBatch, density: Tensor) -> dict[str, float]:
        """One step of the optimiser; returns the losses."""
        rate = learning_rate(self.step, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        number = self.step * self.place.count + self.place.rank
        torch.manual_seed(hash((self.config["seed"], number)) % 2**63)  # the same after a resume
        losses = self.task.losses(self.network, density, batch)
        total = sum(
            (self.config["loss"][name] * value for name, value in losses.items()),
            torch.zeros((), device=density.device),
        )
        self.fabric.backward(total)
        largest = self.config["optimiser"]["clip"]
        norm = self.fabric.clip_gradients(self.network, self.optimiser, max_norm=largest, error_if_nonfinite=False)
        assert norm is not None
        # The norm is that of the mean gradient: every process sees it when the loss of one is no number.
        if not math.isfinite(float(total.detach()) + float(norm)):
            raise InternalError(
                f"loss is not a number at step {self.step}: {self.run / CHECKPOINT}, if there, is from before: start "
                "again with a lower optimiser.learning_rate in a new --run"
            )
        self.intact = False
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        decay = min(self.config["optimiser"]["ema"], (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.ema[name].lerp_(value.float(), 1 - decay)
        self.intact = True
        return {name: float(value.detach()) for name, value in losses.items()}

    @property
    def crops_per_step(self) -> int:
        """Crops that one step sees, in all processes."""
        return int(self.config["optimiser"]["batch"] * self.processes)

    def validate(self, pack: StructurePack) -> dict[str, float]:
        """Figures of the averaged weights on the validation structures."""
        network = self.task.build(self.config["network"])
        network.load_state_dict(self.ema)
        device = self.fabric.device
        return self.task.validate(self.task.place(network, device).eval(), pack, self.config, device)

    def log(self, values: dict[str, Any]) -> None:
        """The first process appends rows to metrics.csv (step, name, value) and prints them."""
        if not self.place.first:
            return
        path = self.run / "metrics.csv"
        try:
            new = not path.exists()
            with path.open("a", newline="") as handle:
                writer = csv.writer(handle)
                if new:
                    writer.writerow(["step", "name", "value"])
                writer.writerows([self.step, name, f"{value:.7g}"] for name, value in values.items())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}): free the disk, start again") from error
        print(f"step {self.step}", *(f"{name} {value:.4g}" for name, value in values.items()), flush=True)


def blend(trainer: Trainer, folder: Path, share: float) -> None:
    """Mix the averaged weights of a short training with those in the folder that it started from.

    Keeps more of what the former could than the new ones do (Wortsman et al. 2022, arXiv:2109.01903).
    """
    former = trainer.task.load(folder).state_dict()
    fill(trainer.task.build(trainer.config["network"]), former, folder)  # refuses another architecture
    for name, value in trainer.ema.items():
        value.mul_(share).add_(former[name].to(value), alpha=1 - share)


def export(trainer: Trainer, folder: Path, metrics: dict[str, float], share: float) -> None:
    """Write the averaged weights, fp16, with how they were made, into the folder."""
    description = {
        "config": trainer.network.module.config.as_dict(),
        "step": trainer.step,
        "crops": trainer.step * trainer.crops_per_step,
        "training": fixed_part(trainer.config),
        "share": share,
        "metrics": {name: round(value, 4) for name, value in metrics.items()},
    }
    try:
        save_weights(folder, trainer.config["task"], trainer.ema, description)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"--export {folder}: cannot be written ({error}): give another folder") from error


def train(
    config: Config,
    run: Path,
    *,
    device: str,
    threads: int,
    restart_weights: Path | None,
    export_to: Path | None,
    share: float = 1.0,
) -> None:
    """Train until `optimiser.steps`, or, with `export_to`, export the newest checkpoint and stop.

    With a `share` below 1 the weights exported are the mean, with this weight, of the run's and those in `export_to`.
    """
    torch.set_num_threads(threads)
    place = Place.here()
    pack = StructurePack(config["data"]["pack"])
    trainer = Trainer(config, run, device=device, place=place, restart_weights=restart_weights)
    resumed = trainer.resume()
    if export_to is not None:
        if not resumed:
            raise InputError(f"{run / CHECKPOINT}: no checkpoint to export: train first")
        if place.first:
            if share < 1:
                blend(trainer, export_to, share)
            export(trainer, export_to, trainer.validate(pack), share)
        return
    if trainer.processes != place.count:
        raise InputError(
            f"{run / CHECKPOINT}: was made by {trainer.processes} processes, now there are {place.count}: start as "
            "many, or use a new --run folder and --weights-only-restart"
        )
    stream = trainer.task.stream(pack, config, trainer.step, trainer.fabric.device.type == "cpu")
    stream.rank, stream.ranks = place.rank, place.count
    loader = load_batches(stream, config["data"]["workers"])
    if place.first:
        print(
            f"{trainer.fabric.device}, processes: {place.count}, step {trainer.step} of {config['optimiser']['steps']}",
            flush=True,
        )
    with Interruption() as interruption:
        try:
            _steps(trainer, loader, pack, interruption)
        finally:
            # After a loss that is no number, or in the middle of an update, the last good checkpoint must stay.
            if trainer.intact and not isinstance(sys.exception(), InternalError):
                trainer.save()
            if sys.exception() is None or isinstance(sys.exception(), KeyboardInterrupt):
                trainer.fabric.barrier()  # torchrun ends all processes when one has ended: not before the file is there


def _steps(trainer: Trainer, loader: Iterable[Any], pack: StructurePack, interruption: Interruption) -> None:
    config, fabric = trainer.config, trainer.fabric
    last_checkpoint = last = time.monotonic()
    since: list[dict[str, float]] = []
    made, learned = 0.0, 0.0
    for batch, density, seconds in loader:
        if trainer.step >= config["optimiser"]["steps"]:
            break
        start = time.monotonic()
        batch = batch.to(fabric.device)
        density = simulate(batch) if density is None else density
        since.append(trainer.train_step(batch, density))
        now = time.monotonic()
        made, learned = made + seconds, learned + now - start
        trainer.seconds, last = trainer.seconds + now - last, now
        if trainer.step % config["log_every"] == 0:
            means = {name: sum(losses[name] for losses in since) / len(since) for name in since[0]}
            crops = len(since) * trainer.crops_per_step
            speeds = {
                "crops_per_second.producer": crops * max(1, config["data"]["workers"]) / made,
                "crops_per_second.consumer": crops / learned,
            }
            counts = {"seconds": trainer.seconds, "crops": trainer.step * trainer.crops_per_step}
            trainer.log(mean_of_processes(fabric, means | speeds) | counts)
            since, made, learned = [], 0.0, 0.0
        if now - last_checkpoint > 60 * config["checkpoint_minutes"]:
            trainer.save()
            last_checkpoint = now
        if any_process(fabric, interruption.asked):
            raise KeyboardInterrupt
        if trainer.step % config["validate"]["every"] == 0:
            if trainer.place.first:
                trainer.log(trainer.validate(pack))
            fabric.barrier()
            last = time.monotonic()


def main(arguments: list[str] | None = None, task: str | None = None) -> int:
    """Command line of the loop; `cryo2struct train` calls it with the task that the configuration must have."""
    parser = argparse.ArgumentParser(description="Train a network.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/classifier"), help="folder of checkpoint and metrics")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--threads",
        type=int,
        default=max(1, (os.cpu_count() or 1) // Place.here().local_count),
        help="of the CPU, per process (default: %(default)s)",
    )
    parser.add_argument("--weights-only-restart", type=Path, metavar="FOLDER", help="start from exported weights")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="export the newest checkpoint and stop")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the exported weights; the rest are those in the FOLDER of --export"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's time limit saves the state, as Ctrl-C does
    try:
        config = read_config(options.config, options.changes)
        if task not in (None, config["task"]):
            raise UsageError(f"--config {options.config}: task is {config['task']!r}, not {task}: give that one's own")
        if options.threads < 1:
            raise UsageError(f"--threads {options.threads}: is below 1: give how many threads each process may use")
        if not 0 < options.share <= 1:
            raise UsageError(f"--share {options.share}: is not above 0 and at most 1: give the run's share")
        train(
            config,
            options.run,
            device=options.device,
            threads=options.threads,
            restart_weights=options.weights_only_restart,
            export_to=options.export,
            share=options.share,
        )
    except Cryo2StructError as error:
        return _refuse(error)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            return _refuse(ResourceError("not enough memory: lower optimiser.batch (in a new --run) or data.workers"))
        if is_lost_worker(error):
            return _refuse(
                ResourceError("a worker that makes crops was ended, most often as memory ran out: lower data.workers")
            )
        if is_lost_process(error):
            return _refuse(InternalError("another process has ended, what it said tells why: start all of them again"))
        raise
    except KeyboardInterrupt:
        print("cryo2struct: interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    finally:
        leave(Place.here())
    return 0


def _refuse(error: Cryo2StructError) -> int:
    of_many = f"process {Place.here().rank}: " if Place.here().count > 1 else ""
    print(f"cryo2struct: {of_many}{error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
