"""Training crops: atoms of a pack structure drawn with numpy, their density simulated with torch on any device.

A crop is 48^3 voxels of 1 A, cut from the middle of a 64^3 box so that the box's periodic edges stay outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from cryo2struct.dataset.pack import PackStructure, StructurePack
from cryo2struct.training import corruption
from cryo2struct.training.labels import (
    BOX,
    CROP,
    MARGIN,
    Array,
    alpha_carbons,
    draw_centre,
    label_atoms,
    nucleotide_atoms,
    random_rotation,
)
from cryo2struct.training.measured import MeasuredCrops

B_GROUPS = 3

# Scattering by element relative to carbon 6, near 3 A resolution, hydrogens included: between the electron form
# factors at zero angle and at high angle. Metals are set to 20.
SCATTERING = np.full(128, 20.0, dtype=np.float32)
SCATTERING[[0, 1, 6, 7, 8, 9, 15, 16, 17]] = [6, 1, 6, 6.4, 6.7, 7, 13, 12.5, 13]
SIDE_CHAIN_DEPTH = {"B": 0, "G": 1, "D": 2, "E": 3, "Z": 4, "H": 5}


@dataclass
class CropBatch:
    """Atoms, map parameters and labels of a batch of crops; arrays over atoms or residues name their crop by index.

    Attributes
    ----------
    atom_crop, atom_xyz, atom_weight, atom_group : (A,), (A, 3) angstrom in the box, (A,), (A,)
    atom_full : (A,) weight before corruption
    atom_kept : (A,) False where a zone mask removes the atom
    group_b : (crops, B_GROUPS) angstrom^2
    map_* : (crops,) parameters of the map, drawn by `draw_map_parameters`
    atoms : (crops, 48, 48, 48) uint8, class of each voxel (none, CA, N, C)
    filled : (crops, 24, 24, 24) uint8, 0 no atom in the cell, 1 protein, 2 non-protein
    ca_cell : (R, 4) crop and cell index z, y, x of each C-alpha
    aa, ss : (R,) type (-1 unknown) and secondary structure
    offset : (R, 3) angstrom from the cell's centre; x, y, z
    n, c, o : (R, 3) the residue's N, C, O from its C-alpha, angstrom (NaN where there is none)
    next, prev : (R, 3) unit vectors to the next and previous C-alpha (NaN where there is none)
    measured_crop, measured : (M,), (M, 48, 48, 48) crops of experimental maps, in any units; they have no atoms, and
        their map parameters mean nothing
    seed : noise seed
    """

    atom_crop: Tensor
    atom_xyz: Tensor
    atom_weight: Tensor
    atom_full: Tensor
    atom_group: Tensor
    atom_kept: Tensor
    group_b: Tensor
    map_resolution: Tensor
    map_fsc_width: Tensor
    map_noise: Tensor
    map_weighting: Tensor
    map_falloff: Tensor
    map_low_pass: Tensor
    map_solvent: Tensor
    map_contrast: Tensor
    map_blur: Tensor
    map_soft_mask: Tensor
    map_zone: Tensor
    map_clip: Tensor
    map_structureless: Tensor
    atoms: Tensor
    filled: Tensor
    ca_cell: Tensor
    aa: Tensor
    ss: Tensor
    offset: Tensor
    n: Tensor
    c: Tensor
    o: Tensor
    next: Tensor
    prev: Tensor
    measured_crop: Tensor
    measured: Tensor
    seed: int

    def to(self, device: torch.device) -> CropBatch:
        """The same batch on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()}
        return CropBatch(**moved)


def draw_map_parameters(
    rng: Generator, resolutions: tuple[float, float], structureless_share: float = 0.0
) -> dict[str, Any]:
    """Random parameters of one map: resolution, noise, sharpening, masks; with a given probability without signal.

    The fall-off of most deposited maps is between 0 and 110 angstrom^2, whatever their resolution; some are sharpened
    until noise makes it negative. Half keep noise that FSC weighting would have taken away, up to a low-pass filter.
    """
    structureless = structureless_share > 0 and rng.random() < structureless_share
    d = rng.uniform(*resolutions)
    sharp = rng.random() < 0.7
    weighting = 1.0 if rng.random() < 0.5 else rng.uniform(0, 1)
    return {
        "resolution": d,
        "fsc_width": rng.uniform(0.008, 0.045),
        "noise": np.exp(0.35 * rng.normal()),
        "weighting": weighting,
        "falloff": rng.uniform(-60, 110) if sharp else min(rng.uniform(0.05, 1) * 16 * d**2, 250.0),
        "low_pass": rng.uniform(0.85, 1.15) / d if weighting < 1 or rng.random() < 0.5 else 10.0,
        "solvent": rng.uniform(0, 1.0) if rng.random() < 0.8 else 0.0,
        "contrast": rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.0,
        "blur": rng.uniform(0.1, 0.5, 3) if rng.random() < 0.2 else np.zeros(3),
        "soft_mask": rng.random() < 0.25,
        "zone": rng.uniform(3, 6) if not structureless and rng.random() < 0.4 else 0.0,
        "clip": rng.random() < 0.2,
        "structureless": structureless,
    }


def side_chain_depth(structure: PackStructure, atom_names: list[str]) -> Array:
    """Bonds beyond CB of each atom (A,), -1 for backbone and everything that is no amino acid."""
    by_name = np.array([SIDE_CHAIN_DEPTH.get(n[1:2], -1) if n[:1] in "CNOS" else -1 for n in atom_names])
    return np.where(structure.aa[structure.residue] < 20, by_name[structure.name], -1)


def draw_atoms(
    structure: PackStructure, atom_names: list[str], anchors: Array, zone: float, rng: Generator
) -> tuple[dict[str, Array], Array]:
    """Atoms of a randomly turned box around one of the anchors (indices of atoms), corrupted, and the box's transformed
    coordinates.

    Returns a dictionary with `inside` (indices of the atoms), `weight`, `b`, `kept`, and xyz (A, 3) of all atoms.
    """
    central, centre = draw_centre(structure.xyz, anchors, rng)
    scale = np.float32(rng.uniform(0.985, 1.015) if rng.random() < 0.3 else 1.0)  # error of the voxel size
    xyz = (structure.xyz - centre) @ (random_rotation(rng) * scale) + np.float32(BOX / 2)
    inside = np.flatnonzero(((xyz >= 0) & (xyz < BOX - 0.001)).all(axis=1))
    depth = side_chain_depth(structure, atom_names)[inside]
    residue = structure.residue[inside]
    aa = structure.aa[residue]
    element = structure.element[inside]
    weight = corruption.weaken_polar_atoms(SCATTERING[element], element, rng)
    if rng.random() < 0.7:
        acid = ((aa == 2) & (depth == 2)) | ((aa == 3) & (depth == 3))
        weight = corruption.weaken_carboxylates(weight, acid & (element == 8), rng)
    weight = corruption.weaken_side_chains(weight, depth, residue, rng)
    b = corruption.atomic_b_factors(xyz[inside], structure.bfactor[residue], depth, rng)
    kept = np.ones(len(inside), dtype=bool)
    if zone > 0:
        chain = structure.chain[residue]
        chains = np.unique(chain)
        around = chains[rng.random(len(chains)) < 0.5]
        kept = np.isin(chain, around) | (chain == structure.chain[structure.residue[central]])
    return {"inside": inside, "weight": weight, "full": SCATTERING[element], "b": b, "kept": kept}, xyz


def draw_crop(
    structure: PackStructure,
    atom_names: list[str],
    parameters: dict[str, Any],
    rng: Generator,
    *,
    nucleic: bool = False,
) -> dict[str, Any]:
    """One crop as numpy arrays, keys as in `CropBatch` without the batch dimension; about a nucleotide if asked for."""
    anchors = nucleotide_atoms(structure) if nucleic else alpha_carbons(structure, atom_names)
    drawn, xyz = draw_atoms(structure, atom_names, anchors, parameters["zone"], rng)
    if parameters["structureless"]:
        drawn["kept"][:] = False
    edges = np.quantile(drawn["b"], np.linspace(0, 1, B_GROUPS + 1)[1:-1])
    group = np.searchsorted(edges, drawn["b"])
    group_b = np.array([drawn["b"][group == g].mean() if (group == g).any() else 0.0 for g in range(B_GROUPS)])
    return {
        "atom_xyz": xyz[drawn["inside"]],
        "atom_weight": drawn["weight"],
        "atom_full": drawn["full"],
        "atom_group": group,
        "atom_kept": drawn["kept"],
        "group_b": group_b.astype(np.float32),
        "measured": np.zeros((0, CROP, CROP, CROP), dtype=np.float32),
        **{f"map_{name}": np.asarray(value) for name, value in parameters.items()},
        **label_atoms(structure, atom_names, drawn, xyz),
    }


def draw_measured_crop(crops: MeasuredCrops, parameters: dict[str, Any], rng: Generator) -> dict[str, Any]:
    """One crop of an experimental map, without atoms to simulate, keys as of `draw_crop`."""
    return {
        "atom_xyz": np.zeros((0, 3), dtype=np.float32),
        "atom_weight": np.zeros(0, dtype=np.float32),
        "atom_full": np.zeros(0, dtype=np.float32),
        "atom_group": np.zeros(0, dtype=np.int64),
        "atom_kept": np.zeros(0, dtype=bool),
        "group_b": np.zeros(B_GROUPS, dtype=np.float32),
        **{f"map_{name}": np.asarray(value) for name, value in parameters.items()},
        **crops.draw_crop(rng),
    }


def collate(crops: list[dict[str, Any]], seed: int) -> CropBatch:
    """Join crops into a batch."""
    per_crop = [f.name for f in fields(CropBatch) if f.name.startswith("map_")] + ["group_b", "atoms", "filled"]
    joined: dict[str, Any] = {}
    for key in crops[0]:
        if key in per_crop:
            value = np.stack([crop[key] for crop in crops])
        else:
            value = np.concatenate([crop[key] for crop in crops])
        joined[key] = torch.from_numpy(value.astype(np.float32) if value.dtype == np.float64 else value)
    for index, rows in (("atom_crop", "atom_xyz"), ("measured_crop", "measured")):
        joined[index] = torch.cat([torch.full((len(crop[rows]),), i) for i, crop in enumerate(crops)])
    crop_of_ca = torch.cat([torch.full((len(c["ca_cell"]), 1), i) for i, c in enumerate(crops)])
    joined["ca_cell"] = torch.cat([crop_of_ca, joined["ca_cell"]], dim=1)
    return CropBatch(**joined, seed=seed)


def splat(crop: Tensor, xyz: Tensor, weight: Tensor, crops: int) -> Tensor:
    """Spread point weights trilinearly over the eight voxels around them: (crops, 64, 64, 64), periodic."""
    grid = torch.zeros(crops * BOX**3, device=xyz.device)
    low = xyz.floor()
    fraction = xyz - low
    index = low.long()
    for corner in range(8):
        step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=xyz.device)
        share = torch.where(step.bool(), fraction, 1 - fraction).prod(dim=1)
        x, y, z = ((index + step) % BOX).unbind(dim=1)
        grid.index_add_(0, ((crop * BOX + z) * BOX + y) * BOX + x, weight * share)
    return grid.view(crops, BOX, BOX, BOX)


def frequencies(device: torch.device) -> tuple[list[Tensor], Tensor]:
    """Frequencies along z, y, x and |s| (64, 64, 33), in 1/angstrom."""
    full = torch.fft.fftfreq(BOX, device=device)
    half = torch.fft.rfftfreq(BOX, device=device)
    s = torch.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half[None, None, :] ** 2)
    return [full, full, half], s


def ideal_spectrum(batch: CropBatch) -> Tensor:
    """Fourier transform (crops, 64, 64, 33) of the atoms' density with their relative B factors, free of noise."""
    crops = len(batch.group_b)
    axes, s = frequencies(batch.atom_xyz.device)
    group = batch.atom_crop * B_GROUPS + batch.atom_group
    grids = splat(group, batch.atom_xyz, batch.atom_weight, crops * B_GROUPS)
    spectra = torch.fft.rfftn(grids, dim=(1, 2, 3)).view(crops, B_GROUPS, *s.shape)
    damped = spectra * torch.exp(-batch.group_b[:, :, None, None, None] * s**2 / 4)
    kernel = torch.sinc(axes[0])[:, None, None] * torch.sinc(axes[1])[None, :, None] * torch.sinc(axes[2])[None, None]
    return damped.sum(dim=1) / kernel**2  # undo the trilinear kernel


def simulate(batch: CropBatch) -> Tensor:
    """Densities (crops, 1, 48, 48, 48), each with mean 0 and standard deviation 1.

    Atoms -> Fourier space -> FSC-shaped noise -> sharpening -> masks; see `corruption`. Measured crops are as measured.
    """
    device = batch.atom_xyz.device
    generator = torch.Generator(device=device).manual_seed(batch.seed)
    crops = len(batch.group_b)
    axes, s = frequencies(device)
    shell = (s * BOX).round().long().flatten()
    weight = torch.full_like(s, 2.0)
    weight[..., 0] = 1.0
    shells = int(shell.max()) + 1
    shell_s = torch.arange(shells, device=device) / BOX
    spectrum = ideal_spectrum(batch)
    blurred = spectrum[batch.map_soft_mask] * torch.exp(-600.0 * s**2 / 4)
    spectrum = spectrum * (1 - batch.map_solvent[:, None, None, None] * torch.exp(-150.0 * s**2 / 4))
    power = corruption.radial_mean(spectrum.abs().flatten(1) ** 2, shell, weight.flatten(), shells)
    occupied = torch.bincount(batch.atom_crop, minlength=crops) * 18.0 / BOX**3
    local_power = (power / occupied.clamp(1e-3, 1.0)[:, None])[:, shell].view(spectrum.shape)
    fsc = corruption.fsc_curve(s.flatten(), batch.map_resolution, batch.map_fsc_width).view(spectrum.shape)
    fsc = torch.where(batch.map_structureless[:, None, None, None], 0.0, fsc)
    spectrum = corruption.add_noise(spectrum, fsc, local_power, batch.map_noise, generator)
    spectrum = corruption.undo_weighting(spectrum, fsc, batch.map_weighting)
    power = corruption.radial_mean(spectrum.abs().flatten(1) ** 2, shell, weight.flatten(), shells)
    b = corruption.sharpening(power, shell_s, batch.map_resolution, batch.map_falloff)
    spectrum = spectrum * torch.exp(-b[:, None, None, None] * s**2 / 4)
    edge = batch.map_low_pass[:, None, None, None]
    spectrum = spectrum * torch.sigmoid(((edge - s) / 0.01).clamp(-40, 40))
    for axis, blur in enumerate(batch.map_blur.unbind(dim=1)):
        factor = corruption.interpolation_blur(axes[axis], blur)
        spectrum = spectrum * factor.view(crops, *(-1 if a == axis else 1 for a in range(3)))
    density = torch.fft.irfftn(spectrum, s=(BOX,) * 3, dim=(1, 2, 3))
    return _finish(batch, density, blurred, generator)


def _finish(batch: CropBatch, density: Tensor, blurred: Tensor, generator: torch.Generator) -> Tensor:
    density = corruption.vary_contrast(density, batch.map_contrast, generator)
    if len(blurred):
        smooth = torch.fft.irfftn(blurred, s=(BOX,) * 3, dim=(1, 2, 3))
        density[batch.map_soft_mask] = corruption.soft_mask(density[batch.map_soft_mask], smooth)
    density = torch.where(batch.map_clip[:, None, None, None], density.clamp_min(0), density)
    zoned = batch.map_zone > 0
    if bool(zoned.any()):
        chosen = batch.atom_kept & zoned[batch.atom_crop]
        kept = torch.zeros_like(density)
        x, y, z = (batch.atom_xyz[chosen].round().long() % BOX).unbind(dim=1)
        kept[batch.atom_crop[chosen], z, y, x] = 1.0
        density[zoned] *= corruption.zone_mask(kept[zoned], batch.map_zone[zoned])
    middle = slice(MARGIN, MARGIN + CROP)
    crop = density[:, None, middle, middle, middle]
    crop[batch.measured_crop, 0] = batch.measured
    mean, deviation = crop.mean(dim=(1, 2, 3, 4), keepdim=True), crop.std(dim=(1, 2, 3, 4), keepdim=True)
    return (crop - mean) / deviation.clamp_min(1e-6)


class CropStream(IterableDataset[tuple[CropBatch, Tensor | None]]):
    """Endless batches; batch k is a function of (seed, k) alone, so that a resumed training goes on where it stopped.

    Yields the batch and its densities, or None for the densities when they shall be simulated on the training device.
    With `measured`, each crop is one of an experimental map with the probability `measured_share`. Of the others,
    `nucleic_share` lie about a nucleotide, and `structureless_share` are noise with the power of a molecule's map.
    """

    def __init__(
        self,
        pack: StructurePack,
        indices: list[int],
        *,
        batch_size: int,
        resolutions: tuple[float, float],
        seed: int,
        first_batch: int,
        simulate_here: bool,
        measured: MeasuredCrops | None = None,
        measured_share: float = 0.0,
        nucleic_share: float = 0.0,
        structureless_share: float = 0.0,
    ) -> None:
        self.pack = pack
        self.indices = np.array(indices)
        size = pack.protein_residues[self.indices].astype(np.float64) ** 0.7
        self.probability = size / size.sum()
        self.batch_size = batch_size
        self.resolutions = resolutions
        self.seed = seed
        self.first_batch = first_batch
        self.simulate_here = simulate_here
        self.measured = measured
        self.measured_share = measured_share
        self.nucleic = self.indices[pack.nucleotides[self.indices] > 0]
        self.nucleic_share = nucleic_share if len(self.nucleic) else 0.0
        self.structureless_share = structureless_share
        self.rank, self.ranks = 0, 1  # of N processes, process r takes batch N k + r at step k

    def batch(self, number: int) -> CropBatch:
        """Batch `number` of the stream."""
        rng = np.random.default_rng([self.seed, number])
        crops = []
        for index in rng.choice(self.indices, self.batch_size, p=self.probability):
            parameters = draw_map_parameters(rng, self.resolutions, self.structureless_share)
            if self.measured is not None and rng.random() < self.measured_share:
                crops.append(draw_measured_crop(self.measured, parameters, rng))
            elif self.nucleic_share > 0 and rng.random() < self.nucleic_share:
                structure = self.pack[rng.choice(self.nucleic)]
                crops.append(draw_crop(structure, self.pack.atom_names, parameters, rng, nucleic=True))
            else:
                crops.append(draw_crop(self.pack[index], self.pack.atom_names, parameters, rng))
        return collate(crops, seed=int(rng.integers(2**31)))

    def __iter__(self) -> Iterator[tuple[CropBatch, Tensor | None]]:
        worker = get_worker_info()
        step, start = (worker.num_workers, worker.id) if worker else (1, 0)
        number = self.first_batch + start
        while True:
            batch = self.batch(number * self.ranks + self.rank)
            yield batch, simulate(batch) if self.simulate_here else None
            number += step
