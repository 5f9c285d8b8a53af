"""Several processes train one network: the mean of their gradients, the same weights everywhere, exact resume."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.run import learning_rate
from cryo2struct.training.tasks import TASKS

ROOT = Path(__file__).parents[2]
STEPS = 3

# Three trainings in each process: whole, broken off after the first step of process 1, and gone on with.
PROBE = """
import os, signal, sys
import torch
import cryo2struct.training.run as module

config, folder = sys.argv[1:]
rank = os.environ["RANK"]
seen = {}
original = module.Trainer.train_step

def step(self, batch, density):
    seen.setdefault(self.run.name, []).append(density.double().sum().item())
    seen[self.run.name, "network"], seen[self.run.name, "ema"] = self.network.module.state_dict(), self.ema
    if breaking and rank == "1" and self.step == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return original(self, batch, density)

module.Trainer.train_step = step
module.leave = lambda place: None  # the same connection serves all three
for name, breaking, expected in (("whole", False, 0), ("broken", True, 130), ("broken", False, 0)):
    arguments = ["--config", config, "--run", f"{folder}/{name}", "--device", "cpu", "--threads", "1"]
    assert module.main(arguments) == expected
torch.save(seen, f"{folder}/seen{rank}.pt")
"""


def write_config(folder, **optimiser):
    values = yaml.safe_load((ROOT / "configs" / "train-classifier.yaml").read_text())
    values["network"] = {"widths": [8, 16, 32], "blocks": 1, "attention_blocks": 1}
    values["data"] |= {"pack": str(ROOT / "tests" / "data" / "small_pack.npz"), "workers": 0}
    values["optimiser"] |= {"batch": 1, "steps": STEPS, "warmup": 1} | optimiser
    values["validate"] |= {"every": 2, "crops": 1, "resolutions": [3.0]}
    values["log_every"] = 1
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(values))
    return path, values


def torchrun(*arguments, processes=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def trained_alone(values):
    """Weights and moving average of a loop that takes the mean of the gradients of two batches, one after the other."""
    pack = StructurePack(values["data"]["pack"])
    task, optimiser = TASKS["classifier"], values["optimiser"]
    torch.manual_seed(values["seed"])
    network = task.place(task.build(values["network"]), torch.device("cpu"))
    ema = {name: value.clone() for name, value in network.state_dict().items()}
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": optimiser["weight_decay"]},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    data = values["data"]
    options = {"batch_size": 1, "resolutions": tuple(data["resolutions"]), "seed": values["seed"]}
    shares = {name: data[name] for name in ("nucleic_share", "structureless_share")}
    stream = CropStream(pack, pack.split("train"), **options, **shares, first_batch=0, simulate_here=False)
    for step in range(optimiser["steps"]):
        for group in adam.param_groups:
            group["lr"] = learning_rate(step, values)
        for number in (2 * step, 2 * step + 1):
            batch = stream.batch(number)
            density = simulate(batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                losses = task.losses(network, density, batch)
            (sum(values["loss"][name] * loss for name, loss in losses.items()) / 2).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), optimiser["clip"])
        adam.step()
        adam.zero_grad()
        decay = min(optimiser["ema"], (2 + step) / (11 + step))
        for name, value in network.state_dict().items():
            ema[name].lerp_(value, 1 - decay)
    return network.state_dict(), ema


def test_two_processes_train_as_one_that_averages_their_gradients(tmp_path):
    config, values = write_config(tmp_path)
    (tmp_path / "probe.py").write_text(PROBE)
    running = torchrun(tmp_path / "probe.py", config, tmp_path)
    network, ema = trained_alone(values)
    said, errors = running.communicate(timeout=200)
    assert running.returncode == 0, said + errors
    whole, broken = (torch.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "broken"))
    assert whole["step"] == broken["step"] == STEPS
    assert whole["processes"] == 2
    for name, value in network.items():
        torch.testing.assert_close(whole["network"][name], value, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(whole["ema"][name], ema[name], atol=1e-5, rtol=1e-4)
        assert torch.equal(whole["network"][name], broken["network"][name])
        assert torch.equal(whole["ema"][name], broken["ema"][name])
    ranks = [torch.load(tmp_path / f"seen{rank}.pt") for rank in (0, 1)]
    assert len({*ranks[0]["whole"], *ranks[1]["whole"]}) == 2 * STEPS  # every crop is another
    assert ranks[0]["whole"] == ranks[0]["broken"]
    for part in ("network", "ema"):
        for name, value in ranks[0]["whole", part].items():
            assert torch.equal(value, ranks[1]["whole", part][name])
    assert said.count("interrupted") == 0
    assert errors.count("interrupted") == 2
    assert f"{STEPS},crops,{2 * STEPS}" in (tmp_path / "whole" / "metrics.csv").read_text()
    rows = (tmp_path / "whole" / "metrics.csv").read_text().splitlines()
    assert sum(",aa," in row for row in rows) == STEPS  # written once, not by each process


# Without "--" torchrun takes --run for an abbreviation of its own --run-path.
COMMAND = ("-m", "cryo2struct.training.run", "--", "--device", "cpu", "--threads", "1")


@pytest.mark.slow
def test_torchrun_is_ended_and_started_again(tmp_path):
    config, _ = write_config(tmp_path, steps=30)
    for name in ("whole", "broken"):
        running = torchrun(*COMMAND, "--config", config, "--run", tmp_path / name, "--set", "data.workers=1")
        if name == "broken":
            while not (metrics := tmp_path / name / "metrics.csv").exists() or metrics.stat().st_size < 2_000:
                time.sleep(0.1)
            running.send_signal(signal.SIGTERM)
        said, errors = running.communicate(timeout=500)
        assert (running.returncode == 0) == (name == "whole"), said + errors
    assert "cryo2struct: interrupted" in errors
    assert 0 < torch.load(tmp_path / "broken" / "checkpoint.pt")["step"] < 30
    running = torchrun(*COMMAND, "--config", config, "--run", tmp_path / "broken", "--set", "data.workers=1")
    said, errors = running.communicate(timeout=500)
    assert running.returncode == 0, said + errors
    whole, broken = (torch.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "broken"))
    assert all(torch.equal(broken["ema"][name], value) for name, value in whole["ema"].items())


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others_in_one_line_each(tmp_path):
    config, _ = write_config(tmp_path)
    script = tmp_path / "fails.py"
    script.write_text(
        "import os, sys, torch\nimport cryo2struct.training.run as module\n"
        "original = module.Trainer.train_step\n"
        "def step(self, batch, density):\n"
        "    if os.environ['RANK'] == '1' and self.step == 1:\n"
        "        raise torch.OutOfMemoryError('CUDA out of memory')\n"
        "    return original(self, batch, density)\n"
        "module.Trainer.train_step = step\n"
        "sys.exit(module.main(sys.argv[1:]))\n"
    )
    running = torchrun(script, "--", "--config", config, "--run", tmp_path / "run", "--device", "cpu", "--threads", "1")
    said, errors = running.communicate(timeout=500)
    assert running.returncode != 0
    lines = [line for line in errors.splitlines() if line.startswith("cryo2struct:")]
    assert sorted(line.split(": ")[1] for line in lines) == ["process 0", "process 1"], said + errors
    assert "not enough memory" in next(line for line in lines if "process 1" in line)
    assert "another process has ended" in next(line for line in lines if "process 0" in line)
    assert torch.load(tmp_path / "run" / "checkpoint.pt")["step"] == 1
