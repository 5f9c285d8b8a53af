"""Residues without a candidate between traced neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.settings import TracingSettings

INTERPOLATED = np.array([0.5, 0.5, 1.0])
"""Probabilities of an interpolated residue (right, place, register) per those of the less sure of its neighbours."""


@dataclass(frozen=True)
class Rows:
    """Residues of one run, see `Trace`."""

    position: IntArray
    candidate: IntArray
    xyz: FloatArray
    probabilities: FloatArray


def fill_gaps(
    run: IntArray, xyz: FloatArray, states: IntArray, probabilities: FloatArray, settings: TracingSettings
) -> Rows:
    """Rows of a run (n,) at xyz (n, 3), with gaps of up to `max_interpolated` residues filled.

    Probabilities (n, 3) are confidence, that of the place, that of the register. An interpolated residue gets the lower
    ones of its neighbours, halved but for the register.
    """
    rows = []
    for here in range(len(run)):
        rows.append((run[here], states[here], xyz[here], probabilities[here]))
        missing = run[here + 1] - run[here] - 1 if here + 1 < len(run) else 0
        if 0 < missing <= settings.max_interpolated:
            lower = probabilities[here : here + 2].min(axis=0) * INTERPOLATED
            for n, point in enumerate(_between(xyz, here, missing), start=1):
                rows.append((run[here] + n, -1, point, lower))
    return Rows(*map(np.array, zip(*rows, strict=True)))


def _between(xyz: FloatArray, here: int, missing: int) -> FloatArray:
    """Points (missing, 3) evenly on the chord from row `here` to the next.

    An arc through the residues on both sides is worse: a helix bends one way there, a strand the other, and the
    noise of the positions decides.
    """
    fraction = np.arange(1, missing + 1)[:, None] / (missing + 1)
    return np.asarray(xyz[here] + fraction * (xyz[here + 1] - xyz[here]))
