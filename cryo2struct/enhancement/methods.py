"""The methods of enhancement behind one function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cryo2struct import preflight
from cryo2struct.density.normalise import background
from cryo2struct.enhancement import half_maps as two
from cryo2struct.enhancement.bfactor import sharpen_by_slope
from cryo2struct.errors import UsageError
from cryo2struct.objects import DensityMap, FloatArray
from cryo2struct.record import Recorder
from cryo2struct.settings import Settings, data_path

Method = Literal["neural", "bfactor", "halfmaps"]
NETWORK_SHARE = 0.7  # of the enhanced map; the rest is the original
LEAST_CONTRAST = 0.5  # of what the network makes of a molecule, in units of the density inside a protein; usual: 0.8
LEAST = 1e-30
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Enhanced:
    """An enhanced map and how it was made.

    Attributes
    ----------
    density : DensityMap
        On the grid of the map that was given.
    label : what stands in the header of its file
    facts : method, resolution and what else the method found, for records
    """

    density: DensityMap
    label: str
    facts: dict[str, Any]


def enhance(
    density: DensityMap,
    settings: Settings,
    *,
    method: str = "neural",
    half_maps: two.HalfMaps | None = None,
    mask: NDArray[np.bool_] | None = None,
    record: Recorder | None = None,
) -> Enhanced:
    """Enhance a map.

    The result is scaled about the background's level so that its root mean square departure from it is that of the
    original within the occupied part of the map; for the method neural that is so of both maps that are mixed.

    That method shows the network the map sharpened by its Guinier slope, sharpens what it makes likewise, and
    mixes it with 0.3 of the sharpened original; what the network hardly sees, such as noise, stays weak.

    Parameters
    ----------
    density : DensityMap
        What is enhanced; with the method halfmaps, whose mean is enhanced, what the result is scaled to.
    settings : Settings
        Of these `map.resolution`, `map.contour`, `device`, `threads` and the group `enhancement`.
    method : one of `METHODS`
    half_maps : HalfMaps, optional
        On the grid of the map. Without `map.resolution` the resolution is what they tell.
    mask : bool (z, y, x), optional
        Where the molecule is; on the grid of the map.
    record : Recorder, optional

    Raises
    ------
    UsageError
        There is no such method, or it needs half maps.
    InputError
        The map does not allow the method, or the half maps are on another grid.
    NothingToBuildError
        No part of the map looks occupied.
    ResourceError
        Weights or device cannot be used.
    """
    if method not in METHODS:
        raise UsageError(f"--method {method}: not known; give one of {', '.join(METHODS)}")
    if method == "halfmaps" and half_maps is None:
        raise UsageError("--method halfmaps: needs both half maps; give --half1 and --half2")
    if half_maps is not None:
        half_maps.require_grid_of(density)
    job = _look(density, settings, method, half_maps, mask, record or Recorder())
    if method == "neural":
        values, label = _by_network(job)
    elif method == "halfmaps":
        values, label = _by_half_maps(job)
    else:
        values, label = _by_slope(job)
    values *= np.float32(_contrast(density.values, job.inside, job.found.level))
    values += np.float32(job.found.level)
    return Enhanced(DensityMap(values, density.frame, density.header), f"{label}; not for deposition", job.facts)


@dataclass(frozen=True)
class _Job:
    """What the methods work on.

    Attributes
    ----------
    density, settings, record : as given
    found : what the map says of itself
    inside : (z, y, x) the occupied part
    soft : (z, y, x) 0 to 1, the occupied part with soft borders
    resolution : angstrom
    halves, agreed : the half maps and their correlation, where they are given
    facts : about the job, for records
    """

    density: DensityMap
    settings: Settings
    record: Recorder
    found: preflight.Look
    inside: NDArray[np.bool_]
    soft: FloatArray
    resolution: float
    halves: two.HalfMaps | None
    agreed: two.Agreement | None
    facts: dict[str, Any]

    def progress(self, done: int, total: int) -> None:
        self.record.progress("enhance", done, total)


Made = tuple[FloatArray, str]
"""Values (z, y, x) above the background, 1 the contrast of the molecule, and what they are."""


def _look(
    density: DensityMap,
    settings: Settings,
    method: str,
    halves: two.HalfMaps | None,
    mask: NDArray[np.bool_] | None,
    record: Recorder,
) -> _Job:
    """Where the map is occupied, and its resolution."""
    for label in density.header.get("labels", ()):
        if "enhanc" in label.lower():
            record.warn(f"map: its header says {label!r}; give the original map, what was lost before stays lost")
    with record.step("check map"):
        found = preflight.look(density, settings, mask)
        preflight.require_density(found)
        if found.masked:
            record.warn("map: is masked: what the noise around the molecule becomes cannot be judged")
        inside = found.region.on(density.frame)
        soft = two.softened(inside, density.frame)
    resolution, source = found.resolution, "estimated from the map" if found.estimated else "given"
    facts: dict[str, Any] = {"method": method}
    agreed = None
    if halves is not None:
        with record.step("compare half maps"):
            agreed = two.agreement(halves, soft)
        facts["half_maps"] = {"resolution": round(agreed.resolution, 2), "noise": halves.noise()}
        if found.estimated:
            resolution, source = agreed.resolution, "FSC 0.143 of the half maps"
    facts |= {"resolution": round(resolution, 2), "resolution_source": source}
    record.say(f"resolution {resolution:.2f} A ({source})")
    return _Job(density, settings, record, found, inside, soft, resolution, halves, agreed, facts)


def _by_slope(job: _Job) -> Made:
    with job.record.step("enhance"):
        values, b_factor = _to_slope(job, job.density.values)
    job.facts["b_factor"] = round(b_factor, 1)
    job.record.say(f"B factor {b_factor:.1f} A^2")
    return _unit(values, job, job.found.level), f"enhanced: bfactor {b_factor:.0f} A^2 to {job.resolution:.2f} A"


def _to_slope(job: _Job, values: FloatArray) -> tuple[FloatArray, float]:
    """Values sharpened or blurred, those that a mask left at 0 as they are, and the B factor that was applied."""
    changed, b_factor = sharpen_by_slope(values, job.density.frame.voxel, job.resolution, job.soft)
    changed[values == 0] = 0
    return changed, b_factor


def _by_half_maps(job: _Job) -> Made:
    assert job.halves is not None  # made sure of before
    assert job.agreed is not None
    with job.record.step("compare half maps locally"):
        b_factor = two.weighted_b(job.halves, job.agreed, job.resolution, job.soft)
        local = two.local_agreement(job.halves, job.resolution, b_factor, job.progress)
    with job.record.step("enhance"):
        mean = job.halves.mean
        values = two.apply_local(mean.values, mean.frame, local, b_factor, job.progress)
    cells = job.found.region.on(local.frame)
    # A region smaller than the cells of 3 A may lie between them.
    resolutions = local.resolution().values[cells if cells.any() else ...]
    quartiles = np.percentile(resolutions, [25, 50, 75]).round(2).tolist()
    job.facts.update({"b_factor": round(b_factor, 1), "local_resolution_quartiles": quartiles})
    job.record.say(f"B factor {b_factor:.1f} A^2; local resolution {quartiles[0]} to {quartiles[2]} A (quartiles)")
    label = f"enhanced: halfmaps, bfactor {b_factor:.0f} A^2 to {job.resolution:.2f} A"
    return _unit(values, job, background(mean.values).level), label


def _by_network(job: _Job) -> Made:
    # torch takes seconds to load: only now, so that bad input is refused before.
    from cryo2struct.enhancement.neural import NeuralEnhancer
    from cryo2struct.networks.store import load_enhancer
    from cryo2struct.prediction.device import choose_device, describe_device

    options, record = job.settings.enhancement, job.record
    with record.step("load network"):
        device = choose_device(job.settings.device, job.settings.threads)
        network, entry = load_enhancer(options.weights or data_path("weights"))
    job.facts["weights"] = {key: entry[key] for key in ("file", "sha256")}
    record.say(describe_device(device))
    enhancer = NeuralEnhancer(network, options.tile, options.overlap, options.batch, device, job.progress, record.warn)
    with record.step("enhance"):
        given, _ = _to_slope(job, job.density.values)
        raw = enhancer.apply(replace(job.density, values=np.asarray(given, dtype=np.float32)), job.found.region)
        contrast = _contrast(raw, job.inside, 0.0)
        made = _unit(_to_slope(job, raw)[0] if contrast > 0 else raw, job, 0.0)
        made *= np.float32(NETWORK_SHARE * min(contrast / LEAST_CONTRAST, 1.0))
        made += np.float32(1 - NETWORK_SHARE) * _unit(given, job, background(given).level)
    job.facts["contrast"] = round(contrast, 3)
    if contrast < LEAST_CONTRAST:
        record.warn(
            f"map: the network sees little of a molecule (contrast {contrast:.2f}, usual are 0.7 to 1): "
            "check the voxel size and where the map is noise alone"
        )
    return made, f"enhanced: neural {entry['sha256'][:8]}"


def _unit(values: FloatArray, job: _Job, zero: float) -> FloatArray:
    """Values (z, y, x) less their background `zero`, in units of their contrast."""
    return (values - np.float32(zero)) / np.float32(max(_contrast(values, job.inside, zero), LEAST))


def _contrast(values: FloatArray, inside: NDArray[np.bool_], zero: float) -> float:
    """Root mean square departure from the background `zero` of the voxels that are inside."""
    return float(np.sqrt(np.mean((values[inside].astype(np.float64) - zero) ** 2)))
