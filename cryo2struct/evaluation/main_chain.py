"""Main chain of a model as arrays: places, links and torsion angles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryo2struct.dssp import backbone_of
from cryo2struct.evaluation.ca import ResidueKey
from cryo2struct.objects import BACKBONE_ATOMS, FloatArray
from cryo2struct.residues import modelled_residues

N, CA, C, O, CB = range(5)  # noqa: E741  (oxygen)


@dataclass(frozen=True)
class MainChain:
    """One row for each residue of the first model that has a C-alpha, in the order of the file.

    Attributes
    ----------
    residues : chain, number and insertion code
    names : residue names
    xyz : (R, 5, 3) angstrom; `BACKBONE_ATOMS`, NaN where there is none
    linked : (R,) bonded to the row before by a peptide bond
    follows : (R,) next to the row before in the chain: linked, or of the next number (or insertion code)
    mirrored : (R,) D-amino acids by their names
    """

    residues: tuple[ResidueKey, ...]
    names: tuple[str, ...]
    xyz: FloatArray
    linked: NDArray[np.bool_]
    follows: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.residues)

    def named(self, *names: str) -> NDArray[np.bool_]:
        """(R,) residues of these names."""
        return np.array([name in names for name in self.names], dtype=np.bool_)

    @cached_property
    def before(self) -> FloatArray:
        """(R, 5, 3) atoms of the residue that each is linked to on the side of its N, NaN without one."""
        return _where(self.linked, np.roll(self.xyz, 1, axis=0))

    @cached_property
    def after(self) -> FloatArray:
        """(R, 5, 3) atoms of the residue that each is linked to on the side of its C, NaN without one."""
        return _where(np.roll(self.linked, -1), np.roll(self.xyz, -1, axis=0))

    @cached_property
    def phi(self) -> FloatArray:
        """(R,) torsion C-N-CA-C in degrees, NaN where an atom is missing, as of the others."""
        return torsion(self.before[:, C], self.xyz[:, N], self.xyz[:, CA], self.xyz[:, C])

    @cached_property
    def psi(self) -> FloatArray:
        """(R,) torsion N-CA-C-N."""
        return torsion(self.xyz[:, N], self.xyz[:, CA], self.xyz[:, C], self.after[:, N])

    @cached_property
    def omega(self) -> FloatArray:
        """(R,) torsion CA-C-N-CA of the peptide bond to the residue before."""
        return torsion(self.before[:, CA], self.before[:, C], self.xyz[:, N], self.xyz[:, CA])


def main_chain(structure: gemmi.Structure) -> MainChain:
    """Main chain of a structure; of alternate conformers the one whose C-alpha counts, see `ca_points`."""
    residues = modelled_residues(structure) if len(structure) else []
    number = len(residues)
    keys = tuple((chain, int(residue.seqid.num or 0), residue.seqid.icode.strip()) for chain, residue, _ in residues)
    xyz = np.full((number, len(BACKBONE_ATOMS), 3), np.nan)
    linked, follows = np.zeros(number, dtype=np.bool_), np.zeros(number, dtype=np.bool_)
    if residues:
        backbone = backbone_of(structure)
        xyz[:, :CB], linked = backbone.xyz, backbone.linked
    for row, (_, residue, alpha) in enumerate(residues):
        beta = residue.find_atom("CB", alpha.altloc) or residue.find_atom("CB", "*")
        if beta is not None:
            xyz[row, CB] = beta.pos.tolist()
        if row:
            follows[row] = linked[row] or _next_in_number(keys[row - 1], keys[row])
    kinds = [gemmi.find_tabulated_residue(residue.name).kind for _, residue, _ in residues]
    mirrored = np.array([kind == gemmi.ResidueKind.AAD for kind in kinds], dtype=np.bool_)
    return MainChain(keys, tuple(residue.name for _, residue, _ in residues), xyz, linked, follows, mirrored)


def torsion(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Torsion angles (R,) of four atoms (R, 3) in degrees, -180 to 180 (IUPAC sign)."""
    axis = c - b
    one, other = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = np.linalg.norm(axis, axis=-1) * ((b - a) * other).sum(axis=-1)
    return np.asarray(np.degrees(np.arctan2(sine, (one * other).sum(axis=-1))))


def _next_in_number(first: ResidueKey, second: ResidueKey) -> bool:
    same_chain, step = first[0] == second[0], second[1] - first[1]
    return same_chain and (step == 1 or (step == 0 and first[2] != second[2]))


def _where(chosen: NDArray[np.bool_], xyz: FloatArray) -> FloatArray:
    return np.asarray(np.where(chosen[:, None, None], xyz, np.nan))
