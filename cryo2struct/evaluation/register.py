"""Whether a model has its residues at the places of the target: register, direction and completeness.

All is judged where the model lies; nothing is superposed. The place of a model residue is the residue of the target
that its C-alpha is paired with, one to one, closest first, up to 3 angstrom.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from cryo2struct.evaluation.ca import pair_points
from cryo2struct.evaluation.pairing import REACH, Pairing
from cryo2struct.objects import FloatArray, IntArray

LISTED = 10  # shifted stretches


@dataclass(frozen=True)
class Stretch:
    """Residues of the model, one after the other, that are shifted alike.

    Attributes
    ----------
    chain : chain of the target
    model_chain : chain of the model
    first, last : numbers of the residues in the model, with insertion codes
    length : residues
    shift : places along the chain of the target, among its residues with C-alpha; positive towards its end
    """

    chain: str
    model_chain: str
    first: str
    last: str
    length: int
    shift: int


@dataclass(frozen=True)
class Register:
    """Register of the model residues that have a partner by sequence and a place in the same chain of the target.

    Attributes
    ----------
    judged : their number
    shifted : those whose place is that of another residue
    shifted_fraction : shifted / judged, None without judged ones
    stretches : the longest shifted stretches, at most ten
    """

    judged: int
    shifted: int
    shifted_fraction: float | None
    stretches: tuple[Stretch, ...]

    def as_dict(self) -> dict[str, object]:
        """The values by name; stretches as a list."""
        return {**asdict(self), "stretches": [asdict(stretch) for stretch in self.stretches]}


@dataclass(frozen=True)
class Completeness:
    """Shares of the residues of the target; None of a target without C-alpha.

    Attributes
    ----------
    by_sequence : whose partner by sequence lies within 3 angstrom
    by_place : that are the place of a model residue, whichever it is
    """

    by_sequence: float | None
    by_place: float | None

    def as_dict(self) -> dict[str, float | None]:
        """The shares by name."""
        return asdict(self)


@dataclass(frozen=True)
class Places:
    """What `register_errors` and the others work on, made once by `find_places`.

    Attributes
    ----------
    of_model : (M,) place of each model residue: a residue of the target, -1 for none
    shifts : (M,) from the partner by sequence to the place, along the chain of the target
    judged : (M,) where both are there and of one chain
    """

    of_model: IntArray
    shifts: IntArray
    judged: NDArray[np.bool_]


def find_places(pairing: Pairing) -> Places:
    """Places and shifts of all residues."""
    near, _ = pair_points(pairing.model.points, pairing.target.points, REACH)
    of_model = np.full(len(pairing.model), -1, dtype=np.int64)
    of_model[near[:, 0]] = near[:, 1]
    chain_of = np.empty(len(pairing.target), dtype=np.int64)
    position = np.empty(len(pairing.target), dtype=np.int64)
    for number, members in enumerate(pairing.target.chains.values()):
        chain_of[members], position[members] = number, np.arange(len(members))
    shifts = np.zeros(len(pairing.model), dtype=np.int64)
    judged = np.zeros(len(pairing.model), dtype=np.bool_)
    i, j = pairing.sequence.T
    same = (of_model[i] >= 0) & (chain_of[of_model[i]] == chain_of[j])
    i, j = i[same], j[same]
    judged[i], shifts[i] = True, position[of_model[i]] - position[j]
    return Places(of_model, shifts, judged)


def register_errors(pairing: Pairing, places: Places) -> Register:
    """Count shifted residues and find the longest stretches of them."""
    judged = int(places.judged.sum())
    shifted = int(np.count_nonzero(places.shifts))
    stretches = [
        stretch
        for chain, model_chains in pairing.chains.items()
        for model_chain in model_chains
        for stretch in _stretches(pairing, places, chain, model_chain)
    ]
    stretches.sort(key=lambda stretch: -stretch.length)
    return Register(judged, shifted, shifted / judged if judged else None, tuple(stretches[:LISTED]))


def _stretches(pairing: Pairing, places: Places, chain: str, model_chain: str) -> list[Stretch]:
    """Shifted stretches of one chain of the model: runs of residues next to one another in its file."""
    members = pairing.model.chains[model_chain].tolist()
    runs = [(shift, list(run)) for shift, run in groupby(members, key=lambda residue: int(places.shifts[residue]))]
    return [
        Stretch(chain, model_chain, _number(pairing, run[0]), _number(pairing, run[-1]), len(run), shift)
        for shift, run in runs
        if shift
    ]


def _number(pairing: Pairing, residue: int) -> str:
    _, number, insertion = pairing.model.keys[residue]
    return f"{number}{insertion}"


def direction_correct(pairing: Pairing, places: Places) -> float | None:
    """Share of the steps of the model, between places next to one another in the target, that go forward."""
    following = {
        first: second for members in pairing.target.chains.values() for first, second in pairwise(members.tolist())
    }
    forward = reverse = 0
    for members in pairing.model.chains.values():
        for first, second in pairwise(places.of_model[members].tolist()):
            if first >= 0 and second >= 0:
                forward += following.get(first) == second
                reverse += following.get(second) == first
    return forward / (forward + reverse) if forward + reverse else None


def completeness(pairing: Pairing, places: Places) -> Completeness:
    """How much of the target is there."""
    number = len(pairing.target)
    if not number:
        return Completeness(None, None)
    near = int((pair_distances(pairing, pairing.sequence) <= REACH).sum())
    return Completeness(near / number, int((places.of_model >= 0).sum()) / number)


def pair_distances(pairing: Pairing, pairs: IntArray) -> FloatArray:
    """Distances (P,) in angstrom of the C-alphas of pairs, where the model lies."""
    return np.linalg.norm(pairing.model.xyz[pairs[:, 0]] - pairing.target.xyz[pairs[:, 1]], axis=1)
