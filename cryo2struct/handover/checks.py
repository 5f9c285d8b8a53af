"""What would make a refinement program stop, or start from nonsense: looked for before a model is handed over."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.density.sampling import values_at
from cryo2struct.objects import DensityMap

MAIN_CHAIN = ("N", "CA", "C", "O")
BONDS = (("N", "CA", 1.46), ("CA", "C", 1.53), ("C", "O", 1.23))
BOND_TOLERANCE = 0.3  # angstrom
PEPTIDE = (1.0, 1.7)  # angstrom; C-N of residues that are bonded
BREAK = 2.5  # angstrom; beyond it refinement programs see the end of a segment
OVERLAP = 1.0  # angstrom; C-alphas of two chains nearer than this are in one place
OVERLAP_SHARE = 0.1  # of a chain's residues


def find_faults(structure: gemmi.Structure, density: DensityMap | None = None) -> list[str]:
    """Everything wrong with the first model of a structure, one line for each kind of fault in each chain.

    Looked for: coordinates that are no numbers, residues without N, CA, C or O, residues or atoms that occur twice,
    bonds inside a residue that are off by more than 0.3 A, peptide bonds of 1.7 to 2.5 A, chains in one place, and,
    with a map, atoms that are not in its density.
    """
    faults = []
    for chain in structure[0]:
        faults += [f"chain {chain.name}: {line}" for line in _faults_of_chain(chain)]
    doubled = [name for name, count in Counter(chain.name for chain in structure[0]).items() if count > 1]
    faults += [f"chain {name}: occurs twice" for name in doubled]
    faults += _overlaps(structure[0])
    if density is not None and not faults:
        faults += _misplaced(structure[0], density)
    return faults


def _listed(what: str, residues: list[str]) -> list[str]:
    """One line that names at most five residues; none without residues."""
    if not residues:
        return []
    more = f" and {len(residues) - 5} more" if len(residues) > 5 else ""
    return [f"{what}: {', '.join(residues[:5])}{more}"]


def _faults_of_chain(chain: gemmi.Chain) -> list[str]:
    no_numbers, incomplete, strained = [], [], []
    names = Counter(str(residue.seqid) for residue in chain)
    repeated = [name for name, count in names.items() if count > 1]
    for residue in chain:
        label = f"{residue.name} {residue.seqid}"
        points = {atom.name: np.array(atom.pos.tolist()) for atom in residue}
        if len(points) < len(residue):
            repeated.append(label)
        if not all(np.isfinite(point).all() for point in points.values()):
            no_numbers.append(label)
        elif any(name not in points for name in MAIN_CHAIN):
            incomplete.append(label)
        elif any(abs(np.linalg.norm(points[a] - points[b]) - ideal) > BOND_TOLERANCE for a, b, ideal in BONDS):
            strained.append(label)
    return [
        *_listed("coordinates that are no numbers", no_numbers),
        *_listed("main-chain atoms missing", incomplete),
        *_listed("labels that occur twice", repeated),
        *_listed("bonds broken inside a residue", strained),
        *_listed("peptide bonds broken inside a segment", _strained_peptides(chain)),
    ]


def peptide_bond(before: gemmi.Residue, after: gemmi.Residue) -> float:
    """Length C-N in angstrom; infinite where the numbers do not follow or an atom is missing."""
    c, n = before.find_atom("C", "*"), after.find_atom("N", "*")
    if c is None or n is None or (after.seqid.num or 0) != (before.seqid.num or 0) + 1:
        return float("inf")
    return c.pos.dist(n.pos)


def _strained_peptides(chain: gemmi.Chain) -> list[str]:
    strained = []
    for before, after in pairwise(chain):
        length = peptide_bond(before, after)
        if length < BREAK and not PEPTIDE[0] <= length <= PEPTIDE[1]:
            strained.append(f"{before.name} {before.seqid} - {after.name} {after.seqid} ({length:.2f} A)")
    return strained


def _overlaps(model: gemmi.Model) -> list[str]:
    chains = {}
    for chain in model:
        alphas = [atom.pos.tolist() for r in chain if (atom := r.find_atom("CA", "*")) is not None]
        if alphas and np.isfinite(alphas).all():
            chains[chain.name] = cKDTree(alphas)
    faults = []
    names = list(chains)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            near = sum(map(bool, chains[one].query_ball_tree(chains[other], OVERLAP)))
            if near > OVERLAP_SHARE * min(chains[one].n, chains[other].n):
                faults.append(f"chains {one} and {other}: {near} residues lie in one place")
    return faults


def _misplaced(model: gemmi.Model, density: DensityMap) -> list[str]:
    xyz = np.array([site.atom.pos.tolist() for site in model.all()]).reshape(-1, 3)
    at_atoms, everywhere = float(values_at(density, xyz).mean()), float(density.values.mean())
    if at_atoms <= everywhere:
        return [f"the mean density at the atoms ({at_atoms:.3g}) is not above that of the box ({everywhere:.3g})"]
    return []
