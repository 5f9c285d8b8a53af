"""Training of the residue network: frames as candidates would give them, losses, held-out figures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.residue import (
    NOTHING,
    REVERSED,
    RIGHT,
    WRONG,
    ResidueNetwork,
    residue_frames,
    sample_patches,
)
from cryo2struct.training.crops import CropBatch, simulate
from cryo2struct.training.evaluate import validation_batches
from cryo2struct.training.labels import CROP, MARGIN

STEP = 3.8
"""Distance of consecutive C-alphas, angstrom."""
FAR = 2.5
"""Density maxima farther than this from every C-alpha are no residues, angstrom."""
PEAKS = 24
"""Maxima without residue per crop, at most."""


@dataclass
class FramedResidues:
    """Residues of a batch, and maxima of the density that are none, with one frame each.

    Attributes
    ----------
    crop : (n,)
    row : (n,) row in the table of C-alphas of the batch, -1 where there is no residue
    centre : (n, 3) where the C-alpha is taken to be, voxels of the crop; x, y, z
    frames : (n, 3, 3)
    kind : (n,) `RIGHT`, `REVERSED`, `WRONG` or, where there is no residue, `NOTHING`
    """

    crop: Tensor
    row: Tensor
    centre: Tensor
    frames: Tensor
    kind: Tensor


def true_positions(batch: CropBatch) -> Tensor:
    """C-alphas (R, 3) in voxels of their crop; x, y, z."""
    return 2 * batch.ca_cell[:, 1:].flip(1).float() + 0.5 + batch.offset


class _Random:
    """Draws that depend on the batch alone."""

    def __init__(self, batch: CropBatch) -> None:
        self.generator = torch.Generator(device=batch.offset.device).manual_seed(batch.seed)

    def uniform(self, *size: int) -> Tensor:
        return torch.rand(size, generator=self.generator, device=self.generator.device)

    def normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.generator, device=self.generator.device)


def draw_frames(
    batch: CropBatch, density: Tensor, noise: float | None = None, share_right: float = 0.7
) -> FramedResidues:
    """Frames as candidates with errors would give them, for residues and for maxima of the density that are none.

    All residues that have both neighbours and lie well inside the crop are taken. The standard deviation of the errors
    per axis is `noise` angstrom, or uniform from 0.05 to 0.7 for each crop. `share_right` of their frames are right,
    the others are reversed, or have a neighbour that is another near C-alpha or a random point.
    """
    random = _Random(batch)
    residues = _residue_frames(batch, random, noise, share_right)
    nothing = _empty_frames(batch, density, random)
    joined = {f.name: torch.cat([getattr(residues, f.name), getattr(nothing, f.name)]) for f in fields(residues)}
    return FramedResidues(**joined)


def _residue_frames(batch: CropBatch, random: _Random, noise: float | None, share_right: float) -> FramedResidues:
    position = true_positions(batch)
    usable = ~batch.next.isnan().any(dim=1) & ~batch.prev.isnan().any(dim=1)
    row = torch.nonzero(usable & ((position > 3) & (position < CROP - 4)).all(dim=1))[:, 0]
    crop = batch.ca_cell[row, 0]
    crops = len(batch.group_b)
    deviation = (0.05 + 0.65 * random.uniform(crops) if noise is None else torch.full((crops,), noise).to(crop.device))[
        crop
    ]
    after, before = STEP * batch.next[row], STEP * batch.prev[row]
    draw = random.uniform(len(row))
    kind = torch.where(draw < share_right, RIGHT, torch.where(draw < (1 + share_right) / 2, REVERSED, WRONG))
    # a wrong neighbour: the nearest C-alpha that is neither neighbour, if it is near enough to be taken for one
    true = position[row]
    distance = torch.cdist(true, position)
    other = crop[:, None] != batch.ca_cell[None, :, 0]
    for bonded in (true, true + after, true + before):
        other |= torch.cdist(bonded, position) < 1.0
    near, which = distance.masked_fill(other, 1e3).min(dim=1)
    anywhere = STEP * functional.normalize(random.normal(len(row), 3), dim=1)
    stranger = torch.where((near < 5.5)[:, None], position[which] - true, anywhere)
    first = (random.uniform(len(row)) < 0.5)[:, None] & (kind == WRONG)[:, None]
    second = ~first & (kind == WRONG)[:, None]
    after, before = torch.where(first, stranger, after), torch.where(second, stranger, before)
    swap = ((kind == REVERSED) | ((kind == WRONG) & (random.uniform(len(row)) < 0.5)))[:, None]
    after, before = torch.where(swap, before, after), torch.where(swap, after, before)
    errors = random.normal(3, len(row), 3) * deviation[None, :, None]
    frames = residue_frames(after + errors[0] - errors[2], before + errors[1] - errors[2])
    return FramedResidues(crop, row, true + errors[2], frames, kind)


def _empty_frames(batch: CropBatch, density: Tensor, random: _Random) -> FramedResidues:
    """Strong maxima of the density that are no C-alphas, in frames of whatever lies a residue's distance away."""
    alphas = true_positions(batch)
    crop, centre = _empty_maxima(batch, density, alphas, random)
    centre = centre + 0.3 * random.normal(len(centre), 3)
    points, point_crop = torch.cat([alphas, centre]), torch.cat([batch.ca_cell[:, 0], crop])
    distance = torch.cdist(centre, points)
    neighbour = (crop[:, None] == point_crop) & (distance > 2.6) & (distance < 5.2)
    ends = []
    for _ in range(2):
        order = torch.where(neighbour, random.uniform(*neighbour.shape), -1)
        best, which = order.max(dim=1)
        anywhere = random.normal(len(centre), 3)
        ends.append(torch.where((best >= 0)[:, None], points[which] - centre, anywhere))
        neighbour = neighbour.scatter(1, which[:, None], False)
    nowhere = torch.full_like(crop, -1)
    return FramedResidues(crop, nowhere, centre, residue_frames(*ends), torch.full_like(crop, NOTHING))


def _empty_maxima(batch: CropBatch, density: Tensor, alphas: Tensor, random: _Random) -> tuple[Tensor, Tensor]:
    """Crop (n,) and place (n, 3) of maxima that are far from C-alphas and from atoms outside the zone; strong ones
    and those in what is no protein are drawn more often."""
    highest = functional.max_pool3d(density, 3, stride=1, padding=1)
    peaks = torch.nonzero((density == highest)[:, 0] & (density[:, 0] > 0.5))
    lot = -torch.log(-torch.log(random.uniform(len(peaks)).clamp(1e-6, 1 - 1e-6)))
    nonprotein = batch.filled[(peaks[:, 0], *(peaks[:, 1:] // 2).T)] == 2
    peaks = peaks[torch.argsort(density[:, 0][tuple(peaks.T)] + 2 * nonprotein + lot, descending=True)]
    rows = _first_of_each(peaks[:, 0], 4 * PEAKS)
    crop, place = peaks[rows, 0], peaks[rows, 1:].flip(1).float()
    outside = ~batch.atom_kept
    taken = torch.cat([alphas, batch.atom_xyz[outside] - MARGIN])
    taken_crop = torch.cat([batch.ca_cell[:, 0], batch.atom_crop[outside]])
    near = (torch.cdist(place, taken) < FAR) & (crop[:, None] == taken_crop)
    free = ~near.any(dim=1) & ((place > 3) & (place < CROP - 4)).all(dim=1)
    crop, place = crop[free], place[free]
    rows = _first_of_each(crop, PEAKS)
    return crop[rows], place[rows]


def _first_of_each(crop: Tensor, count: int) -> Tensor:
    """Rows of the first `count` entries of each crop."""
    order = torch.argsort(crop, stable=True)
    counts = torch.bincount(crop)
    rank = torch.arange(len(order), device=crop.device) - (counts.cumsum(0) - counts)[crop[order]]
    return order[rank < count]


def cut_patches(density: Tensor, framed: FramedResidues) -> Tensor:
    """Patches (n, 1, 16, 16, 16) of the framed residues from the densities (crops, 1, 48, 48, 48)."""
    patches = torch.empty(len(framed.crop), 1, 16, 16, 16, device=density.device)
    for number in range(len(density)):
        here = framed.crop == number
        if bool(here.any()):
            patches[here] = sample_patches(density[number, 0], framed.centre[here], framed.frames[here])
    return patches


def residue_losses(heads: dict[str, Tensor], batch: CropBatch, framed: FramedResidues) -> dict[str, Tensor]:
    """Loss of each head (scalars), in nats or angstrom. Frames that are not right count for `frame` alone."""
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
    `frames`, share of frames whose kind is recognised; `residues`,
    share of places recognised as residue or none; `ca_error`, rms of the C-alphas moved by the network, angstrom.
    """
    figures: dict[str, float] = {}
    for resolution in config["validate"]["resolutions"]:
        rows = []
        for batch in validation_batches(pack, config, resolution, device):
            density = simulate(batch)
            framed = draw_frames(batch, density, noise=0.35)
            patches = cut_patches(density, framed)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                heads = network(patches)
            losses = {name: float(value) for name, value in residue_losses(heads, batch, framed).items()}
            right = framed.kind == RIGHT
            row, frames = framed.row[right], framed.frames[right]
            known = batch.aa[row] >= 0
            moved = framed.centre[right] + torch.einsum("rji,rj->ri", frames, heads["ca"][right].float())
            error = (moved - true_positions(batch)[row]).square().sum(dim=1).mean()
            losses["types"] = float((heads["aa"][right].argmax(dim=1) == batch.aa[row])[known].float().mean())
            kind = heads["frame"].argmax(dim=1)
            losses["frames"] = float((kind == framed.kind).float().mean())
            losses["residues"] = float(((kind == NOTHING) == (framed.kind == NOTHING)).float().mean())
            losses["ca_error"] = float(error.sqrt())
            rows.append(losses)
        figures |= {f"validate.{resolution}.{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return figures
