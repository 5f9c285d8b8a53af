"""How many weakened ligands and ions the guard lists, and how many of its entries are none.

For maps whose models are known. "lowered" are ligands and ions whose peak, over the median of the protein's atoms, is
in the enhanced map at most half of what it is in the original, both filtered alike; "listed" those with a peak of an
entry within 2.5 A of one of their atoms; "visible" those lowered that reach 5 sigma; "false" the entries, noise aside,
farther than 4 A from all atoms but protein's and 2.5 A from the carboxylates of Asp and Glu; "box" the volume that no
mask has set to a constant.

    python benchmarks/guard.py INDEX.csv --method protein|bfactor|DIR
    python benchmarks/guard.py INDEX.csv --without DIR

INDEX.csv has the columns map, model and resolution. Method "protein" simulates the protein's atoms alone, as a network
would show them that removes all else; "bfactor" sharpens the original; DIR holds enhanced maps of the same names.
--without writes the maps less their ligands and ions; enhance these, and give the folder of the results as --method:
that is a network that does not see ligands, with all its faults elsewhere.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.density.fourier import frequencies, nearest_filtered, sharpen, shell_frequencies
from cryo2struct.density.normalise import background
from cryo2struct.density.sampling import values_at
from cryo2struct.density.simulate import simulate
from cryo2struct.enhancement.guard import Guard, guard
from cryo2struct.evaluation.atoms import class_of, residues_of
from cryo2struct.io.maps import read_map, write_map
from cryo2struct.objects import DensityMap, FloatArray

CARBOXYLATES = {("ASP", "OD1"), ("ASP", "OD2"), ("GLU", "OE1"), ("GLU", "OE2")}
VISIBLE = 5.0  # sigmas of the noise; a ligand below cannot be told from it


@dataclass
class Atoms:
    """Places of atoms by what they belong to; each ligand or ion has an array of its own."""

    protein: FloatArray
    carboxylate: FloatArray
    other: FloatArray
    ligands: list[tuple[str, FloatArray]]


@dataclass
class Row:
    """Counts of one map."""

    ligands: int = 0
    visible: int = 0
    lowered: int = 0
    listed: int = 0
    unseen: int = 0
    entries: int = 0
    false: int = 0
    invented: int = 0
    box: float = 0.0
    seconds: float = 0.0


def atoms_of(structure: gemmi.Structure) -> Atoms:
    """Sort the atoms of a model."""
    places: dict[str, list[list[float]]] = {"protein": [], "carboxylate": [], "other": []}
    ligands = []
    for chain, residue, atoms in residues_of(structure):
        xyz = [atom.pos.tolist() for atom in atoms.values()]
        kind = class_of(residue, atoms, "")
        places["protein" if kind == "side chain" else "other"] += xyz
        places["carboxylate"] += [atom.pos.tolist() for n, atom in atoms.items() if (residue.name, n) in CARBOXYLATES]
        if kind in ("ligand", "ion"):
            ligands.append((f"{residue.name} {chain} {residue.seqid}", np.array(xyz)))
    return Atoms(**{name: np.array(xyz).reshape(-1, 3) for name, xyz in places.items()}, ligands=ligands)


def protein_alone(structure: gemmi.Structure, original: DensityMap, resolution: float) -> DensityMap:
    """The density of the protein's atoms, a little sharper than the original, with a little noise."""
    alone = structure.clone()
    for chain in alone[0]:
        for index in reversed(range(len(chain))):
            atoms = {atom.name: atom for atom in chain[index]}
            if class_of(chain[index], atoms, "") != "side chain":
                del chain[index]
    finest = 2.2 * float(original.frame.voxel.max())
    density = simulate(alone, original.frame, max(0.85 * resolution, finest))
    noise = np.random.default_rng(1).standard_normal(density.values.shape).astype(np.float32)
    noisy = density.values + 0.02 * np.percentile(density.values, 99.5) * noise
    return DensityMap(sharpen(noisy, original.frame.voxel, -8 * resolution), original.frame)


def without_ligands(original: DensityMap, structure: gemmi.Structure, resolution: float) -> DensityMap:
    """The original less its ligands and ions, simulated and filtered so that the whole model fits it best."""
    ligands = structure.clone()
    for chain in ligands[0]:
        for index in reversed(range(len(chain))):
            if class_of(chain[index], {atom.name: atom for atom in chain[index]}, "") not in ("ligand", "ion"):
                del chain[index]
    frame = original.frame
    model, part = (np.fft.rfftn(simulate(s, frame, resolution).values, axes=(0, 1, 2)) for s in (structure, ligands))
    reference = np.fft.rfftn(original.values, axes=(0, 1, 2))
    width = shell_frequencies(frame.shape, frame.voxel)[1]
    shell = np.rint(frequencies(frame.shape, frame.voxel) / width).astype(int).ravel()
    cross = np.bincount(shell, (model.conj() * reference).real.ravel())
    factor = cross / np.maximum(np.bincount(shell, (np.abs(model) ** 2).ravel()), 1e-20)
    taken = np.fft.irfftn(part * factor[shell].reshape(part.shape), s=frame.shape, axes=(0, 1, 2))
    return DensityMap((original.values - taken).astype(np.float32), frame, original.header)


def judge(original: DensityMap, enhanced: DensityMap, atoms: Atoms, found: Guard, verbose: bool) -> Row:
    """Compare a list with what is known."""
    ground = background(original.values)
    one = original.values - np.float32(ground.level)
    other = nearest_filtered(enhanced.values - np.float32(background(enhanced.values).level), one, original.frame.voxel)
    before, after = (DensityMap(values, original.frame) for values in (one, other))
    usual = [float(np.median(values_at(density, atoms.protein))) for density in (before, after)]
    entries = [entry for entry in found.removed if entry.kind != "noise"]
    peaks = np.array([entry.xyz for entry in entries]).reshape(-1, 3)
    every = np.array([peak for entry in entries for peak in entry.peaks]).reshape(-1, 3)
    row = Row(ligands=len(atoms.ligands), entries=len(entries), invented=len(found.invented))
    for name, xyz in atoms.ligands:
        peak = [float(values_at(density, xyz).max()) for density in (before, after)]
        left = peak[1] / usual[1] / (peak[0] / usual[0])
        if peak[0] <= 0 or left > 0.5:
            continue
        seen = peak[0] >= VISIBLE * ground.sigma
        listed = len(every) > 0 and float(np.linalg.norm(every[:, None] - xyz, axis=-1).min()) <= 2.5
        row.lowered += 1
        row.listed += listed
        row.visible += seen
        row.unseen += not listed and not seen
        if verbose and not listed:
            height = f"{peak[0] / max(ground.sigma, 1e-9):.1f} sigma, {peak[0] / usual[0]:.2f} of the protein"
            print(f"   missed {name}: {height}, {left:.2f} left")
    if len(peaks):
        far = np.ones(len(peaks), dtype=bool)
        for places, reach in ((atoms.other, 4.0), (atoms.carboxylate, 2.5)):
            if len(places):
                far &= cKDTree(places).query(peaks)[0] > reach
        row.false = int(far.sum())
        if verbose:
            for entry in (entry for entry, is_far in zip(entries, far, strict=True) if is_far):
                away = cKDTree(atoms.protein).query(entry.xyz)[0]
                print(f"   false {entry.kind}: {entry.sigmas} sigma, {entry.left:.2f} left, {entry.volume:.0f} A^3")
                print(f"         {entry.height:.2f} of the protein, {away:.1f} A from it")
    unmasked = np.abs(one) > 1e-3 * float(one.std())
    row.box = float(np.count_nonzero(unmasked) * np.prod(original.frame.voxel))
    return row


def main() -> None:
    """Print the table, or write maps."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--method")
    what.add_argument("--without", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], help="names that maps begin with")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    rows = []
    if args.method:
        print(f"{'map':20} ligands lowered listed visible entries false invented box/1e6 seconds")
    with args.index.open() as handle:
        lines = [line for line in csv.DictReader(handle) if line["map"].startswith(tuple(args.only))]
    for line in lines:
        original, _ = read_map(args.index.parent / line["map"])
        structure = gemmi.read_structure(str(args.index.parent / line["model"]))
        structure.setup_entities()
        if args.without:
            args.without.mkdir(exist_ok=True)
            write_map(args.without / line["map"], without_ligands(original, structure, float(line["resolution"])))
            continue
        enhanced = enhance(original, structure, line, args)
        start = time.perf_counter()
        found = guard(original, enhanced)
        seconds = time.perf_counter() - start
        rows.append(judge(original, enhanced, atoms_of(structure), found, args.verbose))
        rows[-1].seconds = seconds
        show(line["map"], rows[-1])
    if rows:
        summary(rows)


def summary(rows: list[Row]) -> None:
    """The last lines of the table."""
    total = Row(**{name: sum(getattr(row, name) for row in rows) for name in Row.__dataclass_fields__})
    show("all", total)
    print(
        f"listed {total.listed / max(total.lowered, 1):.3f} of the lowered, "
        f"{total.false / max(total.box, 1) * 1e6:.2f} false entries per 10^6 A^3; "
        f"{total.unseen} of those not listed are below {VISIBLE:g} sigma"
    )


def enhance(
    original: DensityMap, structure: gemmi.Structure, line: dict[str, str], args: argparse.Namespace
) -> DensityMap:
    """The enhanced map."""
    if args.method == "protein":
        return protein_alone(structure, original, float(line["resolution"]))
    if args.method == "bfactor":
        b_factor = -8 * float(line["resolution"])
        return DensityMap(sharpen(original.values, original.frame.voxel, b_factor), original.frame)
    return read_map(Path(args.method) / line["map"])[0]


def show(name: str, row: Row) -> None:
    """One line of the table."""
    print(
        f"{name:20} {row.ligands:7} {row.lowered:7} {row.listed:6} {row.visible:7} {row.entries:7} {row.false:5} "
        f"{row.invented:8} {row.box / 1e6:7.3f} {row.seconds:7.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
