"""Completed backbones and side chains against known structures.

    python benchmarks/completion.py MAPS [REAL_MAP ...] --points golden_points.json

MAPS holds index.csv (map, model, resolution) and simulated maps with their structures; REAL_MAP is a folder with
map.mrc.gz, seq.fasta, model.cif. The points are phi and psi per Ramachandran class with the region that MolProbity's
tables give them; a residue counts as its nearest point, and the known structures are judged in the same way.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from cryo2struct.completion import complete, place_side_chains
from cryo2struct.completion.backbone import CA_SD
from cryo2struct.completion.geometry import torsion
from cryo2struct.finding import predict_and_pick
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import model_from_trace, read_structure
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import AMINO_ACIDS, BACKBONE_ATOMS, DensityMap, Entity, Prediction, Sequences, Trace
from cryo2struct.record import Recorder
from cryo2struct.settings import load_settings
from cryo2struct.stereochemistry import amino_acids
from cryo2struct.tracing import trace

NEAR = 1.5  # A
HELD = 0.1  # A, standard deviation of C-alphas that are known
SAME = 40  # degrees, of a torsion
IDEAL_BONDS = (1.458, 1.525, 1.329, 1.231)  # N-CA, CA-C, C-N, C-O
IDEAL_ANGLES = (111.2, 116.2, 121.7, 120.8)  # N-CA-C, CA-C-N, C-N-CA, CA-C-O
Columns = dict[str, list[np.ndarray]]


def truth_of(structure: gemmi.Structure) -> tuple[np.ndarray, np.ndarray, str, Trace, Sequences]:
    """Backbone (R, 5, 3), chi1 and chi2 (R, 2), letters, and the exact trace with the sequences that it belongs to."""
    chains = []
    for chain in structure[0]:
        residues = [
            residue
            for residue in chain
            if residue.find_atom("CA", "*", gemmi.Element("C")) and residue.find_atom("N", "*")
        ]
        if residues:
            chains.append(residues)
    xyz, chi, letters, keys, entities = [], [], "", [], []
    for number, residues in enumerate(chains):
        codes = [gemmi.find_tabulated_residue(residue.name).one_letter_code.upper() for residue in residues]
        sequence, position = "", -1
        for residue, code, before in zip(residues, codes, [None, *residues], strict=False):
            atoms = [residue.find_atom(name, "*") for name in BACKBONE_ATOMS]
            xyz.append([atom.pos.tolist() if atom else [np.nan] * 3 for atom in atoms])
            chi.append(torsions(residue, code))
            carbon = before.find_atom("C", "*") if before else None
            bonded = carbon is not None and carbon.pos.dist(residue.find_atom("N", "*").pos) < 2
            gap = 0 if bonded or before is None else 1
            position += 1 + gap
            sequence += "X" * gap + (code if code in AMINO_ACIDS else "X")
            keys.append((number, 0, position))
        letters += "".join(code if code in AMINO_ACIDS else "X" for code in codes)
        entities.append(Entity(f"chain {number}", sequence, 1, "protein"))
    points = np.array(xyz)
    entity, copy, position = np.array(keys).T
    ones = np.ones(len(points))
    exact = Trace(entity, copy, position, np.zeros(len(points), dtype=int), points[:, 1], ones, ones, ones)
    return points, np.array(chi), letters, exact, Sequences(tuple(entities))


def torsions(residue: gemmi.Residue, letter: str) -> tuple[float, float]:
    """Chi1 and chi2 in degrees; NaN where there is none."""
    found = [np.nan, np.nan]
    for number, names in enumerate(amino_acids()[letter].chi[:2] if letter in AMINO_ACIDS else ()):
        atoms = [residue.find_atom(name, "*") for name in names]
        if all(atoms):
            found[number] = float(torsion(*(np.array(atom.pos.tolist()) for atom in atoms)))
    return found[0], found[1]


def side_chains(model: gemmi.Structure, letters: str, target: np.ndarray, columns: Columns) -> None:
    """Whether chi1 (M,), and both (M,), are right for the residues whose known ones are `target` (R, 2)."""
    residues = [residue for chain in model[0] for residue in chain]
    found = np.array([torsions(residue, letter) for residue, letter in zip(residues, letters, strict=True)])
    off = np.abs((found - target + 180) % 360 - 180)
    turned = np.isin(list(letters), list("DFY"))  # chi2 is the same again after half a turn
    off[turned, 1] = np.minimum(off[turned, 1], 180 - off[turned, 1])
    known = np.isfinite(target)
    right = np.where(np.isfinite(off), off, 180) < SAME
    columns["chi1"].append(right[known[:, 0], 0])
    columns["chi12"].append(right[known[:, 1]].all(axis=1))


def dihedral(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Dihedral angles (R,) in degrees of points (R, 3)."""
    axis = (c - b) / np.linalg.norm(c - b, axis=1, keepdims=True)
    first = np.cross(axis, a - b)
    second = np.cross(axis, d - c)
    return np.degrees(np.arctan2((np.cross(first, second) * axis).sum(1), (first * second).sum(1)))


def angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Angles (R,) at b in degrees."""
    u, v = a - b, c - b
    return np.degrees(np.arccos((u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)))


def regions(xyz: np.ndarray, letters: str, bonded: np.ndarray, points: dict[str, np.ndarray]) -> np.ndarray:
    """Ramachandran region (M,) of the residues bonded on both sides."""
    middle = np.flatnonzero(bonded[:-1] & bonded[1:]) + 1
    n, ca, c = xyz[:, 0], xyz[:, 1], xyz[:, 2]
    phi = dihedral(c[middle - 1], n[middle], ca[middle], c[middle])
    psi = dihedral(n[middle], ca[middle], c[middle], n[middle + 1])
    found = []
    for row, here in zip(middle, np.radians(np.stack([phi, psi], axis=1)), strict=True):
        table = points[ramachandran_class(letters[row], letters[row + 1])]
        off = np.cos(np.radians(table[:, :2].astype(float)) - here).sum(axis=1)
        found.append(table[off.argmax(), 3])
    return np.array(found)


def ramachandran_class(letter: str, following: str) -> str:
    """Class of a residue in MolProbity's order of precedence; prolines count as trans."""
    if letter == "G":
        return "glycine"
    if letter == "P":
        return "trans-proline"
    if following == "P":
        return "pre-proline"
    return "isoleucine or valine" if letter in "IV" else "general"


def geometry(xyz: np.ndarray, bonded: np.ndarray, columns: Columns) -> None:
    """Deviations from ideal bonds and angles, omega, and chirality."""
    n, ca, c, o, cb = xyz.transpose(1, 0, 2)
    lengths = [n - ca, ca - c, (n[1:] - c[:-1])[bonded], c - o]
    columns["bond"] += [np.linalg.norm(v, axis=1) - ideal for v, ideal in zip(lengths, IDEAL_BONDS, strict=True)]
    angles = [angle(n, ca, c), angle(ca[:-1], c[:-1], n[1:])[bonded], angle(c[:-1], n[1:], ca[1:])[bonded]]
    angles.append(angle(ca, c, o))
    columns["angle"] += [value - ideal for value, ideal in zip(angles, IDEAL_ANGLES, strict=True)]
    columns["omega"].append(np.abs(dihedral(ca[:-1], c[:-1], n[1:], ca[1:])[bonded]))
    volume = (np.cross(n - ca, c - ca) * (cb - ca)).sum(axis=1)
    columns["d"].append(volume[np.isfinite(volume)] < 0)


def judge(
    traced: Trace,
    sequences: Sequences,
    prediction: Prediction,
    density: DensityMap,
    resolution: float,
    target: np.ndarray,
    target_chi: np.ndarray,
    points: dict,
    columns: Columns,
    ca_sd: float = CA_SD,
) -> None:
    """Complete a trace and add its figures to the columns."""
    start = time.perf_counter()
    backbone = complete(traced, sequences, prediction, ca_sd=ca_sd)
    columns["seconds"].append(np.array([time.perf_counter() - start]))
    columns["complete"].append(backbone.complete)
    distance, nearest = cKDTree(target[:, 1]).query(np.asarray(traced.xyz))
    near = distance < NEAR
    columns["traced"].append(distance[near])
    error = np.linalg.norm(backbone.xyz[near] - target[nearest[near]], axis=2)
    for column, name in enumerate(BACKBONE_ATOMS):
        columns[name].append(error[np.isfinite(error[:, column]), column])
    columns["flipped"].append(columns["O"][-1] > 2)
    order = np.lexsort((traced.position, traced.copy, traced.entity))
    start = time.perf_counter()
    placed = place_side_chains(model_from_trace(traced, sequences, backbone).structure, density, resolution)
    columns["side chain seconds"].append(np.array([time.perf_counter() - start]))
    rows = zip(traced.entity[order], traced.position[order], strict=True)
    types = "".join(sequences.entities[entity].letters[position] for entity, position in rows)
    known_chi = np.where(near[order, None], target_chi[nearest[order]], np.nan)
    side_chains(placed.structure, types, known_chi, columns)
    keep = backbone.complete
    key = np.stack([traced.entity, traced.copy, traced.position], axis=1)[keep]
    letters = "".join(sequences.entities[e].letters[p] for e, _, p in key)
    xyz = backbone.xyz[keep]
    bonded = bonds(xyz)
    geometry(xyz, bonded, columns)
    columns["region"].append(regions(xyz, letters, bonded, points))


def bonds(xyz: np.ndarray) -> np.ndarray:
    """Residues (R - 1,) with a peptide bond to the next row."""
    return np.linalg.norm(xyz[1:, 0] - xyz[:-1, 2], axis=1) < 2


def rms(values: list[np.ndarray]) -> float:
    """Root mean square of all values."""
    return float(np.sqrt((np.concatenate(values) ** 2).mean()))


def shares(values: list[np.ndarray]) -> str:
    """Percent favoured and outlier."""
    found = np.char.lower(np.concatenate(values).astype(str))
    return f"{100 * np.mean(found == 'favored'):.1f} / {100 * np.mean(found == 'outlier'):.1f}"


def print_table(groups: dict[str, Columns], title: str) -> None:
    """One line per group."""
    print(f"\n{title}\n")
    print("| maps | residues | trace CA A | CA | N | C | O | CB | flipped % | complete % |", end="")
    print(" bond A | angle | omega | non-trans | D | favoured / outlier % | of the target | s |", end="")
    print(" chi1 % | chi1 and chi2 % | s |\n" + "|---" * 21 + "|")
    for name, c in groups.items():
        errors = " | ".join(f"{rms(c[key]):.2f}" for key in ("traced", "CA", "N", "C", "O", "CB"))
        omega = np.concatenate(c["omega"])
        cells = [
            name,
            str(sum(map(len, c["traced"]))),
            errors,
            f"{100 * np.concatenate(c['flipped']).mean():.1f}",
            f"{100 * np.concatenate(c['complete']).mean():.1f}",
            f"{rms(c['bond']):.3f}",
            f"{rms(c['angle']):.2f}",
            f"{rms([180 - omega]):.1f}",
            str(int((omega < 150).sum())),
            str(int(np.concatenate(c["d"]).sum())),
            shares(c["region"]),
            shares(c["target"]),
            f"{max(map(float, np.concatenate(c['seconds']))):.2f}",
            f"{100 * np.concatenate(c['chi1']).mean():.1f}",
            f"{100 * np.concatenate(c['chi12']).mean():.1f}",
            f"{max(map(float, np.concatenate(c['side chain seconds']))):.2f}",
        ]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("maps", type=Path)
    parser.add_argument("real", type=Path, nargs="*")
    parser.add_argument("--points", type=Path, required=True)
    options = parser.parse_args()
    classes = json.loads(options.points.read_text())["classes"]
    points = {name: np.array(rows, dtype=object) for name, rows in classes.items()}
    with (options.maps / "index.csv").open() as handle:
        index = [
            (row["resolution"], options.maps / row["map"], options.maps / row["model"], None)
            for row in csv.DictReader(handle)
        ]
    index.sort(key=lambda row: float(row[0]))
    index += [
        (folder.name, folder / "map.mrc.gz", folder / "model.cif", folder / "seq.fasta") for folder in options.real
    ]
    built: dict[str, Columns] = defaultdict(lambda: defaultdict(list))
    exact: dict[str, Columns] = defaultdict(lambda: defaultdict(list))
    held: dict[str, Columns] = defaultdict(lambda: defaultdict(list))
    settings = load_settings()
    for group, map_path, model_path, fasta in index:
        print(map_path, file=sys.stderr, flush=True)
        target, chi, letters, exact_trace, sequences = truth_of(read_structure(model_path))
        density, _ = read_map(map_path)
        record = Recorder()
        found = predict_and_pick(density, settings, None, record)
        against = (density, record.counts["resolution"], target, chi, points)
        region = regions(target, letters, bonds(target), points)
        for groups in (built, exact, held):
            groups[group]["target"].append(region)
        judge(exact_trace, sequences, found.prediction, *against, exact[group])
        judge(exact_trace, sequences, found.prediction, *against, held[group], HELD)
        given = sequences if fasta is None else read_sequences(fasta)[0]
        traced = trace(found.candidates, given, settings.tracing)
        judge(traced, given, found.prediction, *against, built[group])
    print_table(built, f"Built models, atoms of residues whose traced C-alpha is within {NEAR} A of a known one:")
    print_table(exact, "The known C-alphas completed with the same predictions:")
    print_table(held, f"The same, where the C-alphas are held (sd {HELD} A):")


if __name__ == "__main__":
    main()
