"""Density maps: MRC2014 and CCP4 files, plain, gzip or bzip2, in any axis and byte order.

Header and voxels are read with numpy after a header gate of our own (`map_header`), not with mrcfile: the gate
overrules the machine stamp and NSYMBT where the file proves them wrong, knows the bytes to expect before any memory is
taken, and so can refuse in one line what mrcfile warns about or reads as something else. mrcfile gives the header's
layout and writes maps.
"""

from __future__ import annotations

import io
import math
import os
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryo2struct.errors import InputError, OutputError, UsageError
from cryo2struct.io.map_header import (
    HEADER_BYTES,
    MapHeader,
    OriginPolicy,
    origin_from,
    parse_header,
    place,
    voxel_from,
)
from cryo2struct.io.outputs import atomic_path
from cryo2struct.io.streams import open_input, read_up_to
from cryo2struct.objects import DensityMap, FloatArray, GridFrame

MAX_VOXELS = 1024**3
SMALLEST_BOX = 16  # voxels
SHORTEST_BOX = 20.0  # angstrom
COARSEST_VOXEL = 4.0  # angstrom
COARSE_VOXEL = 2.0  # angstrom; above it amino-acid types cannot be told
FINEST_VOXEL = 0.2  # angstrom; below it the cell is more likely in nanometres
LARGEST_VALUE = 1e9  # map units; beyond it the bytes are damaged, and sums of squares leave float32
LEAST_RANGE = 1e-12  # map units; below it there is rounding only, or numbers whose squares leave float32
NAN_SHARE = 1e-3
INVERTED_SKEWNESS = -0.5
LARGEST_SAMPLE = 4_000_000  # voxels that statistics are taken from
WHOLE_STEP = 1e-3  # voxels
SAME_VOXEL = 1e-3  # relative
SAME_PLACE = 0.1  # voxels
LABEL_BYTES = 80


def read_map(
    path: str | os.PathLike[str],
    *,
    voxel_size: float | None = None,
    origin: OriginPolicy = "auto",
    max_voxels: int = MAX_VOXELS,
) -> tuple[DensityMap, list[str]]:
    """Read a map, whatever its axis order, byte order and voxel type.

    Parameters
    ----------
    path : path
        .mrc, .map, .ccp4, .rec, also compressed.
    voxel_size : float, optional
        Angstrom along all axes, instead of what the header says.
    origin : "auto", "header", "nstart" or "zero"
        Where voxel 0 is: by ORIGIN when it is set, else by NSTART; by ORIGIN; by NSTART; at 0 0 0.
    max_voxels : int
        Larger maps are refused.

    Returns
    -------
    DensityMap
        Values float32 (z, y, x), C-contiguous.
    list of str
        Warnings, one line each.

    Raises
    ------
    InputError
        The file is no map, is damaged, or is a map that nothing can be built in.
    UsageError
        `voxel_size` is no size.
    """
    name = os.fspath(path)
    density_map, warnings = _read(name, voxel_size, origin, max_voxels)
    _look_at_histogram(name, density_map.values, warnings)
    return density_map, warnings


def read_mask(
    path: str | os.PathLike[str],
    frame: GridFrame,
    *,
    voxel_size: float | None = None,
    origin: OriginPolicy = "auto",
) -> tuple[DensityMap, list[str]]:
    """Read a mask and bring it onto the grid `frame`; values are clipped to 0..1.

    A mask on another grid (voxel, box or place) is resampled by trilinear interpolation, 0 outside its box.

    Parameters
    ----------
    path : path
    frame : GridFrame
        Grid of the map.
    voxel_size, origin
        As for `read_map`, and the same as the map was read with.

    Returns
    -------
    DensityMap
        On `frame`.
    list of str
        Warnings, one line each.

    Raises
    ------
    InputError
        The file is no map or is damaged; no voxel is above 0; or none of those lies in the map.
    """
    name = os.fspath(path)
    mask, warnings = _read(name, voxel_size, origin, max(MAX_VOXELS, math.prod(frame.shape)), is_mask=True)
    low, high = float(mask.values.min()), float(mask.values.max())
    if high <= 0:
        raise InputError(f"{name}: no voxel of the mask is above 0 (largest value {high:.4g}); give another mask")
    if low < -0.01 or high > 1.01:
        warnings.append(f"{name}: mask values {low:.4g} to {high:.4g} are clipped to 0..1")
    values = np.clip(mask.values, 0, 1)
    if not same_grid(mask.frame, frame):
        grids = f"mask ({describe_grid(mask.frame)}), map ({describe_grid(frame)})"
        values = _onto(values, mask.frame, frame)
        if values.max() <= 0:
            raise InputError(f"{name}: the mask does not overlap the map: {grids}; give another, or see --origin")
        warnings.append(f"{name}: resampled onto the map's grid: {grids}; see --origin if they should coincide")
    return DensityMap(values, frame, mask.header), warnings


def read_grid(path: str | os.PathLike[str]) -> DensityMap:
    """Read a file as `write_by_origin` writes it, whatever its values.

    Raises
    ------
    InputError
        The file is no map or is damaged.
    """
    return _read(os.fspath(path), None, "auto", MAX_VOXELS, is_mask=True)[0]


def write_map(path: str | os.PathLike[str], density_map: DensityMap, what: str = "") -> None:
    """Write a map as float32 (mode 2), uncompressed; `what` it is goes into the second label of the header.

    The axes are in the order of the file that the map was read from, when its header says so. A map on the grid of
    that file keeps its sampling, NSTART and ORIGIN; another has NSTART where its origin is on whole voxels and ORIGIN
    0, else ORIGIN.

    Raises
    ------
    OutputError
        The file cannot be written, or its name is that of a compressed one.
    """
    if Path(path).suffix in (".gz", ".bz2"):
        raise OutputError(f"{path}: maps are written uncompressed; leave {Path(path).suffix} out of the name")
    frame = density_map.frame
    axes = tuple(density_map.header.get("axes", (1, 2, 3)))
    nstart, origin, sampling = _words(frame, density_map.header)
    from_zyx = tuple(3 - axis for axis in axes[::-1])
    values = np.ascontiguousarray(density_map.values.transpose(from_zyx), dtype=np.float32)
    with _new_file(path, values, frame.voxel * sampling, what) as header:
        header.mapc, header.mapr, header.maps = axes
        header.mx, header.my, header.mz = sampling
        header.nxstart, header.nystart, header.nzstart = (nstart[axis - 1] for axis in axes)
        header.origin.x, header.origin.y, header.origin.z = origin


def write_by_origin(
    path: str | os.PathLike[str], values: NDArray[np.float32] | NDArray[np.int8], frame: GridFrame, what: str
) -> None:
    """Write a map or labels of voxels as programs expect that know ORIGIN alone: x fastest, NSTART 0.

    Parameters
    ----------
    path : path
    values : (z, y, x) float32 (mode 2) or int8 (mode 0)
    frame : GridFrame
    what : second label of the header

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with _new_file(path, values, frame.voxel * frame.shape[::-1], what) as header:
        header.origin.x, header.origin.y, header.origin.z = frame.origin


def faults_of_format(path: str | os.PathLike[str]) -> list[str]:
    """What mrcfile finds wrong with a file by the standard MRC2014, a line each."""
    said = io.StringIO()
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        good = mrcfile.validate(os.fspath(path), print_file=said)
    lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
    return [] if good else lines or ["is not as MRC2014 says"]


@contextmanager
def _new_file(path: str | os.PathLike[str], values: NDArray[Any], cell: FloatArray, what: str) -> Iterator[Any]:
    """A file with these values, labels and cell; yields its header to be filled in."""
    with atomic_path(path) as temporary, python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # about values; they are the caller's
        with mrcfile.new(temporary) as mrc:
            mrc.set_data(values)
            header = mrc.header
            header.cella.x, header.cella.y, header.cella.z = cell
            header.label[:] = b""  # the label of mrcfile holds the time: the same map gives the same file
            labels = ["cryo2struct", *([what] if what else [])]
            for number, label in enumerate(labels):
                header.label[number] = label.encode("ascii", "replace")[:LABEL_BYTES]
            header.nlabl = len(labels)
            yield header


def same_grid(one: GridFrame, other: GridFrame) -> bool:
    """Whether two grids have one shape, one voxel (0.1 %) and one place (a tenth of a voxel)."""
    return (
        one.shape == other.shape
        and np.allclose(one.voxel, other.voxel, rtol=SAME_VOXEL, atol=0)
        and bool((np.abs(one.origin - other.origin) < SAME_PLACE * other.voxel).all())
    )


def _onto(values: NDArray[np.float32], own: GridFrame, frame: GridFrame) -> NDArray[np.float32]:
    """Values of the grid `own` at the voxels of `frame`, trilinear, 0 outside."""
    resampled: NDArray[np.float32] = scipy.ndimage.affine_transform(
        values,
        (frame.voxel / own.voxel)[::-1],
        own.to_index(frame.origin),
        frame.shape,
        output=np.float32,
        order=1,
        mode="grid-constant",  # falls to 0 over one voxel: no voxel at a face is lost to rounding
    )
    return resampled


def _read(
    path: str, voxel_size: float | None, origin: OriginPolicy, max_voxels: int, is_mask: bool = False
) -> tuple[DensityMap, list[str]]:
    """Map with finite values, and warnings; everything but what its histogram says."""
    if voxel_size is not None and not (math.isfinite(voxel_size) and voxel_size > 0):
        raise UsageError(f"--voxel-size {voxel_size}: is no size; give angstrom above 0")
    with open_input(path) as stream:
        header, warnings = parse_header(path, bytes(read_up_to(stream, HEADER_BYTES)))
        voxel = voxel_from(path, header, voxel_size)
        _check_size(path, header, max_voxels)
        if not is_mask:
            _check_grid(path, header, voxel, warnings)
        body = read_up_to(stream, max(header.extended, 0) + header.data_bytes + 1)
    start = _start_of_data(path, header, len(body), warnings)
    voxels = math.prod(header.shape)
    in_file = np.frombuffer(body, dtype=header.dtype, count=voxels, offset=start).reshape(header.shape)
    values = np.require(in_file.transpose(header.transpose), dtype=np.float32, requirements=["C", "A", "W"])
    _fill_gaps(path, values, warnings)
    frame = GridFrame(values.shape, voxel, place(path, header, voxel, origin, warnings))
    return DensityMap(values, frame, header.as_dict()), warnings


def _check_size(path: str, header: MapHeader, max_voxels: int) -> None:
    voxels = math.prod(header.shape)
    if voxels > max_voxels:
        raise InputError(f"{path}: {voxels} voxels are more than {max_voxels}; crop the map or raise --max-voxels")


def _check_grid(path: str, header: MapHeader, voxel: FloatArray, warnings: list[str]) -> None:
    """Refuse grids too small or too coarse to build in."""
    shape_xyz = np.array([header.shape[axis] for axis in header.transpose])[::-1]
    sizes = "x".join(str(size) for size in shape_xyz)
    coarse = float(voxel.max())
    if coarse > COARSEST_VOXEL:
        raise InputError(
            f"{path}: voxel {coarse:.4g} A is above {COARSEST_VOXEL:g} A: no chain can be traced; "
            "give a finer map, or --voxel-size when the header is wrong"
        )
    if shape_xyz.min() < SMALLEST_BOX or (shape_xyz * voxel).min() < SHORTEST_BOX:
        extent = " x ".join(f"{length:.4g}" for length in shape_xyz * voxel)
        raise InputError(
            f"{path}: box {sizes} voxels ({extent} A) is smaller than {SMALLEST_BOX} voxels or {SHORTEST_BOX:g} A; "
            "give a larger box, or --voxel-size when the header is wrong"
        )
    if coarse > COARSE_VOXEL:
        warnings.append(f"{path}: voxel {coarse:.4g} A is above {COARSE_VOXEL:g} A: amino-acid types are unreliable")
    if float(voxel.min()) < FINEST_VOXEL:
        warnings.append(f"{path}: voxel {voxel.min():.4g} A is very small; set --voxel-size if it is wrong")


def _start_of_data(path: str, header: MapHeader, found: int, warnings: list[str]) -> int:
    """Where the voxels begin after the header; NSYMBT is overruled only by the size of the file.

    `found` is the number of bytes after the header, counted up to one more than expected.
    """
    expected = header.extended + header.data_bytes
    if header.extended != 0 and found == header.data_bytes:
        warnings.append(f"{path}: NSYMBT says {header.extended} but the file has no extended header; read without one")
        return 0
    if header.extended < 0:
        raise InputError(f"{path}: NSYMBT {header.extended} is below 0; save the map again")
    if found < expected:
        raise InputError(
            f"{path}: truncated: {HEADER_BYTES + expected} bytes expected, {HEADER_BYTES + found} found; "
            "fetch or copy it again"
        )
    if found > expected:
        warnings.append(f"{path}: what follows the {HEADER_BYTES + expected} bytes of the map is ignored")
    return header.extended


def _fill_gaps(path: str, values: NDArray[np.float32], warnings: list[str]) -> None:
    """Replace the few values that are no density by the median, in place; refuse many."""
    what = f"NaN, infinite or beyond {LARGEST_VALUE:g}"
    bad = sum(int(np.count_nonzero(~(np.abs(section) <= LARGEST_VALUE))) for section in values)
    if bad:
        share = bad / values.size
        if share > NAN_SHARE:
            raise InputError(f"{path}: {bad} voxels ({100 * share:.3g} %) are {what}; make the map again without them")
        wrong = ~(np.abs(values) <= LARGEST_VALUE)
        median = float(np.median(values[~wrong]))
        values[wrong] = median
        warnings.append(f"{path}: {bad} voxels of {values.size} are {what}: set to the median {median:.4g}")


def _look_at_histogram(path: str, values: NDArray[np.float32], warnings: list[str]) -> None:
    """Refuse maps without contrast; warn of masks and of maps whose protein is negative."""
    low, high = values.min(), values.max()
    if high - low < LEAST_RANGE:
        value = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        raise InputError(f"{path}: all voxels are {value}; give a map with density")
    if all(((section == low) | (section == high)).all() for section in values):
        warnings.append(f"{path}: has two values only ({low:.4g}, {high:.4g}): is it a mask? give the map itself")
        return
    skewness = _skewness(values)
    if skewness < INVERTED_SKEWNESS:
        warnings.append(
            f"{path}: looks inverted (skewness of the histogram {skewness:.2f}): protein must be positive; "
            "multiply the map by -1"
        )


def _skewness(values: NDArray[np.float32]) -> float:
    """Third standardised moment; of a large map, of one voxel in every few."""
    flat = values.ravel()
    # An odd step does not stay in one plane of an even box.
    deviation = flat[:: values.size // LARGEST_SAMPLE | 1].astype(np.float64)
    deviation -= deviation.mean()
    square = deviation * deviation
    return float(np.mean(square * deviation) / np.mean(square) ** 1.5)


def _words(frame: GridFrame, header: Any) -> tuple[tuple[int, ...], tuple[float, ...], tuple[int, ...]]:
    """NSTART, ORIGIN and sampling along x, y, z that say where `frame` is."""
    if header.get("shape") == frame.shape:
        sampling = tuple(header["sampling"])
        usable = min(sampling) > 0 and np.allclose(np.array(header["cell"]), frame.voxel * sampling, rtol=1e-5, atol=0)
        nstart = tuple(header["nstart"][header["axes"].index(axis)] for axis in (1, 2, 3))
        placed, _ = origin_from(nstart, header["origin"], frame.voxel)
        if usable and np.isfinite(header["origin"]).all() and np.allclose(placed, frame.origin, atol=1e-3):
            return nstart, header["origin"], sampling
    steps = frame.origin / frame.voxel
    if (np.abs(steps - np.round(steps)) < WHOLE_STEP).all():
        return tuple(int(step) for step in np.round(steps)), (0.0, 0.0, 0.0), frame.shape[::-1]
    return (0, 0, 0), tuple(float(coordinate) for coordinate in frame.origin), frame.shape[::-1]


def describe_grid(frame: GridFrame) -> str:
    """A grid in words."""
    shape = "x".join(str(size) for size in frame.shape[::-1])
    voxel, origin = (" ".join(f"{value:.5g}" for value in values) for values in (frame.voxel, frame.origin))
    return f"{shape} voxels of {voxel} A from {origin}"
