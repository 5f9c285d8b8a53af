"""Candidate sets made from structures, without any map: what the networks would find, with their kinds of errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cryo2struct.dataset.pack import PackStructure, StructurePack
from cryo2struct.networks.sequence import LETTERS

Array = NDArray[Any]

NOBODY, UNSURE = -1, -2
"""In `CandidateSet.residue`: a false candidate; a true one whose place in the sequences is not clear."""

MOST_RESIDUES = 450
"""Of larger structures the residues around a random one are taken."""

WORD = 7
"""Residues of a chain are found in another one by words of this length."""

SEPARATION = 2.0
"""Smallest distance of a false candidate from others, angstrom."""


SIDE_CHAINS = np.array(
    [
        (-0.51, 0.48, -0.02, -0.09, -0.20, 0.12, 0.26),  # A
        (-0.03, -0.11, -0.10, -0.22, -0.14, -0.17, 0.04),  # C
        (-0.42, -0.10, 0.13, 0.14, -0.08, -0.25, -0.03),  # D
        (-0.08, -0.26, 0.31, 0.18, 0.08, -0.06, -0.01),  # E
        (0.67, 0.13, -0.24, -0.14, 0.02, -0.03, 0.04),  # F
        (-0.28, 0.97, 0.30, -0.32, 0.33, 0.04, -0.21),  # G
        (0.53, 0.05, -0.05, 0.01, 0.07, -0.24, 0.01),  # H
        (-0.14, -0.59, -0.14, -0.31, 0.07, 0.16, -0.15),  # I
        (0.28, -0.03, 0.27, 0.39, -0.09, 0.15, -0.08),  # K
        (0.12, -0.46, 0.19, -0.29, 0.28, 0.01, 0.19),  # L
        (0.36, -0.08, 0.18, -0.09, 0.09, 0.21, 0.20),  # M
        (-0.18, -0.26, 0.17, 0.05, 0.05, -0.26, -0.06),  # N
        (-0.53, 0.05, -0.63, 0.48, 0.42, 0.06, 0.04),  # P
        (0.18, -0.19, 0.26, 0.19, 0.08, 0.03, 0.03),  # Q
        (0.23, 0.03, 0.20, 0.31, -0.19, 0.22, -0.09),  # R
        (-0.54, 0.38, 0.02, 0.03, -0.20, -0.04, 0.13),  # S
        (-0.53, -0.11, -0.05, -0.04, -0.20, -0.07, -0.05),  # T
        (-0.44, -0.40, -0.24, -0.25, -0.17, 0.18, -0.14),  # V
        (0.62, 0.31, -0.30, -0.01, -0.16, 0.00, -0.08),  # W
        (0.67, 0.19, -0.25, -0.02, -0.07, -0.06, -0.02),  # Y
    ]
)
"""Amino acids as points so that squared distances are proportional to the mean log odds by which the residue network
tells them apart: on simulated crops of validation structures, 2.5 to 4 angstrom; classical scaling to 7 dimensions."""

FREQUENCIES = np.array(
    [7.8, 1.4, 5.5, 6.3, 4.4, 7.3, 2.1, 6.0, 5.8, 9.6, 2.3, 4.4, 4.4, 3.7, 5.0, 6.1, 5.6, 7.2, 1.5, 3.7]
)
"""Amino acids of the structure pack, percent."""

SURROUNDED = np.array(
    [
        (5.0, 0.5, 9.7, 8.5, 2.2, 11.8, 2.2, 2.3, 7.9, 4.3, 1.4, 7.2, 7.7, 4.2, 5.1, 8.1, 6.0, 3.3, 0.8, 1.8),
        (5.7, 1.5, 7.1, 4.7, 4.0, 10.3, 2.2, 4.5, 5.6, 7.7, 1.8, 6.0, 7.3, 3.2, 5.2, 7.0, 6.3, 5.4, 1.1, 3.4),
        (8.1, 2.7, 4.6, 2.5, 4.7, 12.6, 2.5, 5.1, 2.5, 8.8, 2.4, 5.3, 7.8, 2.3, 4.1, 6.4, 6.0, 6.3, 1.2, 4.1),
        (8.4, 0.4, 7.9, 15.4, 2.3, 3.1, 1.8, 3.3, 10.8, 6.7, 1.5, 4.5, 3.3, 6.2, 7.2, 6.0, 4.3, 3.7, 1.2, 2.0),
        (8.7, 1.1, 4.4, 7.5, 5.1, 2.8, 2.0, 7.4, 7.1, 14.3, 3.1, 3.0, 2.0, 4.7, 6.1, 4.2, 3.9, 6.7, 2.0, 4.2),
        (15.0, 2.1, 2.0, 2.8, 5.1, 6.0, 1.5, 8.3, 2.5, 16.0, 3.9, 2.2, 2.4, 2.6, 3.5, 4.9, 4.9, 9.1, 1.5, 3.9),
        (3.1, 0.5, 6.6, 10.4, 4.0, 4.7, 2.4, 5.7, 9.3, 5.4, 1.3, 3.8, 2.7, 5.7, 6.2, 6.4, 8.8, 8.6, 1.1, 3.1),
        (4.1, 0.9, 4.4, 6.5, 5.7, 4.9, 2.4, 7.7, 6.8, 9.3, 1.6, 3.4, 1.8, 3.8, 5.2, 6.0, 7.2, 10.8, 1.9, 5.8),
        (7.9, 2.2, 2.4, 2.9, 6.4, 5.9, 1.7, 11.1, 2.8, 11.5, 2.7, 2.2, 1.6, 2.1, 3.9, 4.9, 5.7, 14.8, 2.0, 5.4),
    ]
).reshape(3, 3, 20)
"""Amino acids in coil, helix and strand with fewer than 16, with 16 to 20, and with more C-alphas within 10 angstrom,
percent; training structures of the pack. The networks see as much of the surroundings in the density."""

CLARITY = (1.4, 4.5)
"""Factor on `SIDE_CHAINS` beside noise of deviation 1; right types in 0.25 to 0.65 before it varies along the chain."""


@dataclass(frozen=True)
class CandidateSet:
    """Simulated candidates, what they are, and the distinct sequences.

    Attributes
    ----------
    xyz : (N, 3) float32 angstrom
    presence : (N,) float32
    types : (N, 20) float32 log probabilities
    structure : (N, 3) float32 probabilities of coil, helix, strand
    after, before : (N, 3) float32 unit vectors to the next and previous C-alpha
    aa : (N,) true type, -1 where there is none
    residue : (N,) place in the joined sequences, `NOBODY` or `UNSURE`
    letters : distinct sequences, X for an unknown residue
    """

    xyz: Array
    presence: Array
    types: Array
    structure: Array
    after: Array
    before: Array
    aa: Array
    residue: Array
    letters: list[str]


@dataclass(frozen=True)
class _Chains:
    """C-alphas of a structure: positions, types (-1 unknown), structure, chain, vectors to neighbours or NaN."""

    xyz: Array
    aa: Array
    ss: Array
    chain: Array
    after: Array
    before: Array


def _chains(structure: PackStructure, atom_names: list[str]) -> _Chains:
    atoms = np.flatnonzero((structure.name == atom_names.index("CA")) & (structure.aa[structure.residue] <= 20))
    residue = structure.residue[atoms]
    xyz = structure.xyz[atoms].astype(np.float32)
    aa = structure.aa[residue].astype(np.int64)
    step = np.full((len(xyz) + 1, 3), np.nan, np.float32)
    linked = structure.linked[residue[1:]] & (np.diff(residue) == 1)
    step[1:-1][linked] = np.diff(xyz, axis=0)[linked]
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    chain = structure.chain[residue]
    return _Chains(xyz, np.where(aa < 20, aa, -1), structure.ss[residue], chain, step[1:], -step[:-1])


def distinct_sequences(aa: Array, chain: Array) -> tuple[list[str], Array]:
    """Letters of the distinct chains, and the place (R,) of each residue in them, joined; `UNSURE` where unclear.

    A chain that shares half of its words with a longer one is a copy of it, of which other residues may be missing.
    """
    texts = {int(c): "".join((LETTERS + "X")[a] for a in aa[chain == c]) for c in np.unique(chain)}
    letters: list[str] = []
    words: list[dict[str, int]] = []
    place = np.full(len(aa), UNSURE)
    for c in sorted(texts, key=lambda c: -len(texts[c])):
        text, start = texts[c], sum(map(len, letters))
        mine = [text[i : i + WORD] for i in range(len(text) - WORD + 1)]
        rows = np.flatnonzero(chain == c)
        for number, known in enumerate(words):
            if mine and sum(word in known for word in mine) >= 0.5 * len(mine):
                first = sum(map(len, letters[:number]))
                for i, word in enumerate(mine):
                    if word in known:
                        place[rows[i : i + WORD]] = first + known[word] + np.arange(WORD)
                break
        else:
            place[rows] = start + np.arange(len(text))
            letters.append(text)
            words.append({word: i for i, word in enumerate(mine)})
    return letters, place


def draw_set(pack: StructurePack, index: int, rng: Generator, decoys: Sequence[int] = ()) -> CandidateSet:
    """Candidates of a structure, or of a part of a large one; the sequences of the structures `decoys` are added.

    Drawn anew for each set: errors of positions 0.15 to 0.6 angstrom per axis, 5 to 25 % missing, 5 to 35 % false,
    types right in about 30 to 80 %, directions wrong or reversed in up to 15 % each, and up to three loops that are
    not in the map.
    """
    structure = pack[index]
    whole = _chains(structure, pack.atom_names)
    letters, place = distinct_sequences(whole.aa, whole.chain)
    away = np.linalg.norm(whole.xyz - whole.xyz[rng.integers(len(whole.xyz))], axis=1)
    seen = np.zeros(len(away), dtype=bool)
    seen[np.argsort(away, kind="stable")[:MOST_RESIDUES]] = True
    letters = letters + [text for d in decoys for text in distinct_sequences(*_types_of(pack, d))[0]]
    for _ in range(rng.integers(4)):
        start = rng.integers(len(seen))
        seen[start : start + rng.integers(5, 25)] = False
    kept = np.flatnonzero(seen & (rng.random(len(seen)) >= rng.uniform(0.05, 0.25)))
    if len(kept) < 2:
        kept = np.arange(len(seen))
    noise = rng.uniform(0.15, 0.6)
    true = whole.xyz[kept] + rng.normal(0, noise, (len(kept), 3))
    origin, false = _false_candidates(structure, whole.xyz, true, int(rng.uniform(0.05, 0.35) * len(kept)), rng)
    source = np.concatenate([kept, origin])
    is_false = np.arange(len(source)) >= len(kept)
    after, before = _directions(whole, source, is_false, rng)
    return CandidateSet(
        xyz=np.concatenate([true, false]).astype(np.float32),
        presence=np.where(is_false, rng.beta(3, 3, len(source)), rng.beta(8, 2, len(source))).astype(np.float32),
        types=_types(whole, source, is_false, rng),
        structure=_secondary(whole.ss[source], is_false, rng),
        after=after,
        before=before,
        aa=np.where(is_false, -1, whole.aa[source]),
        residue=np.where(is_false, NOBODY, place[source]),
        letters=letters,
    )


def _types_of(pack: StructurePack, index: int) -> tuple[Array, Array]:
    chains = _chains(pack[index], pack.atom_names)
    return chains.aa, chains.chain


def _false_candidates(
    structure: PackStructure, alphas: Array, true: Array, count: int, rng: Generator
) -> tuple[Array, Array]:
    """The C-alpha that each false candidate is nearest to, and positions: at other atoms or anywhere near."""
    atoms = structure.xyz[rng.integers(len(structure.xyz), size=4 * count)]
    points = atoms + rng.normal(0, 1, (len(atoms), 3)) * np.where(rng.random((len(atoms), 1)) < 0.7, 0.4, 2.0)
    nearest = np.sqrt(_square_distances(points, true).min(axis=1))
    # of a part of a large structure: nothing far from it
    points = points[(nearest > SEPARATION) & (nearest < 6.0)][: 2 * count]
    close = np.tril(_square_distances(points, points) < SEPARATION**2, -1).any(axis=1)
    points = points[~close][:count]
    return _square_distances(points, alphas).argmin(axis=1), points


def _square_distances(points: Array, others: Array) -> Array:
    return (points**2).sum(axis=1)[:, None] - 2 * points @ others.T + (others**2).sum(axis=1)


def _types(whole: _Chains, source: Array, is_false: Array, rng: Generator) -> Array:
    """Log probabilities (N, 20) by Bayes from noisy points in the space of side chains; see `SIDE_CHAINS`.

    How clear the points are varies smoothly along the chain. False candidates see something of the nearest residue.
    The prior knows the surroundings, more or less, and each set has a taste of its own.
    """
    wave = np.sin(np.outer(np.arange(len(whole.aa)), rng.uniform(0.02, 0.3, 4)) + rng.uniform(0, 6.3, 4)).sum(axis=1)
    clear = (rng.uniform(*CLARITY) * np.exp(0.25 * wave[source] + rng.normal(0, 0.3, len(source)))).clip(0.3, 7)
    clear = np.where(is_false, 0.3 * clear, clear)[:, None]
    shown = whole.aa[source]
    shown = np.where(shown < 0, rng.integers(20, size=len(shown)), shown)
    point = clear * SIDE_CHAINS[shown] + rng.normal(size=(len(source), SIDE_CHAINS.shape[1]))
    near = (_square_distances(whole.xyz[source], whole.xyz) < 10.0**2).sum(axis=1) - 1
    expected = np.log(SURROUNDED[whole.ss[source], np.digitize(near, [16, 21])] / FREQUENCIES)
    prior = np.log(FREQUENCIES / 100) + rng.uniform(0.5, 1.3) * expected + rng.normal(0, 0.3, 20)
    logits = clear * (point @ SIDE_CHAINS.T) - 0.5 * clear**2 * (SIDE_CHAINS**2).sum(axis=1) + prior
    logits *= rng.uniform(0.75, 1.35)
    return _log_softmax(logits).astype(np.float32)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _secondary(ss: Array, is_false: Array, rng: Generator) -> Array:
    """Probabilities (N, 3) whose largest is right in about 75 to 95 %; false candidates are nearly random."""
    logits = rng.uniform(1.5, 4.0) * np.eye(3)[ss] * np.where(is_false, 0.3, 1.0)[:, None]
    return np.exp(_log_softmax(logits + rng.normal(0, 1, (len(ss), 3)))).astype(np.float32)


def _directions(whole: _Chains, source: Array, is_false: Array, rng: Generator) -> tuple[Array, Array]:
    """Vectors to the next and previous C-alpha with errors; stretches of a chain may be seen backwards."""
    after, before = whole.after[source], whole.before[source]
    backwards = np.zeros(len(whole.aa), dtype=bool)
    share = rng.uniform(0, 0.15) * (rng.random() < 0.7)
    while backwards.mean() < share:
        start = rng.integers(len(backwards))
        backwards[start : start + rng.integers(1, 12)] = True
    back = backwards[source][:, None]
    after, before = np.where(back, before, after), np.where(back, after, before)
    error, lost = np.tan(np.deg2rad(rng.uniform(4, 22))), rng.uniform(0.01, 0.15)
    found = []
    for vector in (after, before):
        unknown = np.isnan(vector).any(axis=1) | (rng.random(len(vector)) < np.where(is_false, 0.7, lost))
        noisy = (
            np.where(unknown[:, None], 0, vector)
            + rng.normal(0, 1, vector.shape) * np.where(unknown, 1.0, error / np.sqrt(2))[:, None]
        )
        found.append((noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32))
    return found[0], found[1]
