"""Reading files that may be compressed, with refusals that name the file."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from cryo2struct.errors import InputError

_CHUNK = 1 << 20


@contextmanager
def open_input(path: str | os.PathLike[str]) -> Iterator[BufferedIOBase]:
    """Open a file for reading bytes; gzip and bzip2 are recognised by content, not by name.

    Raises
    ------
    InputError
        The file is missing, is a folder, cannot be read, or its compression is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            start = raw.read(3)
            raw.seek(0)
            if start[:2] == b"\x1f\x8b":
                with gzip.open(raw) as stream:
                    yield stream
            elif start == b"BZh":
                with bz2.open(raw) as stream:
                    yield stream
            else:
                yield raw
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a file in it") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read; change its permissions") from None
    except (OSError, EOFError, zlib.error) as fault:
        raise InputError(f"{path}: cannot be read to its end ({fault}); fetch or copy it again") from None


def read_up_to(stream: BufferedIOBase, size: int) -> bytearray:
    """Read `size` bytes, or as many as there are when the stream, or its compressed source, ends before that."""
    data = bytearray()
    while len(data) < size:
        try:
            chunk = stream.read1(min(_CHUNK, size - len(data)))
        except EOFError:
            if not data:
                raise
            break  # a compressed file that was cut: the caller says how much there was
        if not chunk:
            break
        data += chunk
    return data


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Whole content of a file, decompressed.

    Raises
    ------
    InputError
        See `open_input`; also when the file is empty.
    """
    with open_input(path) as stream:
        data = stream.read()
    if not data:
        raise InputError(f"{path}: is empty (0 bytes); fetch or copy it again")
    return data
