"""What `build` looks at before it loads a network, within seconds also on large maps; `check` prints it.

A large map is looked at in cells of several voxels, and its resolution in a window at the molecule's edge, so that the
time is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.density.fourier import estimate_resolution
from cryo2struct.density.normalise import background, molecule_volume, occupied, sample
from cryo2struct.density.resample import VOXEL, plan_axis
from cryo2struct.density.sampling import values_at
from cryo2struct.density.tiles import Tiling
from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import DensityMap, Entity, FloatArray, GridFrame, Sequences
from cryo2struct.settings import Settings

COARSE_RESOLUTION, HOPELESS_RESOLUTION = 4.5, 8.0  # A
LARGEST_LOOK = 2**23  # cells; larger maps are binned
WINDOW = 144  # voxels: edge of the part of a map that its resolution is estimated from
WINDOW_SHARE = 0.3  # of the window occupied: enough of the molecule, and enough of what surrounds it
MASKED = 0.1  # of the voxels
TAPER = 8  # voxels over which a window that cuts the map falls to the background at its faces
PROTEIN_VOLUME = 1.21  # A^3 / Da; 0.73 ml/g (Harpaz, Gerstein & Chothia 1994, Structure 2, 641-649)
NUCLEIC_VOLUME = 0.96  # A^3 / Da; 0.58 ml/g (Voss & Gerstein 2005, J. Mol. Biol. 346, 477-492)
MOST_OUTSIDE = 0.1  # share of the C-alphas of a model that a map may leave out
REACH = 5.0  # A from a C-alpha to the farthest voxel that says where N and C beside it are
WATER = 18.015  # Da, lost where residues are linked
TILE_SECONDS, TILE_SECONDS_FAST = 0.4, 0.2  # one thread, 64^3 voxels, one rotation: float32; bfloat16 in hardware
BASE_MEMORY, MEMORY_PER_VOXEL, MEMORY_PER_CUBIC_ANGSTROM = 0.7, 4.5e-9, 6e-9  # GB; measured, as are the seconds


@dataclass(frozen=True)
class Region:
    """Where to look in a map, in cubic cells of `factor` voxels.

    Attributes
    ----------
    cells : bool (z, y, x)
    factor : voxels along the side of a cell
    wanted : bool (z, y, x) on the map's own grid: inside the mask and above the contour; None for everywhere
    frame : of the map
    """

    cells: NDArray[np.bool_]
    factor: int
    wanted: NDArray[np.bool_] | None
    frame: GridFrame

    def box(self, margin: float) -> tuple[slice, ...]:
        """Voxels (z, y, x) of the map that hold the region and `margin` angstrom around it."""
        parts = []
        for axis, (voxel, length) in enumerate(zip(self.frame.voxel[::-1], self.frame.shape, strict=True)):
            filled = np.flatnonzero(self.cells.any(axis=tuple({0, 1, 2} - {axis})))
            around = int(np.ceil(margin / voxel))
            first, last = filled[0] * self.factor - around, (filled[-1] + 1) * self.factor + around
            parts.append(slice(max(int(first), 0), min(int(last), length)))
        return tuple(parts)

    def crop(self, density: DensityMap, margin: float) -> DensityMap:
        """The map in `box`."""
        parts = self.box(margin)
        values = density.values[parts]
        shape = (values.shape[0], values.shape[1], values.shape[2])
        origin = self.frame.to_xyz([part.start for part in parts])
        return DensityMap(values, GridFrame(shape, self.frame.voxel, origin), density.header)

    def on(self, frame: GridFrame) -> NDArray[np.bool_]:
        """The region on another grid with the same axes, by the nearest voxel."""
        voxels = []
        for axis, length in enumerate(frame.shape):
            index = np.zeros((length, 3))
            index[:, axis] = np.arange(length)
            nearest = np.rint(self.frame.to_index(frame.to_xyz(index))[:, axis]).astype(int)
            voxels.append(np.minimum(nearest, self.frame.shape[axis] - 1))
        cells = [np.minimum(v // self.factor, n - 1) for v, n in zip(voxels, self.cells.shape, strict=True)]
        chosen = self.cells[np.ix_(*cells)]
        return chosen if self.wanted is None else chosen & self.wanted[np.ix_(*voxels)]


@dataclass(frozen=True)
class Look:
    """What a map says of itself.

    Attributes
    ----------
    region : Region
        Occupied, inside the mask and above the contour.
    resolution : A
    estimated : bool
        The resolution is told from the map, not by the user.
    level, sigma : background and its noise, map units
    peak : 99th percentile of the occupied part, map units
    constant : share of the voxels that have the value of the background exactly, as outside a mask
    volume : of the molecule in A^3, within the region
    """

    region: Region
    resolution: float
    estimated: bool
    level: float
    sigma: float
    peak: float
    constant: float
    volume: float

    @property
    def masked(self) -> bool:
        """Whether so many voxels have the value of the background that a mask made them."""
        return self.constant >= MASKED


def look(density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None = None) -> Look:
    """Where a map is occupied, its contrast and its resolution.

    Parameters
    ----------
    density : DensityMap
    settings : Settings
    mask : bool (z, y, x), optional
        Only these voxels are looked at; on the grid of the map.
    """
    factor = _factor(density.values.size)
    binned = _binned(density.values, factor)
    edge = factor * float(np.cbrt(np.prod(density.frame.voxel)))
    cells = occupied(binned, edge)
    given = settings.map.resolution
    resolution = given if given is not None else _estimate(density, cells, factor)
    wanted = mask
    if settings.map.contour is not None:
        above = density.values >= settings.map.contour
        wanted = above if mask is None else mask & above
    if wanted is not None:
        cells &= _binned(wanted, factor) > 0
    values = sample(density.values)
    ground = background(values)
    constant = np.abs(values - np.float32(ground.level)) <= 1e-6 * values.std()
    return Look(
        region=Region(cells, factor, wanted, density.frame),
        resolution=resolution,
        estimated=given is None,
        level=ground.level,
        sigma=ground.sigma,
        peak=float(np.percentile(binned[cells], 99)) if cells.any() else ground.level,
        constant=float(constant.mean()),
        volume=molecule_volume(binned, cells, edge),
    )


def judge(found: Look) -> list[str]:
    """Warnings of what was seen in a map.

    Raises
    ------
    InputError
        The resolution is too low for this method.
    NothingToBuildError
        No part of the map is occupied.
    """
    source = " (estimated)" if found.estimated else ""
    if found.resolution > HOPELESS_RESOLUTION:
        raise InputError(
            f"map: resolution {found.resolution:.1f} A{source} is worse than {HOPELESS_RESOLUTION:.0f} A: "
            "no chain can be traced; give --resolution if it is better"
        )
    require_density(found)
    if found.resolution > COARSE_RESOLUTION:
        return [
            f"map: resolution {found.resolution:.1f} A{source}: "
            f"amino-acid types are unreliable beyond {COARSE_RESOLUTION} A"
        ]
    return []


def require_density(found: Look) -> None:
    """Refuse a map of which no part is occupied; raises NothingToBuildError."""
    if not found.region.cells.any():
        raise NothingToBuildError("map: nothing in it stands out of the background: check --contour and --mask")


def around(xyz: FloatArray, density: DensityMap) -> NDArray[np.bool_]:
    """Voxels (z, y, x) of a map that are about C-alphas, and so all that is to be looked at to complete them.

    Parameters
    ----------
    xyz : (R, 3) angstrom
    density : DensityMap

    Raises
    ------
    InputError
        More than a tenth of the C-alphas are outside of the map, or its mean at them is not above that of the box.
    """
    index = density.frame.to_index(xyz)
    outside = int((~((index >= 0) & (index <= np.array(density.frame.shape) - 1)).all(axis=1)).sum())
    if outside > MOST_OUTSIDE * len(xyz):
        raise InputError(
            f"map: {outside} of the {len(xyz)} C-alphas are outside of it; give the map of the model, or another "
            "--origin or --voxel-size"
        )
    at_alphas, everywhere = float(values_at(density, xyz).mean()), float(density.values.mean())
    if not at_alphas > everywhere:
        raise InputError(
            f"map: its mean at the C-alphas ({at_alphas:.3g}) is not above that of the box ({everywhere:.3g}); "
            "give the map of the model, or another --origin or --voxel-size"
        )
    reach = REACH / density.frame.voxel[::-1]
    low = np.maximum(np.floor(index - reach), 0).astype(int)
    high = np.maximum(np.ceil(index + reach), -1).astype(int) + 1
    near = np.zeros(density.frame.shape, dtype=np.bool_)
    for first, last in zip(low.tolist(), high.tolist(), strict=True):
        near[first[0] : last[0], first[1] : last[1], first[2] : last[2]] = True
    return near


def require_protein(sequences: Sequences) -> None:
    """Refuse sequences without a protein; raises InputError."""
    if not sequences.proteins:
        raise InputError("sequences: hold no protein; give the sequences of the proteins in the map")


def mass(entity: Entity) -> float:
    """Mass of one copy in Da, by average residue weights; an unknown residue counts as the mean of the others."""
    kinds = {"protein": gemmi.ResidueKind.AA, "rna": gemmi.ResidueKind.RNA, "dna": gemmi.ResidueKind.DNA}
    names = gemmi.expand_one_letter_sequence(entity.letters.replace("X", ""), kinds[entity.kind])
    weights = [gemmi.find_tabulated_residue(name).weight - WATER for name in names]
    mean = float(np.mean(weights)) if weights else 110.0
    return float(sum(weights)) + mean * (len(entity.letters) - len(weights)) + WATER


def expected_volume(entity: Entity) -> float:
    """Volume of one copy in cubic angstrom."""
    return mass(entity) * (PROTEIN_VOLUME if entity.kind == "protein" else NUCLEIC_VOLUME)


def count_tiles(region: Region, tile: int, overlap: int) -> int:
    """Tiles that the network has to see."""
    lengths = [
        plan_axis(samples, voxel, VOXEL).kept
        for samples, voxel in zip(region.frame.shape, region.frame.voxel[::-1], strict=True)
    ]
    scale = [cells / length for cells, length in zip(region.cells.shape, lengths, strict=True)]
    starts = Tiling((lengths[0], lengths[1], lengths[2]), tile, overlap).starts()
    return sum(
        bool(
            region.cells[
                tuple(slice(int(a * f), int((a + tile) * f) + 1) for a, f in zip(start, scale, strict=True))
            ].any()
        )
        for start in starts
    )


def expected_seconds(tiles: int, settings: Settings, threads: int, fast: bool) -> float:
    """Seconds on the CPU for the network alone, half or twice as many: from the time of one tile on an AMD EPYC.

    Parameters
    ----------
    tiles : int
    settings : Settings
    threads : int
    fast : the CPU multiplies bfloat16 in hardware
    """
    size = (settings.prediction.tile / 64) ** 3
    return tiles * settings.prediction.rotations * size * (TILE_SECONDS_FAST if fast else TILE_SECONDS) / threads


def expected_memory(region: Region, settings: Settings) -> float:
    """Peak memory of `build` in GB, about; for a region that is not empty."""
    lengths = [part.stop - part.start for part in region.box(settings.prediction.tile * VOXEL)]
    cropped = float(np.prod(lengths) * np.prod(region.frame.voxel))
    return BASE_MEMORY + float(np.prod(region.frame.shape)) * MEMORY_PER_VOXEL + cropped * MEMORY_PER_CUBIC_ANGSTROM


def _factor(voxels: int) -> int:
    factor = 1
    while voxels / factor**3 > LARGEST_LOOK:
        factor += 1
    return factor


def _binned(values: FloatArray | NDArray[np.bool_], factor: int) -> NDArray[np.float32]:
    """Mean over cubic cells of `factor` voxels; voxels behind the last whole cell are left out."""
    result: FloatArray = values.astype(np.float32, copy=False)
    if factor == 1:
        return result
    for axis in range(3):
        whole = result.shape[axis] // factor * factor
        parts = [(slice(None),) * axis + (slice(start, whole, factor),) for start in range(factor)]
        summed = result[parts[0]] + result[parts[1]]
        for part in parts[2:]:
            summed += result[part]
        result = summed
    result /= np.float32(factor**3)
    return result


def _estimate(density: DensityMap, cells: NDArray[np.bool_], factor: int) -> float:
    """Resolution of a map as it was sampled, of a large one by a window.

    Not of the resampled map: where that has finer voxels, it ends in a cut that is none of the molecule's.
    """
    edges = [min(samples, WINDOW) for samples in density.frame.shape]
    start = _place_window(cells, factor, edges, density.frame.shape)
    values = density.values[tuple(slice(first, first + edge) for first, edge in zip(start, edges, strict=True))]
    level = np.float32(background(values).level)
    for axis, (edge, samples) in enumerate(zip(edges, density.frame.shape, strict=True)):
        if edge < samples:
            distance = np.minimum(np.arange(edge), np.arange(edge)[::-1]) + 0.5
            ramp = np.sin(np.pi / 2 * np.minimum(distance / TAPER, 1)).astype(np.float32) ** 2
            values = level + (values - level) * ramp.reshape([-1 if a == axis else 1 for a in range(3)])
    return estimate_resolution(values, float(density.frame.voxel.mean()))


def _place_window(
    cells: NDArray[np.bool_], factor: int, edges: list[int], shape: tuple[int, int, int]
) -> tuple[int, ...]:
    """First voxel of the window that holds both the molecule and its surroundings, as near to the middle as may be."""
    if all(edge == samples for edge, samples in zip(edges, shape, strict=True)):
        return (0, 0, 0)
    step = 4 * factor
    coarse = cells[::4, ::4, ::4].astype(np.float32)
    sizes = [max(edge // step, 1) for edge in edges]
    share = scipy.ndimage.uniform_filter(coarse, sizes, mode="constant")
    # Among windows alike, the one nearest to the middle of what is occupied.
    middle = np.argwhere(coarse).mean(axis=0) if coarse.any() else np.array(coarse.shape) / 2
    away = sum(
        ((np.arange(length) - centre).reshape([-1 if a == axis else 1 for a in range(3)]) / length) ** 2
        for axis, (length, centre) in enumerate(zip(coarse.shape, middle, strict=True))
    )
    best = np.unravel_index(np.argmin(np.abs(share - WINDOW_SHARE) + 0.1 * np.sqrt(away)), coarse.shape)
    return tuple(
        int(np.clip(int(centre) * step - edge // 2, 0, samples - edge))
        for centre, edge, samples in zip(best, edges, shape, strict=True)
    )
