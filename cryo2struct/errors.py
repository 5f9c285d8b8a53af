"""Exceptions that end a command, each with its exit code.

Every message is one line: file, field, value, remedy.
"""

from __future__ import annotations


class Cryo2StructError(Exception):
    """Base of all refusals; `exit_code` is what the command line returns."""

    exit_code = 7


class UsageError(Cryo2StructError):
    """The command line or a setting is wrong."""

    exit_code = 2


class InputError(Cryo2StructError):
    """An input file, or what it contains, is refused."""

    exit_code = 3


class OutputError(Cryo2StructError):
    """An output exists, is not writable, or is the same file as an input."""

    exit_code = 4


class NothingToBuildError(Cryo2StructError):
    """No candidates were found, or nothing could be traced."""

    exit_code = 5


class NoCandidatesError(NothingToBuildError):
    """The network found no C-alpha anywhere; what it did find is in run.json."""


class ResourceError(Cryo2StructError):
    """Weights, device or memory are not usable."""

    exit_code = 6


class InternalError(Cryo2StructError):
    """A fault of this program, or a loss that is not a number."""

    exit_code = 7


class AbortedError(Cryo2StructError):
    """The run was told to stop."""

    exit_code = 130


def as_refusal(error: Exception) -> Cryo2StructError:
    """The refusal that an exception stands for; the traceback of a fault is left in a file that the message names."""
    if isinstance(error, Cryo2StructError):
        return error
    if isinstance(error, MemoryError):
        return ResourceError("not enough memory: give a smaller map, --mask, or --set prediction.batch=1")
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="cryo2struct-fault-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    return InternalError(f"internal fault ({error!r}): please report it with the file {log.name}")
