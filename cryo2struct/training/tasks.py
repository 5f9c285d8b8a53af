"""The networks that the loop can train: how each is built, what it loses on a batch, how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.dataset.records import TrainingSet
from cryo2struct.networks.classifier import Classifier, ClassifierConfig, on_device
from cryo2struct.networks.enhancer import Enhancer, EnhancerConfig
from cryo2struct.networks.residue import ResidueConfig, ResidueNetwork
from cryo2struct.networks.sequence import SequenceConfig, SequenceHead
from cryo2struct.networks.store import load_classifier, load_enhancer, load_residue_network, load_sequence_head
from cryo2struct.training.crops import CropBatch, CropStream
from cryo2struct.training.enhancement import enhancer_losses, validate_enhancer
from cryo2struct.training.evaluate import validate
from cryo2struct.training.losses import classifier_losses
from cryo2struct.training.measured import MeasuredCrops
from cryo2struct.training.residues import cut_patches, draw_frames, residue_losses, validate_residues
from cryo2struct.training.sequence import SequenceStream, sequence_losses, validate_sequence


@dataclass(frozen=True)
class Task:
    """A network to train.

    Attributes
    ----------
    build : from the `network` part of the configuration
    load : from a folder of exported weights
    place : moves a network to a device
    losses : of the network on the densities (crops, 1, 48, 48, 48) of a batch, by name
    validate : figures of a network by name
    stream : batches from a pack, a configuration, the number of the first batch, and whether to simulate densities
    """

    build: Callable[[dict[str, Any]], nn.Module]
    load: Callable[[Path], nn.Module]
    place: Callable[[Any, torch.device], nn.Module]
    losses: Callable[[nn.Module, Tensor, Any], dict[str, Tensor]]
    validate: Callable[..., dict[str, float]]
    stream: Callable[[StructurePack, dict[str, Any], int, bool], CropStream | SequenceStream]


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _crops(pack: StructurePack, config: dict[str, Any], first_batch: int, simulate_here: bool) -> CropStream:
    real = config["data"].get("real")
    return CropStream(
        pack,
        pack.split("train"),
        batch_size=config["optimiser"]["batch"],
        resolutions=tuple(config["data"]["resolutions"]),
        seed=config["seed"],
        first_batch=first_batch,
        simulate_here=simulate_here,
        measured=MeasuredCrops(TrainingSet(real)) if real else None,
        measured_share=config["data"]["real_share"] if real else 0.0,
        nucleic_share=config["data"]["nucleic_share"],
        structureless_share=config["data"]["structureless_share"],
    )


def _residue_task_losses(network: nn.Module, density: Tensor, batch: CropBatch) -> dict[str, Tensor]:
    framed = draw_frames(batch, density)
    return residue_losses(network(cut_patches(density, framed)), batch, framed)


TASKS = {
    "classifier": Task(
        build=lambda values: Classifier(ClassifierConfig(**_tuples(values))),
        load=lambda folder: load_classifier(folder)[0],
        place=on_device,
        losses=lambda network, density, batch: classifier_losses(network(density), batch),
        validate=validate,
        stream=_crops,
    ),
    "residues": Task(
        build=lambda values: ResidueNetwork(ResidueConfig(**_tuples(values))),
        load=lambda folder: load_residue_network(folder)[0],
        place=lambda network, device: network.to(device),
        losses=_residue_task_losses,
        validate=validate_residues,
        stream=_crops,
    ),
    "enhancer": Task(
        build=lambda values: Enhancer(EnhancerConfig(**_tuples(values))),
        load=lambda folder: load_enhancer(folder)[0],
        place=on_device,
        losses=lambda network, density, batch: enhancer_losses(network(density), batch),
        validate=validate_enhancer,
        stream=_crops,
    ),
    "sequence": Task(
        build=lambda values: SequenceHead(SequenceConfig(**values)),
        load=lambda folder: load_sequence_head(folder)[0],
        place=lambda network, device: network.to(device),
        losses=lambda network, density, batch: sequence_losses(network, batch),
        validate=validate_sequence,
        stream=lambda pack, config, first_batch, simulate_here: SequenceStream(pack, config, first_batch),
    ),
}
