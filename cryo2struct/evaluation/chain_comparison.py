"""How well a model traces the chains of a target: the scores of `phenix.chain_comparison`.

Definitions: T. C. Terwilliger et al. 2018, "A fully automatic method yielding initial models from high-resolution
cryo-electron microscopy maps", Nat. Methods 15, 905-908, and the program mmtbx.validation.chain_comparison, whose
output for 32 pairs of files is reproduced to 1e-6 by the tests. Proteins only; crystal symmetry is ignored.

The C-alphas of each file are one flat list of points, in file order, chains one after the other. All that is said of
neighbours and directions is about positions in these two lists: `i` in the model's, `j` in the target's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.evaluation.unique_part import unique_chains
from cryo2struct.objects import FloatArray

MAX_DISTANCE = 3.0  # angstrom
CA_SPACING = 3.8  # angstrom between neighbouring C-alphas; twice that is a break

COLUMNS = (
    ("part", "selected"),
    ("rmsd", "close_rmsd"),
    ("close", "close_n"),
    ("far", "far_n"),
    ("forward", "forward_n"),
    ("reverse", "reverse_n"),
    ("mixed", "mixed_n"),
    ("found %", "found_percent"),
    ("CA score", "ca_score"),
    ("seq match %", "seq_match_percent"),
    ("seq score", "seq_score"),
    ("mean length", "mean_length"),
    ("fragments", "fragments"),
    ("bad connections", "bad_connections"),
)
"""Title and key of each column that the field's program prints."""

Mode = Literal["default", "entire_target", "unique_target"]
Direction = Literal["forward", "reverse", "mixed"]


@dataclass(frozen=True)
class ChainComparison:
    """Scores in one mode; lengths in angstrom.

    Attributes
    ----------
    close_rmsd : root mean square distance of the pairs, None without pairs; nothing is superposed
    close_n, far_n : model residues with and without a partner in the target
    forward_n, forward_rmsd, reverse_n, reverse_rmsd, mixed_n, mixed_rmsd : pairs by direction of the chain
    found_percent : pairs per target residue in use
    seq_match_percent : pairs of equal residue names per pair
    ca_score : found fraction / rmsd, the rmsd being at least 0.1
    seq_score : match fraction x found fraction
    matched_fragments : runs of pairs in one direction
    mean_length : pairs per run
    fragments : pieces of the model, cut where neighbours are over 7.6 A apart; None where a file has no C-alpha
    bad_connections : places where pieces of the target follow one another in the wrong order
    target_length : residues of the target in use, 0 without pairs
    total_target, used_target, total_model, used_model : residues with C-alpha, in all and in use
    selected : which part of the target is in use
    """

    close_rmsd: float | None
    close_n: int
    far_n: int
    forward_n: int
    forward_rmsd: float | None
    reverse_n: int
    reverse_rmsd: float | None
    mixed_n: int
    mixed_rmsd: float | None
    found_percent: float
    seq_match_percent: float
    ca_score: float
    seq_score: float
    matched_fragments: int
    mean_length: float
    fragments: int | None
    bad_connections: int | None
    target_length: int
    total_target: int | None
    used_target: int | None
    total_model: int | None
    used_model: int | None
    selected: Literal["Entire_target", "Unique_target"]

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The columns by name."""
        return asdict(self)


@dataclass(frozen=True)
class Residue:
    """A residue that has a C-alpha: three-letter `name`, `xyz` (3,) in angstrom, `chain` and `model` in the file."""

    name: str
    xyz: tuple[float, float, float]
    chain: str
    model: int


@dataclass(frozen=True)
class Pair:
    """Model residue `i` and target residue `j`, `distance` angstrom apart."""

    i: int
    j: int
    distance: float


def chain_comparison(
    target: gemmi.Structure, model: gemmi.Structure, *, max_dist: float = MAX_DISTANCE
) -> dict[Mode, ChainComparison]:
    """Compare a model with a target in all three modes.

    Parameters
    ----------
    target, model : gemmi.Structure
    max_dist : largest distance of a pair in angstrom

    Returns
    -------
    mode -> scores
        `entire_target` uses all chains of the target, `unique_target` one of each kind (in the stoichiometry of the
        assembly), `default` is the one of the two that finds the larger part, the unique target when they tie.
    """
    target_residues, model_residues = residues(target), residues(model)
    if not target_residues or not model_residues:
        entire, unique = _nothing("Entire_target"), _nothing("Unique_target")
    else:
        total = len(target_residues)
        part = _unique_part(target_residues, model_residues)
        entire = _compare(target_residues, model_residues, max_dist, "Entire_target", total)
        unique = _compare(part, model_residues, max_dist, "Unique_target", total)
    default = entire if entire.found_percent > unique.found_percent else unique
    return {"default": default, "entire_target": entire, "unique_target": unique}


def residues(structure: gemmi.Structure) -> list[Residue]:
    """All residues of ATOM records that have a C-alpha, in file order, all models one after the other.

    Of alternate conformers the one with the highest occupancy of its C-alpha stays, the first if they tie.
    """
    result = []
    for number, model in enumerate(structure):
        for chain in model:
            for group in chain.whole().residue_groups():
                result += [
                    Residue(name, (atom.pos.x, atom.pos.y, atom.pos.z), chain.name, number)
                    for name, atom in _best_conformer(group)
                ]
    return result


def _best_conformer(group: gemmi.ResidueGroup) -> list[tuple[str, gemmi.Atom]]:
    atoms = [
        (residue.name, atom)
        for residue in group
        if residue.het_flag != "H"
        for atom in residue
        if atom.name == "CA" and atom.element != gemmi.Element("Ca")
    ]
    occupancies: dict[str, list[float]] = {}
    for _, atom in atoms:
        if atom.has_altloc():
            occupancies.setdefault(atom.altloc, []).append(atom.occ)
    if not occupancies:
        return atoms
    best = max(occupancies, key=lambda letter: float(np.mean(occupancies[letter])))
    return [(name, atom) for name, atom in atoms if not atom.has_altloc() or atom.altloc == best]


def _unique_part(target: Sequence[Residue], model: Sequence[Residue]) -> list[Residue]:
    """Residues of the chains in the unique part of the target's first model."""
    chains: dict[str, list[Residue]] = {}
    for residue in target:
        if residue.model == 0:
            chains.setdefault(residue.chain, []).append(residue)
    names = {chain: [residue.name for residue in members] for chain, members in chains.items()}
    centres = {chain: _coordinates(members).mean(axis=0) for chain, members in chains.items()}
    chosen = unique_chains(names, centres, _coordinates(model).mean(axis=0))
    return [residue for chain in chosen for residue in chains[chain]]


def _compare(
    target: Sequence[Residue],
    model: Sequence[Residue],
    max_dist: float,
    selected: Literal["Entire_target", "Unique_target"],
    total: int,
) -> ChainComparison:
    pairs = pair_residues(_coordinates(target), _coordinates(model), max_dist)
    directions = chain_directions(pairs)
    length = sum(residue.model == 0 for residue in target) if pairs else 0
    number = len(pairs)
    rmsd = _rmsd(pairs)
    by_direction: dict[Direction, list[Pair]] = {"forward": [], "reverse": [], "mixed": []}
    for pair, direction in zip(pairs, directions, strict=True):
        by_direction[direction].append(pair)
    forward, reverse, mixed = by_direction["forward"], by_direction["reverse"], by_direction["mixed"]
    matches = sum(model[pair.i].name == target[pair.j].name for pair in pairs)
    runs = _count_runs(forward) + _count_runs(reverse)
    return ChainComparison(
        close_rmsd=rmsd,
        close_n=number,
        far_n=len(model) - number,
        forward_n=len(forward),
        forward_rmsd=_rmsd(forward),
        reverse_n=len(reverse),
        reverse_rmsd=_rmsd(reverse),
        mixed_n=len(mixed),
        mixed_rmsd=_rmsd(mixed),
        found_percent=100 * number / max(length, 1),
        seq_match_percent=100 * matches / max(number, 1),
        ca_score=0.0 if rmsd is None else number / (length * max(0.1, rmsd)),
        seq_score=matches / max(length, 1),
        matched_fragments=runs,
        mean_length=number / max(runs, 1),
        fragments=_count_fragments(_coordinates(model)),
        bad_connections=bad_connections([pair.j for pair in pairs]),
        target_length=length,
        total_target=total,
        used_target=len(target),
        total_model=len(model),
        used_model=len(model),
        selected=selected,
    )


def pair_residues(target: FloatArray, model: FloatArray, max_dist: float) -> list[Pair]:
    """Give each model residue, in order, the nearest target residue, or the second nearest if that one is taken.

    A residue whose choice is over `max_dist` away, or taken twice over, has no partner; a later, nearer residue takes
    nothing from an earlier one.

    Parameters
    ----------
    target, model : (J, 3), (I, 3) in angstrom
    """
    if len(target) == 0:
        return []
    distances, nearest = cKDTree(target).query(model, k=2)
    taken: set[int] = set()
    pairs = []
    for i in range(len(model)):
        choice = 1 if nearest[i, 0] in taken else 0
        # The tree answers a missing second neighbour with an infinite distance.
        j, distance = int(nearest[i, choice]), float(distances[i, choice])
        if j not in taken and distance <= max_dist:
            taken.add(j)
            pairs.append(Pair(i, j, distance))
    return pairs


def chain_directions(pairs: Sequence[Pair]) -> list[Direction]:
    """Whether the model follows the target forward or backward at each pair, or jumps.

    A pair is judged against the pair before it; after a jump, and at the start, it is judged against the one
    behind it. There the memory is empty for one pair only: the first after a jump is always mixed.
    """
    directions: list[Direction] = []
    last: Pair | None = None
    for index, pair in enumerate(pairs):
        if last is not None:
            direction = _step(last, pair)
        else:
            direction = _step(pair, pairs[index + 1]) if index + 1 < len(pairs) else "mixed"
        directions.append(direction)
        last = None if direction == "mixed" else pair
    return directions


def _step(first: Pair, second: Pair) -> Direction:
    if second.i != first.i + 1:
        return "mixed"
    if second.j == first.j + 1:
        return "forward"
    return "reverse" if second.j == first.j - 1 else "mixed"


def bad_connections(order: Sequence[int]) -> int:
    """Number of wrong transitions between the pieces of the target that the model visits.

    A piece is a stretch of two or more target residues of steps of +1 (forward) or -1 (reverse). The transition to the
    next piece is wrong when directions differ, or when the next one ends before (forward) or behind (reverse) this one.

    Parameters
    ----------
    order : target residues `j` in the order of the model
    """
    pieces: list[tuple[int, int]] = []  # direction, last j
    start, direction = 0, 0
    for index in range(1, len(order) + 1):
        step = order[index] - order[index - 1] if index < len(order) else 0
        if abs(step) == 1 and direction in (0, step):
            direction = step
            continue
        if index - start > 1:
            pieces.append((direction, order[index - 1]))
        start, direction = index, 0
    return sum(
        direction != next_direction or (end >= next_end if direction == 1 else end < next_end)
        for (direction, end), (next_direction, next_end) in pairwise(pieces)
    )


def _count_runs(pairs: Sequence[Pair]) -> int:
    return bool(pairs) + sum(second.i != first.i + 1 for first, second in pairwise(pairs))


def _count_fragments(xyz: FloatArray) -> int:
    return 1 + int((np.linalg.norm(np.diff(xyz, axis=0), axis=1) > 2 * CA_SPACING).sum())


def _coordinates(members: Sequence[Residue]) -> FloatArray:
    return np.array([residue.xyz for residue in members], dtype=np.float64).reshape(-1, 3)


def _rmsd(pairs: Sequence[Pair]) -> float | None:
    return float(np.sqrt(np.mean([pair.distance**2 for pair in pairs]))) if pairs else None


def _nothing(selected: Literal["Entire_target", "Unique_target"]) -> ChainComparison:
    """What the field's program says when one of the files has no C-alpha."""
    return ChainComparison(
        close_rmsd=0.0,
        close_n=0,
        far_n=0,
        forward_n=0,
        forward_rmsd=0.0,
        reverse_n=0,
        reverse_rmsd=0.0,
        mixed_n=0,
        mixed_rmsd=0.0,
        found_percent=0.0,
        seq_match_percent=0.0,
        ca_score=0.0,
        seq_score=0.0,
        matched_fragments=0,
        mean_length=0.0,
        fragments=None,
        bad_connections=None,
        target_length=0,
        total_target=None,
        used_target=None,
        total_model=None,
        used_model=None,
        selected=selected,
    )


def format_column(value: float | int | str | None) -> str:
    """What stands in a table for a value of a column."""
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
