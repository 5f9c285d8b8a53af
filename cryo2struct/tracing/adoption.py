"""The C-alphas of another program's model as a trace: which sequence each of its chains has, and where in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

import gemmi
import numpy as np
from Bio.Align import PairwiseAligner

from cryo2struct.errors import InputError
from cryo2struct.objects import AMINO_ACIDS, FloatArray, IntArray, Sequences, Trace
from cryo2struct.residues import modelled_residues

MATCH, MISMATCH, GAP, INSERTION = 2.0, -2.0, -5.0, -8.0
"""Scores of the alignment; residues that were not built cost the same however many follow each other."""

LEAST_SCORE, LEAST_IDENTITY = 16.0, 0.5
"""Of an alignment that is no chance: eight residues that are alike, and half of the chain's.

Random chains of 5 to 300 residues reached 8 with random sequences of 50 to 2,000 (1,260 pairs).
"""


@dataclass(frozen=True)
class Adopted:
    """A model's C-alphas as a trace.

    Attributes
    ----------
    trace : Trace
        In the order of entity and copy; `candidate` counts the rows, nothing is interpolated.
    sequences : Sequences
        Those that were given, with as many copies as there are chains, named like these.
    notes : what was left out and what differs, one line each
    """

    trace: Trace
    sequences: Sequences
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Chain:
    """C-alphas of one chain, in the order of the file: letters, coordinates (R, 3) and confidences (R,)."""

    name: str
    letters: str
    xyz: FloatArray
    confidence: FloatArray


@dataclass(frozen=True)
class _Match:
    """Rows (n,) of a chain and their positions (n,) in an entity."""

    chain: _Chain
    entity: int
    rows: IntArray
    positions: IntArray


def adopt(structure: gemmi.Structure, sequences: Sequences) -> Adopted:
    """Find the sequence, copy and positions of each chain of a C-alpha model.

    Each chain becomes a copy of the protein that it aligns to best. Its residue names count, its numbers do not. The
    residue type of the sequence is taken where the two differ. Chains like no sequence are left out, and residues that
    have no place in the sequence.

    Parameters
    ----------
    structure : gemmi.Structure
        Its first model counts, and in it the residues with a C-alpha, in their order; B factors are read as
        confidence in percent, or as 0 to 1 where none is larger.
    sequences : Sequences

    Raises
    ------
    InputError
        No C-alphas, or no chain is like any protein sequence.
    """
    chains = _chains(structure)
    if not chains:
        raise InputError("model: no residue has a C-alpha; give a model with C-alphas")
    matches, notes = [], []
    for chain in chains:
        match = _best_match(chain, sequences)
        if match is None:
            notes.append(f"chain {chain.name}: its {len(chain.letters)} residues are like no sequence; left out")
            continue
        matches.append(match)
        notes += _differences(match, sequences)
    if not matches:
        raise InputError(
            f"model: none of its {len(chains)} chains is like a sequence (chain {chains[0].name} begins with "
            f"{chains[0].letters[:20]}); check that model and FASTA belong together"
        )
    entities = list(sequences.entities)
    for index, entity in enumerate(entities):
        names = tuple(match.chain.name for match in matches if match.entity == index)
        if entity.copies is not None and len(names) > entity.copies:
            notes.append(f"{len(names)} chains are {entity.name}, {entity.copies} in the FASTA file; all are kept")
        if names:
            entities[index] = replace(entity, copies=max(entity.copies or 0, len(names)), chains=names)
    return Adopted(_trace(matches), Sequences(tuple(entities)), tuple(notes))


def _chains(structure: gemmi.Structure) -> list[_Chain]:
    found = []
    modelled = modelled_residues(structure)
    scale = 100 if max((atom.b_iso for _, _, atom in modelled), default=0) > 1 else 1
    for name, group in groupby(modelled, key=lambda row: row[0]):
        rows = list(group)
        letters = [gemmi.find_tabulated_residue(residue.name).one_letter_code.upper() for _, residue, _ in rows]
        found.append(
            _Chain(
                name,
                "".join(letter if letter in AMINO_ACIDS else "X" for letter in letters),
                np.array([atom.pos.tolist() for _, _, atom in rows]),
                np.clip(np.nan_to_num([atom.b_iso / scale for _, _, atom in rows]), 0, 1),
            )
        )
    return found


def _best_match(chain: _Chain, sequences: Sequences) -> _Match | None:
    """The alignment of the highest score with a protein, None where that may be chance."""
    best, best_score = None, LEAST_SCORE
    for index, entity in enumerate(sequences.entities):
        if entity.kind != "protein":
            continue
        alignment = _aligner().align(entity.letters, chain.letters)[0]
        if alignment.score < best_score:
            continue
        positions, rows = alignment.indices[:, (alignment.indices >= 0).all(axis=0)]
        best, best_score = _Match(chain, index, rows, positions), alignment.score
    if best is None or _alike(best, sequences).sum() < LEAST_IDENTITY * len(chain.letters):
        return None
    return replace(best, positions=_gaps_at_breaks(best, sequences.entities[best.entity].letters))


@cache
def _aligner() -> PairwiseAligner:
    aligner = PairwiseAligner(mode="global", match_score=MATCH, mismatch_score=MISMATCH)
    aligner.open_insertion_score = aligner.extend_insertion_score = INSERTION
    aligner.open_deletion_score, aligner.extend_deletion_score = GAP, 0.0
    aligner.end_insertion_score = aligner.end_deletion_score = 0.0
    return aligner


def _alike(match: _Match, sequences: Sequences) -> IntArray:
    letters = sequences.entities[match.entity].letters
    pairs = zip(match.rows.tolist(), match.positions.tolist(), strict=True)
    return np.array([match.chain.letters[row] == letters[position] for row, position in pairs], dtype=np.int64)


def _gaps_at_breaks(match: _Match, letters: str) -> IntArray:
    """Positions (n,) with each gap moved, where the letters allow it, to the longest step between C-alphas."""
    positions = match.positions.copy()
    step = np.linalg.norm(np.diff(match.chain.xyz[match.rows], axis=0), axis=1)
    for gap in np.flatnonzero(np.diff(positions) > 1).tolist():
        missing = int(positions[gap + 1] - positions[gap]) - 1
        first = last = gap
        # the residue before the gap may as well stand behind it where the letters there are the same
        while (
            first > 0
            and positions[first] - positions[first - 1] == 1
            and (letters[positions[first]] == letters[positions[first] + missing])
        ):
            first -= 1
        while (
            last + 2 < len(positions)
            and positions[last + 2] - positions[last + 1] == 1
            and (letters[positions[last + 1]] == letters[positions[last + 1] - missing])
        ):
            last += 1
        best = first + int(step[first : last + 1].argmax())
        positions[best + 1 : gap + 1] += missing
        positions[gap + 1 : best + 1] -= missing
    return positions


def _differences(match: _Match, sequences: Sequences) -> list[str]:
    """Lines on what of a chain is not as in its sequence."""
    chain, name = match.chain, sequences.entities[match.entity].name
    lost = len(chain.letters) - len(match.rows)
    other = len(match.rows) - int(_alike(match, sequences).sum())
    notes = []
    if lost:
        notes.append(f"chain {chain.name}: {lost} of {len(chain.letters)} residues have no place in {name}; left out")
    if other:
        notes.append(f"chain {chain.name}: {other} of {len(match.rows)} residues become those of {name}")
    return notes


def _trace(matches: list[_Match]) -> Trace:
    matches = sorted(matches, key=lambda match: match.entity)
    lengths = [len(match.rows) for match in matches]
    before = [sum(other.entity == match.entity for other in matches[:n]) for n, match in enumerate(matches)]
    confidence = np.concatenate([match.chain.confidence[match.rows] for match in matches])
    return Trace(
        entity=np.repeat([match.entity for match in matches], lengths),
        copy=np.repeat(before, lengths),
        position=np.concatenate([match.positions for match in matches]),
        candidate=np.arange(sum(lengths)),
        xyz=np.concatenate([match.chain.xyz[match.rows] for match in matches]),
        confidence=confidence,
        place_prob=confidence,
        register_prob=confidence,
    )
