"""How many C-alphas of a target are found, how exactly, and how many of those found are real.

Candidates (of a model or straight from the classifier) and C-alphas of the target are paired one to one: of all pairs
within the distance asked for, the closest is taken first, then the closest of what is left, and so on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.errors import InputError
from cryo2struct.objects import AMINO_ACIDS, Candidates, FloatArray, IntArray
from cryo2struct.residues import modelled_residues

DISTANCES = (1.0, 1.5, 2.0, 3.0)  # angstrom
NEIGHBOURHOOD = 3.0  # angstrom; how far the word of an excluded residue or of the target itself reaches

ResidueKey = tuple[str, int, str]
"""Author chain, author number, insertion code ("" for none)."""


@dataclass(frozen=True)
class Points:
    """C-alphas: `xyz` (N, 3) in angstrom and `types` (N,), index into `AMINO_ACIDS` or -1 where unknown."""

    xyz: FloatArray
    types: IntArray

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class CaScore:
    """Scores at one distance; None where they are 0 / 0.

    Attributes
    ----------
    precision : pairs / candidates
    recall : pairs / C-alphas of the target
    f1 : 2 pairs / (candidates + C-alphas of the target)
    rmsd : root mean square distance of the pairs in angstrom
    type_match : pairs of equal amino-acid type / pairs; an unknown type equals none
    """

    precision: float | None
    recall: float | None
    f1: float | None
    rmsd: float | None
    type_match: float | None

    def as_dict(self) -> dict[str, float | None]:
        """The scores by name."""
        return asdict(self)


def score_ca(
    found: gemmi.Structure | Candidates,
    target: gemmi.Structure,
    *,
    near_model: float | None = None,
    context: gemmi.Structure | None = None,
    exclude: Collection[ResidueKey] = frozenset(),
) -> dict[float, CaScore]:
    """Scores at each of `DISTANCES`.

    Parameters
    ----------
    found : model (its C-alphas) or candidates (amino-acid type = the most probable one)
    target : gemmi.Structure
        Its first model counts.
    near_model : angstrom, or None
        Candidates farther than this from every atom of the target but hydrogen are ignored.
    context : gemmi.Structure or None
        Neighbours that are in the map but not in the target: candidates over 3 angstrom from every C-alpha of the
        target, and nearer to one of the context, are ignored.
    exclude : residues of the target that are not to be trusted
        They are paired like all others, so that a candidate on such a residue is not given to its neighbour; then they
        leave together with their partners, and so do candidates without a partner whose nearest C-alpha within
        3 angstrom is an excluded one. They thus count neither for nor against the model.
    """
    candidates = points_of(found)
    residues, reference = ca_residues(target)
    excluded = np.array([key in exclude for key in residues], dtype=np.bool_)
    considered = _considered(candidates, target, reference, near_model, context)
    candidates = Points(candidates.xyz[considered], candidates.types[considered])
    pairs, lengths = pair_points(candidates, reference, max(DISTANCES))
    near_excluded = _nearest_is_excluded(candidates.xyz, reference.xyz, excluded)
    return {
        distance: _score(candidates, reference, pairs[lengths <= distance], excluded, near_excluded)
        for distance in DISTANCES
    }


def chamfer_distance(one: FloatArray, other: FloatArray) -> float | None:
    """Mean of the mean distances, in angstrom, from the points of one set to the nearest of the other, both ways.

    None where a set (N, 3) is empty.
    """
    if not len(one) or not len(other):
        return None
    there, back = cKDTree(other).query(one)[0].mean(), cKDTree(one).query(other)[0].mean()
    return float((there + back) / 2)


def judged_candidates(
    found: Candidates,
    target: gemmi.Structure,
    distance: float,
    *,
    near_model: float | None = None,
    context: gemmi.Structure | None = None,
    exclude: Collection[ResidueKey] = frozenset(),
) -> tuple[IntArray, IntArray]:
    """Candidates that count in the scores at a distance, and those that are right; parameters as of `score_ca`.

    Returns
    -------
    counted : (K,) candidates
    pairs : (P, 2) candidate, C-alpha of the target; recall and precision are P by C-alphas and P by K
    """
    candidates = points_of(found)
    residues, reference = ca_residues(target)
    excluded = np.array([key in exclude for key in residues], dtype=np.bool_)
    rows = np.flatnonzero(_considered(candidates, target, reference, near_model, context))
    candidates = Points(candidates.xyz[rows], candidates.types[rows])
    pairs, _ = pair_points(candidates, reference, distance)
    near_excluded = _nearest_is_excluded(candidates.xyz, reference.xyz, excluded)
    ignored, pairs = _without_excluded(pairs, excluded, near_excluded)
    return rows[~ignored], np.column_stack([rows[pairs[:, 0]], pairs[:, 1]])


def points_of(found: gemmi.Structure | Candidates) -> Points:
    """C-alphas and types of a model or of candidates."""
    if isinstance(found, Candidates):
        xyz = np.asarray(found.xyz, dtype=np.float64).reshape(-1, 3)
        return Points(xyz, np.argmax(np.asarray(found.aa_prob).reshape(-1, len(AMINO_ACIDS)), axis=1))
    return ca_points(found)


def ca_points(structure: gemmi.Structure) -> Points:
    """C-alphas of the first model of a structure.

    Of alternate conformers the first counts. Modified residues have the type of what they are made from (MSE is MET).
    Ions named CA and ligands with an atom of that name are no C-alphas.
    """
    return ca_residues(structure)[1]


def ca_residues(structure: gemmi.Structure) -> tuple[list[ResidueKey], Points]:
    """C-alphas of the first model of a structure as of `ca_points`, and which residues they are of."""
    keys, types, atoms = [], [], []
    for chain, residue, atom in modelled_residues(structure):
        keys.append((chain, int(residue.seqid.num or 0), residue.seqid.icode.strip()))
        letter = gemmi.find_tabulated_residue(residue.name).one_letter_code.upper()
        types.append(AMINO_ACIDS.find(letter) if letter.isalpha() else -1)
        atoms.append(atom)
    return keys, Points(_xyz(atoms), np.array(types, dtype=np.int64))


def heavy_atoms(structure: gemmi.Structure) -> FloatArray:
    """Coordinates (N, 3) of all atoms but hydrogen of the first model, in angstrom."""
    return _xyz([atom for chain in structure[0] for residue in chain for atom in residue if not atom.is_hydrogen()])


def pair_points(candidates: Points, reference: Points, distance: float) -> tuple[IntArray, FloatArray]:
    """One-to-one pairs by increasing distance.

    Those within a smaller distance are what this gives for the smaller distance: closer pairs are taken first.

    Returns
    -------
    pairs : (P, 2) candidate, reference; closest first
    lengths : (P,) angstrom
    """
    if not len(candidates) or not len(reference):
        return np.empty((0, 2), dtype=np.int64), np.empty(0)
    near = cKDTree(reference.xyz).query_ball_point(candidates.xyz, distance + 1e-9)
    first = np.repeat(np.arange(len(candidates)), [len(indices) for indices in near])
    second = np.concatenate([np.asarray(indices, dtype=np.int64) for indices in near])
    lengths = np.linalg.norm(candidates.xyz[first] - reference.xyz[second], axis=1)
    # Ties are settled by place and type, so that the order of the candidates does not matter.
    order = np.lexsort((candidates.types[first], *candidates.xyz[first].T, second, lengths))
    free_candidate, free_reference = np.ones(len(candidates), dtype=bool), np.ones(len(reference), dtype=bool)
    chosen = []
    for index in order[lengths[order] <= distance]:
        i, j = first[index], second[index]
        if free_candidate[i] and free_reference[j]:
            free_candidate[i] = free_reference[j] = False
            chosen.append(index)
    return np.column_stack([first[chosen], second[chosen]]), lengths[chosen]


def parse_exclude(text: str) -> frozenset[ResidueKey]:
    """Residues of a list to exclude: one `CHAIN NUMBER` a line, an insertion code may follow the number.

    Empty lines and what follows a `#` are skipped.

    Raises
    ------
    InputError
        A line is something else.
    """
    keys = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        code = words[1].lstrip("-") if len(words) == 2 else ""
        insertion = code.lstrip("0123456789")
        if not code[:1].isdigit() or len(insertion) > 1:
            raise InputError(
                f"residues to exclude, line {number}: {line.strip()!r} is not 'CHAIN NUMBER', such as 'A 52'"
            )
        keys.add((words[0], int(words[1].removesuffix(insertion)), insertion))
    return frozenset(keys)


def _score(
    candidates: Points,
    reference: Points,
    pairs: IntArray,
    excluded: NDArray[np.bool_],
    near_excluded: NDArray[np.bool_],
) -> CaScore:
    ignored, pairs = _without_excluded(pairs, excluded, near_excluded)
    i, j = pairs.T
    number, n_candidates, n_reference = len(pairs), int((~ignored).sum()), int((~excluded).sum())
    squares = ((candidates.xyz[i] - reference.xyz[j]) ** 2).sum(axis=1)
    same = (candidates.types[i] == reference.types[j]) & (candidates.types[i] >= 0)
    return CaScore(
        precision=number / n_candidates if n_candidates else None,
        recall=number / n_reference if n_reference else None,
        f1=2 * number / (n_candidates + n_reference) if n_candidates + n_reference else None,
        rmsd=float(np.sqrt(squares.mean())) if number else None,
        type_match=float(same.mean()) if number else None,
    )


def _considered(
    candidates: Points,
    target: gemmi.Structure,
    reference: Points,
    near_model: float | None,
    context: gemmi.Structure | None,
) -> NDArray[np.bool_]:
    """Candidates (N,) that are near the target and not of its context, see `score_ca`."""
    considered = np.ones(len(candidates), dtype=np.bool_)
    if near_model is not None:
        considered &= _distances(candidates.xyz, heavy_atoms(target)) <= near_model
    if context is not None:
        to_target = _distances(candidates.xyz, reference.xyz)
        to_context = _distances(candidates.xyz, ca_points(context).xyz)
        considered &= (to_target <= NEIGHBOURHOOD) | (to_target <= to_context)
    return considered


def _without_excluded(
    pairs: IntArray, excluded: NDArray[np.bool_], near_excluded: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], IntArray]:
    """Candidates (N,) that leave with the excluded residues, and the pairs that stay."""
    ignored = near_excluded.copy()
    ignored[pairs[:, 0]] = excluded[pairs[:, 1]]
    return ignored, pairs[~excluded[pairs[:, 1]]]


def _nearest_is_excluded(xyz: FloatArray, reference: FloatArray, excluded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not len(xyz) or not excluded.any():
        return np.zeros(len(xyz), dtype=np.bool_)
    distances, nearest = cKDTree(reference).query(xyz)
    return excluded[nearest] & (distances <= NEIGHBOURHOOD)


def _distances(xyz: FloatArray, others: FloatArray) -> FloatArray:
    """Distance (N,) of each point to the nearest of the others, infinite without others."""
    if not len(others) or not len(xyz):
        return np.full(len(xyz), np.inf)
    return cKDTree(others).query(xyz)[0]


def _xyz(atoms: list[gemmi.Atom]) -> FloatArray:
    return np.array([(atom.pos.x, atom.pos.y, atom.pos.z) for atom in atoms], dtype=np.float64).reshape(-1, 3)
