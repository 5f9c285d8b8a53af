"""Tiled prediction: every occupied voxel is predicted, and the tiles agree with one pass over the whole box."""

import time

import numpy as np
import pytest
import torch
from hungry import MEMORY_ERRORS, Hungry

from cryo2struct.errors import ResourceError
from cryo2struct.networks.classifier import CELL_HEADS, Classifier, ClassifierConfig
from cryo2struct.objects import DensityMap, GridFrame
from cryo2struct.prediction import device as inference_device
from cryo2struct.prediction import inference
from cryo2struct.prediction.device import arithmetic_type, choose_device, describe_device
from cryo2struct.prediction.inference import estimate_seconds, predict

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(ClassifierConfig((16, 16, 32), 1, 1)).eval().requires_grad_(False)


def density(shape, seed=0) -> DensityMap:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return DensityMap(values, GridFrame(shape, np.ones(3), np.zeros(3)))


def test_one_tile_equals_the_network(network, monkeypatch):
    monkeypatch.setattr(inference, "arithmetic_type", lambda device: torch.float32)
    source = density((16, 16, 16))
    occupied = np.random.default_rng(1).random((16, 16, 16)) < 0.5
    prediction = predict(source, occupied, network, tile=16, overlap=0, batch=1, rotations=1, device=CPU)
    boxes = inference.normalise_boxes(torch.from_numpy(source.values)[None, None])
    heads = network(boxes)
    np.testing.assert_allclose(
        prediction.atoms, heads["atoms"].softmax(1)[0].permute(1, 2, 3, 0).numpy()[occupied], atol=2e-3
    )
    z, y, x = prediction.cells.T
    np.testing.assert_allclose(
        prediction.heads["aa"], heads["aa"].softmax(1)[0].permute(1, 2, 3, 0).numpy()[z, y, x], atol=2e-3
    )


@pytest.mark.parametrize("shape", [(20, 33, 16), (8, 40, 21), (47, 18, 30)])
def test_every_occupied_voxel_gets_a_distribution(network, shape):
    occupied = np.random.default_rng(2).random(shape) < 0.1
    prediction = predict(density(shape), occupied, network, tile=16, overlap=8, batch=3, rotations=2, device=CPU)
    assert np.array_equal(prediction.voxels, np.argwhere(occupied))
    np.testing.assert_allclose(prediction.atoms.astype(float).sum(axis=1), 1, atol=5e-3)
    cells = {tuple(cell) for cell in prediction.cells.tolist()}
    assert cells == {tuple(voxel) for voxel in (np.argwhere(occupied) // 2).tolist()}
    assert {name: value.shape[1] for name, value in prediction.heads.items()} == CELL_HEADS
    np.testing.assert_allclose(prediction.heads["aa"].astype(float).sum(axis=1), 1, atol=2e-2)


class Turning(torch.nn.Module):
    """A network whose answer turns with the box: classes from the density, vectors from its gradient."""

    def forward(self, boxes):
        pooled = torch.nn.functional.avg_pool3d(boxes, 2)
        by_axis = [torch.roll(pooled, -1, 2 + axis) - torch.roll(pooled, 1, 2 + axis) for axis in (2, 1, 0)]
        vector = torch.cat(by_axis, dim=1)
        scale = {name: torch.arange(count)[:, None, None, None] / count for name, count in CELL_HEADS.items()}
        heads = {name: pooled * scale[name] for name in CELL_HEADS}
        atoms = boxes * torch.arange(4)[:, None, None, None]
        return {"atoms": atoms, **heads, "offset": vector, "next": vector, "prev": -vector}


def test_mean_over_rotations_of_an_answer_that_turns_is_the_answer():
    occupied = np.ones((16, 16, 16), dtype=bool)
    options = {"tile": 16, "overlap": 0, "batch": 1, "device": CPU}
    once = predict(density((16, 16, 16)), occupied, Turning(), rotations=1, **options)
    mean = predict(density((16, 16, 16)), occupied, Turning(), rotations=8, **options)
    np.testing.assert_allclose(mean.atoms, once.atoms, atol=3e-3)
    for name in CELL_HEADS:
        np.testing.assert_allclose(mean.heads[name], once.heads[name], atol=3e-3)


def test_progress_counts_tiles_and_time_is_estimated(network):
    seen = []
    occupied = np.ones((32, 32, 32), dtype=bool)
    predict(
        density((32, 32, 32)),
        occupied,
        network,
        tile=16,
        overlap=0,
        batch=3,
        rotations=1,
        device=CPU,
        progress=lambda *p: seen.append(p),
    )
    assert seen == [(3, 8), (6, 8), (8, 8)]
    small = estimate_seconds(network, occupied, 16, 0, 1, CPU)
    assert 0 < small < estimate_seconds(network, np.ones((64, 64, 64), dtype=bool), 16, 0, 1, CPU)


@pytest.mark.parametrize("error", MEMORY_ERRORS)
def test_half_a_batch_when_memory_runs_out(network, error):
    source, occupied = density((32, 32, 32)), np.ones((32, 32, 32), dtype=bool)
    options = {"tile": 16, "overlap": 0, "rotations": 1, "device": CPU}
    expected = predict(source, occupied, network, batch=2, **options)
    hungry, lines, seen = Hungry(network, 3, error), [], []
    found = predict(source, occupied, hungry, batch=5, **options, warn=lines.append, progress=lambda *p: seen.append(p))
    assert hungry.sizes == [5, 2, 2, 2, 2]
    assert seen == [(2, 8), (4, 8), (6, 8), (8, 8)]
    assert lines == ["not enough memory for 5 tiles of 16^3 voxels at once: 2 from here on"]
    assert np.array_equal(found.atoms, expected.atoms)
    for limit, batch, tried in ((1, 8, [8, 4]), (0, 1, [1])):
        hungry = Hungry(network, limit, error)
        with pytest.raises(ResourceError, match=f"not enough memory for {tried[-1]} tiles") as refused:
            predict(source, occupied, hungry, batch=batch, **options)
        assert refused.value.exit_code == 6
        assert hungry.sizes == tried


def test_other_faults_of_a_network_are_not_taken_for_memory(network):
    hungry = Hungry(network, 0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        predict(
            density((16, 16, 16)),
            np.ones((16,) * 3, dtype=bool),
            hungry,
            tile=16,
            overlap=0,
            batch=2,
            rotations=1,
            device=CPU,
        )


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_batch_size_does_not_matter(monkeypatch, kind, tolerance):
    monkeypatch.setattr(inference, "arithmetic_type", lambda device: kind)
    torch.manual_seed(1)
    network = inference.on_device(Classifier(ClassifierConfig((16, 16, 32), 1, 1)), CPU).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    boxes = torch.from_numpy(np.random.default_rng(5).normal(size=(6, 1, 16, 16, 16)).astype(np.float32))
    together = inference._forward(network, boxes, 2)
    for size in (1, 4):
        parts = [inference._forward(network, part, 2) for part in boxes.split(size)]
        for whole, split in zip(together, (np.concatenate(part) for part in zip(*parts, strict=True)), strict=True):
            assert whole.std() > 0.05
            np.testing.assert_allclose(split, whole, atol=tolerance)


def test_bfloat16_is_chosen_where_it_is_clearly_faster(monkeypatch):
    measured = []

    def speed(times):
        arithmetic_type.cache_clear()
        monkeypatch.setattr(inference_device, "bfloat16_speed", lambda device: measured.append(device) or times)

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    for times, kind in ((0.4, torch.float32), (1.2, torch.float32), (1.4, torch.bfloat16)):
        speed(times)
        assert arithmetic_type(CPU) == kind == arithmetic_type(CPU)
    assert len(measured) == 3  # once per process
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    speed(9.0)
    assert arithmetic_type(CPU) == torch.float32
    assert len(measured) == 3
    arithmetic_type.cache_clear()


def test_the_measurement_is_short_and_leaves_no_trace():
    before, random = torch.get_num_threads(), torch.get_rng_state()
    start = time.thread_time()
    assert 0.01 < inference_device.bfloat16_speed(CPU) < 100
    assert time.thread_time() - start < 0.2 or not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), random)


def test_devices():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda")
    before = torch.get_num_threads()
    assert "1 threads" in describe_device(choose_device("cpu", 1))
    torch.set_num_threads(before)
    for name in ("cuda:99", "tpu", "mps"):
        with pytest.raises(ResourceError, match=f"--device {name}"):
            choose_device(name)
