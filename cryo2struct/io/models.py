"""Models: reading structures, numbering and naming what was built, writing mmCIF (with ModelCIF confidence) and PDB."""

from __future__ import annotations

import csv
import io
import os
import re
import string
from collections.abc import Iterator, Mapping
from itertools import groupby, product
from pathlib import Path
from typing import Literal

import gemmi
import numpy as np

from cryo2struct.errors import InputError, InternalError
from cryo2struct.io.modelcif import complete
from cryo2struct.io.outputs import write_text
from cryo2struct.io.streams import read_bytes
from cryo2struct.objects import AMINO_ACIDS, BACKBONE_ATOMS, Backbone, FloatArray, Model, Sequences, Trace
from cryo2struct.stereochemistry import amino_acids

PDB_CHAINS = 62
PDB_ATOMS = 99_999
PDB_RESIDUE_NUMBER = 9_999
CHAIN_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits

THREE_LETTERS = dict(zip(AMINO_ACIDS, gemmi.expand_one_letter_sequence(AMINO_ACIDS, gemmi.ResidueKind.AA), strict=True))
THREE_LETTERS["X"] = "UNK"

BColumn = Literal["confidence", "structure"]


def read_structure(path: str | os.PathLike[str]) -> gemmi.Structure:
    """Read a structure: mmCIF or PDB, told apart by content, also compressed. All of its models are kept.

    Raises
    ------
    InputError
        The file is neither, holds no atom, or an atom without coordinates.
    """
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    kind = gemmi.CoorFormat.Mmcif if first.lower().startswith("data_") else gemmi.CoorFormat.Pdb
    try:
        structure = gemmi.read_structure_string(text, format=kind)
    except (RuntimeError, ValueError) as fault:
        reason = str(fault).split("\n")[0]
        raise InputError(f"{path}: is no readable mmCIF or PDB file ({reason}); give a model with atoms") from None
    atoms = [atom for model in structure for chain in model for residue in chain for atom in residue]
    if not atoms:
        raise InputError(f"{path}: holds no atom; give an mmCIF or PDB model")
    misplaced = int((~np.isfinite([atom.pos.tolist() for atom in atoms])).any(axis=1).sum())
    if misplaced:
        raise InputError(f"{path}: {misplaced} atoms have no coordinates; remove them")
    structure.setup_entities()
    return structure


def holds_confidence(path: str | os.PathLike[str]) -> bool:
    """Whether the B column of a file has the confidences of a computed model, as its ModelCIF metric has them."""
    content = read_bytes(path)
    if b"_ma_qa_metric_local." not in content:
        return False
    block = gemmi.cif.read_string(content.decode("utf-8-sig", errors="replace")).sole_block()
    told = [float(row[0]) for row in block.find("_ma_qa_metric_local.", ["metric_value"])]
    column = [residue[0].b_iso for chain in read_structure(path)[0] for residue in chain]
    return len(told) == len(column) and bool(np.allclose(told, column, atol=0.02))


def chain_names(trace: Trace, sequences: Sequences) -> dict[tuple[int, int], str]:
    """Name of each chain built, by (entity, copy): that of the FASTA file, else the next free letter.

    After A-Z, a-z and 0-9 come names of two letters, which the PDB format has no room for.
    """
    taken = {name for entity in sequences.entities for name in entity.chains}
    free = (name for name in _all_names() if name not in taken)
    names = {}
    for entity, copy in sorted(set(zip(trace.entity.tolist(), trace.copy.tolist(), strict=True))):
        given = sequences.entities[entity].chains
        names[entity, copy] = given[copy] if copy < len(given) else next(free)
    return names


def model_from_trace(trace: Trace, sequences: Sequences, backbone: Backbone | None = None) -> Model:
    """Model of a trace: its C-alphas, or what `backbone` has for each of them.

    Residues are numbered by their position in the sequence, from 1; chains come in the order of the entities and their
    copies; B factors are the confidence in percent.

    Raises
    ------
    InternalError
        The trace holds a residue twice, or one that its sequence does not have.
    """
    names = chain_names(trace, sequences)
    order = np.lexsort((trace.position, trace.copy, trace.entity)).tolist()
    model = gemmi.Model(1)
    for (entity, copy), rows in groupby(order, key=lambda row: (int(trace.entity[row]), int(trace.copy[row]))):
        chain = gemmi.Chain(names[entity, copy])
        letters = sequences.entities[entity].letters
        previous = -1
        for row in rows:
            position = int(trace.position[row])
            if position == previous or position >= len(letters):
                raise InternalError(f"trace: chain {chain.name} has residue {position + 1} twice, or no such residue")
            residue = _polymer_residue(letters[position], position + 1, chain.name, entity)
            points = {"CA": trace.xyz[row]}
            if backbone is not None:
                points = dict(zip(BACKBONE_ATOMS, backbone.xyz[row], strict=True))
            _add_atoms(residue, points, 100 * float(trace.confidence[row]))
            chain.add_residue(residue)
            previous = position
        model.add_chain(chain)
    structure = gemmi.Structure()
    structure.name = "model"
    structure.add_model(model)
    _set_entities(structure, sequences)
    return Model(structure, np.asarray(trace.confidence)[order])


def prepared(
    model: Model,
    sequences: Sequences,
    *,
    title: str,
    cell: tuple[float, float, float] | None = None,
    b_column: BColumn = "confidence",
) -> gemmi.Structure:
    """Copy of a model's structure with all that its file has to say: entities, title, method, cell, B factors.

    Parameters
    ----------
    model : Model
        Its residues have `entity_id` ("1" is the first sequence), `subchain` (the chain's name) and `label_seq`.
    sequences : Sequences
    title : str
        One line that describes the model.
    cell : (3,) angstrom, optional
        Cell of the map, written with the space group P 1.
    b_column : "confidence" or "structure"
        B factors: the confidence in percent, or those that the structure has.
    """
    structure = model.structure.clone()
    _set_entities(structure, sequences)
    structure.info["_struct.title"] = title
    structure.info["_exptl.method"] = "ELECTRON MICROSCOPY"
    structure.info["_struct_keywords.text"] = "model built into a cryo-EM map"
    if cell is not None:
        structure.cell = gemmi.UnitCell(*cell, 90, 90, 90)
        structure.spacegroup_hm = "P 1"
    residues = [residue for chain in structure[0] for residue in chain]
    if len(residues) != len(model.confidence):
        raise InternalError(f"model: {len(residues)} residues but {len(model.confidence)} values of confidence")
    for residue, confidence in zip(residues, model.confidence, strict=True):
        for atom in residue:
            if b_column == "confidence":
                atom.b_iso = 100 * float(confidence)
            atom.b_iso = round(atom.b_iso, 2)  # digits that the PDB format has too
            atom.pos = gemmi.Position(*(round(coordinate, 3) for coordinate in atom.pos.tolist()))
    return structure


def why_no_pdb(model: Model) -> str | None:
    """What keeps a model from fitting into the PDB format, in one line, or None where it fits."""
    chains = list(model.structure[0])
    atoms = model.structure[0].count_atom_sites()
    long_names = [chain.name for chain in chains if len(chain.name) > 1]
    last = max((residue.seqid.num or 0 for chain in chains for residue in chain), default=0)
    coordinates = np.array([site.atom.pos.tolist() for site in model.structure[0].all()]).reshape(-1, 3)
    if len(chains) > PDB_CHAINS:
        return f"{len(chains)} chains are more than the {PDB_CHAINS} of the PDB format"
    if long_names:
        return f"chain name {long_names[0]} is longer than the 1 letter of the PDB format"
    if atoms + len(chains) > PDB_ATOMS:  # each TER takes a number too
        return f"{atoms} atoms are more than the {PDB_ATOMS} of the PDB format"
    if last > PDB_RESIDUE_NUMBER:
        return f"residue number {last} is above the {PDB_RESIDUE_NUMBER} of the PDB format"
    if coordinates.size and not (coordinates.min() >= -999.999 and coordinates.max() <= 9999.999):
        return "a coordinate is outside the -999.999 to 9999.999 A of the PDB format"
    return None


def write_mmcif(
    path: str | os.PathLike[str],
    model: Model,
    sequences: Sequences,
    *,
    title: str,
    cell: tuple[float, float, float] | None = None,
    b_column: BColumn = "confidence",
) -> None:
    """Write an mmCIF file with ModelCIF confidence; parameters as for `prepared`.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    structure = prepared(model, sequences, title=title, cell=cell, b_column=b_column)
    structure.name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(path).stem)
    groups = gemmi.MmcifOutputGroups(True)
    groups.auth_all = True  # some readers warn when an author's name is left out
    document = structure.make_mmcif_document(groups)
    complete(document.sole_block(), structure, sequences, model.confidence)
    write_text(path, document.as_string(gemmi.cif.WriteOptions(gemmi.cif.Style.Pdbx)))


def write_pdb(
    path: str | os.PathLike[str],
    model: Model,
    sequences: Sequences,
    *,
    title: str,
    cell: tuple[float, float, float] | None = None,
    b_column: BColumn = "confidence",
) -> str | None:
    """Write a PDB file where the format has room for the model; parameters as for `prepared`.

    Returns
    -------
    str or None
        Why nothing was written.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    obstacle = why_no_pdb(model)
    if obstacle is not None:
        return f"{Path(path).name} is not written: {obstacle}; use the mmCIF file"
    structure = prepared(model, sequences, title=title, cell=cell, b_column=b_column)
    write_text(path, structure.make_pdb_string())
    return None


def write_confidence(
    path: str | os.PathLike[str],
    trace: Trace,
    sequences: Sequences,
    model: Model,
    local_resolution: FloatArray | None = None,
) -> None:
    """Write confidence.csv: one line per residue, in the order of the model.

    `entity`, `copy` and `position` count from 1 and `confidence` is in percent, as in the model; `place_prob` and
    `register_prob` run from 0 to 1; `interpolated` is 1 where no candidate was found; `atoms` is "all", "backbone"
    where the side chain ends with CB, or "CA" for a residue that has its C-alpha alone. `local_resolution`, (R,) for
    the rows of the trace, in angstrom, is a column only where it is given.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    names = chain_names(trace, sequences)
    residues = [residue for chain in model.structure[0] for residue in chain]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    titles = ["chain", "entity", "copy", "position", "residue", "confidence", "place_prob", "register_prob"]
    more = ["local_resolution"] if local_resolution is not None else []
    table.writerow([*titles, "interpolated", "atoms", *more])
    order = np.lexsort((trace.position, trace.copy, trace.entity)).tolist()
    for row, residue in zip(order, residues, strict=True):
        entity, copy, position = int(trace.entity[row]), int(trace.copy[row]), int(trace.position[row])
        letter = sequences.entities[entity].letters[position]
        probabilities = [f"{trace.place_prob[row]:.4f}", f"{trace.register_prob[row]:.4f}"]
        interpolated = int(trace.candidate[row] < 0)
        place = [names[entity, copy], entity + 1, copy + 1, position + 1, letter]
        atoms = _what_is_there(residue, letter)
        known = [f"{local_resolution[row]:.2f}"] if local_resolution is not None else []
        table.writerow([*place, f"{100 * trace.confidence[row]:.2f}", *probabilities, interpolated, atoms, *known])
    write_text(path, text.getvalue())


def _what_is_there(residue: gemmi.Residue, letter: str) -> str:
    names = {atom.name for atom in residue}
    known = amino_acids().get(letter)
    if known is not None and names >= set(known.atoms):
        return "all"
    return "backbone" if "C" in names else "CA"


def _all_names() -> Iterator[str]:
    yield from CHAIN_LETTERS
    for length in (2, 3):
        yield from map("".join, product(string.ascii_uppercase, repeat=length))


def _polymer_residue(letter: str, number: int, chain: str, entity: int) -> gemmi.Residue:
    """Empty residue with all of its numbers and names."""
    residue = gemmi.Residue()
    residue.name = THREE_LETTERS[letter]
    residue.seqid = gemmi.SeqId(number, " ")
    residue.label_seq = number
    residue.subchain = chain
    residue.entity_id = str(entity + 1)
    residue.entity_type = gemmi.EntityType.Polymer
    return residue


def _add_atoms(residue: gemmi.Residue, points: Mapping[str, FloatArray], b_factor: float) -> None:
    """Add the atoms that have a position; backbone atoms and CB, so that the first letter is the element."""
    for name, xyz in points.items():
        if np.isfinite(xyz).all():
            atom = gemmi.Atom()
            atom.name, atom.element = name, gemmi.Element(name[0])
            atom.pos = gemmi.Position(*xyz.tolist())
            atom.b_iso = b_factor
            residue.add_atom(atom)


def _set_entities(structure: gemmi.Structure, sequences: Sequences) -> None:
    """Polymer entities with full sequences, for the sequences that have a chain; numbered as in the FASTA file."""
    subchains: dict[str, list[str]] = {}
    for chain in structure[0]:
        for residue in chain:
            known = subchains.setdefault(residue.entity_id, [])
            if residue.subchain not in known:
                known.append(residue.subchain)
    entities = []
    for identifier in sorted(subchains, key=int):
        entity = gemmi.Entity(identifier)
        entity.entity_type = gemmi.EntityType.Polymer
        entity.polymer_type = gemmi.PolymerType.PeptideL
        entity.subchains = subchains[identifier]
        entity.full_sequence = [THREE_LETTERS[letter] for letter in sequences.entities[int(identifier) - 1].letters]
        entities.append(entity)
    structure.entities = gemmi.EntityList(entities)
