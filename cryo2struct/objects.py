"""The plain objects that one room hands to the next.

Arrays of voxels are always (z, y, x); coordinates are always x, y, z in angstrom in the frame of the
input map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import gemmi

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
"""One-letter codes in the order of every array of amino-acid probabilities."""

BACKBONE_ATOMS = ("N", "CA", "C", "O", "CB")
"""Names of the atoms of `Backbone`, in the order of files."""

UNASSIGNED = "unassigned residues"
"""Name of the entity of residues that no sequence explains, all of unknown type; those of FASTA files are one word."""

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
PolymerKind = Literal["protein", "rna", "dna"]


@dataclass(frozen=True)
class GridFrame:
    """Where the voxels of a map are.

    Attributes
    ----------
    shape : (z, y, x)
    voxel : (3,) voxel size along x, y, z in angstrom
    origin : (3,) x, y, z of the centre of voxel 0 in angstrom
    """

    shape: tuple[int, int, int]
    voxel: FloatArray
    origin: FloatArray

    def to_xyz(self, index: ArrayLike) -> FloatArray:
        """Coordinates (..., 3) x, y, z of (fractional) voxel indices (..., 3) z, y, x."""
        return np.asarray(index, dtype=np.float64)[..., ::-1] * self.voxel + self.origin

    def to_index(self, xyz: ArrayLike) -> FloatArray:
        """Fractional voxel indices (..., 3) z, y, x of coordinates (..., 3) x, y, z."""
        return ((np.asarray(xyz, dtype=np.float64) - self.origin) / self.voxel)[..., ::-1]


@dataclass(frozen=True)
class DensityMap:
    """A map: `values` float32 (z, y, x), its `frame`, and the `header` it was read with."""

    values: NDArray[np.float32]
    frame: GridFrame
    header: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entity:
    """One distinct sequence.

    Attributes
    ----------
    name : str
    letters : str
        One-letter codes; X is a residue of unknown type.
    copies : int or None
        None when the file does not say how many there are.
    kind : "protein", "rna" or "dna"
    chains : tuple of str
        Chain names given by the file, one per copy, or empty.
    """

    name: str
    letters: str
    copies: int | None
    kind: PolymerKind
    chains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sequences:
    """The distinct sequences of a sample, in the order of their first appearance."""

    entities: tuple[Entity, ...]

    @property
    def proteins(self) -> tuple[Entity, ...]:
        """The entities that are proteins."""
        return tuple(entity for entity in self.entities if entity.kind == "protein")


@dataclass(frozen=True)
class Prediction:
    """Output of the classifier where the map is occupied.

    Attributes
    ----------
    frame : GridFrame
        Frame of the grid that the network saw (about 1 angstrom).
    voxels : (M, 3) int
        Indices z, y, x of the predicted voxels, in rising order (z first).
    atoms : (M, 4) float16
        Probabilities of none, CA, N, C in each voxel.
    cells : (K, 3) int
        Indices z, y, x of the predicted cells; cell (i, j, k) holds the voxels 2i..2i+1, 2j..2j+1, 2k..2k+1.
    heads : name -> (K, C) float16
        What is predicted per cell: `aa`, `ss`, `nonprotein`, `offset`, `next`, `prev`.
    """

    frame: GridFrame
    voxels: IntArray
    atoms: NDArray[np.float16]
    cells: IntArray
    heads: Mapping[str, NDArray[np.float16]]


@dataclass(frozen=True)
class Candidates:
    """Possible C-alpha positions.

    Attributes
    ----------
    xyz : (N, 3) angstrom
    ca_prob : (N,) probability that a C-alpha is there
    aa_prob : (N, 20) amino-acid probabilities, order `AMINO_ACIDS`
    next_vec, prev_vec : (N, 3) unit vectors to the next and previous C-alpha, or None
    ss_prob : (N, 3) coil, helix, strand, or None
    nonprotein_prob : (N,) or None
    n_xyz, c_xyz : (N, 3) angstrom, NaN where unknown, or None
    attention : (N, sum of the entities' lengths) or None
    reverse_prob : (N,) probability that the chain runs the other way through here, given that it runs one of both, or
        None; then also what is seen here in that case:
    reverse_xyz, reverse_aa_prob, reverse_next_vec, reverse_prev_vec : as those without "reverse", or None
    """

    xyz: FloatArray
    ca_prob: FloatArray
    aa_prob: FloatArray
    next_vec: FloatArray | None = None
    prev_vec: FloatArray | None = None
    ss_prob: FloatArray | None = None
    nonprotein_prob: FloatArray | None = None
    n_xyz: FloatArray | None = None
    c_xyz: FloatArray | None = None
    attention: FloatArray | None = None
    reverse_prob: FloatArray | None = None
    reverse_xyz: FloatArray | None = None
    reverse_aa_prob: FloatArray | None = None
    reverse_next_vec: FloatArray | None = None
    reverse_prev_vec: FloatArray | None = None

    def chosen(self, rows: NDArray[np.bool_] | IntArray) -> Candidates:
        """These rows of all arrays."""
        return _chosen(self, rows)

    def followed_by(self, others: Candidates) -> Candidates:
        """These and others, with the arrays that both have."""
        return _joined(self, others)

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class Trace:
    """One row per built residue.

    Attributes
    ----------
    entity : (R,) index into the distinct sequences, 0-based
    copy : (R,) copy of that entity, 0-based
    position : (R,) position in the entity's sequence, 0-based
    candidate : (R,) index of the candidate, -1 where interpolated
    xyz : (R, 3) angstrom
    confidence, place_prob, register_prob : (R,) 0 to 1
        How likely the residue is right, there is a C-alpha, the sequence is in register.
    other_prob : (R,) probability that the residue traced here is another one of any sequence, the likeliest, or None
    other_entity, other_position : (R,) that residue; -1 where interpolated, or None
    """

    entity: IntArray
    copy: IntArray
    position: IntArray
    candidate: IntArray
    xyz: FloatArray
    confidence: FloatArray
    place_prob: FloatArray
    register_prob: FloatArray
    other_prob: FloatArray | None = None
    other_entity: IntArray | None = None
    other_position: IntArray | None = None

    def chosen(self, rows: IntArray) -> Trace:
        """These rows only, in this order."""
        return _chosen(self, rows)

    def followed_by(self, others: Trace) -> Trace:
        """These rows and others, with the arrays that both have."""
        return _joined(self, others)

    def __len__(self) -> int:
        return len(self.entity)


@dataclass(frozen=True)
class Backbone:
    """Backbone atoms of the residues of a trace.

    Attributes
    ----------
    xyz : (R, 5, 3) `BACKBONE_ATOMS` in angstrom, one row per row of the trace
        NaN where an atom could not be placed, and for CB of glycine.
    """

    xyz: FloatArray

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(R,) residues that have more than their C-alpha."""
        return np.asarray(np.isfinite(self.xyz[:, :4]).all(axis=(1, 2)))


@dataclass(frozen=True)
class Model:
    """A gemmi structure and the confidence (0 to 1) of each of its residues, in file order."""

    structure: gemmi.Structure
    confidence: FloatArray


_Table = TypeVar("_Table", Candidates, Trace)


def _chosen(table: _Table, rows: IntArray | NDArray[np.bool_]) -> _Table:
    arrays = {f.name: getattr(table, f.name) for f in fields(table)}
    return replace(table, **{name: array[rows] for name, array in arrays.items() if array is not None})


def _joined(first: _Table, second: _Table) -> _Table:
    """Rows of both, with the arrays that both have."""
    joined: dict[str, Any] = {}
    for f in fields(first):
        mine, theirs = getattr(first, f.name), getattr(second, f.name)
        joined[f.name] = None if mine is None or theirs is None else np.concatenate([mine, theirs])
    return replace(first, **joined)
