"""Candidates looked at one by one, each in the frames that its neighbours suggest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cryo2struct.density.fourier import sharpen
from cryo2struct.networks.residue import NOTHING, RIGHT, ResidueNetwork, residue_frames, sample_patches
from cryo2struct.objects import Candidates, DensityMap, FloatArray, IntArray
from cryo2struct.prediction.batches import Batches
from cryo2struct.prediction.device import arithmetic_type
from cryo2struct.prediction.frames import SuggestedFrames, agree_frames, suggest_frames
from cryo2struct.settings import ResidueSettings

SAMPLE = 250
"""Candidates by which the sharpness of a map is judged, at most."""


@dataclass
class _Frames:
    """Frames and what the network sees in them; all (F, ...) tensors."""

    candidate: Tensor
    centre: Tensor  # x, y, z, voxels
    axes: Tensor
    heads: dict[str, Tensor]

    def outward(self, name: str) -> Tensor:
        """Vectors of a head in the axes of the map."""
        return torch.einsum("fji,fj->fi", self.axes, self.heads[name])

    def right(self) -> NDArray[np.float64]:
        """Probability (F,) that each frame is right."""
        return self.heads["frame"][:, RIGHT].double().cpu().numpy()

    def halves(self) -> tuple[_Frames, _Frames]:
        """The first and the second half of the frames."""
        rows = torch.arange(len(self.candidate), device=self.candidate.device)
        first, second = rows.chunk(2)
        return self.chosen(first), self.chosen(second)

    def chosen(self, rows: Tensor) -> _Frames:
        heads = {name: value[rows] for name, value in self.heads.items()}
        return _Frames(self.candidate[rows], self.centre[rows], self.axes[rows], heads)


def refine_candidates(
    density: DensityMap,
    candidates: Candidates,
    network: ResidueNetwork,
    settings: ResidueSettings,
    *,
    device: torch.device,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Candidates:
    """Candidates with the residue network's types, secondary structure, directions, positions and backbone atoms.

    Each candidate is seen in both directions of every pair of neighbours that could be its next and previous C-alpha,
    and, as a last resort, of the directions that the voxel network predicted. The frame that is most likely right,
    given those of its neighbours, is then seen again from where the network puts the C-alpha. Types are those seen
    there, multiplied with those of the voxel network; presence joins the log odds of both networks. Candidates below
    the threshold are dropped. The same is seen in the reverse of that frame, in case the chain runs the other way.

    Parameters
    ----------
    density : DensityMap
        The map that the candidates were found in, voxels of about 1 A.
    candidates : Candidates
    network : ResidueNetwork
    settings : ResidueSettings
    device : torch.device
    progress : called with rounds done and rounds in all
    warn : called with one line when memory ran out and smaller batches are taken

    Raises
    ------
    ResourceError
        Memory runs out with batches of half the size as well.
    """
    if len(candidates) == 0:
        return candidates
    network = network.to(device)
    values, position, spacing = _on_device(density, candidates, device)
    batches = _batches(settings, warn)
    frames = suggest_frames(candidates, settings.pairs)
    rows = torch.from_numpy(frames.owner).to(device)
    seen = _look(network, values, rows, position[rows], _axes(frames, device), spacing, batches)
    best = _best(frames.owner, agree_frames(frames, seen.right()))
    # from here on both ways: frames stand in pairs, one the reverse of the other
    seen = seen.chosen(torch.cat([best, best ^ 1]))
    for number in range(settings.rounds):
        progress(number + 1, settings.rounds + 1)
        moved = seen.centre + seen.outward("ca") / spacing
        axes = residue_frames(seen.outward("next"), seen.outward("prev"))
        seen = _look(network, values, seen.candidate, moved, axes, spacing, batches)
    progress(settings.rounds + 1, settings.rounds + 1)
    return _joined(density, candidates, *seen.halves(), spacing, settings)


def surest_sharpening(
    density: DensityMap,
    candidates: Candidates,
    network: ResidueNetwork,
    settings: ResidueSettings,
    *,
    device: torch.device,
    warn: Callable[[str], None] = lambda line: None,
) -> tuple[float, DensityMap]:
    """The B factor of `settings.sharpening` that makes the types of the candidates surest, and the map it makes.

    How sharp deposited maps are differs by far more than 100 angstrom^2. Sure is a low mean entropy of the types, over
    `SAMPLE` candidates at most. Parameters as of `refine_candidates`.
    """
    if len(candidates) == 0:
        return 0.0, density
    frames = suggest_frames(candidates, settings.pairs)
    keep = np.isin(frames.owner, np.linspace(0, len(candidates) - 1, SAMPLE).astype(int))
    axes = _axes(frames, device)[torch.from_numpy(keep).to(device)]
    rows = torch.from_numpy(frames.owner[keep]).to(device)
    network = network.to(device)
    batches = _batches(settings, warn)
    best = (np.inf, 0.0, density)
    for b_factor in settings.sharpening:
        changed = density
        if b_factor != 0:
            changed = replace(density, values=sharpen(density.values, density.frame.voxel, b_factor))
        values, centre, spacing = _on_device(changed, candidates, device)
        seen = _look(network, values, rows, centre[rows], axes, spacing, batches)
        types = seen.chosen(_best(frames.owner[keep], seen.right())).heads["aa"]
        entropy = float(-(types * torch.log(types + 1e-6)).sum(dim=1).mean())
        best = min(best, (entropy, b_factor, changed), key=lambda found: found[0])
    return best[1], best[2]


def _on_device(density: DensityMap, candidates: Candidates, device: torch.device) -> tuple[Tensor, Tensor, float]:
    """Values with mean 0 and standard deviation 1, candidates (N, 3) x, y, z in voxels, and angstrom per voxel."""
    values = torch.from_numpy(density.values).to(device)
    values = (values - values.mean()) / values.std().clamp_min(1e-6)
    index = density.frame.to_index(candidates.xyz)[:, ::-1]
    centre = torch.from_numpy(np.ascontiguousarray(index, dtype=np.float32)).to(device)
    return values, centre, float(density.frame.voxel.mean())


def _batches(settings: ResidueSettings, warn: Callable[[str], None]) -> Batches:
    return Batches(settings.batch, "residue frames", "give a smaller --set residues.batch, or --device cpu", warn)


@torch.inference_mode()
def _look(
    network: ResidueNetwork,
    values: Tensor,
    rows: Tensor,
    centre: Tensor,
    axes: Tensor,
    spacing: float,
    batches: Batches,
) -> _Frames:
    """The network on all frames; probabilities instead of logits, unit vectors."""
    dtype = arithmetic_type(values.device)

    def look(part: slice) -> dict[str, Tensor]:
        patches = sample_patches(values, centre[part], axes[part], spacing)
        with torch.autocast(values.device.type, dtype=dtype, enabled=dtype != torch.float32):
            return network(patches)

    parts = [found for _, found in batches.over(len(rows), look)]
    heads = {name: torch.cat([part[name].float() for part in parts]) for name in parts[0]}
    for name in ("aa", "ss", "frame"):
        heads[name] = heads[name].softmax(dim=1)
    for name in ("next", "prev"):
        heads[name] = functional.normalize(heads[name], dim=1)
    return _Frames(rows, centre, axes, heads)


def _axes(frames: SuggestedFrames, device: torch.device) -> Tensor:
    """Axes (F, 3, 3) of the frames."""
    return residue_frames(*(torch.from_numpy(v.astype(np.float32)).to(device) for v in (frames.after, frames.before)))


def _best(owner: IntArray, belief: FloatArray) -> Tensor:
    """Row of the frame of the greatest belief (F,) of each owner, of equal ones the first."""
    order = np.lexsort((-belief, owner))
    return torch.from_numpy(order[np.unique(owner[order], return_index=True)[1]])


def _joined(
    density: DensityMap,
    candidates: Candidates,
    seen: _Frames,
    reverse: _Frames,
    spacing: float,
    settings: ResidueSettings,
) -> Candidates:
    """The candidates with what was seen in one frame each, and in its reverse."""

    def array(values: Tensor) -> NDArray[np.float64]:
        return values.double().cpu().numpy()

    def placed(frames: _Frames, name: str) -> FloatArray:
        return np.asarray(density.frame.to_xyz(array(frames.centre + frames.outward(name) / spacing)[:, ::-1]))

    def types(frames: _Frames) -> FloatArray:
        log_types = settings.weight * np.log(array(frames.heads["aa"]) + 1e-6)
        log_types += settings.voxel_weight * np.log(np.asarray(candidates.aa_prob, dtype=np.float64) + 1e-6)
        found = np.exp(log_types - log_types.max(axis=1, keepdims=True))
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    log_odds = settings.presence_weight * _log_odds(1 - array(seen.heads["frame"][:, NOTHING]))
    log_odds += settings.voxel_presence_weight * _log_odds(np.asarray(candidates.ca_prob, dtype=np.float64))
    presence = 1 / (1 + np.exp(-(log_odds + settings.presence_offset)))
    after, before = array(seen.outward("next")), array(reverse.outward("next"))
    # both frames may have turned into the same one
    reverse_right = np.where((after * before).sum(axis=1) < 0, reverse.right(), 0.0)
    refined = replace(
        candidates,
        xyz=placed(seen, "ca"),
        ca_prob=presence,
        aa_prob=types(seen),
        next_vec=after,
        prev_vec=array(seen.outward("prev")),
        ss_prob=array(seen.heads["ss"]),
        n_xyz=placed(seen, "n"),
        c_xyz=placed(seen, "c"),
        reverse_prob=reverse_right / (reverse_right + np.maximum(seen.right(), 1e-6)),
        reverse_xyz=placed(reverse, "ca"),
        reverse_aa_prob=types(reverse),
        reverse_next_vec=before,
        reverse_prev_vec=array(reverse.outward("prev")),
    )
    return refined.chosen(presence >= settings.threshold)


def _log_odds(probability: FloatArray) -> FloatArray:
    bounded = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(bounded / (1 - bounded)))
