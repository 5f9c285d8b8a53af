"""The order of the steps of `build`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryo2struct import preflight
from cryo2struct.all_atoms import all_atoms
from cryo2struct.density.resample import mirrored
from cryo2struct.density.sampling import values_at
from cryo2struct.errors import NothingToBuildError
from cryo2struct.finding import Found, predict_and_pick, predict_and_pick_voxels, prepare
from cryo2struct.objects import Backbone, Candidates, DensityMap, FloatArray, Model, Prediction, Sequences, Trace
from cryo2struct.record import Recorder
from cryo2struct.settings import Settings, data_path
from cryo2struct.tracing import adopt, copies_built, doubt, trace, with_unassigned
from cryo2struct.tracing.second_opinion import join, support

if TYPE_CHECKING:
    import gemmi

    from cryo2struct.enhancement import Enhanced, HalfMaps
    from cryo2struct.prediction.sequence import ReadSequences


@dataclass(frozen=True)
class BuildResult:
    """What `build` made.

    Attributes
    ----------
    model : Model
    trace : Trace
        As decoded; the C-alphas of `model` moved a little from there.
    sequences : Sequences
        Those given, and where fragments are built that none of them explains, the entity `UNASSIGNED`.
    backbone : Backbone
        One row per row of `trace`, before side chains and refinement.
    candidates : Candidates
    prediction : Prediction
    mirrored : the model belongs to the map flipped along x
    coverage : chain name to residues built and in all
    record : Recorder
    local_resolution : (R,) angstrom at each row of `trace`, from half maps; None without them
    """

    model: Model
    trace: Trace
    sequences: Sequences
    backbone: Backbone
    candidates: Candidates
    prediction: Prediction
    mirrored: bool
    coverage: dict[str, dict[str, int]]
    record: Recorder
    local_resolution: FloatArray | None = None


def classify(
    density: DensityMap, settings: Settings, *, mask: NDArray[np.bool_] | None = None, record: Recorder | None = None
) -> Candidates:
    """Find the C-alpha candidates in a map.

    Parameters
    ----------
    density : DensityMap
    settings : Settings
    mask : bool (z, y, x), optional
        Only these voxels are looked at; on the grid of the map.
    record : Recorder, optional

    Raises
    ------
    NothingToBuildError
        No part of the map looks occupied, or no candidate was found.
    InputError
        The resolution is worse than 8 A.
    ResourceError
        Weights or device cannot be used.
    """
    return predict_and_pick(density, settings, mask, record or Recorder()).candidates


def build(
    density_map: DensityMap,
    sequences: Sequences,
    settings: Settings,
    *,
    mask: NDArray[np.bool_] | None = None,
    half_maps: HalfMaps | None = None,
    record: Recorder | None = None,
) -> BuildResult:
    """Build a protein model into a map.

    Parameters
    ----------
    density_map : DensityMap
    sequences : Sequences
    settings : Settings
        See `cryo2struct.settings.load_settings`.
    mask : bool (z, y, x), optional
        Only these voxels are looked at; on the grid of the map.
    half_maps : HalfMaps, optional
        On the grid of the map: they tell its noise, the resolution at each residue, and that of the whole where the
        settings do not say it.
    record : Recorder, optional

    Raises
    ------
    InputError
        No protein sequence, half maps on another grid or without correlation, or see `classify`.
    NothingToBuildError
        No candidates, or nothing could be traced.
    ResourceError
        Weights or device cannot be used.
    """
    record = record or Recorder()
    preflight.require_protein(sequences)
    local, given = None, settings.map.resolution
    if half_maps is not None:
        settings, local = _compare(half_maps, density_map, settings, mask, record)
    read = _read_sequences(sequences, settings, record)
    look = partial(_trace_in, sequences=sequences, mask=mask, read=read)
    enhanced = None
    if settings.enhancement.use != "none":
        enhanced = _enhance(density_map, settings, half_maps, mask, record)
    first, found, traced = _look_where_asked(look, density_map, enhanced, settings, record)
    if half_maps is not None and given is None:
        record.counts["resolution_source"] = "FSC 0.143 of the half maps"
    for line in copies_built(traced, sequences):
        record.warn(line)
    if (doubtful := doubt(traced, settings.tracing)) is not None:
        record.warn(doubtful)
    with record.step("trace without sequence"):
        traced, sequences = with_unassigned(first.candidates, traced, sequences, settings.tracing)
    original = mirrored(density_map, density_map.frame) if found.mirrored else density_map
    model, backbone, coverage = all_atoms(traced, sequences, found.prediction, original, settings, record)
    if enhanced is not None:
        with record.step("guard"):
            record.counts["enhancement"]["guard"] = _guarded(density_map, enhanced, model, found.mirrored, record)
    resolution = None if local is None else _at_residues(local, traced, density_map, found.mirrored)
    return BuildResult(
        model,
        traced,
        sequences,
        backbone,
        found.candidates,
        found.prediction,
        found.mirrored,
        coverage,
        record,
        resolution,
    )


def _trace_in(
    density: DensityMap,
    settings: Settings,
    record: Recorder,
    *,
    sequences: Sequences,
    mask: NDArray[np.bool_] | None,
    read: ReadSequences | None,
) -> tuple[Found, Trace]:
    """The candidates in a map and the sequences threaded through them."""
    found = predict_and_pick(density, settings, mask, record)
    if read is not None:
        found = _with_sequences(found, read, settings, record)
    with record.step("trace"):
        return found, trace(found.candidates, sequences, settings.tracing)


def _look_where_asked(
    look: Callable[[DensityMap, Settings, Recorder], tuple[Found, Trace]],
    density: DensityMap,
    enhanced: Enhanced | None,
    settings: Settings,
    record: Recorder,
) -> tuple[Found, Found, Trace]:
    """What is found in the map that is looked at first, what is found in all, and what is traced."""
    if enhanced is not None and settings.enhancement.use != "auto":
        found, traced = look(enhanced.density, _like(settings, enhanced), record)
        record.counts["resolution_source"] = enhanced.facts["resolution_source"]
        return found, found, traced
    first, traced = look(density, settings, record)
    if enhanced is None:
        return first, first, traced
    return first, *_with_second_opinion(look, first, traced, density, enhanced, settings, record)


def _enhance(
    density: DensityMap,
    settings: Settings,
    halves: HalfMaps | None,
    mask: NDArray[np.bool_] | None,
    record: Recorder,
) -> Enhanced:
    from cryo2struct.enhancement import enhance

    method = "bfactor" if settings.enhancement.use == "bfactor" else "neural"
    enhanced = enhance(density, settings, method=method, half_maps=halves, mask=mask, record=record)
    record.counts["enhancement"] = {"use": settings.enhancement.use, **enhanced.facts}
    return enhanced


def _like(settings: Settings, enhanced: Enhanced, mirrored: bool | None = None) -> Settings:
    """Settings for the enhanced map: the resolution and the hand of the original, its own contour."""
    told: dict[str, Any] = {"resolution": enhanced.facts["resolution"], "contour": None}
    if mirrored is not None:
        told["mirror"] = "yes" if mirrored else "no"
    return settings.model_copy(update={"map": settings.map.model_copy(update=told)})


def _with_second_opinion(
    look: Callable[[DensityMap, Settings, Recorder], tuple[Found, Trace]],
    found: Found,
    traced: Trace,
    density: DensityMap,
    enhanced: Enhanced,
    settings: Settings,
    record: Recorder,
) -> tuple[Found, Trace]:
    """What was traced, with those segments from the enhanced map that agree better with original map and sequence."""
    record.counts["enhancement"] |= {"segments_taken": 0, "residues_taken": 0}
    aside = Recorder(record.say, record.progress, steps=record.steps, counts={"weights": []}, warnings=record.warnings)
    try:
        other, again = look(enhanced.density, _like(settings, enhanced, found.mirrored), aside)
    except NothingToBuildError as nothing:
        record.warn(f"enhancement: nothing is built in the enhanced map ({nothing})")
        return found, traced
    original = mirrored(density, density.frame) if found.mirrored else density
    joined = join(traced, again, support(original, traced, again), len(found.candidates))
    record.counts["enhancement"] |= {"segments_taken": joined.segments, "residues_taken": joined.taken}
    record.say(f"{joined.taken} residues in {joined.segments} segments from the enhanced map")
    return replace(found, candidates=found.candidates.followed_by(other.candidates)), joined.trace


def _guarded(density: DensityMap, enhanced: Enhanced, model: Model, flipped: bool, record: Recorder) -> dict[str, Any]:
    """What the enhancement removed and invented; the residues that name its places are those of the map as given."""
    from cryo2struct.enhancement import built_residues, guard

    found = guard(density, enhanced.density, None if flipped else built_residues(model.structure))
    if found.removed:
        record.warn(f"enhancement: {len(found.removed)} blobs of the original map are weakened or gone; see run.json")
    return found.as_dict()


def _compare(
    halves: HalfMaps, density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None, record: Recorder
) -> tuple[Settings, DensityMap]:
    """Settings with the resolution that half maps tell, where it is not given; and the resolution at each place."""
    from cryo2struct.enhancement.half_maps import study

    halves.require_grid_of(density)
    with record.step("compare half maps"):
        found = preflight.look(density, settings, mask)
        preflight.require_density(found)
        told = study(halves, found.region.on(density.frame))
    record.counts["half_maps"] = {"resolution": round(told.resolution, 2), "noise": told.noise}
    record.say(f"half maps: FSC 0.143 at {told.resolution:.2f} A")
    if settings.map.resolution is None:
        changed = settings.map.model_copy(update={"resolution": told.resolution})
        settings = settings.model_copy(update={"map": changed})
    return settings, told.local


def _at_residues(local: DensityMap, traced: Trace, density: DensityMap, flipped: bool) -> FloatArray:
    """Values (R,) of a map of the whole box at the residues; at its faces those of the nearest voxel."""
    local = mirrored(local, density.frame) if flipped else local
    last = local.frame.to_xyz(np.array(local.frame.shape) - 1)
    return values_at(local, np.clip(traced.xyz, local.frame.origin, last))


def complete_model(
    structure: gemmi.Structure,
    density: DensityMap,
    sequences: Sequences,
    settings: Settings,
    *,
    record: Recorder | None = None,
) -> tuple[Model, Sequences]:
    """Make an all-atom model of the C-alphas of any model, refined against its map.

    Parameters
    ----------
    structure : gemmi.Structure
        See `cryo2struct.tracing.adopt`.
    density : DensityMap
        In the frame of the structure.
    sequences : Sequences
    settings : Settings
    record : Recorder, optional

    Returns
    -------
    Model
        Chains are named as in the structure; the confidence is that of its B column.
    Sequences
        With copies and chain names as in the structure.

    Raises
    ------
    InputError
        No C-alphas, no chain like a protein sequence, or the map does not cover the structure.
    NothingToBuildError
        The map is empty at the structure.
    ResourceError
        Weights or device cannot be used.
    """
    record = record or Recorder()
    preflight.require_protein(sequences)
    with record.step("align chains"):
        adopted = adopt(structure, sequences)
        for note in adopted.notes:
            record.warn(f"model: {note}")
        around = preflight.around(adopted.trace.xyz, density)
    ready = prepare(density, settings, around, record)
    prediction, _ = predict_and_pick_voxels(ready, ready.resampled, ready.chosen, settings, record)
    model, _, _ = all_atoms(adopted.trace, adopted.sequences, prediction, density, settings, record)
    return model, adopted.sequences


def _read_sequences(sequences: Sequences, settings: Settings, record: Recorder) -> ReadSequences | None:
    """The sequences as the sequence head sees them, None where it is not asked for; refused before the map is seen."""
    if settings.sequence.features == "none":
        return None
    from cryo2struct.prediction.sequence import read_for_head

    with record.step("read sequences"):
        return read_for_head(sequences, settings.sequence, data_path("weights"), record.warn)


def _with_sequences(found: Found, read: ReadSequences, settings: Settings, record: Recorder) -> Found:
    from cryo2struct.prediction.sequence import apply_head

    record.counts["weights"].append({key: read.entry[key] for key in ("file", "sha256")})
    with record.step("compare with sequences"):
        return replace(found, candidates=apply_head(found.candidates, read, settings.sequence.weight))
