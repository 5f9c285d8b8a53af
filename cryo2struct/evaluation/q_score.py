"""Q-score: how much the density around each atom looks like a Gaussian.

Pintilie et al. 2020, Nature Methods 17, 328-334; details as in the program mapq (version of January 2025). Around each
atom, spheres of 0.1 to 2 angstrom are sampled at 8 points or a few more that no other atom is near to. Q is the
correlation about the means of the map there and of a Gaussian of the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.density.sampling import values_at
from cryo2struct.evaluation.atoms import AtomClass, class_of, residues_of
from cryo2struct.evaluation.ca import ResidueKey
from cryo2struct.objects import DensityMap, FloatArray, IntArray

SIGMA = 0.6  # angstrom; mapq's default. Validation reports of the EMDB use 0.4
RADII = 0.1 * np.arange(1, 21)  # angstrom
POINTS = 8  # wanted on each sphere
MOST_TRIED = 106  # points on a sphere of which at least POINTS have to be free
NEAR = 0.9  # of the radius; a point nearer than this to any atom is not free
FLAT = 1e-12  # of the map's variance; less around an atom is none
WORK = 50_000  # neighbours handled at a time


@dataclass(frozen=True)
class QScores:
    """Q of each atom but hydrogen of a model, in the order of the file, and means of it.

    Attributes
    ----------
    sigma : width of the reference Gaussian in angstrom
    values : (A,) from -1 to 1; 0 where the density is constant, as it is outside the map
    names : (A,) atom names
    classes : (A,) what each atom belongs to
    residue_of : (A,) index into `residues`
    residues : chain, number and insertion code of each residue
    notes : what a reader of the numbers has to know
    """

    sigma: float
    values: FloatArray
    names: tuple[str, ...]
    classes: tuple[AtomClass, ...]
    residue_of: IntArray
    residues: tuple[ResidueKey, ...]
    notes: tuple[str, ...] = ()

    @property
    def mean_q(self) -> float | None:
        """Mean over all atoms, None without atoms."""
        return float(self.values.mean()) if len(self.values) else None

    @property
    def per_residue(self) -> FloatArray:
        """(R,) mean over the atoms of each residue."""
        totals = np.bincount(self.residue_of, self.values, minlength=len(self.residues))
        return np.asarray(totals / np.bincount(self.residue_of, minlength=len(self.residues)))

    @property
    def per_chain(self) -> dict[str, float]:
        """Mean over the atoms of each chain."""
        return self._means([self.residues[index][0] for index in self.residue_of])

    @property
    def per_class(self) -> dict[str, float]:
        """Mean over the atoms of each class that there is."""
        return self._means(self.classes)

    def as_dict(self) -> dict[str, float | dict[str, float] | list[str] | None]:
        """Means by name; those of single residues and atoms are left to the attributes."""
        return {
            "mean_q": self.mean_q,
            "sigma": self.sigma,
            "per_chain": self.per_chain,
            "per_class": self.per_class,
            "notes": list(self.notes),
        }

    def _means(self, labels: list[str] | tuple[AtomClass, ...]) -> dict[str, float]:
        array = np.array(labels, dtype=object)
        return {str(label): float(self.values[array == label].mean()) for label in dict.fromkeys(labels)}


def q_scores(structure: gemmi.Structure, density: DensityMap, sigma: float = SIGMA) -> QScores:
    """Q of the atoms of a structure in a map.

    Parameters
    ----------
    structure : gemmi.Structure
        Its first model, the first of alternate conformers; waters and ions count, hydrogens do not.
    density : DensityMap
        Interpolated between its voxels (trilinear); 0 outside.
    sigma : width of the reference Gaussian in angstrom
    """
    places: list[list[float]] = []
    names: list[str] = []
    classes: list[AtomClass] = []
    rows: list[int] = []
    residues: list[ResidueKey] = []
    for chain, residue, atoms in residues_of(structure):
        for name, atom in atoms.items():
            places.append(atom.pos.tolist())
            names.append(name)
            classes.append(class_of(residue, atoms, name))
            rows.append(len(residues))
        residues.append((chain, int(residue.seqid.num or 0), residue.seqid.icode.strip()))
    xyz = np.array(places, dtype=np.float64).reshape(-1, 3)
    values = _of_atoms(xyz, density, sigma)
    notes = tuple(_notes(xyz, density))
    return QScores(sigma, values, tuple(names), tuple(classes), np.array(rows, dtype=np.int64), tuple(residues), notes)


@cache
def sphere(number: int) -> FloatArray:
    """Unit vectors (number, 3) on a spiral from pole to pole (Rakhmanov et al. 1994, Math. Res. Lett. 1, 647-662)."""
    height = -1 + 2 * np.arange(number) / (number - 1)
    radius = np.sqrt(1 - height**2)
    turn = np.zeros(number)
    turn[1:-1] = np.cumsum(3.6 / (np.sqrt(number) * radius[1:-1]))
    return np.column_stack([radius * np.cos(turn), radius * np.sin(turn), height])


def _notes(xyz: FloatArray, density: DensityMap) -> list[str]:
    if not len(xyz):
        return ["the model has no atoms"]
    if float(np.ptp(density.values)) == 0:
        return ["the map is constant: Q is 0 everywhere"]
    index = density.frame.to_index(xyz)
    outside = int(((index < 0) | (index > np.array(density.frame.shape) - 1)).any(axis=1).sum())
    return [f"{outside} of {len(xyz)} atoms are outside the map, which is 0 there"] if outside else []


def _of_atoms(xyz: FloatArray, density: DensityMap, sigma: float) -> FloatArray:
    """Q (A,) of atoms at `xyz` (A, 3)."""
    result = np.zeros(len(xyz))
    variance = float(density.values.var(dtype=np.float64))
    if not len(xyz) or variance == 0:
        return result
    tree = cKDTree(xyz)
    reach = (1 + NEAR) * RADII[-1]
    most = int(tree.query_ball_point(xyz, reach, return_length=True).max())
    step = max(WORK // most, 1)
    for start in range(0, len(xyz), step):
        rows = slice(start, start + step)
        distance, index = tree.query(xyz[rows], k=np.arange(1, most + 1), distance_upper_bound=reach)
        # The places of missing neighbours do not matter: they are infinitely far.
        vectors = xyz[np.minimum(index, len(xyz) - 1)] - xyz[rows, None]
        result[rows] = _Chunk(xyz[rows], vectors, distance, density).correlation(sigma, FLAT * variance)
    return result


class _Chunk:
    """Some atoms (A,), the `vectors` (A, K, 3) and `distance` (A, K) to their neighbours, nearest first.

    Each atom is a neighbour of itself, which is never near to its own points.
    """

    def __init__(self, xyz: FloatArray, vectors: FloatArray, distance: FloatArray, density: DensityMap) -> None:
        self.xyz, self.vectors, self.distance, self.density = xyz, vectors, distance, density

    def correlation(self, sigma: float, flat: float) -> FloatArray:
        """Q (A,); 0 where the variance of the map is `flat` or less."""
        atoms = np.arange(len(self.xyz))
        at_atoms = values_at(self.density, self.xyz)
        centre = np.repeat(atoms, POINTS), np.repeat(at_atoms, POINTS), np.ones(POINTS * len(atoms))
        samples: list[tuple[IntArray, FloatArray, FloatArray]] = [centre]
        for radius in RADII:
            height = float(np.exp(-(radius**2) / (2 * sigma**2)))
            for rows, directions in self._free_points(float(radius)):
                values = values_at(self.density, self.xyz[rows] + radius * directions)
                samples.append((rows, values, np.full(len(rows), height)))
        rows, values, reference = (np.concatenate(part) for part in zip(*samples, strict=True))
        number = np.bincount(rows)

        def about_mean(samples: FloatArray) -> FloatArray:
            return np.asarray(samples - (np.bincount(rows, samples) / number)[rows])

        values, reference = about_mean(values), about_mean(reference)
        own, cross = np.bincount(rows, values**2), np.bincount(rows, values * reference)
        norm = np.sqrt(own * np.bincount(rows, reference**2))
        return np.divide(cross, norm, out=np.zeros(len(norm)), where=(own > flat * number) & (norm > 0))

    def _free_points(self, radius: float) -> list[tuple[IntArray, FloatArray]]:
        """Atoms (P,) and directions (P, 3) of the points of the sphere that enter, in parts; none where it is full."""
        # |radius * direction - vector| < NEAR * radius  <=>  direction . vector > limit
        limit = ((1 - NEAR**2) * radius**2 + self.distance**2) / (2 * radius)
        near = int((self.distance < (1 + NEAR) * radius).sum(axis=1).max())
        pending = np.arange(len(self.xyz))
        found = []
        for number in range(POINTS, MOST_TRIED + 1, 2):
            directions = sphere(number)
            free = _free(self.vectors[pending, :near], limit[pending, :near], directions)
            done = free.sum(axis=1) >= POINTS
            rows, columns = np.nonzero(free[done])
            found.append((pending[done][rows], directions[columns]))
            pending = pending[~done]
            if not len(pending):
                break
        return found


def _free(vectors: FloatArray, limit: FloatArray, directions: FloatArray) -> NDArray[np.bool_]:
    """Which of N directions (N, 3) no neighbour of each atom (A, K, 3) lies along further than its limit (A, K)."""
    along = vectors.reshape(-1, 3) @ directions.T
    blocked = along.reshape(*limit.shape, -1) > limit[..., None]
    return np.asarray(~blocked.any(axis=1))
