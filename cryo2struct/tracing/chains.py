"""The protein chains that are threaded: one per copy of each protein entity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo2struct.errors import InputError
from cryo2struct.objects import AMINO_ACIDS, IntArray, Sequences

UNKNOWN_LETTERS = "XUO"
"""Letters without an amino-acid probability of their own: unknown type, selenocysteine, pyrrolysine."""

N_TYPES = len(AMINO_ACIDS)
"""Row of the emissions for a residue of unknown type."""


@dataclass(frozen=True)
class Chain:
    """One copy of one entity.

    Attributes
    ----------
    entity : int
        Index into the distinct sequences.
    copy : int
        Which copy of it, 0-based.
    types : (L,) int
        Index into `AMINO_ACIDS`, -1 where the type is unknown.
    first_residue : int or None
        Row of its first residue in emissions that have a row per residue; None where they have a row per type.
    """

    entity: int
    copy: int
    types: IntArray
    first_residue: int | None = None


def protein_chains(sequences: Sequences) -> list[Chain]:
    """All copies of all protein entities, in the order of the sequences; one copy where the number is unknown.

    Raises
    ------
    InputError
        A letter is no amino acid.
    """
    chains = []
    for index, entity in enumerate(sequences.entities):
        if entity.kind != "protein":
            continue
        wrong = sorted(set(entity.letters) - set(AMINO_ACIDS + UNKNOWN_LETTERS))
        if wrong:
            raise InputError(f"sequence {entity.name}: letter {wrong[0]} is no amino acid; use X where unknown")
        types = np.array([AMINO_ACIDS.find(letter) for letter in entity.letters], dtype=np.int64)
        copies = 1 if entity.copies is None else entity.copies
        chains += [Chain(index, copy, types) for copy in range(copies)]
    return chains


def canonical_order(chains: list[Chain]) -> list[Chain]:
    """Chains sorted by what they are and not by where they stood: longest first, then by types, then by copy."""
    return sorted(chains, key=lambda chain: (-len(chain.types), tuple(chain.types), chain.copy))


def symbols_of(chain: Chain) -> IntArray:
    """Rows of the emissions for the residues of a chain."""
    if chain.first_residue is not None:
        return chain.first_residue + np.arange(len(chain.types))
    return np.where(chain.types >= 0, chain.types, N_TYPES)
