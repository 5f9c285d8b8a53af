"""The loop learns, resumes bit by bit, and refuses what it must."""

import csv
import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.store import load_classifier, save_weights
from cryo2struct.training.configuration import read_config
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.losses import classifier_losses
from cryo2struct.training.run import learning_rate, main

ROOT = Path(__file__).parents[2]
PACK = ROOT / "tests" / "data" / "small_pack.npz"


NETWORKS = {
    "classifier": {"widths": [8, 16, 32], "blocks": 1, "attention_blocks": 1},
    "residues": {"widths": [8, 16], "hidden": 16},
    "enhancer": {"family": "swin", "widths": [16, 32, 32], "blocks": 1},
    "sequence": {"encoder": "builtin", "embedding": 57, "width": 16, "layers": 1, "neighbours": 6},
}


def write_config(folder, task):
    values = yaml.safe_load((ROOT / "configs" / f"train-{task}.yaml").read_text())
    values["network"] = NETWORKS[task]
    values["data"] |= {"pack": str(PACK), "workers": 0}
    values["optimiser"] |= {"batch": 1, "steps": 4, "warmup": 1}
    few = {"sets": 2} if task == "sequence" else {"crops": 4, "resolutions": [3.0]}
    values["validate"] = {"every": 100, **few}
    values["log_every"] = 1
    path = folder / f"train-{task}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path, "classifier")


def run(config, folder, *more):
    return main(["--config", str(config), "--run", str(folder), "--device", "cpu", "--threads", "1", *more])


def checkpoint(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


@pytest.mark.parametrize("task", NETWORKS)
def test_resumed_training_equals_an_unbroken_one(task, tmp_path, monkeypatch):
    config = write_config(tmp_path, task)
    assert run(config, tmp_path / "whole") == 0
    import cryo2struct.training.run as module

    original = module.Trainer.train_step

    def stop_after_two(self, batch, density):
        if self.step == 2:
            raise KeyboardInterrupt
        return original(self, batch, density)

    monkeypatch.setattr(module.Trainer, "train_step", stop_after_two)
    assert run(config, tmp_path / "broken") == 130
    assert checkpoint(tmp_path / "broken")["step"] == 2
    monkeypatch.setattr(module.Trainer, "train_step", original)
    assert run(config, tmp_path / "broken") == 0
    whole, broken = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "broken")
    assert whole["step"] == broken["step"] == 4
    for name, value in whole["ema"].items():
        torch.testing.assert_close(broken["ema"][name], value, atol=1e-6, rtol=1e-5)


def test_loss_falls_on_one_batch():
    pack = StructurePack(PACK)
    from cryo2struct.networks.classifier import Classifier, ClassifierConfig

    torch.manual_seed(0)
    network = Classifier(ClassifierConfig((16, 32, 32), 1, 1))
    stream = CropStream(pack, [0], batch_size=1, resolutions=(2.5, 2.5), seed=1, first_batch=0, simulate_here=False)
    batch = stream.batch(0)
    density = simulate(batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    totals = []
    for _ in range(25):
        losses = classifier_losses(network(density), batch)
        total = sum(losses.values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.75 * totals[0]


def test_perfect_heads_have_no_loss():
    pack = StructurePack(PACK)
    stream = CropStream(pack, [1], batch_size=1, resolutions=(2.5, 2.5), seed=1, first_batch=0, simulate_here=False)
    batch = stream.batch(0)
    crop, z, y, x = batch.ca_cell.unbind(1)
    cells = (1, 24, 24, 24)
    heads = {
        "atoms": 40 * torch.nn.functional.one_hot(batch.atoms.long(), 4).permute(0, 4, 1, 2, 3).float(),
        "aa": torch.zeros(1, 20, *cells[1:]),
        "ss": torch.zeros(1, 3, *cells[1:]),
        "nonprotein": 40 * ((batch.filled == 2).float() * 2 - 1)[:, None],
        "offset": torch.zeros(1, 3, *cells[1:]),
        "next": torch.zeros(1, 3, *cells[1:]),
        "prev": torch.zeros(1, 3, *cells[1:]),
    }
    heads["aa"][crop, batch.aa.clamp_min(0), z, y, x] = 40
    heads["ss"][crop, batch.ss, z, y, x] = 40
    for name in ("offset", "next", "prev"):
        heads[name][crop, :, z, y, x] = getattr(batch, name).nan_to_num()
    assert all(float(value) == pytest.approx(0, abs=1e-4) for value in classifier_losses(heads, batch).values())


def test_export_of_a_mean_with_the_weights_that_are_there(config, tmp_path):
    folder, name = tmp_path / "weights", "atoms.bias"
    assert (
        run(config, tmp_path / "run", "--export", str(folder), "--set", "optimiser.steps=1") == 3
    )  # nothing there yet
    assert run(config, tmp_path / "run") == 0
    assert run(config, tmp_path / "run", "--export", str(folder)) == 0
    former = load_classifier(folder)[0].state_dict()[name]
    other = ("--set", "seed=9", "--set", "optimiser.steps=2")
    assert run(config, tmp_path / "other", *other) == 0
    assert run(config, tmp_path / "other", *other, "--export", str(folder), "--share", "0.25") == 0
    mixed, entry = load_classifier(folder)
    expected = 0.75 * former + 0.25 * checkpoint(tmp_path / "other")["ema"][name]
    torch.testing.assert_close(mixed.state_dict()[name], expected, atol=2e-3, rtol=2e-3)
    assert entry["share"] == 0.25


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_share_that_is_none(config, tmp_path, capsys, share):
    assert run(config, tmp_path / "run", "--export", str(tmp_path), "--share", share) == 2
    assert "--share" in refusal(capsys)


def test_export_and_restart_from_weights(config, tmp_path):
    assert run(config, tmp_path / "run") == 0
    assert run(config, tmp_path / "run", "--export", str(tmp_path / "weights")) == 0
    network, entry = load_classifier(tmp_path / "weights")
    assert entry["step"] == 4
    assert "validate.3.0.types" in entry["metrics"]
    torch.testing.assert_close(
        network.state_dict()["atoms.bias"], checkpoint(tmp_path / "run")["ema"]["atoms.bias"], atol=1e-2, rtol=1e-3
    )
    assert (
        run(
            config,
            tmp_path / "again",
            "--weights-only-restart",
            str(tmp_path / "weights"),
            "--set",
            "optimiser.steps=1",
        )
        == 0
    )
    with (tmp_path / "run" / "metrics.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {int(row["step"]) for row in rows} == {1, 2, 3, 4}
    values = {(row["name"], int(row["step"])): float(row["value"]) for row in rows}
    assert [values["crops", step] for step in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert all(values[f"crops_per_second.{side}", 4] > 0 for side in ("producer", "consumer"))


def test_refusals(config, tmp_path, capsys):
    assert main(["--config", str(tmp_path / "none.yaml")]) == 3
    assert run(config, tmp_path / "run", "--set", "optimiser.nonsense=1") == 2
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=[") == 2
    (tmp_path / "bad.yaml").write_text("a: [")
    assert main(["--config", str(tmp_path / "bad.yaml")]) == 3
    assert run(config, tmp_path / "run", "--set", "data.pack=/nowhere/pack.npz") == 3
    assert run(config, tmp_path / "run", "--export", str(tmp_path)) == 3
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=1") == 0
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=2") == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cryo2struct:")]
    assert len(lines) == 7


def spoilt(folder, **parts):
    """Change parts of the run's checkpoint."""
    torch.save(checkpoint(folder) | parts, folder / "checkpoint.pt")


def refusal(capsys):
    """The only line on standard error that is this program's."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cryo2struct:")]
    assert len(lines) == 1
    return lines[0]


def test_checkpoints_that_cannot_be_gone_on_with(config, tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(config, folder, "--set", "optimiser.steps=1") == 0
    good = (folder / "checkpoint.pt").read_bytes()
    capsys.readouterr()
    for setting in ("network.widths=[16,16,32]", "optimiser.batch=2"):
        assert run(config, folder, "--set", "optimiser.steps=1", "--set", setting) == 3
        assert setting.partition("=")[0] in refusal(capsys)
    state = checkpoint(folder)
    state["network"]["stem.weight"][0, 0, 0, 0, 0] = math.nan
    other = {**state["ema"], "stem.weight": torch.zeros(3)}
    for parts, said in (
        ({"network": state["network"]}, "stem.weight holds values that are no numbers"),
        ({"network": other, "ema": other}, "another architecture"),
        ({"optimiser": None}, "damaged checkpoint"),
        ({"optimiser": {}}, "damaged checkpoint"),
    ):
        (folder / "checkpoint.pt").write_bytes(good)
        spoilt(folder, **parts)
        assert run(config, folder, "--set", "optimiser.steps=1") == 6
        assert said in refusal(capsys)
    for content in (b"", good[: len(good) // 2], b"no checkpoint"):
        (folder / "checkpoint.pt").write_bytes(content)
        assert run(config, folder, "--set", "optimiser.steps=1") == 6
        assert "damaged checkpoint" in refusal(capsys)
        assert (folder / "checkpoint.pt").read_bytes() == content
    (folder / "checkpoint.pt").write_bytes(good)
    spoilt(folder, processes=2)
    assert run(config, folder, "--set", "optimiser.steps=1") == 3
    assert "made by 2 processes, now there are 1" in refusal(capsys)


def test_weights_of_another_architecture_do_not_start_a_training(config, tmp_path, capsys):
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=1") == 0
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=1", "--export", str(tmp_path / "weights")) == 0
    capsys.readouterr()
    restart = ("--weights-only-restart", str(tmp_path / "weights"))
    assert run(config, tmp_path / "other", *restart, "--set", "network.widths=[16,16,32]") == 6
    assert "another architecture" in refusal(capsys)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", PACK.read_bytes()[:20_000]])
def test_damaged_pack(config, tmp_path, capsys, content):
    (tmp_path / "pack.npz").write_bytes(content)
    assert run(config, tmp_path / "run", "--set", f"data.pack={tmp_path / 'pack.npz'}") == 3
    assert "pack.npz: no structure pack, or damaged" in refusal(capsys)


def test_a_gpu_that_is_not_there(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert run(config, tmp_path / "run", "--device", "cuda") == 6
    assert "sees 0 CUDA devices: use --device cpu" in refusal(capsys)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert run(config, tmp_path / "run", "--device", "cuda") == 6
    assert "4 processes but 2 CUDA devices on this machine: use torchrun --nproc-per-node 2" in refusal(capsys)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("not enough memory: 8 GB"), MemoryError()]
)
def test_out_of_memory_keeps_the_steps_done(config, tmp_path, capsys, monkeypatch, error):
    import cryo2struct.training.run as module

    task = module.TASKS["classifier"]
    steps = []

    def losses(network, density, batch):
        steps.append(len(steps))
        if len(steps) > 2:
            raise error
        return task.losses(network, density, batch)

    monkeypatch.setitem(module.TASKS, "classifier", replace(task, losses=losses))
    assert run(config, tmp_path / "run") == 6
    assert "not enough memory: lower optimiser.batch" in refusal(capsys)
    assert checkpoint(tmp_path / "run")["step"] == 2


def test_a_full_disk_keeps_the_former_checkpoint(config, tmp_path, capsys, monkeypatch):
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=4") == 0
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    capsys.readouterr()
    assert run(config, tmp_path / "run", "--set", "optimiser.steps=4") == 4
    assert "No space left on device" in refusal(capsys)
    assert [p.name for p in (tmp_path / "run").glob("checkpoint*")] == ["checkpoint.pt"]
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert run(config, tmp_path / "run" / "checkpoint.pt" / "run") == 4


def test_an_interruption_in_the_middle_of_an_update_waits_for_its_end(config, tmp_path, monkeypatch):
    assert run(config, tmp_path / "whole") == 0
    step = torch.optim.AdamW.step

    def interrupted(self, *arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return step(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupted)
        assert run(config, tmp_path / "broken") == 130
    assert checkpoint(tmp_path / "broken")["step"] == 1
    assert run(config, tmp_path / "broken") == 0
    whole, broken = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "broken")
    assert all(torch.equal(broken["ema"][name], value) for name, value in whole["ema"].items())


def test_not_a_number_stops_with_the_last_checkpoint_kept(config, tmp_path, monkeypatch):
    import cryo2struct.training.run as module

    assert run(config, tmp_path / "run", "--set", "optimiser.steps=4") == 0
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()

    def no_number(network, density, batch):
        return {"atoms": network(density)["atoms"].sum() * math.nan}

    monkeypatch.setitem(module.TASKS, "classifier", replace(module.TASKS["classifier"], losses=no_number))
    monkeypatch.setattr(module.Trainer, "resume", lambda self: False)
    assert run(config, tmp_path / "run") == 7
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_learning_rate_warms_up_and_falls(config):
    values = read_config(config, ["optimiser.steps=100", "optimiser.warmup=10"])
    rates = [learning_rate(step, values) for step in range(101)]
    assert rates.index(max(rates)) in (9, 10)
    assert rates[100] == pytest.approx(values["optimiser"]["final_learning_rate"])


def test_a_command_trains_its_own_task_alone(config, capsys):
    assert main(["--config", str(config)], task="residues") == 2
    assert "task is 'classifier', not residues" in capsys.readouterr().err


class Deadly(torch.utils.data.IterableDataset):
    """A stream whose process is ended from outside, as by a system that has no more memory."""

    def __iter__(self):
        os.kill(os.getpid(), signal.SIGKILL)
        yield


def test_a_worker_that_is_ended_is_one_line(config, tmp_path, capsys, monkeypatch):
    import cryo2struct.training.run as module

    deadly = replace(module.TASKS["classifier"], stream=lambda *_: Deadly())
    monkeypatch.setitem(module.TASKS, "classifier", deadly)
    assert run(config, tmp_path / "run", "--set", "data.workers=1") == 6
    assert "memory ran out: lower data.workers" in refusal(capsys)


def test_an_encoder_of_another_width(tmp_path, capsys):
    config = write_config(tmp_path, "sequence")
    assert run(config, tmp_path / "run", "--set", "network.embedding=377") == 3
    assert refusal(capsys).endswith("builtin gives 57 numbers per residue: give --set network.embedding=57")
    assert run(config, tmp_path / "run", "--set", "network.encoder=esm2_t6_8M") == 6
    assert "no weights given" in refusal(capsys)


def test_files_that_cannot_be_written(config, tmp_path, capsys):
    folder = tmp_path / "run"
    (tmp_path / "file").touch()
    assert run(config, folder, "--set", "optimiser.steps=1") == 0
    capsys.readouterr()
    assert run(config, folder, "--set", "optimiser.steps=1", "--export", str(tmp_path / "file")) == 4
    assert "--export" in refusal(capsys)
    blocked = tmp_path / "blocked"
    (blocked / "metrics.csv").mkdir(parents=True)
    assert run(config, blocked) == 4
    assert "metrics.csv: cannot be written (Is a directory)" in refusal(capsys)
    assert checkpoint(blocked)["step"] == 1


def test_exported_weights_that_cannot_be_started_from(config, tmp_path, capsys):
    once = ("--set", "optimiser.steps=1")
    weights = tmp_path / "weights"
    assert run(config, tmp_path / "run", *once) == 0
    assert run(config, tmp_path / "run", *once, "--export", str(weights)) == 0
    capsys.readouterr()
    good = json.loads((weights / "manifest.json").read_text())
    other = {"classifier": {**good["classifier"], "config": {"hidden": 5}}}
    for entries, said in (
        ({}, "has no weights named 'classifier'"),
        ([1], "damaged (no mapping"),
        ({"classifier": {"file": "a"}}, "damaged (classifier lacks"),
        (other, "config is of another network"),
    ):
        (weights / "manifest.json").write_text(json.dumps(entries))
        assert run(config, tmp_path / "again", "--weights-only-restart", str(weights), *once) == 6
        assert said in refusal(capsys)
    (weights / "manifest.json").write_text("{")
    assert run(config, tmp_path / "again", "--weights-only-restart", str(weights), *once) == 6
    assert "manifest.json: damaged" in refusal(capsys)
    assert run(config, tmp_path / "run", *once, "--export", str(weights)) == 6
    assert "manifest.json: damaged" in refusal(capsys)
    network, _ = load_classifier_of(good, weights)
    state = network.state_dict()
    state["stem.weight"].fill_(math.inf)
    (weights / "manifest.json").unlink()
    save_weights(weights, "classifier", state, {"config": good["classifier"]["config"]})
    assert run(config, tmp_path / "again", "--weights-only-restart", str(weights), *once) == 6
    assert "stem.weight holds values that are no numbers" in refusal(capsys)
    assert run(config, tmp_path / "again", "--weights-only-restart", str(tmp_path), *once) == 6
    assert "manifest.json: not found" in refusal(capsys)


def load_classifier_of(entries, folder):
    (folder / "manifest.json").write_text(json.dumps(entries))
    return load_classifier(folder)
