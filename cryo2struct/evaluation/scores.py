"""All scores of a model, or of candidates, that need nothing but a target."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict

import gemmi

from cryo2struct.evaluation.ca import ResidueKey, score_ca
from cryo2struct.evaluation.chain_comparison import chain_comparison
from cryo2struct.objects import Candidates


class Evaluation(TypedDict, total=False):
    """Scores by name, as they are written: `chain_comparison.MODE.COLUMN` (models only) and `ca.at_DISTANCE.SCORE`."""

    chain_comparison: dict[str, dict[str, float | int | str | None]]
    ca: dict[str, dict[str, float | None]]


def evaluate(
    model: gemmi.Structure | Candidates,
    target: gemmi.Structure,
    *,
    near_model: float | None = None,
    context: gemmi.Structure | None = None,
    exclude: Collection[ResidueKey] = frozenset(),
) -> Evaluation:
    """Compare with a target.

    The last three settings concern the `ca` block alone: `score_ca` says what they do. chain_comparison is kept as the
    field's program computes it.

    Parameters
    ----------
    model, target : gemmi.Structure, or Candidates for the first
    near_model : angstrom, or None
    context : gemmi.Structure or None
    exclude : residues of the target that are not to be trusted
    """
    result: Evaluation = {}
    if not isinstance(model, Candidates):
        result["chain_comparison"] = {mode: score.as_dict() for mode, score in chain_comparison(target, model).items()}
    scores = score_ca(model, target, near_model=near_model, context=context, exclude=exclude)
    result["ca"] = {f"at_{distance:.1f}": score.as_dict() for distance, score in scores.items()}
    return result
