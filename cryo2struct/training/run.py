"""The training loop: resumable, bf16, exponential moving average of the weights.

    python -m cryo2struct.training.run --config configs/train-classifier.yaml --run runs/classifier --set data.pack=PATH

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
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils.data import DataLoader

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.errors import Cryo2StructError, InputError, InternalError, UsageError
from cryo2struct.networks.store import save_weights
from cryo2struct.training.crops import CropBatch, simulate
from cryo2struct.training.tasks import TASKS

CHECKPOINT = "checkpoint.pt"
Config = dict[str, Any]


def read_config(path: Path, changes: list[str]) -> Config:
    """The YAML file with `key.key=value` changes applied.

    Raises
    ------
    InputError
        The file is missing.
    UsageError
        A change names a key that the file does not have.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such configuration: give --config FILE")
    try:
        config: Config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: configuration is no YAML: {' '.join(str(error).split())}") from error
    for change in changes:
        key, separator, value = change.partition("=")
        *parents, last = key.split(".")
        place = config
        for parent in parents:
            place = place.get(parent, {})
        if not separator or last not in place:
            raise UsageError(f"--set {change}: the configuration has no {key}")
        try:
            place[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {change}: the value is no YAML: put it in quotes") from error
    return config


def fixed_part(config: Config) -> Config:
    """What must not change when a training is resumed: everything but paths, workers and reporting."""
    return {
        "seed": config["seed"],
        "network": config["network"],
        "resolutions": config["data"].get("resolutions"),
        "optimiser": config["optimiser"],
        "loss": config["loss"],
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
    """Network, optimiser, moving average and files of one run."""

    def __init__(self, config: Config, run: Path, *, device: str, restart_weights: Path | None) -> None:
        from lightning_fabric import Fabric

        self.config = config
        self.run = run
        run.mkdir(parents=True, exist_ok=True)
        self.fabric = Fabric(accelerator=device, devices=1, precision="bf16-mixed")
        torch.manual_seed(config["seed"])
        self.task = TASKS[config["task"]]
        network = self.task.build(config["network"])
        if restart_weights is not None:
            network.load_state_dict(self.task.load(restart_weights).state_dict())
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

    def save(self) -> None:
        """Write the checkpoint under a temporary name and rename it."""
        state = {
            "config": fixed_part(self.config),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.run / f"{CHECKPOINT}.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.run / CHECKPOINT)

    def resume(self) -> bool:
        """Continue from the run's checkpoint; False when there is none.

        Raises
        ------
        InputError
            The checkpoint was made with another configuration.
        """
        path = self.run / CHECKPOINT
        if not path.is_file():
            return False
        state = torch.load(path, map_location=self.fabric.device, weights_only=True)
        if state["config"] != fixed_part(self.config):
            raise InputError(
                f"{path}: was made with another configuration: use a new --run folder or --weights-only-restart"
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.ema, self.step, self.seconds = state["ema"], state["step"], state["seconds"]
        return True

    def train_step(self, batch: CropBatch, density: Tensor) -> dict[str, float]:
        """One step of the optimiser; returns the losses."""
        rate = learning_rate(self.step, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(hash((self.config["seed"], self.step)) % 2**63)  # of dropout; the same after a resume
        losses = self.task.losses(self.network, density, batch)
        total = sum(
            (self.config["loss"][name] * value for name, value in losses.items()),
            torch.zeros((), device=density.device),
        )
        if not bool(torch.isfinite(total)):
            raise InternalError(
                f"loss is not a number at step {self.step}: {self.run / CHECKPOINT} holds the last good state"
            )
        self.fabric.backward(total)
        self.fabric.clip_gradients(self.network, self.optimiser, max_norm=self.config["optimiser"]["clip"])
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        decay = min(self.config["optimiser"]["ema"], (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.ema[name].lerp_(value.float(), 1 - decay)
        return {name: float(value.detach()) for name, value in losses.items()}

    def validate(self, pack: StructurePack) -> dict[str, float]:
        """Figures of the averaged weights on the validation structures."""
        network = self.task.build(self.config["network"])
        network.load_state_dict(self.ema)
        device = self.fabric.device
        return self.task.validate(self.task.place(network, device).eval(), pack, self.config, device)

    def log(self, values: dict[str, Any]) -> None:
        """Append a row to metrics.csv (step, name, value) and print it."""
        path = self.run / "metrics.csv"
        new = not path.exists()
        with path.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if new:
                writer.writerow(["step", "name", "value"])
            writer.writerows([self.step, name, f"{value:.5g}"] for name, value in values.items())
        print(f"step {self.step}", *(f"{name} {value:.4g}" for name, value in values.items()), flush=True)


def export(trainer: Trainer, folder: Path, metrics: dict[str, float]) -> None:
    """Write the averaged weights, fp16, with how they were made, into the folder."""
    description = {
        "config": trainer.network.module.config.as_dict(),
        "step": trainer.step,
        "crops": trainer.step * trainer.config["optimiser"]["batch"],
        "training": fixed_part(trainer.config),
        "metrics": {name: round(value, 4) for name, value in metrics.items()},
    }
    save_weights(folder, trainer.config["task"], trainer.ema, description)


def train(
    config: Config, run: Path, *, device: str, threads: int, restart_weights: Path | None, export_to: Path | None
) -> None:
    """Train until `optimiser.steps`, or, with `export_to`, export the newest checkpoint and stop."""
    torch.set_num_threads(threads)
    pack = StructurePack(config["data"]["pack"])
    trainer = Trainer(config, run, device=device, restart_weights=restart_weights)
    resumed = trainer.resume()
    if export_to is not None:
        if not resumed:
            raise InputError(f"{run / CHECKPOINT}: no checkpoint to export: train first")
        export(trainer, export_to, trainer.validate(pack))
        return
    on_gpu = trainer.fabric.device.type != "cpu"
    stream = trainer.task.stream(pack, config, trainer.step, not on_gpu)
    loader = DataLoader(stream, batch_size=None, num_workers=config["data"]["workers"])
    print(f"{trainer.fabric.device}, step {trainer.step} of {config['optimiser']['steps']}", flush=True)
    try:
        _steps(trainer, loader, pack)
    except KeyboardInterrupt:
        print(f"interrupted at step {trainer.step}", flush=True)
        raise
    finally:
        # After a loss that is no number the last good checkpoint must stay.
        if not isinstance(sys.exception(), InternalError):
            trainer.save()


def _steps(trainer: Trainer, loader: DataLoader[Any], pack: StructurePack) -> None:
    config = trainer.config
    last_checkpoint = last = time.monotonic()
    since: list[dict[str, float]] = []
    for batch, density in loader:
        if trainer.step >= config["optimiser"]["steps"]:
            break
        batch = batch.to(trainer.fabric.device)
        density = simulate(batch) if density is None else density
        since.append(trainer.train_step(batch, density))
        now = time.monotonic()
        trainer.seconds, last = trainer.seconds + now - last, now
        if trainer.step % config["log_every"] == 0:
            means = {name: sum(losses[name] for losses in since) / len(since) for name in since[0]}
            trainer.log({**means, "seconds": trainer.seconds})
            since = []
        if now - last_checkpoint > 60 * config["checkpoint_minutes"]:
            trainer.save()
            last_checkpoint = now
        if trainer.step % config["validate"]["every"] == 0:
            trainer.log(trainer.validate(pack))
            last = time.monotonic()


def main(arguments: list[str] | None = None, task: str | None = None) -> int:
    """Command line of the loop; `cryo2struct train` calls it with the task that the configuration must have."""
    parser = argparse.ArgumentParser(description="Train a network.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/classifier"), help="folder of checkpoint and metrics")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--weights-only-restart", type=Path, metavar="FOLDER", help="start from exported weights")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="export the newest checkpoint and stop")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's time limit saves the state, as Ctrl-C does
    try:
        config = read_config(options.config, options.changes)
        if config.get("task") not in ({task} if task else set(TASKS)):
            raise UsageError(f"--config {options.config}: task is {config.get('task')!r}, not {task or 'a known one'}")
        train(
            config,
            options.run,
            device=options.device,
            threads=options.threads,
            restart_weights=options.weights_only_restart,
            export_to=options.export,
        )
    except Cryo2StructError as error:
        print(f"cryo2struct: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
