"""Both networks in turn: from a map of about 1 A to candidates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cryo2struct.networks.classifier import Classifier
from cryo2struct.networks.residue import ResidueNetwork
from cryo2struct.networks.store import load_classifier, load_residue_network
from cryo2struct.objects import Candidates, DensityMap, Prediction
from cryo2struct.prediction.inference import predict
from cryo2struct.prediction.picking import pick_candidates
from cryo2struct.prediction.residues import refine_candidates, surest_sharpening
from cryo2struct.settings import Settings

Networks = tuple[Classifier, ResidueNetwork]


@dataclass(frozen=True)
class Found:
    """What each step says of a map.

    Attributes
    ----------
    prediction : of the voxel network
    picked : candidates as the voxel network sees them
    candidates : the same candidates, refined by the residue network
    """

    prediction: Prediction
    picked: Candidates
    candidates: Candidates


def load_networks(folder: Path, settings: Settings) -> Networks:
    """The voxel and the residue network; raises ResourceError."""
    return (
        load_classifier(folder, settings.prediction.weights)[0],
        load_residue_network(folder, settings.residues.weights)[0],
    )


def find_candidates(
    density: DensityMap, occupied: NDArray[np.bool_], networks: Networks, settings: Settings, device: torch.device
) -> Found:
    """Predict, pick and refine.

    Parameters
    ----------
    density : DensityMap
        Voxels of about 1 A.
    occupied : bool (z, y, x)
        Voxels to look at, at least one.
    networks : see `load_networks`
    settings : Settings
    device : torch.device
    """
    options = settings.prediction
    prediction = predict(
        density,
        occupied,
        networks[0],
        tile=options.tile,
        overlap=options.overlap,
        batch=options.batch,
        rotations=options.rotations,
        device=device,
    )
    picked = pick_candidates(prediction, settings.picking)
    _, sharp = surest_sharpening(density, picked, networks[1], settings.residues, device=device)
    refined = refine_candidates(sharp, picked, networks[1], settings.residues, device=device)
    return Found(prediction, picked, refined)
