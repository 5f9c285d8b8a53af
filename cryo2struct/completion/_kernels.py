"""Compiled sums over atoms near each other, for the packing of side chains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile with numba; cached on disk unless neither its folder nor the user's cache can be written."""
    try:
        return cast(Kernel, numba.njit(cache=True)(function))
    except RuntimeError:
        return cast(Kernel, numba.njit(function))


@compiled
def bump(square: float, contact: float) -> float:
    """Penalty of two atoms at a squared distance below their contact distance: 0 there, 1 per 0.4 A squared."""
    if square >= contact * contact:
        return 0.0
    return min(((contact - np.sqrt(square)) / 0.4) ** 2, 6.0)


@compiled
def surroundings(
    points: np.ndarray,
    weights: np.ndarray,
    radii: np.ndarray,
    owner: np.ndarray,
    closed: bool,
    before: np.ndarray,
    xyz: np.ndarray,
    weight: np.ndarray,
    radius: np.ndarray,
    residue: np.ndarray,
    part: np.ndarray,
    cell_start: np.ndarray,
    low: np.ndarray,
    cells: np.ndarray,
    size: float,
    width: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Overlap (M,) and bumps (M,) of trial side chains with fixed atoms, and the overlap with themselves.

    Parameters
    ----------
    points (M, A, 3), weights (M, A), radii (A,), owner (M,) : trial side chains and the residues they belong to
    closed : bool, the side chain is bonded to its own N: no bumps with its residue and the one before
    before (R,) : residue bonded to N of each residue, -1 for none
    xyz (E, 3), weight, radius, residue, part (E,) : fixed atoms, sorted by cell; part 0 N, 1 CA, 2 C, 3 O, 4 CB,
        5 other
    cell_start (cells + 1,), low (3,), cells (3,), size : the cells; neighbours of a point are within one cell
    width : of the Gaussian exp(-distance^2 / width) by which atoms overlap
    """
    overlap = np.zeros(len(points))
    bumps = np.zeros(len(points))
    cutoff = size * size
    for m in range(len(points)):
        own = owner[m]
        for a in range(points.shape[1]):
            x, y, z = points[m, a, 0], points[m, a, 1], points[m, a, 2]
            total = 0.0
            for other in range(points.shape[1]):
                dx, dy, dz = points[m, other, 0] - x, points[m, other, 1] - y, points[m, other, 2] - z
                total += weights[m, other] * np.exp(-(dx * dx + dy * dy + dz * dz) / width)
            i0 = int(np.floor((x - low[0]) / size))
            j0 = int(np.floor((y - low[1]) / size))
            k0 = int(np.floor((z - low[2]) / size))
            for i in range(max(i0 - 1, 0), min(i0 + 2, cells[0])):
                for j in range(max(j0 - 1, 0), min(j0 + 2, cells[1])):
                    row = (i * cells[1] + j) * cells[2]
                    first, last = max(k0 - 1, 0), min(k0 + 1, cells[2] - 1)
                    if first > last:
                        continue
                    for e in range(cell_start[row + first], cell_start[row + last + 1]):
                        dx, dy, dz = xyz[e, 0] - x, xyz[e, 1] - y, xyz[e, 2] - z
                        square = dx * dx + dy * dy + dz * dz
                        mine = residue[e] == own
                        if square > cutoff or (mine and part[e] == 5):
                            continue
                        total += 2 * weight[e] * np.exp(-square / width)
                        if mine and (closed or part[e] != 3):
                            continue
                        if closed and before[own] >= 0 and residue[e] == before[own]:
                            continue
                        bumps[m] += bump(square, radii[a] + radius[e])
            overlap[m] += weights[m, a] * total
    return overlap, bumps


@compiled
def pair_energies(
    pairs: np.ndarray,
    points: np.ndarray,
    weights: np.ndarray,
    radii: np.ndarray,
    atoms: np.ndarray,
    kept: np.ndarray,
    width: float,
    overlap_weight: float,
    bump_weight: float,
) -> np.ndarray:
    """Energy (P, K, K) of the kept side chains of residues two by two.

    Parameters
    ----------
    pairs (P, 2) : residues
    points (R, K, A, 3), weights (R, A), radii (R, A), atoms (R,), kept (R,) : padded; numbers of atoms, side chains
    width, overlap_weight, bump_weight : see `surroundings`; energies per unit of overlap and bumps
    """
    energy = np.zeros((len(pairs), points.shape[1], points.shape[1]), dtype=np.float32)
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        for k in range(kept[i]):
            for n in range(kept[j]):
                total = 0.0
                for a in range(atoms[i]):
                    for b in range(atoms[j]):
                        dx = points[i, k, a, 0] - points[j, n, b, 0]
                        dy = points[i, k, a, 1] - points[j, n, b, 1]
                        dz = points[i, k, a, 2] - points[j, n, b, 2]
                        square = dx * dx + dy * dy + dz * dz
                        if square < 5 * width:
                            gauss = np.exp(-square / width)
                            total += overlap_weight * 2 * weights[i, a] * weights[j, b] * gauss
                        total += bump_weight * bump(square, radii[i, a] + radii[j, b])
                energy[p, k, n] = total
    return energy


@compiled
def settle(
    single: np.ndarray,
    kept: np.ndarray,
    pairs: np.ndarray,
    energy: np.ndarray,
    neighbour_start: np.ndarray,
    neighbour: np.ndarray,
    temperatures: np.ndarray,
) -> np.ndarray:
    """Side chain (R,) chosen for each residue: mean field at falling temperatures, then one after the other.

    Parameters
    ----------
    single (R, K) : energies alone
    kept (R,) : number of side chains of each residue
    pairs (P, 2), energy (P, K, K) : residues two by two
    neighbour_start (R + 1,), neighbour (2 P,) : rows of `pairs` by residue
    temperatures : of the sweeps, in units of the energies
    """
    n_residues, n_kept = single.shape
    share = np.zeros((n_residues, n_kept))
    field = np.zeros(n_kept)
    for i in range(n_residues):
        if kept[i] > 0:
            share[i, np.argmin(single[i, : kept[i]])] = 1.0
    for sweep in range(len(temperatures) + 10):
        changed = False
        for i in range(n_residues):
            if kept[i] == 0:
                continue
            for k in range(kept[i]):
                field[k] = single[i, k]
            for entry in range(neighbour_start[i], neighbour_start[i + 1]):
                p = neighbour[entry]
                first = pairs[p, 0] == i
                j = pairs[p, 1] if first else pairs[p, 0]
                for n in range(kept[j]):
                    if share[j, n] > 1e-4:
                        for k in range(kept[i]):
                            field[k] += share[j, n] * (energy[p, k, n] if first else energy[p, n, k])
            best = np.argmin(field[: kept[i]])
            if sweep < len(temperatures):
                least, total = field[best], 0.0
                for k in range(kept[i]):
                    field[k] = np.exp((least - field[k]) / temperatures[sweep])
                    total += field[k]
                for k in range(kept[i]):
                    share[i, k] = 0.5 * share[i, k] + 0.5 * field[k] / total
            elif share[i, best] != 1.0:
                changed = True
                share[i, : kept[i]] = 0.0
                share[i, best] = 1.0
        if sweep >= len(temperatures) and not changed:
            break
    chosen = np.zeros(n_residues, dtype=np.int64)
    for i in range(n_residues):
        if kept[i] > 0:
            chosen[i] = np.argmax(share[i, : kept[i]])
    return chosen
