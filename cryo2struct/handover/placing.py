"""A map that every program places alike: NSTART in whole voxels and ORIGIN 0.

Phenix and servalcat place a map by NSTART, ChimeraX by ORIGIN unless that is 0. With whole steps and ORIGIN 0 all
agree.
"""

from __future__ import annotations

import gemmi
import numpy as np

from cryo2struct.objects import DensityMap, FloatArray, GridFrame


def on_whole_steps(density: DensityMap) -> tuple[DensityMap, FloatArray]:
    """The map with its voxel 0 moved to the nearest whole number of voxels from 0.

    Returns
    -------
    DensityMap
        The same values; its axes are written x fastest.
    (3,) angstrom, x y z
        What has to be added to coordinates in the frame of the given map.
    """
    frame = density.frame
    origin = np.round(frame.origin / frame.voxel) * frame.voxel
    shift = origin - frame.origin
    if np.abs(shift).max() < 1e-3:
        shift = np.zeros(3)
    return DensityMap(density.values, GridFrame(frame.shape, frame.voxel, origin)), shift


def moved(structure: gemmi.Structure, shift: FloatArray) -> gemmi.Structure:
    """Copy of a structure with `shift` (3,) added to all coordinates."""
    copy = structure.clone()
    for site in copy[0].all():
        site.atom.pos = gemmi.Position(*(np.array(site.atom.pos.tolist()) + shift))
    return copy
