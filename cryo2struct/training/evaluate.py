"""Held-out figures of a classifier on simulated crops of the validation structures, by resolution."""

from __future__ import annotations

from typing import Any

import torch

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.classifier import Classifier
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.losses import classifier_losses


@torch.inference_mode()
def validate(
    network: Classifier, pack: StructurePack, config: dict[str, Any], device: torch.device
) -> dict[str, float]:
    """Losses and the share of right types (argmax at the true C-alpha's cell) on fixed crops of unseen structures.

    Returns `validate.D.NAME` for each resolution D of the configuration.
    """
    batch_size = 4
    figures: dict[str, float] = {}
    for resolution in config["validate"]["resolutions"]:
        stream = CropStream(
            pack,
            pack.split("validate"),
            batch_size=batch_size,
            resolutions=(resolution, resolution),
            seed=0,
            first_batch=0,
            simulate_here=False,
        )
        sums: dict[str, float] = {}
        batches = max(1, config["validate"]["crops"] // batch_size)
        right = residues = 0
        for number in range(batches):
            batch = stream.batch(number).to(device)
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
