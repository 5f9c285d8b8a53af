"""Energies of restraints on atoms, each with its gradient.

Every kernel takes coordinates (A, 3) in angstrom, rows of atom indices, ideal values and weights 1 / sd^2, adds the
derivatives to `gradient` (A, 3) and returns the energy. Angles are in radians.
"""

from __future__ import annotations

import numpy as np

from cryo2struct.objects import FloatArray, IntArray
from hmm._jit import njit

TINY = 1e-9


@njit
def bonds(xyz: FloatArray, atoms: IntArray, ideal: FloatArray, weight: FloatArray, gradient: FloatArray) -> float:
    """Squared deviations of distances of pairs (M, 2)."""
    energy = 0.0
    for m in range(len(atoms)):
        i, j = atoms[m]
        x, y, z = xyz[i, 0] - xyz[j, 0], xyz[i, 1] - xyz[j, 1], xyz[i, 2] - xyz[j, 2]
        length = np.sqrt(x * x + y * y + z * z) + TINY
        off = length - ideal[m]
        energy += weight[m] * off * off
        pull = 2 * weight[m] * off / length
        gradient[i, 0] += pull * x
        gradient[i, 1] += pull * y
        gradient[i, 2] += pull * z
        gradient[j, 0] -= pull * x
        gradient[j, 1] -= pull * y
        gradient[j, 2] -= pull * z
    return energy


@njit
def repulsion(xyz: FloatArray, atoms: IntArray, least: FloatArray, weight: float, gradient: FloatArray) -> float:
    """Squared overlaps of pairs (M, 2) that are nearer than `least` (M,)."""
    energy = 0.0
    for m in range(len(atoms)):
        i, j = atoms[m]
        x, y, z = xyz[i, 0] - xyz[j, 0], xyz[i, 1] - xyz[j, 1], xyz[i, 2] - xyz[j, 2]
        square = x * x + y * y + z * z
        if square >= least[m] * least[m]:
            continue
        length = np.sqrt(square) + TINY
        off = length - least[m]
        energy += weight * off * off
        pull = 2 * weight * off / length
        gradient[i, 0] += pull * x
        gradient[i, 1] += pull * y
        gradient[i, 2] += pull * z
        gradient[j, 0] -= pull * x
        gradient[j, 1] -= pull * y
        gradient[j, 2] -= pull * z
    return energy


@njit
def angles(xyz: FloatArray, atoms: IntArray, ideal: FloatArray, weight: FloatArray, gradient: FloatArray) -> float:
    """Squared deviations of the angles at the middle one of three atoms (M, 3).

    The deviation is that of the cosine over the ideal sine: the same nearby, and smooth where atoms come in line.
    """
    energy = 0.0
    u, v = np.empty(3), np.empty(3)
    for m in range(len(atoms)):
        i, j, k = atoms[m]
        u_length, v_length, dot = TINY, TINY, 0.0
        for d in range(3):
            u[d], v[d] = xyz[i, d] - xyz[j, d], xyz[k, d] - xyz[j, d]
            u_length += u[d] * u[d]
            v_length += v[d] * v[d]
            dot += u[d] * v[d]
        u_length, v_length = np.sqrt(u_length), np.sqrt(v_length)
        cosine, sine = dot / (u_length * v_length), np.sin(ideal[m])
        off = (cosine - np.cos(ideal[m])) / sine
        energy += weight[m] * off * off
        pull = 2 * weight[m] * off / sine
        for d in range(3):
            at_i = pull * (v[d] / v_length - cosine * u[d] / u_length) / u_length
            at_k = pull * (u[d] / u_length - cosine * v[d] / v_length) / v_length
            gradient[i, d] += at_i
            gradient[k, d] += at_k
            gradient[j, d] -= at_i + at_k
    return energy


@njit
def _cross(a: FloatArray, b: FloatArray, out: FloatArray) -> None:
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@njit
def volumes(xyz: FloatArray, atoms: IntArray, ideal: FloatArray, weight: FloatArray, gradient: FloatArray) -> float:
    """Squared deviations of the chiral volumes (b - a) . ((c - a) x (d - a)) of four atoms a, b, c, d (M, 4)."""
    energy = 0.0
    u, v, w, across = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for m in range(len(atoms)):
        a, b, c, d = atoms[m]
        for axis in range(3):
            u[axis] = xyz[b, axis] - xyz[a, axis]
            v[axis] = xyz[c, axis] - xyz[a, axis]
            w[axis] = xyz[d, axis] - xyz[a, axis]
        _cross(v, w, across)
        off = u[0] * across[0] + u[1] * across[1] + u[2] * across[2] - ideal[m]
        energy += weight[m] * off * off
        pull = 2 * weight[m] * off
        for axis in range(3):
            gradient[b, axis] += pull * across[axis]
            gradient[a, axis] -= pull * across[axis]
        _cross(w, u, across)
        for axis in range(3):
            gradient[c, axis] += pull * across[axis]
            gradient[a, axis] -= pull * across[axis]
        _cross(u, v, across)
        for axis in range(3):
            gradient[d, axis] += pull * across[axis]
            gradient[a, axis] -= pull * across[axis]
    return energy


@njit
def _normal(s: FloatArray, normal: FloatArray) -> float:
    """Eigenvector of the smallest eigenvalue of a symmetric matrix (3, 3), by the trigonometric formula."""
    mean = (s[0, 0] + s[1, 1] + s[2, 2]) / 3
    off = s[0, 1] ** 2 + s[0, 2] ** 2 + s[1, 2] ** 2
    spread = (s[0, 0] - mean) ** 2 + (s[1, 1] - mean) ** 2 + (s[2, 2] - mean) ** 2 + 2 * off
    scale = np.sqrt(spread / 6) + TINY
    b = s.copy()
    for d in range(3):
        b[d, d] -= mean
    determinant = (
        b[0, 0] * (b[1, 1] * b[2, 2] - b[1, 2] * b[2, 1])
        - b[0, 1] * (b[1, 0] * b[2, 2] - b[1, 2] * b[2, 0])
        + b[0, 2] * (b[1, 0] * b[2, 1] - b[1, 1] * b[2, 0])
    )
    turn = np.arccos(min(max(determinant / (2 * scale**3), -1.0), 1.0)) / 3
    smallest = 2 * scale * np.cos(turn + 2 * np.pi / 3)
    for d in range(3):
        b[d, d] -= smallest
    best, trial = 0.0, np.empty(3)
    for first in range(3):
        _cross(b[first], b[(first + 1) % 3], trial)
        size = trial[0] ** 2 + trial[1] ** 2 + trial[2] ** 2
        if size > best:
            best = size
            normal[:] = trial / np.sqrt(size)
    return best


@njit
def planes(xyz: FloatArray, atoms: IntArray, starts: IntArray, weight: float, gradient: FloatArray) -> float:
    """Squared distances of the atoms of each group from its best plane; group g is atoms[starts[g]:starts[g + 1]].

    The best plane is at a minimum of the sum, so that its own derivative does not count.
    """
    energy = 0.0
    centre, normal, s = np.empty(3), np.empty(3), np.empty((3, 3))
    for g in range(len(starts) - 1):
        group = atoms[starts[g] : starts[g + 1]]
        centre[:] = 0.0
        for i in group:
            centre += xyz[i]
        centre /= len(group)
        s[:] = 0.0
        for i in group:
            for a in range(3):
                for b in range(3):
                    s[a, b] += (xyz[i, a] - centre[a]) * (xyz[i, b] - centre[b])
        if _normal(s, normal) == 0.0:
            continue
        for i in group:
            height = 0.0
            for d in range(3):
                height += (xyz[i, d] - centre[d]) * normal[d]
            energy += weight * height * height
            for d in range(3):
                gradient[i, d] += 2 * weight * height * normal[d]
    return energy


@njit
def dihedral(xyz: FloatArray, a: int, b: int, c: int, d: int, derivative: FloatArray) -> float:
    """Dihedral angle of four atoms; its derivatives by their coordinates go to `derivative` (4, 3).

    Formulas: A. Blondel and M. Karplus (1996), J. Comput. Chem. 17, 1132-1141.
    """
    f, g, h = xyz[a] - xyz[b], xyz[b] - xyz[c], xyz[d] - xyz[c]
    first, second, third = np.empty(3), np.empty(3), np.empty(3)
    _cross(f, g, first)
    _cross(h, g, second)
    _cross(second, first, third)
    length = np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2) + TINY
    square_1 = first[0] ** 2 + first[1] ** 2 + first[2] ** 2 + TINY
    square_2 = second[0] ** 2 + second[1] ** 2 + second[2] ** 2 + TINY
    cosine = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    sine = (third[0] * g[0] + third[1] * g[1] + third[2] * g[2]) / length
    f_g = f[0] * g[0] + f[1] * g[1] + f[2] * g[2]
    h_g = h[0] * g[0] + h[1] * g[1] + h[2] * g[2]
    for k in range(3):
        at_a = -length / square_1 * first[k]
        at_d = length / square_2 * second[k]
        shift = f_g / (square_1 * length) * first[k] - h_g / (square_2 * length) * second[k]
        derivative[0, k] = at_a
        derivative[1, k] = -at_a + shift
        derivative[2, k] = -at_d - shift
        derivative[3, k] = at_d
    return np.arctan2(sine, cosine)


@njit
def torsions(
    xyz: FloatArray, atoms: IntArray, ideal: FloatArray, period: FloatArray, weight: FloatArray, gradient: FloatArray
) -> float:
    """Terms 1 - cos(period (angle - ideal)) of the dihedral angles of four atoms (M, 4)."""
    energy = 0.0
    derivative = np.empty((4, 3))
    for m in range(len(atoms)):
        angle = dihedral(xyz, atoms[m, 0], atoms[m, 1], atoms[m, 2], atoms[m, 3], derivative)
        off = period[m] * (angle - ideal[m])
        energy += weight[m] * (1 - np.cos(off))
        pull = weight[m] * period[m] * np.sin(off)
        for k in range(4):
            for d in range(3):
                gradient[atoms[m, k], d] += pull * derivative[k, d]
    return energy


@njit
def _spline(share: float, value: FloatArray, slope: FloatArray) -> None:
    """Weights of four cubic B-spline coefficients at `share` (0-1) between the middle two, and their derivatives."""
    rest = 1 - share
    value[0] = rest**3 / 6
    value[1] = 2 / 3 - share * share * (2 - share) / 2
    value[2] = 2 / 3 - rest * rest * (2 - rest) / 2
    value[3] = share**3 / 6
    slope[0] = -rest * rest / 2
    slope[1] = share * (3 * share - 4) / 2
    slope[2] = -rest * (3 * rest - 4) / 2
    slope[3] = share * share / 2


@njit
def ramachandran(
    xyz: FloatArray, atoms: IntArray, kind: IntArray, tables: FloatArray, weight: float, gradient: FloatArray
) -> float:
    """Potential of phi and psi of C, N, CA, C, N (M, 5): periodic cubic splines `tables` (K, B, B), one per class.

    The first of the B bins starts at 0 degrees; splines are about the middles of bins.
    """
    energy = 0.0
    bins = tables.shape[1]
    by_phi, by_psi = np.empty((4, 3)), np.empty((4, 3))
    wp, sp, wq, sq = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    for m in range(len(atoms)):
        phi = dihedral(xyz, atoms[m, 0], atoms[m, 1], atoms[m, 2], atoms[m, 3], by_phi)
        psi = dihedral(xyz, atoms[m, 1], atoms[m, 2], atoms[m, 3], atoms[m, 4], by_psi)
        p, q = phi * bins / (2 * np.pi) - 0.5, psi * bins / (2 * np.pi) - 0.5
        p0, q0 = int(np.floor(p)), int(np.floor(q))
        _spline(p - p0, wp, sp)
        _spline(q - q0, wq, sq)
        value, phi_slope, psi_slope = 0.0, 0.0, 0.0
        for i in range(4):
            for j in range(4):
                c = tables[kind[m], (p0 + i - 1) % bins, (q0 + j - 1) % bins]
                value += wp[i] * wq[j] * c
                phi_slope += sp[i] * wq[j] * c
                psi_slope += wp[i] * sq[j] * c
        energy += weight * value
        scale = weight * bins / (2 * np.pi)
        for k in range(4):
            for d in range(3):
                gradient[atoms[m, k], d] += scale * phi_slope * by_phi[k, d]
                gradient[atoms[m, k + 1], d] += scale * psi_slope * by_psi[k, d]
    return energy


@njit
def density(
    xyz: FloatArray,
    charge: FloatArray,
    coefficients: FloatArray,
    origin: FloatArray,
    voxel: FloatArray,
    weight: float,
    gradient: FloatArray,
) -> float:
    """Minus the sum of the map at the atoms times their `charge` (A,); cubic B-spline `coefficients` (z, y, x).

    An atom whose 64 coefficients are not all in the map feels nothing.
    """
    energy = 0.0
    nz, ny, nx = coefficients.shape
    wx, sx, wy, sy, wz, sz = np.empty(4), np.empty(4), np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    for a in range(len(xyz)):
        px = (xyz[a, 0] - origin[0]) / voxel[0]
        py = (xyz[a, 1] - origin[1]) / voxel[1]
        pz = (xyz[a, 2] - origin[2]) / voxel[2]
        x0, y0, z0 = int(np.floor(px)), int(np.floor(py)), int(np.floor(pz))
        if x0 < 1 or y0 < 1 or z0 < 1 or x0 + 2 >= nx or y0 + 2 >= ny or z0 + 2 >= nz:
            continue
        _spline(px - x0, wx, sx)
        _spline(py - y0, wy, sy)
        _spline(pz - z0, wz, sz)
        value, by_x, by_y, by_z = 0.0, 0.0, 0.0, 0.0
        for i in range(4):
            for j in range(4):
                row, row_slope = 0.0, 0.0
                for k in range(4):
                    c = coefficients[z0 + i - 1, y0 + j - 1, x0 + k - 1]
                    row += wx[k] * c
                    row_slope += sx[k] * c
                value += wz[i] * wy[j] * row
                by_x += wz[i] * wy[j] * row_slope
                by_y += wz[i] * sy[j] * row
                by_z += sz[i] * wy[j] * row
        scale = -weight * charge[a]
        energy += scale * value
        gradient[a, 0] += scale * by_x / voxel[0]
        gradient[a, 1] += scale * by_y / voxel[1]
        gradient[a, 2] += scale * by_z / voxel[2]
    return energy


@njit
def overlap(
    xyz: FloatArray, pairs: IntArray, charge: FloatArray, square_width: float, weight: float, gradient: FloatArray
) -> float:
    """Sum over pairs (M, 2) of charge times charge times exp(-d^2 / (4 square_width))."""
    energy = 0.0
    reach, scale = 36 * square_width, -1 / (4 * square_width)
    for m in range(len(pairs)):
        i, j = pairs[m]
        x, y, z = xyz[i, 0] - xyz[j, 0], xyz[i, 1] - xyz[j, 1], xyz[i, 2] - xyz[j, 2]
        square = x * x + y * y + z * z
        if square > reach:
            continue
        term = weight * charge[i] * charge[j] * np.exp(scale * square)
        energy += term
        pull = 2 * scale * term
        gradient[i, 0] += pull * x
        gradient[i, 1] += pull * y
        gradient[i, 2] += pull * z
        gradient[j, 0] -= pull * x
        gradient[j, 1] -= pull * y
        gradient[j, 2] -= pull * z
    return energy


@njit
def crowding(
    moved: FloatArray, xyz: FloatArray, others: IntArray, starts: IntArray, square_width: float, result: FloatArray
) -> None:
    """Adds to `result` (P,) the sum of exp(-d^2 / (4 square_width)) of the points of each group and atoms near it.

    Group p is `moved` (P, K, 3)[p]; its atoms are others[starts[p]:starts[p + 1]], rows of `xyz`.
    """
    scale = -1 / (4 * square_width)
    for p in range(len(moved)):
        for k in range(moved.shape[1]):
            for j in others[starts[p] : starts[p + 1]]:
                x, y, z = moved[p, k, 0] - xyz[j, 0], moved[p, k, 1] - xyz[j, 1], moved[p, k, 2] - xyz[j, 2]
                result[p] += np.exp(scale * (x * x + y * y + z * z))
