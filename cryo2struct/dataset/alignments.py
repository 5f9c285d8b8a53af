"""Full and modelled sequences of a model, and how they go together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

import gemmi
from Bio.Align import PairwiseAligner, substitution_matrices

from cryo2struct.objects import AMINO_ACIDS, Sequences
from cryo2struct.residues import modelled_residues

LINE = 60  # letters
GAP_OPEN, GAP_EXTEND = -11.0, -1.0
LOOP = -4.0  # for a stretch that is not modelled, however long; ends cost nothing


@dataclass(frozen=True)
class FullSequence:
    """One distinct sequence: letters, and the chains that are known to have it."""

    letters: str
    chains: tuple[str, ...]


def modelled_sequences(structure: gemmi.Structure) -> dict[str, str]:
    """Letters of the residues of each chain that have a C-alpha; X where the type is unknown."""
    found: dict[str, str] = {}
    for chain, members in groupby(modelled_residues(structure), key=lambda member: member[0]):
        found[chain] = found.get(chain, "") + _letters(residue.name for _, residue, _ in members)
    return found


def _letters(names: Iterable[str]) -> str:
    """One-letter codes of residues; modified ones are what they are made from, X is an unknown one."""
    codes = (gemmi.find_tabulated_residue(name).one_letter_code.upper() for name in names)
    return "".join(code if code in AMINO_ACIDS else "X" for code in codes)


def full_sequences(structure: gemmi.Structure, sequences: Sequences | None) -> list[FullSequence]:
    """Distinct protein sequences: of the FASTA file, else of the model's file, else as far as they are modelled."""
    if sequences is not None:
        return [FullSequence(entity.letters, entity.chains) for entity in sequences.proteins]
    chains: dict[str, list[str]] = {}
    modelled = modelled_sequences(structure)
    for chain in structure[0]:
        if chain.name in modelled:
            entity = structure.get_entity_of(chain.get_polymer())
            names = [gemmi.Entity.first_mon(name) for name in entity.full_sequence] if entity is not None else []
            chains.setdefault(_letters(names) or modelled[chain.name], []).append(chain.name)
    return [FullSequence(letters, tuple(dict.fromkeys(names))) for letters, names in chains.items()]


def fasta(records: list[tuple[str, str]]) -> str:
    """FASTA text of headers and letters."""
    return "".join(
        "\n".join([f">{header}", *(letters[start : start + LINE] for start in range(0, len(letters), LINE))]) + "\n"
        for header, letters in records
    )


def full_fasta(name: str, sequences: list[FullSequence]) -> str:
    """The full sequences with headers as the PDB writes them, which `io.sequences` reads."""
    return fasta(
        [
            (f"{name}_{number}" + (f"|Chains {', '.join(one.chains)}" if one.chains else ""), one.letters)
            for number, one in enumerate(sequences, 1)
        ]
    )


def alignment_text(name: str, modelled: dict[str, str], sequences: list[FullSequence]) -> tuple[str, float]:
    """Alignment of each modelled chain with its full sequence, and the share of its residues that agree.

    A chain goes with the sequence that names it; one that none names with that of the best score.
    """
    parts, identical = [], 0
    for chain, letters in modelled.items():
        named = [number for number, one in enumerate(sequences) if chain in one.chains]
        best = max(named or range(len(sequences)), key=lambda number: _score(sequences[number].letters, letters))
        full, seen = _aligned(sequences[best].letters, letters)
        marks = "".join("|" if a == b else " " if "-" in (a, b) else "." for a, b in zip(full, seen, strict=True))
        same = marks.count("|")
        identical += same
        parts.append(f"chain {chain}: {same} of {len(letters)} modelled residues agree with {name}_{best + 1}\n")
        for start in range(0, len(full), LINE):
            lines = (("full", full), ("", marks), ("modelled", seen))
            parts.append("".join(f"{title:<10}{line[start : start + LINE]}\n" for title, line in lines) + "\n")
    return "".join(parts), identical / max(sum(map(len, modelled.values())), 1)


@lru_cache(maxsize=4096)
def _score(full: str, seen: str) -> float:
    return float(_aligner().score(full, seen))


@lru_cache(maxsize=1024)
def _aligned(full: str, seen: str) -> tuple[str, str]:
    """Rows of an alignment; copies of one chain are aligned once."""
    found = _aligner().align(full, seen)[0]
    return str(found[0]), str(found[1])


@cache
def _aligner() -> PairwiseAligner:
    """Global alignment in which the modelled sequence, the second, may lack ends and loops."""
    aligner = PairwiseAligner(mode="global", substitution_matrix=substitution_matrices.load("BLOSUM62"))
    aligner.open_gap_score, aligner.extend_gap_score = GAP_OPEN, GAP_EXTEND
    aligner.open_deletion_score, aligner.extend_deletion_score, aligner.end_deletion_score = LOOP, 0.0, 0.0
    return aligner
