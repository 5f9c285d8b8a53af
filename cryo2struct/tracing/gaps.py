"""Residues without a candidate between traced neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.settings import TracingSettings


@dataclass(frozen=True)
class Rows:
    """Residues of one run, see `Trace`."""

    position: IntArray
    candidate: IntArray
    xyz: FloatArray
    place_prob: FloatArray
    register_prob: FloatArray


def fill_gaps(
    run: IntArray,
    xyz: FloatArray,
    states: IntArray,
    place_prob: FloatArray,
    register_prob: FloatArray,
    settings: TracingSettings,
) -> Rows:
    """Rows of a run (n,) at xyz (n, 3), with gaps of up to `max_interpolated` residues filled.

    An interpolated residue gets the lower probabilities of its neighbours, halved for the place.
    """
    rows = []
    for here in range(len(run)):
        rows.append((run[here], states[here], xyz[here], place_prob[here], register_prob[here]))
        missing = run[here + 1] - run[here] - 1 if here + 1 < len(run) else 0
        if 0 < missing <= settings.max_interpolated:
            pair = slice(here, here + 2)
            place, register = 0.5 * place_prob[pair].min(), register_prob[pair].min()
            for n, point in enumerate(_between(xyz, here, missing), start=1):
                rows.append((run[here] + n, -1, point, place, register))
    position, candidate, points, place_column, register_column = zip(*rows, strict=True)
    return Rows(
        np.array(position), np.array(candidate), np.array(points), np.array(place_column), np.array(register_column)
    )


def _between(xyz: FloatArray, here: int, missing: int) -> FloatArray:
    """Points (missing, 3) evenly on the chord from row `here` to the next.

    An arc through the residues on both sides is worse: a helix bends one way there, a strand the other, and the
    noise of the positions decides.
    """
    fraction = np.arange(1, missing + 1)[:, None] / (missing + 1)
    return np.asarray(xyz[here] + fraction * (xyz[here + 1] - xyz[here]))
