"""The default tracing mode: sparse decoding of all chains, and what of it can be trusted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.objects import Candidates, FloatArray, IntArray, Sequences, Trace
from cryo2struct.settings import TracingSettings, load_settings
from cryo2struct.tracing.agreement import agree_copies
from cryo2struct.tracing.bridging import bridge_gaps
from cryo2struct.tracing.certainty import types_are_noisy, types_temperature
from cryo2struct.tracing.chains import Chain, canonical_order, protein_chains, symbols_of
from cryo2struct.tracing.confidence import confidence_of
from cryo2struct.tracing.copies import carried_chains
from cryo2struct.tracing.gaps import fill_gaps
from cryo2struct.tracing.readings import Readings, both_ways, one_way
from cryo2struct.tracing.register import COUNTED, Register, Ring, chance_evidence, trusted_runs
from cryo2struct.tracing.scores import STEP_MEAN, STEP_SD, TWIST, emission_scores, make_links, residue_scores
from hmm.sparse import Competition, Decoder, Path, decode_chains

REACH = (5.0, 3.8)
"""A piece starts within 3.8 angstrom per residue, and 5 more, of the end of the piece before."""

POOR_BELOW = 0.6
"""Share of the residues expected right below which candidates seen one way alone are tried as well, and where types are
noisy the weights for poor candidates."""

UNDERCONFIDENT = 0.62
"""Temperature of the types below which those are less sure than they are right; it is .4 to .6 for types drawn about
those of similar amino acids, .8 to 1.7 for those of the shipped networks on experimental maps."""

BEND_CAP = 8.0
"""Largest z^2 / 2 of the distance of C-alphas two residues apart."""


@dataclass(frozen=True)
class Placement:
    """A chain, its path, how sure the register of each residue is, and (L,) how likely the residue is right."""

    chain: Chain
    path: Path
    register: Register
    confidence: FloatArray


def trace(candidates: Candidates, sequences: Sequences, settings: TracingSettings | None = None) -> Trace:
    """Thread the protein chains through the candidates; what cannot be placed with confidence is left out.

    Where the number of copies is unknown, as many are traced as the candidates carry. The result does not depend on the
    order of the sequences but for the numbers of entities.

    Parameters
    ----------
    candidates : Candidates
        Optional fields are used where present: directions, what is seen if the chain runs the other way, probability of
        not being protein, attention.
    sequences : Sequences
    settings : TracingSettings, optional

    Returns
    -------
    Trace
        Sorted by entity, copy, position. `register_prob` is the probability, given the predicted types, that the
        neighbourhood of the residue is in this register and direction and not in another one of any sequence;
        `confidence` that the residue's own C-alpha is within 3 A, see `confidence_of`.

    Raises
    ------
    NothingToBuildError
        No candidates, or no residue could be placed.
    InputError
        No protein sequence, a letter that is no amino acid, or attention to other sequences.
    """
    settings = settings or load_settings().tracing
    if len(candidates) == 0:
        raise NothingToBuildError("candidates: none found; nothing to trace")
    chains = canonical_order(protein_chains(sequences))
    if not chains:
        raise InputError("sequences: no protein in them; tracing needs at least one")
    unknown = {index for index, entity in enumerate(sequences.entities) if entity.copies is None}

    def tried(readings: Readings, settings: TracingSettings) -> tuple[Readings, list[Placement]]:
        emission, placed = _emission(readings, chains, sequences, settings)
        return readings, find_placements(readings, placed, emission, settings, unknown)

    both = both_ways(candidates, settings)
    emission, placed = _emission(both, chains, sequences, settings)
    temperature = types_temperature(make_decoder(both, settings), placed, emission, both.candidates.aa_prob)
    underconfident = temperature < UNDERCONFIDENT
    poor = settings.model_copy(update=dict(settings.underconfident) | dict(settings.poor))
    if underconfident:
        settings = settings.model_copy(update=dict(settings.underconfident))

    found = [tried(both, settings)]
    most = min(sum(len(placement.chain.types) for placement in found[0][1]), len(candidates))
    if expected_right(found[0][1]) < POOR_BELOW * most:
        if len(both.site) > len(candidates):
            found.append(tried(one_way(candidates), settings))
        readings, placements = tried(both, poor)
        traced = [(placement.chain, placement.path) for placement in placements]
        if underconfident or types_are_noisy(traced, readings.candidates.aa_prob, poor.type_confusion):
            found.append((readings, placements))
    best = max(found, key=lambda each: expected_right(each[1]))
    return _build_trace(*best, settings)


def _emission(
    readings: Readings, chains: list[Chain], sequences: Sequences, settings: TracingSettings
) -> tuple[NDArray[np.float64], list[Chain]]:
    """Emissions of the readings, and the chains whose symbols refer to them."""
    if readings.candidates.attention is not None and settings.attention_weight > 0:
        emission, chains = residue_scores(readings.candidates, chains, sequences, settings)
    else:
        emission = emission_scores(readings.candidates, settings)
    return emission + readings.prior, chains


def make_decoder(readings: Readings, settings: TracingSettings) -> Decoder:
    """The sparse model of the candidates, and how it is searched."""
    return Decoder(
        links=make_links(readings.candidates, settings, readings.site),
        xyz=np.ascontiguousarray(readings.candidates.xyz, dtype=np.float64),
        site=readings.site,
        # along the line of i and i + 2 the noise of two positions counts a little less than in a link
        bend=(STEP_MEAN[1], float(np.hypot(STEP_SD[1], 0.9 * settings.link_sd)), settings.bend_weight, BEND_CAP),
        twist=settings.twist_weight * TWIST,
        break_cost=settings.break_cost,
        reach=REACH,
        beam=settings.beam,
        width=settings.width,
    )


def find_placements(
    readings: Readings,
    chains: list[Chain],
    emission: NDArray[np.float64],
    settings: TracingSettings,
    unknown: Collection[int] = (),
) -> list[Placement]:
    """Paths of all chains under the sparse model, with the probability that each residue is right.

    Of the entities in `unknown` there are as many copies as the candidates carry.
    """
    decoder = make_decoder(readings, settings)
    if set(unknown) & {chain.entity for chain in chains}:
        chains = carried_chains(decoder, chains, unknown, emission, settings)
    competition = Competition(settings.rounds, settings.present_price, settings.history_price)
    paths = decode_chains(decoder, [symbols_of(chain) for chain in chains], emission, competition)
    paths, emissions = agree_copies(decoder, chains, paths, emission, readings.candidates.next_vec)
    ring, chance = Ring(chains), chance_evidence(decoder, chains, emission, settings)

    def registers(paths: list[Path]) -> list[Register]:
        return [
            ring.register_of(chain, path, merged, chance, settings)
            for chain, path, merged in zip(chains, paths, emissions, strict=True)
        ]

    probabilities = [register.probability for register in registers(paths)]
    paths = bridge_gaps(decoder, chains, paths, probabilities, emissions, settings.bridge_bonus)
    found = registers(paths)
    in_register = [register.probability for register in found]
    confidences = confidence_of(decoder, chains, paths, emissions, in_register, settings.confidence_weights)
    return [Placement(*of_chain) for of_chain in zip(chains, paths, found, confidences, strict=True)]


def expected_right(placements: list[Placement]) -> float:
    """Number of residues expected to be in register among those that are likely enough to count."""
    probabilities = [p.register.probability for p in placements]
    return sum(float(these[these >= COUNTED].sum()) for these in probabilities)


def threshold_of(placements: list[Placement], settings: TracingSettings) -> float:
    """Least confidence, from `min_confidence` up, of a residue that is kept: `min_right` of all kept is expected right.

    It is above 1 where no residue is likely enough.
    """
    every = np.concatenate([p.confidence[p.path.state >= 0] for p in placements])
    likely = np.sort(every[every >= settings.min_confidence])
    # what is expected right, and the number, of residues from each one up; of equal ones all or none are kept
    expected, count = np.cumsum(likely[::-1])[::-1], np.arange(len(likely), 0, -1)
    enough = (expected >= settings.min_right * count) & (np.diff(likely, prepend=-1.0) > 0)
    return float(likely[enough][0]) if enough.any() else 2.0


def doubt(traced: Trace, settings: TracingSettings) -> str | None:
    """A line for the user if nothing placed is as likely as `min_confidence` and `min_right` ask, else None."""
    best = float(traced.confidence.max())
    if best >= max(settings.min_confidence, settings.min_right):
        return None
    return (
        f"trace: no residue has the right place in the sequence with a probability above {best:.2f}: take the residue "
        "numbers as a guess; check that map and sequences belong together"
    )


def place_probability(candidates: Candidates) -> NDArray[np.float64]:
    """Probability (N,) that there is a C-alpha, and of a protein."""
    ca_prob = np.clip(np.asarray(candidates.ca_prob, dtype=np.float64), 0, 1)
    if candidates.nonprotein_prob is None:
        return ca_prob
    return np.asarray(ca_prob * (1 - np.clip(np.asarray(candidates.nonprotein_prob, dtype=np.float64), 0, 1)))


def _kept_runs(placements: list[Placement], settings: TracingSettings) -> list[tuple[Placement, IntArray]]:
    """Runs of residues that are likely enough; where there is none, of those likelier in register than by chance."""
    places = 2 * sum({p.chain.entity: len(p.chain.types) for p in placements}.values())
    enough = threshold_of(placements, settings)
    sure = [(p, run) for p in placements for run in trusted_runs(p.path, p.confidence >= enough, settings)]
    guess = settings.guess_factor / places
    return sure or [
        (p, run) for p in placements for run in trusted_runs(p.path, p.register.probability >= guess, settings)
    ]


def _build_trace(readings: Readings, placements: list[Placement], settings: TracingSettings) -> Trace:
    """Rows of what is trusted, with interpolated residues, in the order of the sequences."""
    candidates = readings.candidates
    place_prob = place_probability(candidates)
    blocks = []
    for placement, run in _kept_runs(placements, settings):
        states = placement.path.state[run]
        xyz = np.asarray(candidates.xyz, dtype=np.float64)[states]
        probabilities = placement.confidence[run], place_prob[states], placement.register.probability[run]
        rows = fill_gaps(run, xyz, states, np.column_stack(probabilities), settings)
        blocks.append((placement, rows))
    if not blocks:
        raise NothingToBuildError(
            f"trace: none of the {sum(len(p.chain.types) for p in placements)} residues could be placed on "
            f"{readings.site.max() + 1} candidates; check that map and sequences belong together"
        )
    blocks.sort(key=lambda block: (block[0].chain.entity, block[0].chain.copy, block[1].position[0]))
    lengths = [len(rows.position) for _, rows in blocks]
    confidence, place, in_register = np.concatenate([rows.probabilities for _, rows in blocks]).T
    candidate = np.concatenate([rows.candidate for _, rows in blocks])
    others = {
        name: np.where(
            candidate >= 0,
            np.concatenate([getattr(placement.register, name)[rows.position] for placement, rows in blocks]),
            nothing,
        )
        for name, nothing in (("other_prob", 0.0), ("other_entity", -1), ("other_position", -1))
    }
    return Trace(
        entity=np.repeat([placement.chain.entity for placement, _ in blocks], lengths),
        copy=np.repeat([placement.chain.copy for placement, _ in blocks], lengths),
        position=np.concatenate([rows.position for _, rows in blocks]),
        candidate=np.where(candidate >= 0, readings.site[candidate], -1),
        xyz=np.concatenate([rows.xyz for _, rows in blocks]),
        confidence=confidence,
        place_prob=place,
        register_prob=in_register,
        **others,
    )
