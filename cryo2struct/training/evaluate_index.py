"""Figures of the networks on whole maps with known structures; `evaluate-classifier` prints them.

Places are judged by the candidates at the threshold of the settings. Types, secondary structure and directions are
judged at each modelled C-alpha: as of the candidate that is paired with it (one to one, within 2 A), which is what
tracing works with; where there is none, as of the voxel network's cell at the C-alpha; where that was not predicted,
nothing is said: uniform probabilities, which count as wrong, and directions 90 degrees off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct import preflight
from cryo2struct.density.resample import resample
from cryo2struct.dssp import UNKNOWN, backbone_of, secondary_structure
from cryo2struct.errors import Cryo2StructError, InputError
from cryo2struct.evaluation.ca import (
    Points,
    ResidueKey,
    ca_residues,
    judged_candidates,
    pair_points,
    parse_exclude,
    points_of,
    score_ca,
)
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure
from cryo2struct.io.sequences import read_sequences
from cryo2struct.io.streams import read_bytes
from cryo2struct.objects import AMINO_ACIDS, Candidates, FloatArray, IntArray, Prediction, Sequences
from cryo2struct.prediction.find import Found, Networks, find_candidates
from cryo2struct.prediction.inference import CELL
from cryo2struct.settings import Settings
from cryo2struct.tracing.reference import BACKGROUND, PUBLISHED_ORDER
from cryo2struct.training.map_index import MapRow
from cryo2struct.training.reliability import Answers, judge

PAIRED = 2.0
"""A candidate speaks for a modelled C-alpha within so many angstrom."""
AT_NUCLEIC_ACID, AWAY_FROM_CA = 4.0, 3.0
"""A false candidate of a nucleic acid is nearer to its atoms than the first, farther from every CA than the second."""
PROBABILITY_FLOOR = 1e-6

POOLED = ("type_at_ca", "type_nats")
AVERAGED = (
    *("ca_recall_2A", "ca_precision_2A", "ca_rms_2A", "ca_recall_3A", "ca_precision_3A", "ss_at_ca"),
    *("next_angle_median", "prev_angle_median", "false_ca_per_nucleotide", "candidates_per_residue", "seconds"),
)


@dataclass(frozen=True)
class Reference:
    """What is known of a map: a structure, its neighbours in the map and its doubtful residues, or sequences alone."""

    structure: gemmi.Structure | None = None
    context: gemmi.Structure | None = None
    exclude: frozenset[ResidueKey] = frozenset()
    sequences: Sequences | None = None


@dataclass(frozen=True)
class MapFigures:
    """Figures of one map: `values` by name, None where they are 0 / 0; `typed` residues are behind the types.

    `answers` are what `reliability` bins; none without a model.
    """

    values: dict[str, Any]
    typed: int
    answers: dict[str, Answers] = field(default_factory=dict)


@dataclass(frozen=True)
class Statements:
    """What the networks say at C-alphas.

    Attributes
    ----------
    aa : (R, 20) probabilities
    ss : (R, 3) coil, helix, strand
    next, prev : (R, 3) directions, NaN where nothing is said
    """

    aa: FloatArray
    ss: FloatArray
    next: FloatArray
    prev: FloatArray


def evaluate_index(
    rows: list[MapRow],
    networks: Networks,
    settings: Settings,
    device: torch.device,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[MapFigures]:
    """Figures of each map of an index, in turn; `say` gets warnings and a line per map.

    Raises
    ------
    Cryo2StructError
        A file cannot be read, or a map is refused as `classify` would.
    """
    # First of all, so that none of these files is refused after hours.
    references = [read_reference(row) for row in rows]
    for number, (row, reference) in enumerate(zip(rows, references, strict=True), 1):
        start = time.perf_counter()
        found = _find(row, networks, settings, device, say)
        seconds = round(time.perf_counter() - start, 2)
        figures = map_figures(row, found, reference)
        figures.values["seconds"] = seconds
        say(f"{number}/{len(rows)} {row.name}: {len(found.candidates)} candidates, {seconds:.1f} s")
        yield figures


def read_reference(row: MapRow) -> Reference:
    """What is known of a map.

    Raises
    ------
    InputError
        A file cannot be read, or there is neither a model nor a protein sequence.
    """
    if row.model is not None:
        return Reference(
            structure=read_structure(row.model),
            context=read_structure(row.context) if row.context else None,
            exclude=_read_exclude(row.exclude) if row.exclude else frozenset(),
        )
    assert row.fasta is not None
    sequences, _ = read_sequences(row.fasta)
    if not sequences.proteins:
        raise InputError(f"{row.fasta}: holds no protein; candidates cannot be counted against it")
    return Reference(sequences=sequences)


def _read_exclude(path: Path) -> frozenset[ResidueKey]:
    try:
        return parse_exclude(read_bytes(path).decode(errors="replace"))
    except InputError as fault:
        raise InputError(f"{path}: {str(fault).removeprefix(f'{path}: ')}") from None


def map_figures(row: MapRow, found: Found, reference: Reference) -> MapFigures:
    """The figures of a map but for the seconds."""
    if reference.structure is not None:
        return _compare(row, found, reference.structure, reference)
    assert reference.sequences is not None
    residues = sum(len(entity.letters) * (entity.copies or 1) for entity in reference.sequences.proteins)
    number = len(found.candidates)
    values = {"map": row.name, "resolution": row.resolution, "candidates": number}
    return MapFigures({**values, "candidates_per_residue": number / residues}, 0)


def mean_figures(maps: list[MapFigures]) -> list[dict[str, Any]]:
    """Means over maps: those without nucleic acid by resolution, those with, those without a model, and all.

    Types are pooled over residues, all else is the plain mean over the maps that have the figure.
    """

    def group(figures: MapFigures) -> tuple[int, float]:
        if "residues" not in figures.values:
            return 2, 0.0
        return (1, 0.0) if figures.values["nucleotides"] else (0, figures.values["resolution"])

    means = []
    for (kind, resolution), members in groupby(sorted(maps, key=group), key=group):
        name = (f"no nucleic acid, {resolution:g} A", "with nucleic acid", "no model")[kind]
        means.append(_mean(name, list(members)))
    return [*means, _mean("all", maps)]


def _mean(name: str, maps: list[MapFigures]) -> dict[str, Any]:
    result: dict[str, Any] = {"maps": len(maps), "of": name}
    for keys, pooled in ((AVERAGED, False), (POOLED, True)):
        for key in keys:
            there = [(m.values[key], m.typed if pooled else 1) for m in maps if m.values.get(key) is not None]
            values, weights = zip(*there, strict=True) if there else ((), ())
            result[key] = float(np.average(values, weights=weights)) if there else None
    return result


def _find(
    row: MapRow, networks: Networks, settings: Settings, device: torch.device, say: Callable[[str], None]
) -> Found:
    """What `classify` finds in a map."""
    known = settings.map.model_copy(update={"resolution": row.resolution})
    density, warnings = read_map(row.map, voxel_size=known.voxel_size, origin=known.origin, max_voxels=known.max_voxels)
    look = preflight.look(density, settings.model_copy(update={"map": known}))
    try:
        warnings += preflight.judge(look)
    except Cryo2StructError as refusal:
        raise InputError(f"{row.map}: {refusal}") from refusal
    for warning in warnings:
        say(f"warning: {row.name}: {warning}")
    resampled = resample(density)
    return find_candidates(resampled, look.region.on(resampled.frame), networks, settings, device)


def _compare(row: MapRow, found: Found, structure: gemmi.Structure, reference: Reference) -> MapFigures:
    """The figures of a map with a model."""
    context, exclude = reference.context, reference.exclude
    scores = score_ca(found.candidates, structure, near_model=row.near_model, context=context, exclude=exclude)
    keys, truth = ca_residues(structure)
    trusted = np.array([key not in exclude for key in keys], dtype=np.bool_)
    statements = statements_at(found, truth)
    typed = trusted & (truth.types >= 0)
    right, nats = type_figures(statements.aa[typed], truth.types[typed])
    backbone = backbone_of(structure)
    known_ss = secondary_structure(backbone)
    ss = trusted & (known_ss != UNKNOWN)
    forward, backward = direction_errors(statements, truth.xyz, backbone.linked, trusted)
    false = false_at_nucleic_acid(found.candidates, structure, truth)
    two, three = scores[2.0], scores[3.0]
    values = {
        "map": row.name,
        "resolution": row.resolution,
        "residues": row.residues,
        "nucleotides": row.nucleotides,
        "ca_recall_2A": two.recall,
        "ca_precision_2A": two.precision,
        "ca_rms_2A": two.rmsd,
        "ca_recall_3A": three.recall,
        "ca_precision_3A": three.precision,
        "type_at_ca": _over(np.mean, right),
        "type_nats": _over(np.mean, nats),
        "ss_at_ca": _over(np.mean, _most_likely(statements.ss[ss], known_ss[ss])),
        "next_angle_median": _over(np.median, forward),
        "prev_angle_median": _over(np.median, backward),
        "false_ca_per_nucleotide": false / row.nucleotides if row.nucleotides else None,
    }
    near = row.near_model
    judged = judged_candidates(found.candidates, structure, PAIRED, near_model=near, context=context, exclude=exclude)
    return MapFigures(values, int(typed.sum()), judge(found.candidates, *judged, truth))


def statements_at(found: Found, truth: Points) -> Statements:
    """What the networks say at the modelled C-alphas (R)."""
    statements = cell_statements(found.prediction, truth.xyz)
    candidates = found.candidates
    pairs, _ = pair_points(points_of(candidates), truth, PAIRED)
    for said, values in (
        (statements.aa, candidates.aa_prob),
        (statements.ss, candidates.ss_prob),
        (statements.next, candidates.next_vec),
        (statements.prev, candidates.prev_vec),
    ):
        if values is not None:
            said[pairs[:, 1]] = values[pairs[:, 0]]
    return statements


def cell_statements(prediction: Prediction, xyz: FloatArray) -> Statements:
    """What the voxel network says in the cells that hold the voxels nearest to these places (R, 3)."""
    shape = tuple(length // CELL + 1 for length in prediction.frame.shape)
    cells = np.rint(prediction.frame.to_index(xyz)).astype(np.int64) // CELL
    inside = np.all((cells >= 0) & (cells < shape), axis=1)
    row_of = np.full(shape, -1, dtype=np.int32)
    row_of[tuple(prediction.cells.T)] = np.arange(len(prediction.cells))
    row = np.where(inside, row_of[tuple(np.where(inside[:, None], cells, 0).T)], -1)
    there = row >= 0

    def values(head: str, otherwise: float) -> FloatArray:
        known = prediction.heads[head].astype(np.float64)
        result = np.full((len(xyz), known.shape[1]), otherwise)
        result[there] = known[row[there]]
        return result

    aa, ss = values("aa", 1 / len(AMINO_ACIDS)), values("ss", 1 / 3)
    aa /= aa.sum(axis=1, keepdims=True)
    return Statements(aa, ss, values("next", np.nan), values("prev", np.nan))


def type_figures(probability: FloatArray, types: IntArray) -> tuple[NDArray[np.bool_], FloatArray]:
    """Whether the true type is the most likely (R,), and log p(true) - log background of it in nats (R,).

    Parameters
    ----------
    probability : (R, 20)
    types : (R,) index into `AMINO_ACIDS`
    """
    background = BACKGROUND[[PUBLISHED_ORDER.index(letter) for letter in AMINO_ACIDS]]
    of_true = np.maximum(probability[np.arange(len(types)), types], PROBABILITY_FLOOR)
    return _most_likely(probability, types), np.log(of_true) - np.log(background[types])


def direction_errors(
    statements: Statements, xyz: FloatArray, linked: NDArray[np.bool_], trusted: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Angles in degrees between the directions said and those of the model, to the next and to the previous C-alpha.

    Parameters
    ----------
    statements : (R) at the C-alphas
    xyz : (R, 3) of the C-alphas, angstrom
    linked : (R,) peptide-bonded to the residue before
    trusted : (R,) only residues that are trusted, and whose neighbour is, count
    """
    second = np.flatnonzero(linked & trusted & np.append(False, trusted[:-1]))
    step = xyz[second] - xyz[second - 1]
    return _angles(statements.next[second - 1], step), _angles(statements.prev[second], -step)


def false_at_nucleic_acid(candidates: Candidates, structure: gemmi.Structure, truth: Points) -> int:
    """Candidates at the nucleic acid of a structure that are no C-alphas of its protein."""
    atoms = [
        atom.pos.tolist()
        for chain in structure[0]
        for residue in chain
        if gemmi.find_tabulated_residue(residue.name).is_nucleic_acid()
        for atom in residue
    ]
    if not atoms or not len(candidates):
        return 0
    false = cKDTree(np.array(atoms)).query(candidates.xyz)[0] <= AT_NUCLEIC_ACID
    if len(truth):
        false &= cKDTree(truth.xyz).query(candidates.xyz)[0] > AWAY_FROM_CA
    return int(false.sum())


def _most_likely(probability: FloatArray, classes: IntArray) -> NDArray[np.bool_]:
    """Whether the true class is the only most likely one (R,): where all are alike, nothing is said."""
    of_true = probability[np.arange(len(classes)), classes]
    others = probability.copy()
    others[np.arange(len(classes)), classes] = -np.inf
    return of_true > others.max(axis=1)


def _angles(said: FloatArray, true: FloatArray) -> FloatArray:
    length = np.linalg.norm(said, axis=1) * np.linalg.norm(true, axis=1)
    cosine = (said * true).sum(axis=1) / np.where(length > 0, length, np.nan)
    return np.asarray(np.rad2deg(np.arccos(np.clip(np.nan_to_num(cosine, nan=0.0), -1, 1))))


def _over(function: Callable[[FloatArray], Any], values: NDArray[Any]) -> float | None:
    return float(function(values)) if len(values) else None
