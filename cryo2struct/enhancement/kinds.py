"""What a piece of density is likely to be, by simple rules on its size, height and surroundings.

The values were chosen on maps simulated from structures whose ligands are known. The rules name a likely kind for a
reader to look at, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cryo2struct.objects import FloatArray

Kind = Literal["ion or water", "ligand", "sugar or nucleic acid", "lipid belt", "noise"]

FAR = 8.0  # angstrom from the molecule; small density beyond touches nothing
SMALL = 30.0  # angstrom^3 at half height; an ion has 6 at 2 angstrom resolution and 25 at 4
LARGE = 500.0  # angstrom^3; single ligands are smaller
STRONG = 0.9  # of the molecule's strong density, which nucleic acid and sugars reach; lipids are weaker
EXPOSED = 0.2  # of the surroundings; sugars stand away from the protein, ligands are buried in it
NEXT = 8.0  # angstrom; entries with peaks this near may be parts of one thing
SURROUNDINGS = 8.0  # angstrom


@dataclass(frozen=True)
class Shape:
    """What the rules look at.

    Attributes
    ----------
    volume : cubic angstrom at half height
    cluster : volume of all entries of the cluster
    height : of the strong density of the molecule
    cluster_height : mean height of the entries of the cluster, by volume
    buried : share of the surroundings that is molecule
    distance : angstrom to the molecule
    """

    volume: float
    cluster: float
    height: float
    cluster_height: float
    buried: float
    distance: float


def likely_kind(shape: Shape) -> Kind:
    """The first rule that holds."""
    if shape.cluster >= LARGE:
        return "sugar or nucleic acid" if shape.cluster_height >= STRONG else "lipid belt"
    if shape.distance > FAR:
        return "noise"
    if shape.volume <= SMALL:
        return "ion or water"
    return "sugar or nucleic acid" if shape.buried < EXPOSED and shape.height >= STRONG else "ligand"


def clusters_of(peaks: Sequence[FloatArray], volumes: FloatArray, heights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Volume and mean height, by volume, of the cluster of each blob: of what steps of `NEXT` between peaks reach.

    Parameters
    ----------
    peaks : (B,) arrays (P, 3) in angstrom
    volumes, heights : (B,)

    Returns
    -------
    volume, height : (B,)
    """
    if not len(volumes):
        return np.zeros(0), np.zeros(0)
    blob = np.repeat(np.arange(len(peaks)), [len(places) for places in peaks])
    pairs = blob[cKDTree(np.concatenate(peaks)).query_pairs(NEXT, output_type="ndarray")]
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(peaks), len(peaks)))
    _, cluster = connected_components(links, directed=False)
    total = np.bincount(cluster, volumes)
    return total[cluster], (np.bincount(cluster, volumes * heights) / total)[cluster]
