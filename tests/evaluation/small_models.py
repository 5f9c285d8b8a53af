"""Small models made of places, for the tests of scores."""

from __future__ import annotations

from collections.abc import Callable

import gemmi
import numpy as np


def structure(*residues: tuple[str, int, str, dict[str, np.ndarray]]) -> gemmi.Structure:
    """Chain, number, name and places of the atoms of each residue.

    The element is the first letter of an atom, or, of an ion, the name of the residue.
    """
    model = gemmi.Model(1)
    for name, number, kind, atoms in residues:
        residue = gemmi.Residue()
        residue.name, residue.seqid = kind, gemmi.SeqId(number, " ")
        for title, place in atoms.items():
            atom = gemmi.Atom()
            atom.name, atom.pos = title, gemmi.Position(*place)
            atom.element = gemmi.Element(title if title == kind else title[0])
            residue.add_atom(atom)
        chain = model.find_chain(name) or model.add_chain(name)
        chain.add_residue(residue)
    result = gemmi.Structure()
    result.add_model(model)
    return result


def placed(a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, turn: float) -> np.ndarray:
    """An atom bonded to c, by bond length, bond angle and torsion angle (degrees)."""
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    angle, turn = np.deg2rad([angle, turn])
    aside = np.cos(turn) * np.cross(normal, along) + np.sin(turn) * normal
    return c + length * (np.sin(angle) * aside - np.cos(angle) * along)


def ideal(names: list[str], omega: float = 180.0) -> gemmi.Structure:
    """A strand of Engh and Huber's values (2001) for general residues, with L hands."""
    n, ca = np.zeros(3), np.array([1.459, 0, 0])
    c = placed(np.array([0, 1.0, 0]), n, ca, 1.525, 111.0, -60)
    residues = []
    for number, name in enumerate(names, 1):
        to_n, to_c = (n - ca) / 1.459, (c - ca) / 1.525
        # Equal angles of 110.6 degrees to N and C, on the side of the L hand.
        middle = (to_n + to_c) * np.cos(np.radians(110.6)) / (1 + np.cos(np.radians(111.0)))
        upright = np.cross(to_n, to_c) / np.linalg.norm(np.cross(to_n, to_c))
        beta = ca + 1.532 * (middle + np.sqrt(1 - middle @ middle) * upright)
        oxygen = placed(n, ca, c, 1.229, 120.1, 135 + 180)
        atoms = {"N": n, "CA": ca, "C": c, "O": oxygen, "CB": beta}
        residues.append(("A", number, name, {k: v for k, v in atoms.items() if k != "CB" or name != "GLY"}))
        next_n = placed(n, ca, c, 1.336, 117.2, 135)
        next_ca = placed(ca, c, next_n, 1.459, 121.7, omega)
        n, ca, c = next_n, next_ca, placed(c, next_n, next_ca, 1.525, 111.0, -120)
    return structure(*residues)


def moved(model: gemmi.Structure, change: Callable[[np.ndarray], np.ndarray]) -> gemmi.Structure:
    """A copy with `change` applied to the place of each atom."""
    copy = model.clone()
    for chain in copy[0]:
        for residue in chain:
            for atom in residue:
                atom.pos = gemmi.Position(*change(np.array(atom.pos.tolist())))
    return copy
