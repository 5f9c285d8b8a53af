"""Losses of the classifier's heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cryo2struct.training.crops import CropBatch


def classifier_losses(heads: dict[str, Tensor], batch: CropBatch) -> dict[str, Tensor]:
    """Loss of each head (scalars), per labelled atom, cell or residue, in nats or angstrom.

    Voxel classes have no class weights, so that probabilities stay calibrated; their sum is divided by the number of
    labelled atoms, since nearly all voxels are empty and easy.
    """
    label = batch.atoms.long()
    atoms = functional.cross_entropy(heads["atoms"].float(), label, reduction="sum") / (label > 0).sum().clamp_min(100)
    crop, z, y, x = batch.ca_cell.unbind(dim=1)

    def at_ca(name: str) -> Tensor:
        return heads[name][crop, :, z, y, x].float()

    known = batch.aa >= 0
    residues = known.sum().clamp_min(1)
    aa = functional.cross_entropy(at_ca("aa"), batch.aa, ignore_index=-1, reduction="sum") / residues
    ss = functional.cross_entropy(at_ca("ss"), batch.ss, reduction="sum") / residues
    filled = batch.filled > 0
    logit = heads["nonprotein"][:, 0].float()[filled]
    other = (batch.filled[filled] == 2).float()
    # a crop of noise alone has no filled cell
    nonprotein = functional.binary_cross_entropy_with_logits(logit, other, reduction="sum") / filled.sum().clamp_min(1)
    offset = functional.smooth_l1_loss(at_ca("offset"), batch.offset, beta=0.3, reduction="sum") / residues
    directions = []
    for name, target in (("next", batch.next), ("prev", batch.prev)):
        there = ~target.isnan().any(dim=1)
        cosine = functional.cosine_similarity(at_ca(name)[there], target[there], dim=1)
        directions.append((1 - cosine).sum() / residues)
    return {
        "atoms": atoms,
        "aa": aa,
        "ss": ss,
        "nonprotein": nonprotein,
        "offset": offset,
        "direction": torch.stack(directions).mean(),
    }
