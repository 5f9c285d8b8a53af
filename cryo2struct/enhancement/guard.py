"""What an enhancement took away from a map, and what it added.

Networks that enhance maps are trained on proteins and weaken what is rare: ligands, ions, waters, lipids. Here the
enhanced map is brought to the scale of its original and each connected blob is listed of which at most half is left,
and each that was not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo2struct.density.normalise import background
from cryo2struct.enhancement.blobs import Blobs, blobs
from cryo2struct.enhancement.kinds import SURROUNDINGS, Kind, Shape, clusters_of, likely_kind
from cryo2struct.enhancement.matching import MOLECULE, Matched, matched
from cryo2struct.objects import DensityMap, FloatArray

LEFT = 0.5  # share of the original density; where more is left, nothing was removed
SIGMAS = 4.5  # of what the maps differ by anyway; smaller differences are not listed
LEAST_HEIGHT = 0.1  # of the strong density of the molecule; smaller differences are not listed
LEAST_VOLUME = 4.0  # angstrom^3 at half height; at 2 angstrom resolution an ion has 6
LEAST_MOLECULE = 300.0  # angstrom^3, two residues
HEADINGS = ("change", "likely kind", "sigmas", "left %", "volume A^3", "elongation", "x y z", "nearest residue")


@dataclass(frozen=True)
class Residues:
    """Built residues (R,) that entries are placed by.

    Attributes
    ----------
    names : (R,) as they are shown, e.g. "A 12"
    xyz : (R, 3) angstrom
    """

    names: Sequence[str]
    xyz: FloatArray


@dataclass(frozen=True)
class Entry:
    """A connected blob of density that one of two maps lacks.

    Attributes
    ----------
    kind : what it is likely to be
    xyz : x, y, z of its highest value in angstrom
    peaks : x, y, z of all its peaks, the highest first; a chain or a belt has many
    sigmas : height of the original there over its noise, None where there is no noise to see
    height : of the map that has it, of the strong density of the molecule
    left : share of that which the other map has there, 0 to 0.5
    volume : cubic angstrom at half height
    cluster, cluster_height : volume and mean height of the entries that follow each other with peaks at most 8
        angstrom apart
    elongation : longest over middle width, 1 for a ball
    distance : angstrom to the molecule
    buried : share of the 8 angstrom around it that are filled with molecule
    residue : nearest built residue, None when there are none
    residue_distance : angstrom to it
    """

    kind: Kind
    xyz: tuple[float, float, float]
    peaks: tuple[tuple[float, ...], ...]
    sigmas: float | None
    height: float
    left: float
    volume: float
    cluster: float
    cluster_height: float
    elongation: float
    distance: float
    buried: float
    residue: str | None = None
    residue_distance: float | None = None


@dataclass(frozen=True)
class Guard:
    """The list of an enhancement.

    Attributes
    ----------
    removed, invented : entries, the highest first
    removed_blobs : (z, y, x) 1-based number of the entry of `removed` each voxel belongs to, 0 for none
    difference : original less enhanced map at the scale of the original
    notes : what a reader of the list has to know
    """

    removed: tuple[Entry, ...]
    invented: tuple[Entry, ...]
    removed_blobs: NDArray[np.int32]
    difference: DensityMap
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, for JSON; the difference map is left to the attribute."""
        lists = {name: [asdict(entry) for entry in getattr(self, name)] for name in ("removed", "invented")}
        return {**lists, "notes": list(self.notes)}

    def table(self) -> list[tuple[str, ...]]:
        """Lines of cells to print, the headings first."""
        lists = (("removed", self.removed), ("invented", self.invented))
        return [HEADINGS, *((name, *_cells(entry)) for name, entries in lists for entry in entries)]


def guard(original: DensityMap, enhanced: DensityMap, residues: Residues | None = None) -> Guard:
    """List what an enhancement removed or weakened by half or more, and what it invented.

    Parameters
    ----------
    original, enhanced : DensityMap
        On one grid.
    residues : Residues, optional
        Built residues, to name the nearest one of each entry.

    Raises
    ------
    InputError
        The grids differ, or one of the maps is constant.
    """
    both = matched(original, enhanced)
    frame = original.frame
    least = max(SIGMAS * both.noise, LEAST_HEIGHT * both.strong)
    difference = both.original - both.enhanced
    removed = blobs(_lost(both.original, both.enhanced), least, frame).of_volume(LEAST_VOLUME)
    invented = blobs(_lost(both.enhanced, both.original), least, frame).of_volume(LEAST_VOLUME)
    listed = _Lister(both, original, residues)
    notes = (
        () if listed.ground.sigma > 0 else ("the original has no noise around the molecule: heights are not in sigmas",)
    )
    return Guard(
        removed=listed.entries(removed, both.original, both.enhanced),
        invented=listed.entries(invented, both.enhanced, both.original),
        removed_blobs=removed.labels,
        difference=DensityMap(np.asarray(difference, dtype=np.float32), frame, original.header),
        notes=notes,
    )


def _lost(having: FloatArray, lacking: FloatArray) -> FloatArray:
    """What one map has more than the other where the other has at most `LEFT` of it, else 0."""
    lacking = np.maximum(lacking, 0)
    return np.where(lacking <= LEFT * having, having - lacking, 0)


def _cells(entry: Entry) -> tuple[str, ...]:
    nearest = "" if entry.residue is None else f"{entry.residue} at {entry.residue_distance:.1f}"
    return (
        entry.kind,
        "" if entry.sigmas is None else f"{entry.sigmas:.1f}",
        f"{100 * entry.left:.0f}",
        f"{entry.volume:.0f}",
        f"{entry.elongation:.1f}",
        " ".join(f"{value:.1f}" for value in entry.xyz),
        nearest,
    )


class _Lister:
    """Makes entries of blobs."""

    def __init__(self, both: Matched, original: DensityMap, residues: Residues | None) -> None:
        self.both, self.frame, self.residues = both, original.frame, residues
        self.values, self.ground = original.values, background(original.values)
        self.tree = cKDTree(residues.xyz) if residues is not None and len(residues.names) else None
        self.molecule = cKDTree(self._molecule(both.enhanced))

    def _molecule(self, values: FloatArray) -> FloatArray:
        """Voxels (M, 3) in angstrom of the molecule; small pieces may be what the entries are about."""
        pieces, _ = scipy.ndimage.label(values > MOLECULE * self.both.strong)
        sizes = np.bincount(pieces.ravel()) * float(np.prod(self.frame.voxel))
        sizes[0] = 0
        return self.frame.to_xyz(np.argwhere((sizes >= LEAST_MOLECULE)[pieces])).reshape(-1, 3)

    def entries(self, found: Blobs, having: FloatArray, lacking: FloatArray) -> tuple[Entry, ...]:
        """Entries of blobs of the map `having`, which the map `lacking` lacks."""
        highest = np.array([peaks[0] for peaks in found.peaks], dtype=np.int64).reshape(-1, 3)
        at = tuple(highest.T)
        height, left = having[at], np.clip(lacking[at] / having[at], 0, 1)
        before = self.values[at] - self.ground.level
        peaks = [self.frame.to_xyz(places) for places in found.peaks]
        xyz = self.frame.to_xyz(highest)
        distance, _ = self.molecule.query(xyz)
        heights = (height / self.both.strong).astype(np.float64)
        clusters = clusters_of(peaks, found.volume, heights)
        entries = []
        for row, place in enumerate(xyz):
            shape = Shape(
                volume=float(found.volume[row]),
                cluster=float(clusters[0][row]),
                height=float(heights[row]),
                cluster_height=float(clusters[1][row]),
                buried=self._buried(place),
                distance=float(distance[row]),
            )
            name, away = self._nearest(place)
            entries.append(
                Entry(
                    kind=likely_kind(shape),
                    xyz=(float(place[0]), float(place[1]), float(place[2])),
                    peaks=tuple(tuple(peak.tolist()) for peak in peaks[row]),
                    sigmas=float(before[row] / self.ground.sigma) if self.ground.sigma > 0 else None,
                    left=float(left[row]),
                    elongation=float(found.elongation[row]),
                    residue=name,
                    residue_distance=away,
                    **asdict(shape),
                )
            )
        return tuple(entries)

    def _buried(self, place: FloatArray) -> float:
        number = self.molecule.query_ball_point(place, SURROUNDINGS, return_length=True)
        return float(number * np.prod(self.frame.voxel) / (4 / 3 * np.pi * SURROUNDINGS**3))

    def _nearest(self, place: FloatArray) -> tuple[str | None, float | None]:
        if self.tree is None or self.residues is None:
            return None, None
        distance, index = self.tree.query(place)
        return self.residues.names[int(index)], float(distance)
