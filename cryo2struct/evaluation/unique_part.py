"""The unique part of an assembly: one chain of each kind, in the proportions of the assembly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gemmi
import numpy as np

from cryo2struct.objects import FloatArray

SIMILAR = 0.99  # identity x shorter length / longer length of two copies of a chain, at least


def unique_chains(
    residue_names: Mapping[str, Sequence[str]], centres: Mapping[str, FloatArray], model_centre: FloatArray
) -> list[str]:
    """Names of the chains that make up the unique part.

    A2B2 gives A + B, A2B1 gives 2 A + B, A3B2 gives everything, for 3 and 2 have no common divisor that is one of them.
    Of several copies those nearest to the model are taken. Chains without a residue of known type are left out.

    Parameters
    ----------
    residue_names : chain -> three-letter names of its residues, in file order
    centres : chain -> (3,) centroid in angstrom
    model_centre : (3,) centroid of the whole model

    Returns
    -------
    list of str
        Ordered by the sequence of the first chain of each kind.
    """
    groups: dict[str, list[str]] = {}
    for chain, names in residue_names.items():
        sequence = one_letter(names)
        if not sequence:
            continue
        founder = next((known for known in groups if similarity(known, sequence) >= SIMILAR), sequence)
        groups.setdefault(founder, []).append(chain)
    counts = {len(chains) for chains in groups.values()}
    if not counts:
        return []
    fewest = min(counts)
    if any(count % fewest for count in counts):
        return [chain for _, chains in sorted(groups.items()) for chain in chains]
    chosen = []
    for _, chains in sorted(groups.items()):
        by_distance = sorted(chains, key=lambda chain: float(np.linalg.norm(centres[chain] - model_centre)))
        chosen += by_distance[: len(chains) // fewest]
    return chosen


def one_letter(names: Sequence[str]) -> str:
    """One-letter codes of residues, modified ones as what they are made from; those of unknown type are left out."""
    codes = (gemmi.find_tabulated_residue(name).one_letter_code.upper() for name in names)
    return "".join(code for code in codes if code.isalpha() and code != "X")


def similarity(first: str, second: str) -> float:
    """Sequence identity (per residue of the shorter) x shorter length / longer length.

    Two sequences whose lengths alone make it less than `SIMILAR` are not aligned: the ratio of lengths is returned.
    """
    shorter, longer = sorted((len(first), len(second)))
    if first == second or shorter / longer < SIMILAR:
        return shorter / longer
    return float(gemmi.align_string_sequences(list(first), list(second), []).match_count) / longer
