"""How many copies of a sequence the candidates carry, where the FASTA file does not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryo2struct.objects import Sequences, Trace
from cryo2struct.settings import TracingSettings
from cryo2struct.tracing.chains import Chain, canonical_order, symbols_of
from cryo2struct.tracing.register import COUNTED, Ring, chance_evidence, trusted_runs
from hmm.sparse import Decoder, Path

MAX_COPIES = 60
"""As many as in an icosahedral shell."""


def carried_chains(
    decoder: Decoder,
    chains: list[Chain],
    unknown: Collection[int],
    emission: NDArray[np.float64],
    settings: TracingSettings,
) -> list[Chain]:
    """The chains with as many copies of each entity in `unknown` as the candidates carry, in canonical order.

    One copy after the other is decoded over the candidates that are left. The one that explains its sequence best goes
    first, whichever entity it belongs to, so that a true copy is not cut up by a long sequence that is not in the
    map. Its trusted residues take their candidates. An entity gets no more copies once one has fewer residues expected
    right than `copy_share` of those of its best copy. Only residues that an earlier copy has as well are counted:
    others may be a part of that copy which its path did not reach. An entity without a trusted residue gets one copy
    where as many candidates are left as it has residues. If no entity has a trusted residue, the chains stay as they
    are.

    Parameters
    ----------
    chains : all copies of the known entities, one of each unknown one
    unknown : indices of the entities whose number of copies is not known
    emission : (21, N), see `emission_scores`
    """
    kinds = canonical_order([chain for chain in chains if chain.copy == 0])
    known = Counter(chain.entity for chain in chains)
    ring = Ring(kinds)
    chance = chance_evidence(decoder, kinds, emission, settings)
    price = np.zeros(decoder.n_sites)
    paths: dict[int, Path] = {}
    supports: dict[int, list[float]] = {chain.entity: [] for chain in kinds}
    seen = {chain.entity: np.zeros(len(chain.types), dtype=bool) for chain in kinds}
    pending = list(kinds)
    while pending:
        for chain in pending:
            if chain.entity not in paths:
                paths[chain.entity] = decoder.decode(symbols_of(chain), emission, price=price)
        # of equal ones the first in canonical order
        best = max(pending, key=lambda chain: paths[chain.entity].score / len(chain.types))
        path, found = paths[best.entity], supports[best.entity]
        register = ring.register_of(best, path, emission, chance, settings).probability
        runs = trusted_runs(path, register >= COUNTED, settings)
        trusted = np.concatenate(runs) if runs else np.empty(0, np.int64)
        counted = trusted[seen[best.entity][trusted]] if found else trusted
        support = float(register[counted].sum())
        closed = support == 0 or support < settings.copy_share * max(found, default=0.0)
        if not closed:
            found.append(support)
            seen[best.entity][trusted] = True
            used = decoder.entered(path.state[trusted])
            price[used] = np.inf
            paths = {e: other for e, other in paths.items() if not np.isin(decoder.entered(other.state), used).any()}
            closed = len(found) == (MAX_COPIES if best.entity in unknown else known[best.entity])
        if closed:
            pending.remove(best)
    if not any(supports.values()):
        return chains
    copies = {entity: len(found) if entity in unknown else known[entity] for entity, found in supports.items()}
    left = int(np.isfinite(price).sum())
    for chain in kinds:
        if not copies[chain.entity] and len(chain.types) <= left:
            copies[chain.entity], left = 1, left - len(chain.types)
    return canonical_order([replace(chain, copy=copy) for chain in kinds for copy in range(copies[chain.entity])])


def copies_built(traced: Trace, sequences: Sequences) -> list[str]:
    """A line for the user for each protein whose number of copies is unknown: how many were built."""
    built = Counter(entity for entity, _ in set(zip(traced.entity.tolist(), traced.copy.tolist(), strict=True)))
    return [
        f"sequence {entity.name}: number of copies unknown, {built[index]} built; --copies {entity.name}=M overrides"
        for index, entity in enumerate(sequences.entities)
        if entity.kind == "protein" and entity.copies is None
    ]
