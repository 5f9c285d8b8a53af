"""How like a target a model is, residue by residue: the scores that need to know which residue stands for which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import gemmi
import numpy as np

from cryo2struct.evaluation.lddt import Lddt, lddt
from cryo2struct.evaluation.pairing import Pairing, Residues, pair
from cryo2struct.evaluation.register import (
    Completeness,
    Places,
    Register,
    completeness,
    direction_correct,
    find_places,
    pair_distances,
    register_errors,
)
from cryo2struct.evaluation.superposition import superposition_rmsd
from cryo2struct.evaluation.tm_score import tm_score
from cryo2struct.objects import FloatArray, IntArray

MAIN_CHAIN = frozenset({"N", "CA", "C", "O"})
SAME_FOLD = 0.5  # TM-score of a model that has the fold of the target
ELSEWHERE = 0.2  # share of the target that has a model residue by place; less of it, at such a score: it has been moved


@dataclass(frozen=True)
class ResidueScore:
    """One residue of the target; None where there is nothing to tell.

    Attributes
    ----------
    chain, number, name : of the target; the insertion code follows the number
    model_chain, model_number, model_name : the residue that it is paired with
    ca_distance : angstrom between the two C-alphas, where the model lies
    type_right : whether both are of one amino-acid type
    register_shift : places along the chain by which the model residue is shifted
    lddt : lDDT-CA of the residue
    """

    chain: str
    number: str
    name: str
    model_chain: str | None
    model_number: str | None
    model_name: str | None
    ca_distance: float | None
    type_right: bool | None
    register_shift: int | None
    lddt: float | None

    def as_dict(self) -> dict[str, str | float | None]:
        """The columns by name, in the order of a table."""
        return asdict(self)


@dataclass(frozen=True)
class AgainstTarget:
    """Scores of a model against a target; None where a score is 0 / 0.

    Attributes
    ----------
    tm_score : of all chains together, normalised by the residues of the target
    tm_per_chain : chain of the target -> TM-score of what is mapped on it, normalised by that chain
    chain_mapping : chain of the target -> chain of the model, and others that are pieces of it
    lddt_ca : lDDT of the C-alphas, pooled over all distances
    lddt_ca_mean_of_residues : the same, mean over the residues
    lddt_all_atom : lDDT of all atoms but hydrogen; None where model or target has C-alphas alone
    superposition_rmsd : of all pairs after superposition, in angstrom
    register, direction_correct, completeness : see `register`
    per_residue : one row per residue of the target
    notes : what a reader should know, in sentences
    """

    tm_score: float
    tm_per_chain: dict[str, float]
    chain_mapping: dict[str, list[str]]
    lddt_ca: float | None
    lddt_ca_mean_of_residues: float | None
    lddt_all_atom: float | None
    superposition_rmsd: float | None
    register: Register
    direction_correct: float | None
    completeness: Completeness
    per_residue: tuple[ResidueScore, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The scores by name, as they are written; without the table of residues."""
        return {
            "tm_score": self.tm_score,
            "tm_per_chain": dict(self.tm_per_chain),
            "chain_mapping": {chain: list(names) for chain, names in self.chain_mapping.items()},
            "lddt_ca": self.lddt_ca,
            "lddt_ca_mean_of_residues": self.lddt_ca_mean_of_residues,
            "lddt_all_atom": self.lddt_all_atom,
            "superposition_rmsd": self.superposition_rmsd,
            "register": self.register.as_dict(),
            "direction_correct": self.direction_correct,
            "completeness": self.completeness.as_dict(),
            "notes": list(self.notes),
        }


def against_target(model: gemmi.Structure, target: gemmi.Structure) -> AgainstTarget:
    """Compare a model with a target; the first model of each counts."""
    pairing = pair(model, target)
    places = find_places(pairing)
    by_residue = lddt_ca(pairing)
    # TM-score is defined on the plain alignment of the sequences, as US-align computes it.
    tm_pairs = np.concatenate([pairing.aligned, pairing.place])
    tm_pairs = tm_pairs[np.argsort(tm_pairs[:, 1], kind="stable")]
    whole = _tm_score(pairing, tm_pairs, len(pairing.target))
    complete = completeness(pairing, places)
    pairs = pairing.pairs
    return AgainstTarget(
        tm_score=whole,
        tm_per_chain=_tm_per_chain(pairing, tm_pairs),
        chain_mapping=dict(pairing.chains),
        lddt_ca=by_residue.pooled,
        lddt_ca_mean_of_residues=by_residue.mean,
        lddt_all_atom=lddt_all_atom(pairing),
        superposition_rmsd=superposition_rmsd(pairing.model.xyz[pairs[:, 0]], pairing.target.xyz[pairs[:, 1]]),
        register=register_errors(pairing, places),
        direction_correct=direction_correct(pairing, places),
        completeness=complete,
        per_residue=tuple(_rows(pairing, places, by_residue)),
        notes=tuple(_notes(pairing, whole, complete)),
    )


def lddt_ca(pairing: Pairing) -> Lddt:
    """lDDT of the C-alphas of the target."""
    xyz = np.full((len(pairing.target), 3), np.nan)
    xyz[pairing.pairs[:, 1]] = pairing.model.xyz[pairing.pairs[:, 0]]
    return lddt(xyz, pairing.target.xyz, np.arange(len(pairing.target)))


def lddt_all_atom(pairing: Pairing) -> float | None:
    """lDDT of all atoms of the target but hydrogen, those of the model being found by name.

    Between residues of different type only main-chain atoms correspond.
    """
    if not _has_more_than_ca(pairing.model) or not _has_more_than_ca(pairing.target):
        return None
    partners = dict(pairing.pairs[:, ::-1].tolist())
    model_xyz: list[list[float]] = []
    target_xyz: list[list[float]] = []
    residues: list[int] = []
    missing = [np.nan] * 3
    for j, residue in enumerate(pairing.target.residues):
        atoms = _atoms(residue)
        found = {}
        if j in partners:
            found = _atoms(pairing.model.residues[partners[j]])
            if not _same_type(pairing, partners[j], j):
                found = {name: place for name, place in found.items() if name in MAIN_CHAIN}
        model_xyz += [found.get(name, missing) for name in atoms]
        target_xyz += atoms.values()
        residues += [j] * len(atoms)
    return lddt(np.array(model_xyz), np.array(target_xyz), np.array(residues, dtype=np.int64)).pooled


def _has_more_than_ca(residues: Residues) -> bool:
    return any(len(_atoms(residue)) > 1 for residue in residues.residues)


def _atoms(residue: gemmi.Residue) -> dict[str, list[float]]:
    """Name -> place of the atoms but hydrogen; of alternate conformers the first. MSE has its selenium as SD."""
    places: dict[str, list[float]] = {}
    for atom in residue:
        if not atom.is_hydrogen():
            places.setdefault("SD" if atom.element == gemmi.Element("Se") else atom.name, atom.pos.tolist())
    return places


def _same_type(pairing: Pairing, i: int, j: int) -> bool:
    return bool(pairing.model.points.types[i] == pairing.target.points.types[j] >= 0)


def _tm_score(pairing: Pairing, pairs: IntArray, length: int) -> float:
    return tm_score(pairing.model.xyz[pairs[:, 0]], pairing.target.xyz[pairs[:, 1]], length)


def _tm_per_chain(pairing: Pairing, pairs: IntArray) -> dict[str, float]:
    """Score of each chain of the target by itself."""
    scores = {}
    for chain, members in pairing.target.chains.items():
        scores[chain] = _tm_score(pairing, pairs[np.isin(pairs[:, 1], members)], len(members))
    return scores


def _rows(pairing: Pairing, places: Places, by_residue: Lddt) -> Iterator[ResidueScore]:
    pairs = pairing.pairs
    distances: FloatArray = np.full(len(pairing.target), np.nan)
    distances[pairs[:, 1]] = pair_distances(pairing, pairs)
    partners = dict(pairs[:, ::-1].tolist())
    for j, ((chain, number, insertion), residue) in enumerate(
        zip(pairing.target.keys, pairing.target.residues, strict=True)
    ):
        i = partners.get(j)
        model_chain, model_number, model_insertion = ("", 0, "") if i is None else pairing.model.keys[i]
        yield ResidueScore(
            chain=chain,
            number=f"{number}{insertion}",
            name=residue.name,
            model_chain=None if i is None else model_chain,
            model_number=None if i is None else f"{model_number}{model_insertion}",
            model_name=None if i is None else pairing.model.residues[i].name,
            ca_distance=None if i is None else float(distances[j]),
            type_right=None if i is None else _same_type(pairing, i, j),
            register_shift=None if i is None or not places.judged[i] else int(places.shifts[i]),
            lddt=float(by_residue.atoms[j]) if np.isfinite(by_residue.atoms[j]) else None,
        )


def _notes(pairing: Pairing, whole: float, complete: Completeness) -> Iterator[str]:
    empty = [name for name, side in (("model", pairing.model), ("target", pairing.target)) if not len(side)]
    if empty:
        yield f"no C-alpha in the {' and in the '.join(empty)}: nothing can be compared"
    elif not len(pairing.pairs):
        yield "no chain of the model is like one of the target, and no C-alpha lies within 3 A of one of the target"
    elif not pairing.chains:
        yield "no chain of the model is like one of the target: residues are paired by place"
    elif whole >= SAME_FOLD and (complete.by_place or 0.0) < ELSEWHERE:
        yield "the model lies elsewhere than the target: register, direction and completeness say nothing"
