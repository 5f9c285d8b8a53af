"""Geometry of a model: what is unlikely in it whatever the map says."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryo2struct.evaluation.clashes import Clashes, find_clashes
from cryo2struct.evaluation.covalent import (
    OUTLIER_BETA,
    Deviations,
    angle_deviations,
    beta_deviation,
    bond_deviations,
)
from cryo2struct.evaluation.main_chain import CA, CB, C, MainChain, N, main_chain
from cryo2struct.evaluation.ramachandran import (
    CLASSES,
    REGIONS,
    percentages,
    ramachandran_classes,
    ramachandran_regions,
)
from cryo2struct.objects import FloatArray, IntArray

CA_CA_TRANS, CA_CA_CIS = 3.8, 2.9  # angstrom
CA_CA_TOLERANCE = 0.2  # angstrom
CIS, TRANS = 30.0, 150.0  # degrees of omega; between them a peptide is twisted

Block = dict[str, float | int | None]


@dataclass(frozen=True)
class Geometry:
    """Geometry of the first model of a structure; arrays have a row for each residue with a C-alpha.

    Attributes
    ----------
    chain : MainChain
    ramachandran_class : (R,) index into `ramachandran.CLASSES`
    ramachandran_region : (R,) index into `ramachandran.REGIONS`, -1 without phi or psi
    ca_distance : (R,) angstrom from the C-alpha of the residue before, NaN where there is none in the chain
    ca_outlier : (R,) that distance is not within 0.2 of 3.8, nor, for a cis peptide, of 2.9 angstrom
    beta_deviation : (R,) angstrom, NaN where there is none
    handed : (R,) whether the hand at the C-alpha can be told: N, C and C-beta are there
    wrong_hand : (R,) D where the name says L, or the reverse
    clashes : Clashes
    bonds, angles : deviations of the main chain from ideal values
    notes : what could not be judged
    """

    chain: MainChain
    ramachandran_class: IntArray
    ramachandran_region: IntArray
    ca_distance: FloatArray
    ca_outlier: NDArray[np.bool_]
    beta_deviation: FloatArray
    handed: NDArray[np.bool_]
    wrong_hand: NDArray[np.bool_]
    clashes: Clashes
    bonds: Deviations
    angles: Deviations
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Block | list[str]]:
        """Counts and means by name; a score of nothing is None."""
        distances = self.ca_distance[np.isfinite(self.ca_distance)]
        omega = np.abs(self.chain.omega)
        proline = self.chain.named("PRO")
        betas = self.beta_deviation[np.isfinite(self.beta_deviation)]
        return {
            "ca_ca": {
                "n": len(distances),
                "mean": float(distances.mean()) if len(distances) else None,
                "sd": float(distances.std()) if len(distances) else None,
                "outliers": int(self.ca_outlier.sum()),
            },
            "ramachandran": percentages(self.ramachandran_region),
            "clashes": {
                "n_atoms": self.clashes.n_atoms,
                "n": len(self.clashes.pairs),
                "per_1000_atoms": self.clashes.per_1000_atoms,
            },
            "chirality": {"n": int(self.handed.sum()), "wrong": int(self.wrong_hand.sum())},
            "omega": {
                "n": int(np.isfinite(omega).sum()),
                "cis_proline": int((proline & (omega < CIS)).sum()),
                "cis_other": int((~proline & (omega < CIS)).sum()),
                "twisted": int(((omega >= CIS) & (omega <= TRANS)).sum()),
            },
            "cb_deviation": {
                "n": len(betas),
                "mean": float(betas.mean()) if len(betas) else None,
                "outliers": int((betas >= OUTLIER_BETA).sum()),
            },
            "bonds": asdict(self.bonds),
            "angles": asdict(self.angles),
            "notes": list(self.notes),
        }

    def per_residue(self) -> list[dict[str, str | int | float | None]]:
        """One row for each residue; None where a value is missing."""
        columns = {
            "phi": self.chain.phi,
            "psi": self.chain.psi,
            "omega": self.chain.omega,
            "ca_distance": self.ca_distance,
            "cb_deviation": self.beta_deviation,
        }
        rows: list[dict[str, str | int | float | None]] = []
        for row, (chain, number, code) in enumerate(self.chain.residues):
            values = {title: float(array[row]) if np.isfinite(array[row]) else None for title, array in columns.items()}
            region = int(self.ramachandran_region[row])
            rows.append(
                {
                    "chain": chain,
                    "number": number,
                    "insertion_code": code,
                    "residue": self.chain.names[row],
                    **values,
                    "ramachandran_class": CLASSES[self.ramachandran_class[row]] if region >= 0 else None,
                    "ramachandran": REGIONS[region] if region >= 0 else None,
                    "wrong_hand": bool(self.wrong_hand[row]) if self.handed[row] else None,
                }
            )
        return rows


def geometry(structure: gemmi.Structure) -> Geometry:
    """Geometry of a structure, by its own atoms alone.

    Two residues are linked where C and N are nearer than 2.5 angstrom. Distances of C-alphas are taken between these
    and, so that broken links and models of C-alphas alone are judged, between residues that follow in number.

    Parameters
    ----------
    structure : gemmi.Structure
        Its first model; hydrogens and all but the first of alternate conformers are left out.
    """
    chain = main_chain(structure)
    classes = ramachandran_classes(chain)
    distance = np.linalg.norm(chain.xyz[:, CA] - np.roll(chain.xyz[:, CA], 1, axis=0), axis=1)
    distance = np.where(chain.follows, distance, np.nan)
    n, ca, c, beta = (chain.xyz[:, atom] for atom in (N, CA, C, CB))
    volume = ((n - ca) * np.cross(c - ca, beta - ca)).sum(axis=1)
    handed = np.isfinite(volume) & ~chain.named("GLY")
    return Geometry(
        chain,
        classes,
        ramachandran_regions(classes, chain.phi, chain.psi),
        distance,
        _unlikely(distance, chain),
        beta_deviation(chain),
        handed,
        handed & ((volume < 0) != chain.mirrored),
        find_clashes(structure),
        bond_deviations(chain),
        angle_deviations(chain),
        tuple(_notes(chain)),
    )


def _unlikely(distance: FloatArray, chain: MainChain) -> NDArray[np.bool_]:
    """Distances (R,) of C-alphas that no peptide has; where omega is not known, a proline may be cis."""
    cis = np.where(np.isfinite(chain.omega), np.abs(chain.omega) < CIS, chain.named("PRO"))
    good = np.abs(distance - CA_CA_TRANS) <= CA_CA_TOLERANCE
    good |= cis & (np.abs(distance - CA_CA_CIS) <= CA_CA_TOLERANCE)
    return np.isfinite(distance) & ~good


def _notes(chain: MainChain) -> list[str]:
    if not len(chain):
        return ["the model has no C-alpha atoms"]
    missing = int(np.isnan(chain.xyz[:, [N, C]]).any(axis=(1, 2)).sum())
    if missing:
        return [f"{missing} of {len(chain)} residues lack N or C: they have no torsion angles"]
    return []
