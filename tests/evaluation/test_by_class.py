from __future__ import annotations

import json

import gemmi
import numpy as np
import pytest
from small_models import structure

from cryo2struct.density.simulate import simulate
from cryo2struct.errors import InputError
from cryo2struct.evaluation.by_class import q_by_class
from cryo2struct.evaluation.q_score import q_scores
from cryo2struct.objects import DensityMap, GridFrame

FRAME = GridFrame((24, 24, 30), np.full(3, 0.9), np.zeros(3))
MODEL = structure(
    ("A", 1, "ALA", {"N": (8, 8, 8), "CA": (9.4, 8, 8), "C": (10, 9.4, 8), "O": (9, 10.4, 8), "CB": (10, 7, 9.2)}),
    ("A", 2, "HOH", {"O": (14, 14, 14)}),
    ("B", 1, "ZN", {"ZN": (20, 10, 10)}),
)
SHARP = simulate(MODEL, FRAME, 2.0)


def without_zinc() -> DensityMap:
    protein = MODEL.clone()
    del protein[0]["B"]
    return simulate(protein, FRAME, 2.0)


def test_each_column_is_the_score_of_its_map() -> None:
    maps = {"original": SHARP, "enhanced": without_zinc()}
    found = q_by_class(MODEL, maps)
    assert found.maps == ("original", "enhanced")
    assert found.classes == ("backbone", "side chain", "ion", "water", "all")
    assert found.atoms.tolist() == [4, 1, 1, 1, 7]
    for column, density in enumerate(maps.values()):
        scores = q_scores(MODEL, density)
        wanted = [*(scores.per_class[name] for name in found.classes[:-1]), scores.mean_q]
        assert found.q[:, column] == pytest.approx(wanted)


def test_a_removed_ion_loses_its_score_and_the_protein_keeps_it() -> None:
    found = q_by_class(MODEL, {"original": SHARP, "enhanced": without_zinc()})
    fall = dict(zip(found.classes, found.q[:, 0] - found.q[:, 1], strict=True))
    assert fall["ion"] > 0.3
    assert abs(fall["backbone"]) < 0.05


def test_table_and_json_hold_the_numbers() -> None:
    found = q_by_class(MODEL, {"original": SHARP})
    headings, *rows = found.table()
    assert headings == ("class", "atoms", "original")
    assert rows[0] == ("backbone", "4", f"{found.q[0, 0]:.3f}")
    assert json.loads(json.dumps(found.as_dict()))["classes"]["ion"]["q"]["original"] == found.q[2, 0]


def test_a_model_without_atoms_is_refused() -> None:
    with pytest.raises(InputError, match="no atoms"):
        q_by_class(gemmi.Structure(), {"original": SHARP})
