"""From a trace to the refined all-atom model: the order of its steps."""

from __future__ import annotations

from dataclasses import replace

from cryo2struct.completion import complete, place_side_chains
from cryo2struct.errors import InputError
from cryo2struct.io.models import chain_names, model_from_trace
from cryo2struct.objects import UNASSIGNED, Backbone, DensityMap, Model, Prediction, Sequences, Trace
from cryo2struct.record import Recorder
from cryo2struct.refinement import refine
from cryo2struct.settings import Settings


def all_atoms(
    traced: Trace,
    sequences: Sequences,
    prediction: Prediction,
    density: DensityMap,
    settings: Settings,
    record: Recorder,
) -> tuple[Model, Backbone, dict[str, dict[str, int]]]:
    """Model of a trace: main chain, side chains, refined; what was done is recorded.

    Parameters
    ----------
    traced, sequences : Trace, Sequences
    prediction : what the network says of N and C
    density : the original map, in the frame of the trace
    settings : Settings
    record : Recorder
        Its counts have the resolution.

    Returns
    -------
    Model
    Backbone
        One row per row of the trace, before side chains and refinement.
    chain name to residues built and in all
    """
    resolution = record.counts["resolution"]
    with record.step("complete"):
        backbone = complete(traced, sequences, prediction)
    with record.step("model"):
        model = model_from_trace(traced, sequences, backbone)
        coverage = _coverage(traced, sequences)
    with record.step("side chains"):
        model = _with_side_chains(model, density, resolution, coverage, record)
    with record.step("refine"):
        model = _refined(model, density, resolution, settings, record)
    built = sum(chain["built"] for chain in coverage.values())
    residues = sum(chain["residues"] for chain in coverage.values())
    record.counts["residues_built"] = built
    record.counts["residues_unassigned"] = len(traced) - built
    record.counts["residues_with_backbone"] = int(backbone.complete.sum())
    record.say(f"{built} of {residues} residues built in {len(coverage)} chains")
    if len(traced) > built:
        record.say(f"{len(traced) - built} residues of unknown type built where no sequence fits")
    return model, backbone, coverage


def _with_side_chains(
    model: Model, density: DensityMap, resolution: float, coverage: dict[str, dict[str, int]], record: Recorder
) -> Model:
    """A model with side chains placed in the original map; how many is recorded, and what could not be done."""
    last = {(name, chain["residues"]) for name, chain in coverage.items()}
    completed = place_side_chains(model.structure, density, resolution, last)
    for note in completed.notes:
        record.warn(note)
    record.counts["residues_with_side_chain"] = completed.residues
    return replace(model, structure=completed.structure)


def _refined(model: Model, density: DensityMap, resolution: float, settings: Settings, record: Recorder) -> Model:
    """The model refined against the original map; what changed is recorded, and why it was kept as it was."""
    try:
        refined = refine(model.structure, density, resolution, settings.refinement.mode)
    except InputError as fault:  # what was built without it is not lost
        record.warn(f"refinement: {fault}; the model is kept as it was")
        record.counts["refinement"] = {"mode": settings.refinement.mode, "refined": False}
        return model
    if refined.note is not None:
        record.warn(refined.note)
    record.counts["refinement"] = {
        "mode": settings.refinement.mode,
        "refined": refined.refined,
        "peptides_flipped": refined.flipped,
        "map_correlation": [refined.correlation_before, refined.correlation_after],
    }
    return replace(model, structure=refined.structure)


def _coverage(traced: Trace, sequences: Sequences) -> dict[str, dict[str, int]]:
    """Residues built and in all, per chain name, of the sequences given."""
    coverage = {}
    for (entity, copy), name in chain_names(traced, sequences).items():
        if sequences.entities[entity].name == UNASSIGNED:
            continue
        here = (traced.entity == entity) & (traced.copy == copy)
        coverage[name] = {"built": int(here.sum()), "residues": len(sequences.entities[entity].letters)}
    return coverage
