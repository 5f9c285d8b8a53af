"""Calibration of the picked candidates: how sure is sure.

    python -m cryo2struct.training.calibrate --pack PACK --map MAP --model MODEL

Fits what is called calibration in configs/build.yaml on one experimental map that was not trained on and on simulated
crops of the pack's calibration structures, both with the same weight: slope and offset of the voxel network's presence
log odds (Platt 1999), the factors and the offset with which the presence log odds of both networks are summed, and the
exponents with which their types are multiplied.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.density.normalise import occupied
from cryo2struct.density.resample import resample
from cryo2struct.errors import Cryo2StructError
from cryo2struct.evaluation.ca import Points, ca_points, pair_points, points_of
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.objects import DensityMap, FloatArray, GridFrame, IntArray
from cryo2struct.prediction.find import Found, Networks, find_candidates, load_networks
from cryo2struct.settings import Settings, data_path, load_settings
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.labels import CROP

RIGHT = 2.0
"""A candidate is right when it is paired with a C-alpha within so many angstrom."""
EDGE = 4.0
"""Candidates nearer than this to the face of a crop do not count: their surroundings are cut off."""


@dataclass
class Picked:
    """What was picked, and what it should have been.

    Attributes
    ----------
    log_odds : (2, N) uncalibrated presence log odds of the residue and the voxel network
    right : (N,) 1 where there is a C-alpha
    type_log_prob : (2, M, 20) log probabilities, by the residue and the voxel network, of the candidates that are right
        and whose type is known
    types : (M,) true types
    residues : number of C-alphas that could have been found
    """

    log_odds: FloatArray
    right: FloatArray
    type_log_prob: FloatArray
    types: IntArray
    residues: int


def uncalibrated(settings: Settings) -> Settings:
    """The settings with all candidates kept and nothing calibrated."""
    picking = settings.picking.model_copy(update={"threshold": 0.05, "presence_slope": 1.0, "presence_offset": 0.0})
    alone = {"threshold": 0.0, "presence_weight": 1.0, "voxel_presence_weight": 0.0, "presence_offset": 0.0}
    residues = settings.residues.model_copy(update=alone | {"weight": 1.0, "voxel_weight": 0.0})
    return settings.model_copy(update={"picking": picking, "residues": residues})


def find_all(networks: Networks, density: DensityMap, settings: Settings) -> Found:
    """Candidates in a map of about 1 A, row for row as either network alone sees them."""
    return find_candidates(density, occupied(density.values), networks, settings, torch.device("cpu"))


def compare(found: Found, truth: Points, inside: NDArray[np.bool_] | None = None) -> Picked:
    """Pair candidates with the known C-alphas; `inside` (N,) selects the candidates that count."""
    candidates = found.candidates
    pairs, _ = pair_points(points_of(candidates), truth, RIGHT)
    right = np.zeros(len(candidates))
    right[pairs[:, 0]] = 1
    chosen = np.ones(len(candidates), dtype=bool) if inside is None else inside
    known = pairs[(truth.types[pairs[:, 1]] >= 0) & chosen[pairs[:, 0]]]
    both = (candidates, found.picked)
    return Picked(
        logit(np.clip([c.ca_prob[chosen] for c in both], 1e-6, 1 - 1e-6)),
        right[chosen],
        np.log(np.stack([c.aa_prob[known[:, 0]] for c in both]) + 1e-6),
        truth.types[known[:, 1]],
        len(truth.xyz),
    )


def crops_with_truth(pack: StructurePack, count: int) -> Iterator[tuple[DensityMap, Points]]:
    """Simulated crops of the calibration structures, and their C-alphas."""
    stream = CropStream(
        pack,
        pack.split("calibrate"),
        batch_size=1,
        resolutions=(2.0, 4.0),
        seed=0,
        first_batch=0,
        simulate_here=False,
    )
    frame = GridFrame((CROP,) * 3, np.ones(3), np.zeros(3))
    for number in range(count):
        batch = stream.batch(number)
        cell = batch.ca_cell[:, 1:].numpy()
        xyz = 2 * cell[:, ::-1] + 0.5 + batch.offset.numpy()
        yield DensityMap(simulate(batch)[0, 0].numpy(), frame), Points(xyz, batch.aa.numpy())


def join(parts: list[Picked]) -> Picked:
    """All parts as one."""
    return Picked(
        np.concatenate([p.log_odds for p in parts], axis=1),
        np.concatenate([p.right for p in parts]),
        np.concatenate([p.type_log_prob for p in parts], axis=1),
        np.concatenate([p.types for p in parts]),
        sum(p.residues for p in parts),
    )


def fit_presence(right: list[FloatArray], features: list[FloatArray]) -> FloatArray:
    """Factors of the features (k, N) and an offset that make presence log odds of highest likelihood.

    `right` and `features` hold one array per set; each set has the same weight.
    """

    def cost(x: FloatArray) -> float:
        pairs = zip(right, features, strict=True)
        return float(np.mean([np.logaddexp(0, -(2 * r - 1) * (x[:-1] @ f + x[-1])).mean() for r, f in pairs]))

    return np.asarray(minimize(cost, np.r_[np.full(len(features[0]), 1.0), 0.0], method="Nelder-Mead").x)


def joined_types(picked: Picked, weights: FloatArray) -> FloatArray:
    """Log probabilities (M, 20) of the types of both networks with these exponents."""
    return np.asarray(log_softmax(np.tensordot(weights, picked.type_log_prob, 1), axis=1))


def fit_type_weights(sets: list[Picked]) -> FloatArray:
    """Exponents of the residue and the voxel network's types of highest likelihood, each set with the same weight."""

    def cost(log_weights: FloatArray) -> float:
        logs = [joined_types(p, np.exp(log_weights)) for p in sets]
        return float(
            -np.mean([log[np.arange(len(p.types)), p.types].mean() for log, p in zip(logs, sets, strict=True)])
        )

    return np.asarray(np.exp(minimize(cost, np.log([0.7, 0.5]), method="Nelder-Mead").x))


def report(name: str, picked: Picked, log_odds: FloatArray, weights: FloatArray) -> None:
    """Recall and precision over thresholds of the calibrated presence, and the mean presence beside the precision."""
    presence = expit(log_odds)
    right = [
        (joined_types(picked, np.array(w)).argmax(axis=1) == picked.types).mean() for w in (weights, (1, 0), (0, 1))
    ]
    print(f"{name}: types right {right[0]:.3f}, residue network {right[1]:.3f}, voxel network {right[2]:.3f}")
    print("| threshold | recall | precision | F1 | mean presence |\n|---|---|---|---|---|")
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        kept = presence >= threshold
        found = picked.right[kept].sum()
        recall, precision = found / picked.residues, found / max(1, kept.sum())
        f1 = 2 * found / max(1, picked.residues + kept.sum())
        print(f"| {threshold} | {recall:.3f} | {precision:.3f} | {f1:.3f} | {presence[kept].mean():.3f} |")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Fit the calibration of the candidates.")
    parser.add_argument("--pack", type=Path, required=True, help="structure pack")
    parser.add_argument("--map", type=Path, required=True, help="experimental map that was not trained on")
    parser.add_argument("--model", type=Path, required=True, help="its structure")
    parser.add_argument("--crops", type=int, default=100, help="number of simulated crops")
    parser.add_argument("--weights", type=Path, help="folder of weights; those of the package when absent")
    options = parser.parse_args()
    try:
        settings = uncalibrated(load_settings())
        networks = load_networks(options.weights or data_path("weights"), settings)
        density, _ = read_map(options.map)
        truth = ca_points(read_structure(options.model))
        on_map = compare(find_all(networks, resample(density), settings), truth)
        simulated = []
        for crop, truth in crops_with_truth(StructurePack(options.pack), options.crops):
            found = find_all(networks, crop, settings)
            xyz = found.candidates.xyz
            part = compare(found, truth, np.asarray(((xyz > EDGE) & (xyz < CROP - EDGE)).all(axis=1)))
            part.residues = int(((truth.xyz > EDGE) & (truth.xyz < CROP - EDGE)).all(axis=1).sum())
            simulated.append(part)
    except Cryo2StructError as error:
        print(f"cryo2struct: {error}", file=sys.stderr)
        return error.exit_code
    sets = [on_map, join(simulated)]
    right = [part.right for part in sets]
    slope, offset = fit_presence(right, [part.log_odds[1:] for part in sets])
    features = [np.stack([part.log_odds[0], slope * part.log_odds[1] + offset]) for part in sets]
    presence = fit_presence(right, features)
    weights = fit_type_weights(sets)
    print(f"picking.presence_slope: {slope:.3f}\npicking.presence_offset: {offset:.3f}")
    print(f"residues.presence_weight: {presence[0]:.3f}\nresidues.voxel_presence_weight: {presence[1]:.3f}")
    print(f"residues.presence_offset: {presence[2]:.3f}")
    print(f"residues.weight: {weights[0]:.3f}\nresidues.voxel_weight: {weights[1]:.3f}\n")
    for name, picked, values in zip(("experimental map", "simulated crops"), sets, features, strict=True):
        report(f"{name}, voxel network alone", picked, values[1], weights)
        report(f"{name}, both networks", picked, presence[:2] @ values + presence[2], weights)
    return 0


if __name__ == "__main__":
    sys.exit(main())
