"""Figures of a classifier, on predictions whose figures are known."""

from dataclasses import replace

import gemmi
import numpy as np
import pytest

from cryo2struct.dssp import backbone_of, secondary_structure
from cryo2struct.errors import InputError
from cryo2struct.evaluation.ca import ca_points
from cryo2struct.io.models import read_structure
from cryo2struct.objects import AMINO_ACIDS, Candidates, GridFrame, Prediction
from cryo2struct.prediction.find import Found
from cryo2struct.settings import data_path
from cryo2struct.tracing.reference import BACKGROUND, PUBLISHED_ORDER
from cryo2struct.training.evaluate_index import (
    MapFigures,
    evaluate_index,
    map_figures,
    mean_figures,
    read_reference,
    statements_at,
    type_figures,
)
from cryo2struct.training.map_index import MapRow

EXAMPLE = data_path("examples") / "emd_6272"
SURE = 0.81
"""Probability of the true type in what is predicted; the others have 0.01 each."""


@pytest.fixture(scope="module")
def structure():
    """The first 60 residues of the example, one chain."""
    whole = read_structure(EXAMPLE / "reference.cif")
    chain = whole[0][0]
    del chain[60:]
    return whole


def row(**more) -> MapRow:
    values = {"model": EXAMPLE / "reference.cif", "residues": 60, "nucleotides": 0}
    none = dict.fromkeys(["near_model", "context", "exclude", "fasta"])
    return MapRow("m", EXAMPLE / "map.mrc.gz", resolution=2.6, **{**none, **values, **more})


def truth_as_candidates(structure) -> Candidates:
    """What a network would say that knows the structure."""
    truth = ca_points(structure)
    step = np.diff(truth.xyz, axis=0)
    unit = step / np.linalg.norm(step, axis=1, keepdims=True)
    aa = np.full((len(truth), 20), 0.01)
    aa[np.arange(len(truth)), truth.types] = SURE
    return Candidates(
        xyz=truth.xyz,
        ca_prob=np.ones(len(truth)),
        aa_prob=aa,
        ss_prob=np.eye(3)[secondary_structure(backbone_of(structure))],
        next_vec=np.vstack([unit, [[1, 0, 0]]]),
        prev_vec=np.vstack([[[1, 0, 0]], -unit]),
    )


def prediction(xyz, said: Candidates) -> Prediction:
    """Cells at the places (N, 3) alone, that say what the candidates say."""
    low = np.floor(xyz.min(axis=0)) - 6
    shape = np.ceil(xyz.max(axis=0) - low).astype(int)[::-1] + 7
    frame = GridFrame(tuple(shape.tolist()), np.ones(3), low)
    heads = {"aa": said.aa_prob, "ss": said.ss_prob, "next": said.next_vec, "prev": said.prev_vec}
    return Prediction(
        frame=frame,
        voxels=np.zeros((0, 3), dtype=np.int64),
        atoms=np.zeros((0, 4), dtype=np.float16),
        cells=np.rint(frame.to_index(xyz)).astype(np.int64) // 2,
        heads={name: np.asarray(values, dtype=np.float16) for name, values in heads.items()},
    )


def compare(row, found, structure) -> MapFigures:
    return map_figures(row, found, replace(read_reference(row), structure=structure))


def found(prediction, candidates) -> Found:
    return Found(prediction, candidates, candidates)


def chosen(candidates, rows) -> Candidates:
    names = ("xyz", "ca_prob", "aa_prob", "ss_prob", "next_vec", "prev_vec")
    return Candidates(**{name: getattr(candidates, name)[rows] for name in names})


def mean_nats(structure, probability) -> float:
    letters = [AMINO_ACIDS[t] for t in ca_points(structure).types]
    return float(np.mean([np.log(probability / BACKGROUND[PUBLISHED_ORDER.index(letter)]) for letter in letters]))


def test_perfect_candidates(structure):
    said = truth_as_candidates(structure)
    wrong = replace(said, aa_prob=np.roll(said.aa_prob, 1, axis=1), ss_prob=np.roll(said.ss_prob, 1, axis=1))
    figures = compare(row(), found(prediction(said.xyz, wrong), said), structure)
    values = figures.values
    assert figures.typed == 60
    assert [values[k] for k in ("ca_recall_2A", "ca_precision_2A", "ca_recall_3A", "ca_precision_3A")] == [1] * 4
    assert (values["ca_rms_2A"], values["type_at_ca"], values["ss_at_ca"]) == (0, 1, 1)
    assert values["type_nats"] == pytest.approx(mean_nats(structure, SURE))
    assert values["next_angle_median"] == pytest.approx(0, abs=1e-4)
    assert values["prev_angle_median"] == pytest.approx(0, abs=1e-4)
    assert values["false_ca_per_nucleotide"] is None


def test_the_cell_speaks_where_there_is_no_candidate(structure):
    """Half of the candidates are gone, and one stands too far away: their cells say something else."""
    said = truth_as_candidates(structure)
    reverse = replace(said, aa_prob=np.roll(said.aa_prob, 1, axis=1), next_vec=-said.next_vec, prev_vec=-said.prev_vec)
    cells = prediction(said.xyz, reverse)
    left = chosen(said, np.arange(30))
    left.xyz[0] += [0, 0, 2.5]
    statements = statements_at(found(cells, left), ca_points(structure))
    # Two C-alphas may share a cell; which of them it speaks for does not matter here.
    own = np.array([(cells.cells == cell).all(axis=1).sum() == 1 for cell in cells.cells])
    by_cell = np.isin(np.arange(60), [0, *range(30, 60)])
    assert np.allclose(statements.aa[by_cell & own], reverse.aa_prob[by_cell & own], atol=2e-3)
    assert np.allclose(statements.aa[~by_cell], said.aa_prob[~by_cell])
    assert np.allclose(statements.next[by_cell & own], -said.next_vec[by_cell & own], atol=2e-3)
    assert np.allclose(statements.prev[~by_cell], said.prev_vec[~by_cell])


def test_nothing_is_said_where_nothing_was_predicted(structure):
    said = truth_as_candidates(structure)
    nothing = chosen(said, [])
    far = prediction(said.xyz + 500, said)
    values = compare(row(), found(far, nothing), structure).values
    assert (values["ca_recall_2A"], values["ca_precision_2A"], values["ca_rms_2A"]) == (0, None, None)
    assert (values["type_at_ca"], values["ss_at_ca"]) == (0, 0)
    assert values["type_nats"] == pytest.approx(mean_nats(structure, 0.05))
    assert (values["next_angle_median"], values["prev_angle_median"]) == (90, 90)


def test_directions_that_are_off(structure):
    """Next turned by 30 degrees about an axis square to it, previous exchanged with it."""
    said = truth_as_candidates(structure)
    square = np.cross(said.next_vec, [0.3, -0.5, 0.8])
    square /= np.linalg.norm(square, axis=1, keepdims=True)
    turned = np.cos(np.pi / 6) * said.next_vec + np.sin(np.pi / 6) * square
    said = replace(said, next_vec=3 * turned, prev_vec=-said.prev_vec)
    values = compare(row(), found(prediction(said.xyz, said), said), structure).values
    assert values["next_angle_median"] == pytest.approx(30, abs=1e-3)
    assert values["prev_angle_median"] == pytest.approx(180, abs=1e-3)


def test_excluded_residues_do_not_count(structure, tmp_path):
    said = truth_as_candidates(structure)
    bad = slice(10, 20)
    said.aa_prob[bad] = np.roll(said.aa_prob[bad], 1, axis=1)
    said.ss_prob[bad] = np.roll(said.ss_prob[bad], 1, axis=1)
    chain = structure[0][0]
    listed = tmp_path / "exclude.txt"
    listed.write_text("".join(f"{chain.name} {residue.seqid.num}\n" for residue in chain[bad]))
    both = found(prediction(said.xyz, said), said)
    figures = compare(row(exclude=listed), both, structure)
    assert (figures.typed, figures.values["type_at_ca"], figures.values["ss_at_ca"]) == (50, 1, 1)
    figures = compare(row(), both, structure)
    assert (figures.typed, figures.values["type_at_ca"]) == (60, pytest.approx(50 / 60))


def test_false_candidates_at_nucleic_acid(structure):
    """Of four more candidates, two are at the phosphate and away from every C-alpha."""
    with_dna = structure.clone()
    residue = gemmi.Residue()
    residue.name, residue.seqid = "DA", gemmi.SeqId(1, " ")
    atom = gemmi.Atom()
    atom.name, atom.element = "P", gemmi.Element("P")
    last = ca_points(structure).xyz[-1]
    outward = last - ca_points(structure).xyz.mean(axis=0)
    outward /= np.linalg.norm(outward)
    end = last + 6 * outward
    while np.linalg.norm(ca_points(structure).xyz - end, axis=1).min() < 6:
        end = end + outward
    atom.pos = gemmi.Position(*end)
    residue.add_atom(atom)
    chain = gemmi.Chain("Z")
    chain.add_residue(residue)
    with_dna[0].add_chain(chain)
    said = truth_as_candidates(structure)
    more = chosen(said, [0, 0, 0, 0])
    more.xyz[:] = [end, end + 3.9 * outward, end + 4.1 * outward, last + 1e-3]
    both = Candidates(
        **{
            name: np.concatenate([getattr(said, name), getattr(more, name)])
            for name in ("xyz", "ca_prob", "aa_prob", "ss_prob", "next_vec", "prev_vec")
        }
    )
    values = compare(row(nucleotides=4), found(prediction(said.xyz, said), both), with_dna).values
    assert values["false_ca_per_nucleotide"] == 2 / 4


def test_a_tie_is_no_answer():
    right, nats = type_figures(np.full((20, 20), 0.05), np.arange(20))
    assert not right.any()
    background = np.array([BACKGROUND[PUBLISHED_ORDER.index(letter)] for letter in AMINO_ACIDS])
    assert np.allclose(nats, np.log(0.05 / background))


def test_without_a_model(structure, tmp_path):
    fasta = tmp_path / "s.fasta"
    fasta.write_text(">1abc_1|Chains A, B|one\nMKTAYIAKQR\n>1abc_2|Chain C|two\nACDEFGHIKL\n>r\nGGGGAAAACCCCUUUU\n")
    said = truth_as_candidates(structure)
    nameless = row(model=None, fasta=fasta)
    figures = map_figures(
        nameless, found(prediction(said.xyz, said), chosen(said, np.arange(45))), read_reference(nameless)
    )
    assert figures.values == {"map": "m", "resolution": 2.6, "candidates": 45, "candidates_per_residue": 1.5}


def test_known_things_are_read_before_the_first_map(tmp_path):
    """The networks are none: a map would end otherwise."""
    fasta, listed, broken = tmp_path / "s.fasta", tmp_path / "exclude.txt", tmp_path / "m.cif"
    fasta.write_text(">r\nGGGGAAAACCCCUUUU\n")
    listed.write_text("A 52 B 53\n")
    broken.write_text("data_x\n")
    for bad, said in (
        (row(model=None, fasta=fasta), "holds no protein"),
        (row(exclude=listed), "exclude.txt: .*'CHAIN NUMBER'"),
        (row(model=broken), "m.cif"),
        (row(context=broken), "m.cif"),
    ):
        with pytest.raises(InputError, match=said):
            next(evaluate_index([row(), bad], None, None, None))


def test_means():
    def figures(typed, resolution, nucleotides, **values) -> MapFigures:
        return MapFigures({"resolution": resolution, "residues": 1, "nucleotides": nucleotides, **values}, typed)

    means = mean_figures(
        [
            figures(30, 3.0, 0, type_at_ca=0.5, ca_recall_2A=1.0, ca_precision_2A=None),
            figures(10, 3.0, 0, type_at_ca=0.9, ca_recall_2A=0.5, ca_precision_2A=0.25),
            figures(10, 2.0, 0, type_at_ca=0.8, ca_recall_2A=0.0, ca_precision_2A=None),
            figures(50, 2.0, 7, type_at_ca=0.0, ca_recall_2A=0.0, ca_precision_2A=0.0),
            MapFigures({"resolution": 2.0, "candidates_per_residue": 1.2}, 0),
        ]
    )
    assert [(m["of"], m["maps"]) for m in means] == [
        ("no nucleic acid, 2 A", 1),
        ("no nucleic acid, 3 A", 2),
        ("with nucleic acid", 1),
        ("no model", 1),
        ("all", 5),
    ]
    two, three, nucleic, no_model, everything = means
    assert three["type_at_ca"] == pytest.approx((30 * 0.5 + 10 * 0.9) / 40)  # over residues
    assert three["ca_recall_2A"] == 0.75  # over maps
    assert (two["ca_precision_2A"], three["ca_precision_2A"], nucleic["ca_precision_2A"]) == (None, 0.25, 0)
    assert (no_model["candidates_per_residue"], no_model["type_at_ca"]) == (1.2, None)
    assert everything["type_at_ca"] == pytest.approx((15 + 9 + 8 + 0) / 100)
