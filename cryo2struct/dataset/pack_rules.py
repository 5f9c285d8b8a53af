"""Which structures are fit to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.dataset.clusters import like_pairs
from cryo2struct.dataset.leaks import find_leaks
from cryo2struct.dataset.pack import LIGAND, NUCLEOTIDE, PackStructure
from cryo2struct.io.models import holds_confidence
from cryo2struct.objects import AMINO_ACIDS
from cryo2struct.stereochemistry import amino_acids

FEWEST, MOST = 40, 6000  # residues of proteins
COARSEST = 3.5  # angstrom; resolution is below
WIDEST = 650.0  # angstrom; coordinates are 16-bit numbers of 0.01 A
INCOMPLETE = 0.15  # of the residues may lack atoms
TOUCH, TOUCHING = 1.0, 0.004  # angstrom; share of atoms that may be that near to another residue
LIKE, COVERED = 0.4, 0.5  # identity and share of a chain that make two chains alike
REPEATED = 0.5  # of a structure's residues in such chains make it redundant
FORBIDDEN, OVER = 0.3, 0.6  # identity and share of the shorter sequence that may not be met with excluded sequences


def why_predicted(path: Path, structure: gemmi.Structure) -> str | None:
    """What tells that a structure is of no diffraction or microscopy experiment, or None."""
    told = dict(structure.info)
    method, title = told.get("_exptl.method", ""), told.get("_struct.title", "")
    if "NMR" in method.upper():
        return "is an NMR structure"
    if "THEORETICAL" in method.upper() or "ALPHAFOLD" in title.upper() or holds_confidence(path):
        return "is a predicted model"
    return None


def why_unfit(packed: PackStructure, resolution: float) -> str | None:
    """What is wrong with a structure of this resolution (angstrom, NaN unknown), or None."""
    protein = int((packed.aa <= 20).sum())
    if not FEWEST <= protein <= MOST:
        return f"has {protein} residues of proteins, not {FEWEST} to {MOST}"
    if resolution >= COARSEST:
        return f"resolution {resolution:g} A is not below {COARSEST:g} A"
    if (width := float(np.ptp(packed.xyz, axis=0).max())) > WIDEST:
        return f"is {width:.0f} A wide, more than {WIDEST:.0f} A"
    atoms = np.bincount(packed.residue, minlength=len(packed.aa))
    complete = np.array([len(amino_acids()[letter].atoms) for letter in AMINO_ACIDS])
    known = packed.aa < 20
    lacking = (atoms[known] < complete[packed.aa[known]]).sum() / protein
    if lacking > INCOMPLETE:
        return f"{100 * lacking:.0f} % of its residues lack atoms, more than {100 * INCOMPLETE:.0f} %"
    pairs = cKDTree(packed.xyz).query_pairs(TOUCH, output_type="ndarray")
    pairs = pairs[packed.residue[pairs[:, 0]] != packed.residue[pairs[:, 1]]]
    touching = len(np.unique(pairs)) / len(packed.xyz)
    if touching > TOUCHING:
        return f"{100 * touching:.1f} % of its atoms are within {TOUCH:g} A of another residue"
    return None


def chain_letters(packed: PackStructure) -> list[str]:
    """Distinct sequences of the protein chains, as far as they are modelled."""
    letters = np.array([*AMINO_ACIDS, "X"])
    protein = packed.aa <= 20
    chains = [letters[packed.aa[protein & (packed.chain == chain)]] for chain in np.unique(packed.chain[protein])]
    return list(dict.fromkeys("".join(chain) for chain in chains))


def excluded(chains: Mapping[str, Sequence[str]], sequences: Sequence[str]) -> set[str]:
    """Structures with a chain that is like one of the sequences; see `leaks`."""
    owners = [name for name, words in chains.items() for _ in words]
    words = [letters for words in chains.values() for letters in words]
    sides = ["pack"] * len(words) + ["excluded"] * len(sequences)
    return {owners[leak.one] for leak in find_leaks([*words, *sequences], sides, FORBIDDEN, OVER)}


def redundant(
    chains: Mapping[str, Sequence[str]], structures: Mapping[str, PackStructure], threads: int
) -> set[str] | None:
    """Structures half of which are like others that stay; None without `mmseqs` on PATH.

    Those with nucleic acids, ligands, several chains and more residues stay rather than others.
    """
    letters = {f"{name}_{n}": word for name, words in chains.items() for n, word in enumerate(words)}
    pairs = like_pairs(letters, LIKE, COVERED, threads)
    if pairs is None:
        return None
    like: dict[str, set[str]] = {}
    for one, other in pairs:
        like.setdefault(one, set()).add(other)

    def rank(name: str) -> tuple[bool, bool, bool, int, str]:
        aa = structures[name].aa
        return not (aa == NUCLEOTIDE).any(), not (aa == LIGAND).any(), len(chains[name]) < 2, -len(aa), name

    kept: set[str] = set()
    dropped = set()
    for name in sorted(chains, key=rank):
        own = [f"{name}_{n}" for n in range(len(chains[name]))]
        repeated = sum(len(letters[chain]) for chain in own if like[chain] & kept)
        if repeated >= REPEATED * sum(len(letters[chain]) for chain in own):
            dropped.add(name)
        else:
            kept.update(own)
    return dropped
