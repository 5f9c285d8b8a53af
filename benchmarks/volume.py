"""Volume of the molecule as `check` prints it, against the mass of the known model.

python benchmarks/volume.py $CRYO2STRUCT_DATA/real
"""

import sys
from pathlib import Path

import gemmi
import numpy as np

from cryo2struct import preflight
from cryo2struct.io.maps import read_map
from cryo2struct.settings import load_settings

HYDROGENS = 1.07  # mass of a protein with hydrogens per mass without


def main() -> None:
    """One row per map: share of the model in occupied density, and volume found per volume expected."""
    print("| map | model's atoms in occupied density | kDa | volume / expected |\n|---|---|---|---|")
    for folder in sorted(path.parent for path in Path(sys.argv[1]).glob("*/map.mrc.gz")):
        density, _ = read_map(folder / "map.mrc.gz")
        files = [folder / name for name in ("model.cif", "context.cif") if (folder / name).exists()]
        structures = [gemmi.read_structure(str(file)) for file in files]  # kept: atoms are views of them
        atoms = [atom for structure in structures for chain in structure[0] for residue in chain for atom in residue]
        mass = HYDROGENS * sum(atom.element.weight for atom in atoms)
        found = preflight.look(density, load_settings(None, {"map.resolution": 3.0}))
        region = found.region.on(density.frame)
        index = np.rint(density.frame.to_index([atom.pos.tolist() for atom in atoms])).astype(int)
        inside = ((index >= 0) & (index < region.shape)).all(axis=1)
        occupied = region[tuple(index[inside].T)].sum() / len(atoms)
        ratio = found.volume / (preflight.PROTEIN_VOLUME * mass)
        print(f"| {folder.name} | {occupied:.2f} | {mass / 1000:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
