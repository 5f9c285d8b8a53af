"""The folder that goes to refinement: model, density, parameters, commands, and what is missing."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import gemmi
import numpy as np

from cryo2struct.density.sampling import values_at
from cryo2struct.handover import texts
from cryo2struct.handover.checks import BREAK, find_faults, peptide_bond
from cryo2struct.handover.displacement import residue_b_factors
from cryo2struct.handover.placing import moved, on_whole_steps
from cryo2struct.handover.secondary_structure import list_secondary_structure
from cryo2struct.io.maps import write_map
from cryo2struct.io.models import write_mmcif, write_pdb
from cryo2struct.io.outputs import make_folder, write_text
from cryo2struct.objects import UNASSIGNED, DensityMap, FloatArray, Model, Sequences

FOLDER = "handover"
"""Name of the folder, in that of a run."""

CONTOUR = 0.4  # of the median density at the C-alphas


@dataclass(frozen=True)
class Handover:
    """What was written.

    Attributes
    ----------
    files : names in the folder; none where there are faults
    faults : why nothing was written
    shift : (3,) angstrom, from the frame of the input map to that of the folder
    pdb_missing : why there is no file in PDB format, or None
    """

    files: list[str]
    faults: list[str]
    shift: FloatArray
    pdb_missing: str | None = None


def write_handover(
    folder: Path, model: Model, sequences: Sequences, density: DensityMap, resolution: float, *, title: str
) -> Handover:
    """Write what refinement programs need into a folder, which is made; nothing if the model has faults.

    Parameters
    ----------
    folder : path
    model : Model
        In the frame of the map. Residues without a complete main chain are left out.
    sequences : Sequences
    density : DensityMap
        The map as the user gave it.
    resolution : angstrom
    title : one line that describes the model

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    complete, lost = with_main_chain(model)
    placed, shift = on_whole_steps(density)
    complete = Model(moved(complete.structure, shift), complete.confidence)
    faults = find_faults(complete.structure, placed) if len(complete.confidence) else ["no residue has a main chain"]
    if faults:
        return Handover([], faults, shift)
    for_refinement = Model(complete.structure.clone(), complete.confidence)
    residues = [residue for chain in for_refinement.structure[0] for residue in chain]
    for residue, b in zip(residues, residue_b_factors(for_refinement.structure, placed, resolution), strict=True):
        for atom in residue:
            atom.b_iso, atom.occ = float(b), 1.0
    list_secondary_structure(for_refinement.structure)
    nz, ny, nx = placed.frame.shape
    a, b, c = (float(edge) for edge in np.array([nx, ny, nz]) * placed.frame.voxel)
    make_folder(folder)
    write_map(folder / texts.MAP, placed, "density as given, NSTART in whole voxels")
    write_mmcif(folder / "model.cif", complete, sequences, title=title, cell=(a, b, c))
    stem = Path(texts.MODEL).stem
    write_mmcif(folder / texts.MODEL, for_refinement, sequences, title=title, cell=(a, b, c), b_column="structure")
    reason = write_pdb(
        folder / f"{stem}.pdb", for_refinement, sequences, title=title, cell=(a, b, c), b_column="structure"
    )
    written = {
        texts.PHENIX_FILE: texts.phenix_parameters(resolution),
        texts.COMMANDS_FILE: texts.commands(resolution),
        texts.VIEW_FILE: texts.view(_contour(complete.structure, placed)),
        texts.UNBUILT_FILE: unbuilt_table(complete.structure, sequences),
        texts.NOTES_FILE: texts.notes(title, shift.tolist(), lost, _segments(complete.structure)),
    }
    for name, text in written.items():
        write_text(folder / name, text)
    files = [texts.MODEL, *([f"{stem}.pdb"] if reason is None else []), "model.cif", texts.MAP, *written]
    return Handover(files, [], shift, reason)


def with_main_chain(model: Model) -> tuple[Model, int]:
    """The model without residues that lack N, CA, C or O, and how many these were."""
    structure = model.structure.clone()
    kept = []
    for chain in structure[0]:
        whole = [all(r.find_atom(name, "*") is not None for name in ("N", "CA", "C", "O")) for r in chain]
        kept += whole
        for index in reversed([number for number, good in enumerate(whole) if not good]):
            del chain[index]
    structure.remove_empty_chains()
    chosen = np.array(kept, dtype=np.bool_)
    return Model(structure, np.asarray(model.confidence)[chosen]), int((~chosen).sum())


def unbuilt_table(structure: gemmi.Structure, sequences: Sequences) -> str:
    """CSV with the ranges of each chain of the sequences that have no residue; numbers count from 1."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["chain", "first", "last", "residues"])
    for chain in structure[0]:
        entity = sequences.entities[int(chain[0].entity_id) - 1]
        if entity.name == UNASSIGNED:
            continue
        numbers = [0, *(residue.seqid.num or 0 for residue in chain), len(entity.letters) + 1]
        for before, after in pairwise(numbers):
            if after - before > 1:
                table.writerow([chain.name, before + 1, after - 1, after - before - 1])
    return text.getvalue()


def _segments(structure: gemmi.Structure) -> int:
    """Stretches of residues that are bonded to each other."""
    breaks = sum(peptide_bond(*pair) > BREAK for chain in structure[0] for pair in pairwise(chain))
    return len(structure[0]) + breaks


def _contour(structure: gemmi.Structure, density: DensityMap) -> float:
    alphas = [residue["CA"][0].pos.tolist() for chain in structure[0] for residue in chain]
    level = float(np.median(density.values))
    return level + CONTOUR * (float(np.median(values_at(density, alphas))) - level)
