"""The main chain where candidates follow each other and no sequence explains them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.objects import UNASSIGNED, Candidates, Entity, FloatArray, IntArray, Sequences, Trace
from cryo2struct.settings import TracingSettings
from cryo2struct.tracing.chains import N_TYPES
from cryo2struct.tracing.readings import both_ways
from cryo2struct.tracing.register import runs_of
from cryo2struct.tracing.scores import emission_scores
from cryo2struct.tracing.tracer import make_decoder, place_probability

CLEARANCE = 3.0
"""C-alphas are not nearer than this, angstrom: candidates that are, are other readings of what is built."""

STRETCH = 100
"""Residues that are traced at a time."""

IN_ORDER = 0.5
"""Share of such residues that are followed by their neighbour in the chain, in its direction (docs/trials/hmm.md)."""


def with_unassigned(
    candidates: Candidates, traced: Trace, sequences: Sequences, settings: TracingSettings
) -> tuple[Trace, Sequences]:
    """Add fragments of residues of unknown type along the candidates that lie apart from what is traced.

    They become one chain of one more entity, `UNASSIGNED`, in which a number is left out between two fragments. Their
    `register_prob` is the probability that neighbours are neighbours. Without any, all stays as it is.

    Parameters
    ----------
    candidates : Candidates
    traced : Trace
    sequences : Sequences
        Those of the trace.
    settings : TracingSettings
    """
    fragments = _fragments(candidates, traced.xyz, settings) if settings.min_unassigned else []
    if not fragments:
        return traced, sequences
    site, xyz = (np.concatenate(column) for column in zip(*fragments, strict=True))
    apart = np.repeat(np.arange(len(fragments)), [len(sites) for sites, _ in fragments])
    position = np.arange(len(site)) + apart
    place = place_probability(candidates)[site]
    nothing, rows = np.full(len(site), -1), np.zeros(len(site), dtype=np.int64)
    added = Trace(
        entity=rows + len(sequences.entities),
        copy=rows,
        position=position,
        candidate=site,
        xyz=xyz,
        confidence=place * IN_ORDER,
        place_prob=place,
        register_prob=np.full(len(site), IN_ORDER),
        other_prob=np.zeros(len(site)),
        other_entity=nothing,
        other_position=nothing,
    )
    entity = Entity(UNASSIGNED, "X" * (int(position[-1]) + 1), 1, "protein")
    return traced.followed_by(added), replace(sequences, entities=(*sequences.entities, entity))


def _fragments(
    candidates: Candidates, built: FloatArray, settings: TracingSettings
) -> list[tuple[IntArray, FloatArray]]:
    """Candidates (n,) and C-alphas (n, 3) of each fragment, apart from C-alphas (R, 3) that are built."""
    settings = settings.model_copy(update={"skip_steps": 1, "beam": 2})
    readings = both_ways(candidates, settings)
    decoder = make_decoder(readings, settings)
    emission = emission_scores(readings.candidates, settings)[N_TYPES:] + readings.prior + settings.unassigned_bonus
    tree, price = cKDTree(candidates.xyz), np.zeros(len(candidates))
    fragments: list[tuple[IntArray, FloatArray]] = []
    taken = built
    while True:
        for near in tree.query_ball_point(taken, CLEARANCE):
            price[near] = np.inf
        path = decoder.decode(np.zeros(STRETCH, dtype=np.int64), emission, price=price)
        runs = runs_of(np.flatnonzero(path.state >= 0), path.opens, settings.skip_steps)
        found = [path.state[run] for run in runs if len(run) >= settings.min_unassigned]
        if not found:
            return fragments
        fragments += [(readings.site[states], decoder.xyz[states]) for states in found]
        taken = decoder.xyz[path.state[path.state >= 0]]
        price[decoder.entered(path.state)] = np.inf
