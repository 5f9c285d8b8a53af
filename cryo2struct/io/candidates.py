"""C-alpha candidates and traces as .npz files."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo2struct.errors import InputError
from cryo2struct.io.outputs import atomic_path
from cryo2struct.io.streams import open_input
from cryo2struct.objects import AMINO_ACIDS, Candidates, Trace

Columns = Mapping[str, int | None]
"""Field -> number of columns; 0 for one number per row, None for any."""

CANDIDATE_FIELDS: Columns = {"xyz": 3, "ca_prob": 0, "aa_prob": len(AMINO_ACIDS)}
OPTIONAL_FIELDS: Columns = {
    "next_vec": 3,
    "prev_vec": 3,
    "ss_prob": 3,
    "nonprotein_prob": 0,
    "n_xyz": 3,
    "c_xyz": 3,
    "attention": None,
    "reverse_prob": 0,
    "reverse_xyz": 3,
    "reverse_aa_prob": len(AMINO_ACIDS),
    "reverse_next_vec": 3,
    "reverse_prev_vec": 3,
}
REVERSE_FIELDS = tuple(field for field in OPTIONAL_FIELDS if field.startswith("reverse_"))
TRACE_COUNTS = ("entity", "copy", "position")
TRACE_FIELDS: Columns = {
    **dict.fromkeys((*TRACE_COUNTS, "candidate"), 0),
    "xyz": 3,
    **dict.fromkeys(("confidence", "place_prob", "register_prob"), 0),
}
TRACE_OPTIONAL: Columns = dict.fromkeys(("other_prob", "other_entity", "other_position"), 0)
TRACE_INTEGERS = (*TRACE_COUNTS, "candidate", "other_entity", "other_position")
MAY_BE_UNKNOWN = ("n_xyz", "c_xyz")
DISTRIBUTIONS = ("aa_prob", "ss_prob", "reverse_aa_prob")
DIRECTIONS = ("next_vec", "prev_vec", "reverse_next_vec", "reverse_prev_vec")
PROBABILITY_SLACK = 1e-3  # rounding of float16
SUM_SLACK = 0.02  # of 20 such values
LONGEST_DIRECTION = 1.01
FARTHEST = 1e6  # angstrom; maps are smaller


def read_candidates(path: str | os.PathLike[str]) -> Candidates:
    """Read candidates.npz.

    Raises
    ------
    InputError
        An array is missing, of the wrong shape, not finite, or holds no probabilities, directions or coordinates where
        it should; or there are some of the arrays for the reverse direction, but not all.
    """
    name = os.fspath(path)
    arrays = _load(name, CANDIDATE_FIELDS, OPTIONAL_FIELDS)
    there = [field for field in REVERSE_FIELDS if field in arrays]
    if there and len(there) < len(REVERSE_FIELDS):
        raise InputError(f"{name}: {there[0]} is there, but not all of {', '.join(REVERSE_FIELDS)}; write it again")
    for field in DISTRIBUTIONS:
        sums = arrays[field].sum(axis=1, dtype=np.float64) if field in arrays else np.ones(0)
        if (wrong := np.flatnonzero(np.abs(sums - 1) > SUM_SLACK)).size:
            found = f"{sums[wrong[0]]:.4g} in row {wrong[0]}"
            raise InputError(f"{name}: {field} sums to {found}; probabilities that sum to 1 are needed")
    for field in DIRECTIONS:
        longest = np.hypot.reduce(arrays[field], axis=1).max(initial=0) if field in arrays else 0
        if longest > LONGEST_DIRECTION:
            raise InputError(f"{name}: {field} has a vector of length {longest:.4g}; unit vectors are needed")
    return Candidates(**arrays)


def write_candidates(path: str | os.PathLike[str], candidates: Candidates) -> None:
    """Write candidates.npz: the arrays of `Candidates` that are known, by their names.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    fields = (*CANDIDATE_FIELDS, *OPTIONAL_FIELDS)
    _save(path, {field: getattr(candidates, field) for field in fields if getattr(candidates, field) is not None})


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """Read TRACE.npz.

    Raises
    ------
    InputError
        An array is missing, of the wrong shape, not finite, negative where it counts, or no probability.
    """
    name = os.fspath(path)
    arrays = _load(name, TRACE_FIELDS, TRACE_OPTIONAL)
    for field in arrays.keys() & set(TRACE_INTEGERS):
        values = arrays[field]
        least = 0 if field in TRACE_COUNTS else -1
        if values.dtype.kind not in "iu" or (values < least).any():
            raise InputError(f"{name}: {field} holds numbers that do not count from {least}; write the trace again")
    return Trace(**arrays)


def write_trace(path: str | os.PathLike[str], trace: Trace) -> None:
    """Write TRACE.npz: the arrays of `Trace` by their names.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    fields = {field: getattr(trace, field) for field in (*TRACE_FIELDS, *TRACE_OPTIONAL)}
    _save(path, {field: values for field, values in fields.items() if values is not None})


def _save(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Write a compressed npz under exactly the name that was asked for."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def _load(path: str, required: Columns, optional: Columns) -> dict[str, NDArray[Any]]:
    """Arrays of an npz, checked: required fields, and those optional ones that are there."""
    with open_input(path) as stream:
        if stream.read(2) != b"PK":  # an npz is a zip file
            raise InputError(f"{path}: is no .npz file; give one that this program wrote, or see its documentation")
        stream.seek(0)
        try:
            with np.load(stream, allow_pickle=False) as archive:
                present = [field for field in (*required, *optional) if field in archive.files]
                arrays = {field: archive[field] for field in present}
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as fault:
            reason = str(fault).split("\n")[0]
            raise InputError(f"{path}: is no .npz of plain arrays ({reason}); write it again") from None
    missing = [field for field in required if field not in arrays]
    if missing:
        raise InputError(
            f"{path}: array {missing[0]} is missing (there: {', '.join(arrays) or 'none'}); write it again"
        )
    rows = arrays["xyz"].shape[:1]
    for field, values in arrays.items():
        _check(path, field, values, rows, {**required, **optional}[field])
    return {field: _plain(field, values) for field, values in arrays.items()}


def _plain(field: str, values: NDArray[Any]) -> NDArray[Any]:
    """Floating-point numbers but for what counts; probabilities without what rounding has put outside of 0 to 1."""
    if field in TRACE_INTEGERS:
        return values
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    return np.clip(values, 0, 1) if _is_probability(field) else values


def _is_probability(field: str) -> bool:
    return field.endswith("_prob") or field == "confidence"


def _check(path: str, field: str, values: NDArray[Any], rows: tuple[int, ...], columns: int | None) -> None:
    """Refuse an array of wrong type or shape, or with values that it cannot have."""
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: {field} is of type {values.dtype}, not numbers; write it again")
    expected = rows + {0: (), None: values.shape[1:2]}.get(columns, (columns,))
    if len(rows) != 1 or values.shape != expected or values.ndim != (1 if columns == 0 else 2):
        wanted = {0: "(N,)", None: "(N, residues)"}.get(columns, f"(N, {columns})")
        raise InputError(f"{path}: {field} has shape {values.shape}; {wanted} with one N for all arrays is needed")
    known = values[~np.isnan(values)] if field in MAY_BE_UNKNOWN else values
    bad = int(np.count_nonzero(~np.isfinite(known)))
    if bad:
        raise InputError(f"{path}: {field} has {bad} values that are NaN or infinite; remove those rows")
    if field.endswith("xyz") and known.size and np.abs(known).max() > FARTHEST:
        raise InputError(f"{path}: {field} reaches {np.abs(known).max():.4g}; coordinates in A are needed")
    least, most = (values.min(), values.max()) if _is_probability(field) and values.size else (0, 1)
    if least < -PROBABILITY_SLACK or most > 1 + PROBABILITY_SLACK:
        raise InputError(f"{path}: {field} runs from {least:.4g} to {most:.4g}; probabilities 0 to 1 are needed")
