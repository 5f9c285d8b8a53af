"""From a map to the C-alpha candidates in it: the networks, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryo2struct import preflight
from cryo2struct.density.resample import VOXEL, mirrored, resample
from cryo2struct.errors import NoCandidatesError
from cryo2struct.objects import Candidates, DensityMap, Prediction
from cryo2struct.record import Recorder
from cryo2struct.settings import Settings, data_path
from cryo2struct.tracing.handedness import handedness

if TYPE_CHECKING:
    import torch

    from cryo2struct.networks.classifier import Classifier


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
class Prepared:
    """The voxel network and its device, the part of the map that it sees, and which voxels (z, y, x) of that."""

    network: Classifier
    device: torch.device
    resampled: DensityMap
    chosen: NDArray[np.bool_]


def predict_and_pick(
    density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None, record: Recorder
) -> Found:
    """What the network says of each occupied voxel, and the candidates in it; see `classify`."""
    # These rooms load torch, which takes seconds: only now, so that bad input is refused before.
    from cryo2struct.networks.store import load_residue_network
    from cryo2struct.prediction.residues import refine_candidates, surest_sharpening

    ready = prepare(density, settings, mask, record)
    resampled, chosen = ready.resampled, ready.chosen
    with record.step("load residue network"):
        residue_network, entry = load_residue_network(data_path("weights"), settings.residues.weights)
        record.counts["weights"].append({key: entry[key] for key in ("file", "sha256")})
    mirror = settings.map.mirror == "yes"
    while True:
        if mirror:
            resampled, chosen = mirrored(resampled, density.frame), chosen[:, :, ::-1]
        prediction, candidates = predict_and_pick_voxels(ready, resampled, chosen, settings, record)
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


def prepare(density: DensityMap, settings: Settings, mask: NDArray[np.bool_] | None, record: Recorder) -> Prepared:
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
    return Prepared(network, device, resampled, chosen)


def predict_and_pick_voxels(
    ready: Prepared,
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
