"""Folders as `build` leaves them, made without a network: helices with gaps in a map of their own."""

from pathlib import Path

import numpy as np
import scipy.ndimage

from cryo2struct.io.maps import write_map
from cryo2struct.io.models import model_from_trace
from cryo2struct.objects import (
    AMINO_ACIDS,
    UNASSIGNED,
    Backbone,
    Candidates,
    DensityMap,
    Entity,
    GridFrame,
    Prediction,
    Sequences,
    Trace,
)
from cryo2struct.pipeline import BuildResult
from cryo2struct.record import Recorder
from cryo2struct.saving import save_run
from cryo2struct.settings import load_settings

HELIX = {"N": (1.55, -28.0, -0.9), "CA": (2.29, 0.0, 0.0), "C": (1.61, 26.0, 1.1), "O": (2.03, 23.0, 2.3)}
"""Radius in angstrom, angle in degrees and height of the atoms of a residue."""


def random_sequences(rng, lengths, names=None, chains=None) -> Sequences:
    entities = []
    for index, length in enumerate(lengths):
        letters = "".join(rng.choice(list(AMINO_ACIDS + "X"), length))
        name = names[index] if names else f"protein_{index}"
        given = (chains[index],) if chains else ()
        entities.append(Entity(name, letters, 1, "protein", given))
    return Sequences(tuple(entities))


def helices(rng, sequences, share=0.8) -> tuple[Trace, Backbone]:
    """A helix per sequence, `share` of its residues built; every seventh row has its C-alpha alone."""
    entity, position, xyz = [], [], []
    across = int(np.ceil(np.sqrt(len(sequences.entities))))
    for index, sequence in enumerate(sequences.entities):
        built = np.flatnonzero(rng.random(len(sequence.letters)) < share)
        foot = np.array([0.0, 12.0 * (index % across), 12.0 * (index // across)])
        for place in built:
            entity.append(index)
            position.append(place)
            xyz.append([foot + _atom(name, place) for name in HELIX] + [np.full(3, np.nan)])
    atoms = np.array(xyz)
    atoms[::7, [0, 2, 3]] = np.nan
    rows = len(entity)
    trace = Trace(
        np.array(entity),
        np.zeros(rows, int),
        np.array(position),
        np.where(rng.random(rows) < 0.1, -1, np.arange(rows)),
        atoms[:, 1],
        rng.random(rows),
        rng.random(rows),
        rng.random(rows),
    )
    return trace, Backbone(atoms)


def _atom(name, place) -> np.ndarray:
    radius, angle, height = HELIX[name]
    turn = np.radians(100 * place + angle)
    return np.array([1.5 * place + height, radius * np.cos(turn), radius * np.sin(turn)])


def map_about(rng, xyz, voxel=1.0, noise=0.02) -> DensityMap:
    """Gaussians at points, and noise, in a box 15 A wider than the points."""
    low = xyz.min(axis=0) - 15
    size = np.ceil((xyz.max(axis=0) + 15 - low) / voxel).astype(int)
    frame = GridFrame(tuple(size[::-1].tolist()), np.full(3, voxel), low)
    values = np.zeros(frame.shape, np.float32)
    np.add.at(values, tuple(np.round(frame.to_index(xyz)).astype(int).T), 1)
    values = scipy.ndimage.gaussian_filter(values, 1.5 / voxel)
    values /= values.max()
    return DensityMap((values + noise * rng.normal(size=values.shape)).astype(np.float32), frame)


def make_run(folder: Path, seed=0, lengths=(40, 25), map_name="map.mrc", mirrored=False, unassigned=0, **names):
    """Write a run into `folder`/out, its map and FASTA file beside it.

    The file has one sequence more, or, if there are any, the model has a helix of `unassigned` residues.

    Returns
    -------
    The run's folder, its sequences, trace, backbone and map.
    """
    rng = np.random.default_rng(seed)
    sequences = random_sequences(rng, lengths, **names)
    records = [f">{entity.name}\n{entity.letters}\n" for entity in sequences.entities]
    if unassigned:
        sequences = Sequences((*sequences.entities, Entity(UNASSIGNED, "X" * unassigned, 1, "protein")))
    trace, backbone = helices(rng, sequences)
    density = map_about(rng, trace.xyz)
    write_map(folder / map_name, density)
    (folder / "seq.fasta").write_text("".join(records) + ("" if unassigned else ">absent\nMKVLAAGIVGLLLAQWERTY\n"))
    record = Recorder(command="cryo2struct build map.mrc seq.fasta")
    record.warn("the map looks odd")
    record.counts |= {"weights": [{"file": "w.safetensors", "sha256": "ab"}], "resolution": 3.2, "mirrored": mirrored}
    record.counts["residues_unassigned"] = int((trace.entity >= len(records)).sum())
    with record.step("trace"):
        pass
    model = model_from_trace(trace, sequences, backbone)
    candidates = Candidates(trace.xyz, trace.confidence, np.full((len(trace), 20), 0.05))
    nothing = Prediction(density.frame, np.zeros((0, 3), int), np.zeros((0, 4), np.float16), np.zeros((0, 3), int), {})
    result = BuildResult(model, trace, sequences, backbone, candidates, nothing, mirrored, {}, record)
    (folder / "out").mkdir()
    inputs = {"map": folder / map_name, "fasta": folder / "seq.fasta"}
    save_run(folder / "out", result, density, load_settings(), inputs)
    return folder / "out", sequences, trace, backbone, density
