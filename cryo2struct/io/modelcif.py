"""What gemmi leaves out of an mmCIF file: descriptions of the entities, types of the residues, ModelCIF confidence.

Categories: PDBx/mmCIF and ModelCIF dictionaries (Vallat et al. 2023, "ModelCIF: An Extension of PDBx/mmCIF Data
Representation for Computed Structure Models", J. Mol. Biol. 435, 168021).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import gemmi
from gemmi import cif

from cryo2struct.objects import FloatArray, Sequences

METRIC_NAME = "pLDDT"
"""Viewers colour by the local metric of this name only; its type and description say what it is here."""

METRIC_DETAILS = "Probability in percent that the residue is in its place and is what it is said to be"

GLOBAL, LOCAL = "1", "2"
"""Identifiers of the two metrics."""


def complete(block: cif.Block, structure: gemmi.Structure, sequences: Sequences, confidence: FloatArray) -> None:
    """Add to the block that gemmi made of a structure.

    Parameters
    ----------
    block : cif.Block
        Changed in place.
    structure : gemmi.Structure
        One model whose entities are numbered as in `sequences`, from 1.
    sequences : Sequences
    confidence : (R,)
        0 to 1, one for each residue in file order.
    """
    _describe_entities(block, structure, sequences)
    _type_residues(block)
    _align_sequences(block, structure)
    _name_software(block)
    _add_confidence(block, structure, confidence)


def _describe_entities(block: cif.Block, structure: gemmi.Structure, sequences: Sequences) -> None:
    """`_entity` and `_entity_poly` with all that viewers look for."""
    entities = block.init_loop("_entity.", ["id", "type", "src_method", "pdbx_description", "pdbx_number_of_molecules"])
    polymers = block.init_loop(
        "_entity_poly.",
        [
            "entity_id",
            "type",
            "nstd_linkage",
            "nstd_monomer",
            "pdbx_strand_id",
            "pdbx_seq_one_letter_code",
            "pdbx_seq_one_letter_code_can",
        ],
    )
    for entity in structure.entities:
        source = sequences.entities[int(entity.name) - 1]
        entities.add_row([entity.name, "polymer", "man", cif.quote(source.name), str(len(entity.subchains))])
        strands = cif.quote(",".join(entity.subchains))
        written = cif.quote(source.letters.replace("X", "(UNK)"))
        canonical = cif.quote(source.letters)
        polymers.add_row([entity.name, "polypeptide(L)", "no", "no", strands, written, canonical])


def _type_residues(block: cif.Block) -> None:
    """`_chem_comp` types; gemmi writes none."""
    names = [row[0] for row in block.find("_chem_comp.", ["id"])]
    loop = block.init_loop("_chem_comp.", ["id", "type"])
    for name in names:
        loop.add_row([name, cif.quote("peptide linking" if name in ("GLY", "UNK") else "L-peptide linking")])


def _align_sequences(block: cif.Block, structure: gemmi.Structure) -> None:
    """`_pdbx_poly_seq_scheme`: each chain's full sequence, with "?" where a residue is not built."""
    scheme = block.init_loop(
        "_pdbx_poly_seq_scheme.",
        [
            "asym_id",
            "entity_id",
            "seq_id",
            "mon_id",
            "ndb_seq_num",
            "pdb_seq_num",
            "auth_seq_num",
            "pdb_mon_id",
            "auth_mon_id",
            "pdb_strand_id",
            "pdb_ins_code",
            "hetero",
        ],
    )
    built = {(residue.subchain, residue.label_seq) for chain in structure[0] for residue in chain}
    for entity in structure.entities:
        for subchain in entity.subchains:
            name = cif.quote(subchain)
            for number, residue in enumerate(entity.full_sequence, start=1):
                place = str(number)
                author = [place, residue, residue] if (subchain, number) in built else ["?", "?", "?"]
                scheme.add_row([name, entity.name, place, residue, place, place, *author, name, ".", "n"])


def _name_software(block: cif.Block) -> None:
    """`_software`, and the group of it that the metrics refer to."""
    try:
        release = version("cryo2struct")
    except PackageNotFoundError:  # run from a checkout
        release = "."
    software = block.init_loop("_software.", ["pdbx_ordinal", "name", "version", "classification", "description"])
    software.add_row(["1", "cryo2struct", release, cif.quote("model building"), cif.quote("models from cryo-EM maps")])
    block.init_loop("_ma_software_group.", ["ordinal_id", "group_id", "software_id"]).add_row(["1", "1", "1"])


def _add_confidence(block: cif.Block, structure: gemmi.Structure, confidence: FloatArray) -> None:
    """`_ma_qa_metric` and its values in percent: one for the model, one for each residue."""
    metrics = block.init_loop(
        "_ma_qa_metric.", ["id", "mode", "name", "type", "type_other_details", "description", "software_group_id"]
    )
    details = cif.quote(METRIC_DETAILS)
    metrics.add_row([GLOBAL, "global", METRIC_NAME, "other", details, cif.quote("mean over residues"), "1"])
    metrics.add_row([LOCAL, "local", METRIC_NAME, "other", details, cif.quote("of one residue"), "1"])
    whole = block.init_loop("_ma_qa_metric_global.", ["ordinal_id", "model_id", "metric_id", "metric_value"])
    if len(confidence):
        whole.add_row(["1", "1", GLOBAL, f"{100 * confidence.mean():.2f}"])
    each = block.init_loop(
        "_ma_qa_metric_local.",
        ["ordinal_id", "model_id", "label_asym_id", "label_seq_id", "label_comp_id", "metric_id", "metric_value"],
    )
    residues = (residue for chain in structure[0] for residue in chain)
    for ordinal, (residue, value) in enumerate(zip(residues, confidence, strict=True), start=1):
        place = [cif.quote(residue.subchain), str(residue.label_seq), residue.name]
        each.add_row([str(ordinal), "1", *place, LOCAL, f"{100 * value:.2f}"])
