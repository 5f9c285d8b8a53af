"""How far predicted probabilities can be believed: predicted against observed shares, in bins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryo2struct.evaluation.ca import Points
from cryo2struct.objects import Candidates, FloatArray, IntArray
from cryo2struct.training.plot import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10
TITLES = {"presence": "C-alpha within 2 A", "types": "most likely amino-acid type"}


@dataclass(frozen=True)
class Answers:
    """Probabilities (N,) that were predicted for statements, and which of these are right (N,)."""

    predicted: FloatArray
    right: NDArray[np.bool_]


def judge(candidates: Candidates, counted: IntArray, pairs: IntArray, truth: Points) -> dict[str, Answers]:
    """What the candidates of a map say of presence and, where they are right, of the type.

    Parameters
    ----------
    candidates : Candidates
    counted, pairs : see `evaluation.ca.judged_candidates`
    truth : C-alphas of the model; those of unknown type do not count for the types
    """
    typed = pairs[truth.types[pairs[:, 1]] >= 0]
    probability = np.asarray(candidates.aa_prob, dtype=np.float64)[typed[:, 0]]
    return {
        "presence": Answers(np.asarray(candidates.ca_prob)[counted], np.isin(counted, pairs[:, 0])),
        "types": Answers(probability.max(axis=1), probability.argmax(axis=1) == truth.types[typed[:, 1]]),
    }


def reliability(maps: list[dict[str, Answers]]) -> dict[str, Any]:
    """Bins over all maps, and the mean distance of predicted and observed over the statements, for each of `TITLES`."""
    result = {}
    for name in TITLES:
        predicted = np.concatenate([np.zeros(0), *(answers[name].predicted for answers in maps)])
        right = np.concatenate([np.zeros(0, dtype=np.bool_), *(answers[name].right for answers in maps)])
        bins = binned(Answers(predicted, right))
        apart = [b["count"] * abs(b["predicted"] - b["observed"]) for b in bins if b["count"]]
        result[name] = {"error": sum(apart) / len(right) if len(right) else None, "bins": bins}
    return result


def binned(answers: Answers) -> list[dict[str, Any]]:
    """Mean predicted probability and observed share, None without any, in ten bins of equal width; 1 is in the last."""
    number = np.minimum((answers.predicted * BINS).astype(np.int64), BINS - 1)
    found = []
    for index in range(BINS):
        here = number == index
        any_here = bool(here.any())
        found.append(
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "count": int(here.sum()),
                "predicted": float(answers.predicted[here].mean()) if any_here else None,
                "observed": float(answers.right[here].mean()) if any_here else None,
            }
        )
    return found


def draw(figure: Figure, found: dict[str, Any], path: Path) -> None:
    """Draw what `reliability` gives, observed over predicted, and save the figure; raises OutputError."""
    for number, (name, title) in enumerate(TITLES.items()):
        axes = figure.add_subplot(1, len(TITLES), number + 1)
        bins = [b for b in found[name]["bins"] if b["count"]]
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
        axes.plot([b["predicted"] for b in bins], [b["observed"] for b in bins], marker="o")
        for b in bins:
            axes.annotate(str(b["count"]), (b["predicted"], b["observed"]), fontsize="x-small")
        axes.set(title=title, xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)
    save_figure(figure, path)
