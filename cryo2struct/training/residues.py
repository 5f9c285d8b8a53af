"""Training of the residue network: frames as candidates would give them, losses, held-out figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.residue import ResidueNetwork, residue_frames, sample_patches
from cryo2struct.training.crops import CROP, CropBatch, CropStream, simulate

RIGHT, REVERSED, WRONG = 0, 1, 2
STEP = 3.8
"""Distance of consecutive C-alphas, angstrom."""


@dataclass
class FramedResidues:
    """Residues of a batch with one frame each.

    Attributes
    ----------
    row : (n,) row in the table of C-alphas of the batch
    centre : (n, 3) where the C-alpha is taken to be, voxels of the crop; x, y, z
    frames : (n, 3, 3)
    kind : (n,) `RIGHT`, `REVERSED` or `WRONG`
    """

    row: Tensor
    centre: Tensor
    frames: Tensor
    kind: Tensor


def true_positions(batch: CropBatch) -> Tensor:
    """C-alphas (R, 3) in voxels of their crop; x, y, z."""
    return 2 * batch.ca_cell[:, 1:].flip(1).float() + 0.5 + batch.offset


def draw_frames(batch: CropBatch, noise: float | None = None, share_right: float = 0.7) -> FramedResidues:
    """Frames from C-alphas with errors, for all residues that have both neighbours and lie well inside the crop.

    The standard deviation of the errors per axis is `noise` angstrom, or uniform from 0.05 to 0.7 for each crop.
    Frames that are not right are reversed, or have a neighbour that is another near C-alpha or a random point.
    """
    generator = torch.Generator(device=batch.offset.device).manual_seed(batch.seed)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=batch.offset.device)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device=batch.offset.device)

    position = true_positions(batch)
    usable = ~batch.next.isnan().any(dim=1) & ~batch.prev.isnan().any(dim=1)
    row = torch.nonzero(usable & ((position > 3) & (position < CROP - 4)).all(dim=1))[:, 0]
    crop = batch.ca_cell[row, 0]
    crops = len(batch.group_b)
    deviation = (0.05 + 0.65 * uniform(crops) if noise is None else torch.full((crops,), noise).to(crop.device))[crop]
    after, before = STEP * batch.next[row], STEP * batch.prev[row]
    draw = uniform(len(row))
    kind = torch.where(draw < share_right, RIGHT, torch.where(draw < (1 + share_right) / 2, REVERSED, WRONG))
    # a wrong neighbour: the nearest C-alpha that is neither neighbour, if it is near enough to be taken for one
    true = position[row]
    distance = torch.cdist(true, position)
    other = crop[:, None] != batch.ca_cell[None, :, 0]
    for bonded in (true, true + after, true + before):
        other |= torch.cdist(bonded, position) < 1.0
    near, which = distance.masked_fill(other, 1e3).min(dim=1)
    random = STEP * functional.normalize(normal(len(row), 3), dim=1)
    stranger = torch.where((near < 5.5)[:, None], position[which] - true, random)
    first = (uniform(len(row)) < 0.5)[:, None] & (kind == WRONG)[:, None]
    second = ~first & (kind == WRONG)[:, None]
    after, before = torch.where(first, stranger, after), torch.where(second, stranger, before)
    swap = ((kind == REVERSED) | ((kind == WRONG) & (uniform(len(row)) < 0.5)))[:, None]
    after, before = torch.where(swap, before, after), torch.where(swap, after, before)
    errors = normal(3, len(row), 3) * deviation[None, :, None]
    frames = residue_frames(after + errors[0] - errors[2], before + errors[1] - errors[2])
    return FramedResidues(row, true + errors[2], frames, kind)


def cut_patches(density: Tensor, batch: CropBatch, framed: FramedResidues) -> Tensor:
    """Patches (n, 1, 16, 16, 16) of the framed residues from the densities (crops, 1, 48, 48, 48)."""
    crop = batch.ca_cell[framed.row, 0]
    patches = torch.empty(len(crop), 1, 16, 16, 16, device=density.device)
    for number in range(len(density)):
        here = crop == number
        if bool(here.any()):
            patches[here] = sample_patches(density[number, 0], framed.centre[here], framed.frames[here])
    return patches


def residue_losses(heads: dict[str, Tensor], batch: CropBatch, framed: FramedResidues) -> dict[str, Tensor]:
    """Loss of each head (scalars), in nats or angstrom. Wrong and reversed frames count for `frame` alone."""
    heads = {name: value.float() for name, value in heads.items()}
    right = framed.kind == RIGHT
    row = framed.row[right]
    count = right.sum().clamp_min(1)
    losses = {"frame": functional.cross_entropy(heads["frame"], framed.kind)}
    aa = batch.aa[row]
    losses["aa"] = functional.cross_entropy(heads["aa"][right], aa, ignore_index=-1, reduction="sum") / count
    losses["ss"] = functional.cross_entropy(heads["ss"][right], batch.ss[row], reduction="sum") / count
    shift = true_positions(batch)[row] - framed.centre[right]
    targets = {"ca": shift, "n": shift + batch.n[row], "c": shift + batch.c[row], "o": shift + batch.o[row]}
    atoms = []
    for name, target in targets.items():
        local = torch.einsum("rij,rj->ri", framed.frames[right], target)
        there = ~local.isnan().any(dim=1)
        difference = functional.smooth_l1_loss(heads[name][right][there], local[there], beta=0.3, reduction="sum")
        atoms.append(difference / there.sum().clamp_min(1))
    losses["ca"], losses["backbone"] = atoms[0], torch.stack(atoms[1:]).mean()
    directions = []
    for name, target in (("next", batch.next[row]), ("prev", batch.prev[row])):
        local = torch.einsum("rij,rj->ri", framed.frames[right], target)
        directions.append((1 - functional.cosine_similarity(heads[name][right], local, dim=1)).sum() / count)
    losses["direction"] = torch.stack(directions).mean()
    return losses


@torch.inference_mode()
def validate_residues(
    network: ResidueNetwork, pack: StructurePack, config: dict[str, Any], device: torch.device
) -> dict[str, float]:
    """Figures on fixed crops of unseen structures, C-alphas with errors of 0.35 A per axis, by resolution.

    Returns `validate.D.NAME` for each resolution D: the losses; `types`, share of right types in right frames;
    `frames`, share of frames whose kind is recognised; `ca_error`, rms of the C-alphas moved by the network, angstrom.
    """
    figures: dict[str, float] = {}
    for resolution in config["validate"]["resolutions"]:
        stream = CropStream(
            pack,
            pack.split("validate"),
            batch_size=4,
            resolutions=(resolution, resolution),
            seed=0,
            first_batch=0,
            simulate_here=False,
        )
        rows = []
        for number in range(max(1, config["validate"]["crops"] // 4)):
            batch = stream.batch(number).to(device)
            framed = draw_frames(batch, noise=0.35)
            patches = cut_patches(simulate(batch), batch, framed)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                heads = network(patches)
            losses = {name: float(value) for name, value in residue_losses(heads, batch, framed).items()}
            right = framed.kind == RIGHT
            row, frames = framed.row[right], framed.frames[right]
            known = batch.aa[row] >= 0
            moved = framed.centre[right] + torch.einsum("rji,rj->ri", frames, heads["ca"][right].float())
            error = (moved - true_positions(batch)[row]).square().sum(dim=1).mean()
            losses["types"] = float((heads["aa"][right].argmax(dim=1) == batch.aa[row])[known].float().mean())
            losses["frames"] = float((heads["frame"].argmax(dim=1) == framed.kind).float().mean())
            losses["ca_error"] = float(error.sqrt())
            rows.append(losses)
        figures |= {f"validate.{resolution}.{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return figures
