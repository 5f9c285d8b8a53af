"""All scores of a model, or of candidates: against a known structure, against a map, of its geometry."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypedDict

import gemmi
import numpy as np

from cryo2struct.errors import InputError, UsageError
from cryo2struct.evaluation.against_target import AgainstTarget, against_target
from cryo2struct.evaluation.ca import ResidueKey, ca_points, chamfer_distance, points_of, score_ca
from cryo2struct.evaluation.chain_comparison import MAX_DISTANCE, chain_comparison
from cryo2struct.evaluation.fsc import map_fsc
from cryo2struct.evaluation.geometry import Geometry, geometry
from cryo2struct.evaluation.map_model import MapModel, map_model
from cryo2struct.evaluation.q_score import QScores, q_scores
from cryo2struct.objects import Candidates, DensityMap, Sequences

Row = dict[str, str | int | float | None]


class Evaluation(TypedDict, total=False):
    """Scores by name, as they are written; those that were not asked for, or are not of candidates, are absent.

    `chain_comparison.MODE.COLUMN`, `ca.at_DISTANCE.SCORE`, `chamfer`, the names of `AgainstTarget`,
    `map_model.*`, `q_score.*`, `half_maps.*`, `geometry.*`, `sequence.*`; `notes`; and `per_residue`, a list of rows.
    """

    chain_comparison: dict[str, dict[str, float | int | str | None]]
    ca: dict[str, dict[str, float | None]]
    chamfer: float | None
    tm_score: float
    tm_per_chain: dict[str, float]
    chain_mapping: dict[str, list[str]]
    lddt_ca: float | None
    lddt_ca_mean_of_residues: float | None
    lddt_all_atom: float | None
    superposition_rmsd: float | None
    register: dict[str, Any]
    direction_correct: float | None
    completeness: dict[str, Any]
    map_model: dict[str, Any]
    q_score: dict[str, Any]
    half_maps: dict[str, Any]
    geometry: dict[str, Any]
    sequence: dict[str, float | int]
    notes: list[str]
    per_residue: list[Row]


def evaluate(
    model: gemmi.Structure | Candidates,
    target: gemmi.Structure | None = None,
    *,
    density: DensityMap | None = None,
    half_maps: tuple[DensityMap, DensityMap] | None = None,
    resolution: float | None = None,
    sequences: Sequences | None = None,
    max_dist: float = MAX_DISTANCE,
    near_model: float | None = None,
    context: gemmi.Structure | None = None,
    exclude: Collection[ResidueKey] = frozenset(),
) -> Evaluation:
    """Score a model, or candidates, with whatever is known.

    Parameters
    ----------
    model : gemmi.Structure or Candidates
        Candidates are compared with a target and with sequences only.
    target : gemmi.Structure, optional
    density : DensityMap, optional
        Without it the mean of the half maps is taken.
    half_maps : two DensityMap on one grid, optional
    resolution : angstrom, optional
        Of the map; where their FSC falls below 0.143, if half maps are given.
    sequences : Sequences, optional
        What is in the map.
    max_dist : angstrom
        Largest distance of a pair in chain_comparison.
    near_model, context, exclude
        They concern the `ca` block alone: see `score_ca`. chain_comparison is kept as the field's program computes it.

    Raises
    ------
    UsageError
        There is a map and no resolution, nothing to compare candidates with, or a distance is not above 0.
    InputError
        The model has no atom, or the half maps are on different grids.
    """
    if max_dist <= 0:
        raise UsageError(f"--max-dist {max_dist}: give angstrom above 0")
    result: Evaluation = {"notes": []}
    if isinstance(model, Candidates) and target is None and sequences is None:
        raise UsageError("TARGET: is missing; candidates can only be compared with a structure or with --fasta")
    if sequences is not None:
        result["sequence"] = _against_sequences(model, sequences)
    if target is not None:
        if not isinstance(model, Candidates):
            compared = chain_comparison(target, model, max_dist=max_dist)
            result["chain_comparison"] = {mode: score.as_dict() for mode, score in compared.items()}
        scores = score_ca(model, target, near_model=near_model, context=context, exclude=exclude)
        result["ca"] = {f"at_{distance:.1f}": score.as_dict() for distance, score in scores.items()}
        result["chamfer"] = chamfer_distance(points_of(model).xyz, ca_points(target).xyz)
    if isinstance(model, Candidates):
        return result
    of_target = against_target(model, target) if target is not None else None
    if of_target is not None:
        _take(result, of_target.as_dict())
    of_map = _against_map(result, model, density, half_maps, resolution)
    shape = geometry(model)
    result["geometry"] = shape.as_dict()
    result["notes"] += shape.notes
    result["per_residue"] = residue_rows(shape, of_map, of_target)
    return result


def _take(result: Evaluation, scores: dict[str, Any]) -> None:
    """Add scores by name; their notes join those that are there."""
    result["notes"] += scores.pop("notes", [])
    result.update(scores)  # type: ignore[typeddict-item]


def _against_sequences(model: gemmi.Structure | Candidates, sequences: Sequences) -> dict[str, float | int]:
    """Residues of the proteins, and how many of them, in number, are there."""
    residues = sum(len(entity.letters) * (entity.copies or 1) for entity in sequences.proteins)
    if not residues:
        raise InputError("sequences: hold no protein; give the sequences of the proteins in the map")
    built = len(points_of(model))
    name = "candidates" if isinstance(model, Candidates) else "built"
    return {"residues": residues, name: built, f"{name}_per_residue": built / residues}


def _against_map(
    result: Evaluation,
    model: gemmi.Structure,
    density: DensityMap | None,
    half_maps: tuple[DensityMap, DensityMap] | None,
    resolution: float | None,
) -> tuple[MapModel, QScores] | None:
    """Add the scores against the map; None without a map."""
    if half_maps is not None:
        halves = map_fsc(*half_maps)
        result["half_maps"] = {"d_fsc_05": halves.d_fsc_05, "d_fsc_0143": halves.d_fsc_0143}
        resolution = resolution if resolution is not None else halves.d_fsc_0143
        first, second = half_maps
        density = density or DensityMap(np.float32(0.5) * (first.values + second.values), first.frame, first.header)
    if density is None:
        return None
    if resolution is None:
        raise UsageError("--resolution: is missing; the correlation of model and map depends on it")
    found = map_model(model, density, resolution), q_scores(model, density)
    result["map_model"], result["q_score"] = (part.as_dict() for part in found)
    result["notes"] += [note for part in found for note in part.notes]
    return found


def residue_rows(
    shape: Geometry, of_map: tuple[MapModel, QScores] | None, of_target: AgainstTarget | None
) -> list[Row]:
    """One row for each residue of the model, then one for each residue of the target that nothing is paired with."""
    rows: list[Row] = []
    place: dict[tuple[str, str], Row] = {}
    for row in shape.per_residue():
        rows.append(row)
        place[str(row["chain"]), f"{row['number']}{row['insertion_code']}"] = row
    if of_map is not None:
        fit, q = of_map
        for one in fit.per_residue:
            place.get((one.chain, f"{one.number}{one.insertion}"), {}).setdefault("cc", one.cc)
        for (chain, number, code), value in zip(q.residues, q.per_residue, strict=True):
            place.get((chain, f"{number}{code}"), {})["q_score"] = float(value)
    for residue in of_target.per_residue if of_target is not None else ():
        columns = residue.as_dict()
        found = {name: columns[name] for name in ("ca_distance", "type_right", "register_shift", "lddt")}
        found["distance_to_target"] = found.pop("ca_distance")
        target = {"target_chain": residue.chain, "target_number": residue.number, "target_residue": residue.name}
        paired = place.get((str(residue.model_chain), str(residue.model_number)))
        if paired is None:
            rows.append({**target, **found})
        else:
            paired |= {**target, **found}
    return rows
