"""Held-out figures of a classifier on simulated crops of the validation structures, by resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.classifier import Classifier
from cryo2struct.training.crops import CropBatch, CropStream, simulate
from cryo2struct.training.losses import classifier_losses

BATCH = 4


def validation_batches(
    pack: StructurePack, config: dict[str, Any], resolution: float, device: torch.device
) -> Iterator[CropBatch]:
    """Fixed batches of `BATCH` crops of the validation structures at a resolution in angstrom, about
    `validate.crops` in all."""
    stream = CropStream(
        pack,
        pack.split("validate"),
        batch_size=BATCH,
        resolutions=(resolution, resolution),
        seed=0,
        first_batch=0,
        simulate_here=False,
    )
    for number in range(max(1, config["validate"]["crops"] // BATCH)):
        yield stream.batch(number).to(device)


@torch.inference_mode()
def validate(
    network: Classifier, pack: StructurePack, config: dict[str, Any], device: torch.device
) -> dict[str, float]:
    """Losses and the share of right types (argmax at the true C-alpha's cell) on fixed crops of unseen structures.

    Returns `validate.D.NAME` for each resolution D of the configuration.
    """
    figures: dict[str, float] = {}
    for resolution in config["validate"]["resolutions"]:
        sums: dict[str, float] = {}
        batches = max(1, config["validate"]["crops"] // BATCH)
        right = residues = 0
        for batch in validation_batches(pack, config, resolution, device):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                heads = network(simulate(batch))
            for name, value in classifier_losses(heads, batch).items():
                sums[name] = sums.get(name, 0.0) + float(value) / batches
            crop, z, y, x = batch.ca_cell.unbind(dim=1)
            known = batch.aa >= 0
            right += int((heads["aa"][crop, :, z, y, x].argmax(dim=1) == batch.aa)[known].sum())
            residues += int(known.sum())
        figures |= {f"validate.{resolution}.{name}": value for name, value in sums.items()}
        figures[f"validate.{resolution}.types"] = right / max(1, residues)
    return figures
