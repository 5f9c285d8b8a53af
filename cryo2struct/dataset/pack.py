"""Reader of the structure pack: experimental structures from which training densities are simulated.

The pack is one compressed npz of flat arrays over atoms and residues. Coordinates are stored as zig-zag coded
differences between consecutive atoms, residue numbers as differences.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo2struct.errors import InputError

Array = NDArray[Any]
DAMAGE = (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, zlib.error, zipfile.BadZipFile)

UNKNOWN_RESIDUE, NUCLEOTIDE, LIGAND, ION, SUGAR = 20, 21, 22, 23, 24
"""Residue classes; 0-19 are amino acids. 20 is any other residue of a protein, 24 a sugar, a lipid or a detergent."""


@dataclass(frozen=True)
class PackStructure:
    """One structure of the pack.

    Attributes
    ----------
    xyz : (A, 3) float32 angstrom
    element : (A,) atomic numbers
    name : (A,) index into `StructurePack.atom_names`
    residue : (A,) index of the atom's residue within the structure
    bfactor : (R,) mean B of the residue, angstrom^2
    aa : (R,) residue class, see `UNKNOWN_RESIDUE`
    ss : (R,) 0 coil, 1 helix, 2 strand
    chain : (R,) chain index
    linked : (R,) True when peptide-bonded to the previous residue
    """

    xyz: Array
    element: Array
    name: Array
    residue: Array
    bfactor: Array
    aa: Array
    ss: Array
    chain: Array
    linked: Array


class StructurePack:
    """All structures of a pack file, decoded in memory (about 150 MB for 1,566 structures).

    Attributes
    ----------
    ids : list of str, PDB codes
    resolution : (n,) angstrom
    protein_residues, nucleotides : (n,) numbers of residues per structure
    atom_names : list of str
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise InputError(
                f"{path}: structure pack not found: set data.pack to the path of pack.npz; `cryo2struct dataset pack "
                "FOLDER --ids configs/structure-pack.csv -o pack.npz` makes it from files of the PDB"
            )
        try:
            self._read(path)
        except DAMAGE as error:
            raise InputError(f"{path}: no structure pack, or damaged ({type(error).__name__}): copy it again") from None

    def _read(self, path: Path) -> None:
        with path.open("rb") as handle, np.load(handle) as archive:
            self._arrays: dict[str, Array] = {key: archive[key] for key in archive.files}
        a = self._arrays
        code = a.pop("xyz_lo").astype(np.uint16) | (a.pop("xyz_hi").astype(np.uint16) << 8)
        steps = (code >> 1).astype(np.int16) ^ -(code & 1).astype(np.int16)
        a["xyz"] = np.ascontiguousarray(np.cumsum(steps, axis=1, dtype=np.int16).T)
        a["residue"] = np.repeat(np.arange(len(a["aa"]), dtype=np.int32), a["residue_natoms"])
        self.ids = [str(i) for i in a["ids"]]
        self.resolution = a["resolution"]
        self.atom_names = [str(name) for name in a["atom_names"]]
        self.protein_residues = self._count(a["aa"] <= 20)
        self.nucleotides = self._count(a["aa"] == NUCLEOTIDE)

    def _count(self, chosen: Array) -> Array:
        total: Array = np.concatenate([[0], np.cumsum(chosen)])
        return np.diff(total[self._arrays["res_offset"]])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> PackStructure:
        a = self._arrays
        atoms = slice(*a["atom_offset"][index : index + 2])
        residues = slice(*a["res_offset"][index : index + 2])
        return PackStructure(
            xyz=a["xyz"][atoms].astype(np.float32) * np.float32(0.01),
            element=a["element"][atoms],
            name=a["name"][atoms],
            residue=a["residue"][atoms] - residues.start,
            bfactor=a["bfactor_res"][residues].astype(np.float32),
            aa=a["aa"][residues],
            ss=a["ss"][residues],
            chain=a["chain"][residues],
            linked=a["linked"][residues],
        )

    def split(self, name: str) -> list[int]:
        """Indices of the structures of "train", "validate" or "calibrate".

        By the checksum of the PDB code: multiples of 50 validate, the other multiples of 25 calibrate, the rest train.
        """
        checksums = [zlib.crc32(i.encode()) for i in self.ids]
        if name == "validate":
            return [i for i, c in enumerate(checksums) if c % 50 == 0]
        if name == "calibrate":
            return [i for i, c in enumerate(checksums) if c % 25 == 0 and c % 50 != 0]
        return [i for i, c in enumerate(checksums) if c % 25 != 0]
