"""RELION's signs of a job: empty files in the job's folder that say how it ended, or that it shall stop.

Names and use: the RELION documentation, "Using the external job type".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ParamSpec

from cryo2struct.errors import AbortedError, OutputError

SUCCESS, FAILURE, ABORTED = (f"RELION_JOB_EXIT_{end}" for end in ("SUCCESS", "FAILURE", "ABORTED"))
ABORT_NOW = "RELION_JOB_ABORT_NOW"

P = ParamSpec("P")


class JobControl:
    """Context of a job: signs of an earlier one are removed at its start, one is left at its end.

    Parameters
    ----------
    folder : path or None
        The job's folder; None for a run that RELION did not start, and then nothing is done.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def __enter__(self) -> JobControl:
        if self._folder is not None:
            if not self._folder.is_dir():
                raise OutputError(f"--pipeline_control {self._folder}: there is no such folder; give that of the job")
            for sign in (SUCCESS, FAILURE, ABORTED):
                self._remove(sign)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is None:
            return
        aborted = isinstance(error, AbortedError | KeyboardInterrupt)
        if aborted:
            self._remove(ABORT_NOW)
        self._touch(ABORTED if aborted else SUCCESS if error is None else FAILURE)

    def polled(self, function: Callable[P, None]) -> Callable[P, None]:
        """The function, stopped before each call if RELION asks for it.

        The result raises AbortedError.
        """

        def poll(*args: P.args, **kwargs: P.kwargs) -> None:
            if self._folder is not None and (self._folder / ABORT_NOW).exists():
                raise AbortedError(f"{self._folder / ABORT_NOW}: found: the run is stopped, nothing is written")
            function(*args, **kwargs)

        return poll

    def _touch(self, sign: str) -> None:
        assert self._folder is not None
        try:
            (self._folder / sign).touch()
        except OSError as fault:
            raise OutputError(
                f"{self._folder / sign}: cannot be made ({fault.strerror or fault}); choose another folder"
            ) from fault

    def _remove(self, sign: str) -> None:
        assert self._folder is not None
        try:
            (self._folder / sign).unlink(missing_ok=True)
        except OSError as fault:
            raise OutputError(
                f"{self._folder / sign}: cannot be removed ({fault.strerror or fault}); choose another folder"
            ) from fault
