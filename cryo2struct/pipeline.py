"""The order of the steps of `build`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryo2struct import preflight
from cryo2struct.all_atoms import all_atoms
from cryo2struct.density.resample import VOXEL, mirrored, resample
from cryo2struct.density.sampling import values_at
from cryo2struct.errors import NoCandidatesError
from cryo2struct.objects import Backbone, Candidates, DensityMap, FloatArray, Model, Prediction, Sequences, Trace
from cryo2struct.record import Recorder
from cryo2struct.settings import Settings, data_path
from cryo2struct.tracing import adopt, copies_built, doubt, trace
from cryo2struct.tracing.handedness import handedness

if TYPE_CHECKING:
    import gemmi
    import torch

    from cryo2struct.enhancement import HalfMaps
    from cryo2struct.networks.classifier import Classifier
    from cryo2struct.prediction.sequence import ReadSequences


@dataclass(frozen=True)
class Found:
    """What the networks found.

    Attributes
    ----------
    prediction : Prediction
    candidates : Candidates
    mirrored : the map was flipped along x, about the middle of its box; both are in the frame of the flipped map
    """

    prediction: Prediction
    candidates: Candidates
    mirrored: bool


@dataclass(frozen=True)
class _Prepared:
    """The voxel network and its device, the part of the map that it sees, and which voxels (z, y, x) of that."""

    network: Classifier
    device: torch.device
    resampled: DensityMap
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class BuildResult:
    """What `build` made.

    Attributes
    ----------
    model : Model
    trace : Trace
        As decoded; the C-alphas of `model` moved a little from there.
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
    found = predict_and_pick(density_map, settings, mask, record)
    if half_maps is not None and given is None:
        record.counts["resolution_source"] = "FSC 0.143 of the half maps"
    if read is not None:
        found = _with_sequences(found, read, settings, record)
    with record.step("trace"):
        traced = trace(found.candidates, sequences, settings.tracing)
    for line in copies_built(traced, sequences):
        record.warn(line)
    if (doubtful := doubt(traced, settings.tracing)) is not None:
        record.warn(doubtful)
    original = mirrored(density_map, density_map.frame) if found.mirrored else density_map
    model, backbone, coverage = all_atoms(traced, sequences, found.prediction, original, settings, record)
    resolution = None if local is None else _at_residues(local, traced, density_map, found.mirrored)
    return BuildResult(
        model, traced, backbone, found.candidates, found.prediction, found.mirrored, coverage, record, resolution
    )


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
    ready = _prepare(density, settings, around, record)
    prediction, _ = _predict(ready, ready.resampled, ready.chosen, settings, record)
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


def predict_and_pick(
    density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None, record: Recorder
) -> Found:
    """What the network says of each occupied voxel, and the candidates in it; see `classify`."""
    # These rooms load torch, which takes seconds: only now, so that bad input is refused before.
    from cryo2struct.networks.store import load_residue_network
    from cryo2struct.prediction.residues import refine_candidates, surest_sharpening

    ready = _prepare(density, settings, mask, record)
    resampled, chosen = ready.resampled, ready.chosen
    with record.step("load residue network"):
        residue_network, entry = load_residue_network(data_path("weights"), settings.residues.weights)
        record.counts["weights"].append({key: entry[key] for key in ("file", "sha256")})
    mirror = settings.map.mirror == "yes"
    while True:
        if mirror:
            resampled, chosen = mirrored(resampled, density.frame), chosen[:, :, ::-1]
        prediction, candidates = _predict(ready, resampled, chosen, settings, record)
        # Before the residues are looked at: that network moves candidates to where right-handed proteins have them.
        left = _is_left_handed(candidates, settings, record)
        if mirror or not left or settings.map.mirror != "auto":
            break
        mirror = True
    record.counts["mirrored"] = mirror
    with record.step("look at residues"):
        sharpening, sharp = surest_sharpening(
            resampled, candidates, residue_network, settings.residues, device=ready.device, warn=record.warn
        )
        record.counts["sharpening"] = sharpening
        candidates = refine_candidates(
            sharp,
            candidates,
            residue_network,
            settings.residues,
            device=ready.device,
            progress=lambda done, total: record.progress("look at residues", done, total),
            warn=record.warn,
        )
    record.counts["candidates"] = len(candidates)
    if len(candidates) == 0:
        raise _no_candidates(prediction.atoms[:, 1], record)
    record.say(f"{len(candidates)} C-alpha candidates")
    return Found(prediction, candidates, mirror)


def _prepare(density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None, record: Recorder) -> _Prepared:
    """Look at the map, load the voxel network and resample what it will see."""
    from cryo2struct.networks.store import load_classifier
    from cryo2struct.prediction.device import choose_device, describe_device
    from cryo2struct.prediction.inference import estimate_seconds

    with record.step("check map"):
        region = _look(density, settings, mask, record)
    with record.step("load network"):
        device = choose_device(settings.device, settings.threads)
        network, entry = load_classifier(data_path("weights"), settings.prediction.weights)
        record.counts["weights"] = [{key: entry[key] for key in ("file", "sha256")}]
    with record.step("prepare map"):
        # A tile around what is looked at: nothing farther away is seen, and large boxes are mostly empty.
        resampled = resample(region.crop(density, settings.prediction.tile * VOXEL))
        chosen = region.on(resampled.frame)
    options = settings.prediction
    seconds = estimate_seconds(network, chosen, options.tile, options.overlap, options.rotations, device)
    box = " x ".join(str(n) for n in density.frame.shape[::-1])
    record.counts["device"] = describe_device(device)
    record.say(f"{record.counts['device']}; box {box}, about {max(seconds, 1):.0f} s for the network")
    return _Prepared(network, device, resampled, chosen)


def _predict(
    ready: _Prepared,
    resampled: DensityMap,
    chosen: NDArray[np.bool_],
    settings: Settings,
    record: Recorder,
) -> tuple[Prediction, Candidates]:
    """The voxel network over the chosen part of a map, and what may be candidates."""
    from cryo2struct.prediction.inference import predict
    from cryo2struct.prediction.picking import pick_candidates

    options = settings.prediction
    with record.step("predict"):
        prediction = predict(
            resampled,
            chosen,
            ready.network,
            tile=options.tile,
            overlap=options.overlap,
            batch=options.batch,
            rotations=options.rotations,
            device=ready.device,
            progress=lambda done, total: record.progress("predict", done, total),
            warn=record.warn,
        )
    with record.step("pick candidates"):
        candidates = pick_candidates(prediction, settings.picking)
    record.counts["voxels"] = int(np.prod(resampled.values.shape))
    record.counts["voxels_predicted"] = len(prediction.voxels)
    record.counts["candidates_of_voxels"] = len(candidates)
    return prediction, candidates


def _is_left_handed(candidates: Candidates, settings: Settings, record: Recorder) -> bool:
    """Whether the helices among candidates are left-handed; that is recorded, and warned of."""
    turns = handedness(candidates.chosen(candidates.ca_prob >= settings.residues.threshold))
    record.counts["handedness"] = {"hand": turns.hand, "right": turns.right, "left": turns.left}
    if turns.hand == "left":
        remedy = {"no": "build with --mirror yes", "yes": "build without --mirror", "auto": "mirrored, predicted again"}
        record.warn(
            f"map: left-handed ({turns.left} of {turns.left + turns.right} turns of helices): "
            f"{remedy[settings.map.mirror]}"
        )
    return turns.hand == "left"


def _look(
    density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None, record: Recorder
) -> preflight.Region:
    """Where to look in the map; its resolution is recorded and judged."""
    found = preflight.look(density, settings, mask)
    record.counts["resolution"] = round(found.resolution, 2)
    record.counts["resolution_source"] = "estimated from the map" if found.estimated else "given"
    for warning in preflight.judge(found):
        record.warn(warning)
    record.say(f"resolution {found.resolution:.1f} A{' (estimated)' if found.estimated else ''}")
    return found.region


def _no_candidates(ca_probability: NDArray[np.float16], record: Recorder) -> NoCandidatesError:
    """The refusal where no C-alpha was found; the probabilities of all voxels are recorded."""
    counts, edges = np.histogram(ca_probability.astype(np.float32), bins=20, range=(0, 1))
    record.counts["ca_probability_histogram"] = {"edges": edges.round(2).tolist(), "voxels": counts.tolist()}
    return NoCandidatesError(
        f"map: no C-alpha found (highest probability of a voxel {float(ca_probability.max()):.2f}): check the voxel "
        "size, the contour, the resolution (4.5 A or better), and whether the map is mirrored"
    )
