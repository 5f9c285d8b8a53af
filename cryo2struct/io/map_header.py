"""The first 1024 bytes of a map: what they say, and whether to believe it.

Field names and meanings: Cheng et al. 2015, "MRC2014: Extensions to the MRC format header for electron cryo-microscopy
and tomography", J. Struct. Biol. 192, 146-150; the skew fields are those of the CCP4 format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from cryo2struct.errors import InputError
from cryo2struct.objects import FloatArray

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED_MODES = {3: "complex int16", 4: "complex float32", 16: "RGB bytes", 101: "4-bit integers"}
RIGHT_ANGLE_TOLERANCE = 0.01  # degrees; 0.05 angstrom over 300
LARGEST_ORIGIN = 1e6  # angstrom; beyond it the words hold something else than a place
SMALLEST_ORIGIN = 1e-3  # angstrom; below it (often bits of other data) ORIGIN counts as not set

OriginPolicy = Literal["auto", "header", "nstart", "zero"]

_CHIMERAX = "in ChimeraX 'volume resample' it onto an ordinary grid, save and give that file"


@dataclass(frozen=True)
class MapHeader:
    """Header of a map, in the file's own terms.

    Attributes
    ----------
    order : "<" or ">"
        Byte order of header and data.
    mode : int
        A key of `MODES`.
    shape : (3,) voxels along sections, rows, columns: the order of the array in the file
    axes : (3,) MAPC, MAPR, MAPS: which of x = 1, y = 2, z = 3 the columns, rows and sections are
    nstart : (3,) first column, row, section in voxels (file order, like `axes`)
    sampling : (3,) MX, MY, MZ, intervals along the cell's x, y, z
    cell, angles : (3,) angstrom and degrees along x, y, z
    origin : (3,) x, y, z in angstrom
    space_group, extended : int
        ISPG and NSYMBT (bytes of the extended header, as stated).
    skew : (3, 4) rotation and translation, or None when the skew flag is not set
    labels : lines of text, those that are not empty
    """

    order: Literal["<", ">"]
    mode: int
    shape: tuple[int, int, int]
    axes: tuple[int, int, int]
    nstart: tuple[int, int, int]
    sampling: tuple[int, int, int]
    cell: tuple[float, float, float]
    angles: tuple[float, float, float]
    origin: tuple[float, float, float]
    space_group: int
    extended: int
    skew: FloatArray | None
    labels: tuple[str, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel in the file."""
        return np.dtype(self.order + MODES[self.mode])

    @property
    def data_bytes(self) -> int:
        """Size of the voxels in the file."""
        sections, rows, columns = self.shape
        return sections * rows * columns * self.dtype.itemsize

    @property
    def transpose(self) -> tuple[int, int, int]:
        """Permutation of the axes of the file's array (sections, rows, columns) that gives z, y, x."""
        sections_first = self.axes[::-1]
        return (sections_first.index(3), sections_first.index(2), sections_first.index(1))

    @property
    def nstart_xyz(self) -> tuple[int, int, int]:
        """NSTART along x, y, z."""
        return tuple(self.nstart[self.axes.index(axis)] for axis in (1, 2, 3))  # type: ignore[return-value]

    def as_dict(self) -> dict[str, Any]:
        """What `DensityMap.header` keeps."""
        return {
            "byte_order": self.order,
            "mode": self.mode,
            "axes": self.axes,
            "shape": tuple(self.shape[axis] for axis in self.transpose),
            "nstart": self.nstart,
            "sampling": self.sampling,
            "cell": self.cell,
            "origin": self.origin,
            "space_group": self.space_group,
            "labels": self.labels,
        }


def parse_header(path: str, block: bytes) -> tuple[MapHeader, list[str]]:
    """Read and judge a header; the refusals that need no voxel are all made here.

    Parameters
    ----------
    path : str
        Named in messages.
    block : bytes
        The first 1024 bytes of the file, fewer when it is shorter.

    Returns
    -------
    MapHeader
    list of str
        Warnings.

    Raises
    ------
    InputError
        Not a map, or one that is not read.
    """
    _refuse_other_files(path, block)
    record, order, warnings = _decode(path, block)
    header = _header_from(path, block, record, order)
    _refuse_stacks(path, header, warnings)
    _check_angles(path, header, warnings)
    _check_skew(path, header, warnings)
    return header, warnings


def voxel_from(path: str, header: MapHeader, voxel_size: float | None) -> FloatArray:
    """Voxel size (3,) along x, y, z in angstrom: cell / MX, MY, MZ, or what the user says.

    Raises
    ------
    InputError
        The header gives no usable size, or one along an axis is above 4 angstrom.
    """
    if voxel_size is not None:
        return np.full(3, float(voxel_size))
    cell, sampling = np.array(header.cell), np.array(header.sampling)
    if not (np.isfinite(cell).all() and (cell > 0).all()):
        raise InputError(f"{path}: cell {_triple(cell)} A gives no voxel size; set --voxel-size")
    if (sampling <= 0).any():
        raise InputError(f"{path}: sampling MX, MY, MZ {_triple(sampling)} gives no voxel size; set --voxel-size")
    return cell / sampling


def origin_from(
    nstart_xyz: tuple[int, int, int], origin: tuple[float, float, float], voxel: FloatArray
) -> tuple[FloatArray, str | None]:
    """Centre of voxel 0 by the policy "auto": ORIGIN when it is set, else NSTART times the voxel.

    Parameters
    ----------
    nstart_xyz : (3,) voxels along x, y, z
    origin : (3,) x, y, z in angstrom
    voxel : (3,) angstrom

    Returns
    -------
    (3,) x, y, z in angstrom
    str or None
        What is odd about the two fields.
    """
    from_nstart = np.array(nstart_xyz) * voxel
    from_origin = np.array(origin, dtype=np.float64)
    if not (np.isfinite(from_origin).all() and (np.abs(from_origin) <= LARGEST_ORIGIN).all()):
        return from_nstart, f"ORIGIN {_triple(from_origin)} is not usable; NSTART {_triple(nstart_xyz)} places the map"
    if (np.abs(from_origin) < SMALLEST_ORIGIN).all():
        return from_nstart, None
    if any(nstart_xyz) and (np.abs(from_nstart - from_origin) > voxel / 2).any():
        return from_origin, (
            f"ORIGIN {_triple(from_origin)} A and NSTART {_triple(from_nstart)} A disagree; ORIGIN is taken; "
            "other programs may place the map by the other: see --origin"
        )
    return from_origin, None


def place(path: str, header: MapHeader, voxel: FloatArray, policy: OriginPolicy, warnings: list[str]) -> FloatArray:
    """Centre of voxel 0, x, y, z in angstrom, by the chosen policy.

    Raises
    ------
    InputError
        What the policy goes by is no number or beyond `LARGEST_ORIGIN`.
    """
    if policy == "zero":
        return np.zeros(3)
    if policy == "nstart":
        origin: FloatArray = np.array(header.nstart_xyz) * voxel
    elif policy == "header":
        origin = np.array(header.origin, dtype=np.float64)
    else:
        origin, oddity = origin_from(header.nstart_xyz, header.origin, voxel)
        if oddity is not None:
            warnings.append(f"{path}: {oddity}")
    if not (np.abs(origin) <= LARGEST_ORIGIN).all():
        raise InputError(f"{path}: voxel 0 at {_triple(origin)} A is no place; choose --origin header, nstart or zero")
    return origin


def _refuse_other_files(path: str, block: bytes) -> None:
    """Refuse files that are empty, text, or too short for a header."""
    if not block:
        raise InputError(f"{path}: is empty (0 bytes); fetch or copy it again")
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n\f" for byte in block)
    if printable == len(block):
        begins = block[:20].decode("ascii").splitlines()[0].strip()
        raise InputError(f"{path}: is text (begins {begins!r}), not a map; give an MRC or CCP4 map")
    if len(block) < HEADER_BYTES:
        raise InputError(
            f"{path}: truncated: {HEADER_BYTES} bytes of header expected, {len(block)} found; fetch or copy it again"
        )


def _decode(path: str, block: bytes) -> tuple[Mapping[str, Any], Literal["<", ">"], list[str]]:
    """Header fields in the byte order that makes sense.

    The machine stamp decides when both orders do equally well; the fields decide when it is wrong or not set.
    """
    little = np.frombuffer(block, dtype=HEADER_DTYPE.newbyteorder("<"))[0]
    big = np.frombuffer(block, dtype=HEADER_DTYPE.newbyteorder(">"))[0]
    stamp = bytes(little["machst"])
    says: Literal["<", ">"] | None = {b"\x44": "<", b"\x11": ">"}.get(stamp[:1])  # type: ignore[assignment]
    if _plausible(little) == _plausible(big):
        order = says or "<"
    else:
        order = "<" if _plausible(little) > _plausible(big) else ">"
    record = little if order == "<" else big
    if _plausible(record) < 2:
        raise InputError(
            f"{path}: is not an MRC or CCP4 map: size {record['nx']} {record['ny']} {record['nz']}, "
            f"mode {record['mode']}; give a .mrc, .map or .ccp4 file"
        )
    warnings = []
    if says not in (None, order):
        warnings.append(f"{path}: machine stamp {stamp[:2].hex()} is wrong; read in the byte order that makes sense")
    if bytes(record["map"])[:3] != b"MAP":
        warnings.append(f"{path}: the word MAP is missing from the header; read because its sizes make sense")
    return record, order, warnings


def _plausible(record: Mapping[str, Any]) -> int:
    """How much of a header makes sense in one byte order: sizes, mode and axes; 2 or 3 of them is a map."""
    sizes = all(0 < int(record[name]) < 1 << 17 for name in ("nx", "ny", "nz"))
    mode = int(record["mode"]) in MODES | REFUSED_MODES
    axes = all(1 <= int(record[name]) <= 3 for name in ("mapc", "mapr", "maps"))
    return sizes + mode + axes if sizes else 0


def _header_from(path: str, block: bytes, record: Mapping[str, Any], order: Literal["<", ">"]) -> MapHeader:
    """Header object; refuses voxel types and axis orders that cannot be read."""
    mode = int(record["mode"])
    if mode not in MODES:
        kind = REFUSED_MODES.get(mode, "unknown")
        raise InputError(f"{path}: mode {mode} ({kind}) is not read; save the map as 32-bit float (mode 2)")
    axes = (int(record["mapc"]), int(record["mapr"]), int(record["maps"]))
    if sorted(axes) != [1, 2, 3]:
        raise InputError(
            f"{path}: axis order MAPC, MAPR, MAPS {_triple(axes)} is no permutation of 1 2 3; save the map again"
        )
    return MapHeader(
        order=order,
        mode=mode,
        shape=(int(record["nz"]), int(record["ny"]), int(record["nx"])),
        axes=axes,
        nstart=(int(record["nxstart"]), int(record["nystart"]), int(record["nzstart"])),
        sampling=(int(record["mx"]), int(record["my"]), int(record["mz"])),
        cell=tuple(float(length) for length in record["cella"].item()),  # type: ignore[arg-type]
        angles=tuple(float(angle) for angle in record["cellb"].item()),  # type: ignore[arg-type]
        origin=tuple(float(coordinate) for coordinate in record["origin"].item()),  # type: ignore[arg-type]
        space_group=int(record["ispg"]),
        extended=int(record["nsymbt"]),
        skew=_skew(block, order),
        labels=tuple(text for label in record["label"] if (text := _text(label))),
    )


def _text(label: bytes) -> str:
    return label.split(b"\0")[0].decode("ascii", "replace").strip()


def _skew(block: bytes, order: str) -> FloatArray | None:
    """Skew rotation and translation (3, 4) of the CCP4 words 25-37, or None where the flag is not 1."""
    if np.frombuffer(block, order + "i4", count=1, offset=96)[0] != 1:
        return None
    words = np.frombuffer(block, order + "f4", count=12, offset=100).astype(np.float64)
    return np.column_stack([words[:9].reshape(3, 3), words[9:]])


def _refuse_stacks(path: str, header: MapHeader, warnings: list[str]) -> None:
    """One map a file: refuse image stacks and several volumes."""
    sections, depth = header.shape[0], header.sampling[2]
    if 401 <= header.space_group <= 630 and depth != sections:
        number = f"{sections // depth} volumes" if depth > 0 and sections % depth == 0 else "several volumes"
        raise InputError(f"{path}: holds {number} (ISPG {header.space_group}, MZ {depth}); save one of them alone")
    if header.space_group == 0:
        if depth == 1 or path.lower().endswith(".mrcs"):
            raise InputError(f"{path}: is a stack of {sections} images (ISPG 0), not a volume; give the reconstruction")
        warnings.append(f"{path}: ISPG 0 marks a stack of images; read as a volume because MZ is {depth}")
    elif 1 < header.space_group <= 230:
        warnings.append(f"{path}: space group {header.space_group} is ignored: only the box in the file is read")


def _check_angles(path: str, header: MapHeader, warnings: list[str]) -> None:
    """Refuse cells that are not rectangular; angles that were never set count as right."""
    angles = np.array(header.angles)
    if not angles.any():
        warnings.append(f"{path}: cell angles are 0; taken as 90")
    elif not (np.abs(angles - 90) <= RIGHT_ANGLE_TOLERANCE).all():
        raise InputError(f"{path}: cell angles {_triple(angles)} are not 90 degrees; {_CHIMERAX}")


def _check_skew(path: str, header: MapHeader, warnings: list[str]) -> None:
    """Refuse a skew that moves the map; ignore one that is the identity or no rotation at all."""
    if header.skew is None:
        return
    rotation, shift = header.skew[:, :3], header.skew[:, 3]
    if not (np.isfinite(header.skew).all() and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)):
        warnings.append(f"{path}: skew flag (LSKFLG) is set but its matrix is no rotation; ignored")
    elif not np.allclose(rotation, np.eye(3), atol=1e-5) or (np.abs(shift) > SMALLEST_ORIGIN).any():
        raise InputError(f"{path}: skew transformation (LSKFLG 1) is not applied; {_CHIMERAX}")


def _triple(values: Any) -> str:
    return " ".join(f"{value:.6g}" for value in values)
