"""Work in batches that are halved, once, when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from cryo2struct.errors import ResourceError
from cryo2struct.prediction.device import is_out_of_memory

Found = TypeVar("Found")


class Batches:
    """How many things a network sees at once; half as many, from then on, after memory ran out.

    Parameters
    ----------
    size : things at once, at first
    things : what they are, for messages
    remedy : what the user can do when half of `size` is too much as well
    warn : called with one line when smaller batches are taken
    """

    def __init__(self, size: int, things: str, remedy: str, warn: Callable[[str], None]) -> None:
        self._first = self._size = size
        self._things, self._remedy, self._warn = things, remedy, warn

    def over(self, count: int, work: Callable[[slice], Found]) -> Iterator[tuple[slice, Found]]:
        """Each part of `count` things, and what `work` makes of it.

        Raises
        ------
        ResourceError
            Memory runs out with batches of half the size as well.
        """
        done = 0
        while done < count:
            part = slice(done, min(done + self._size, count))
            found = _if_it_fits(work, part)
            if found is None:
                self._halve()
            else:
                yield part, found[0]
                done = part.stop

    def _halve(self) -> None:
        if self._size < self._first or self._first == 1:
            raise ResourceError(f"not enough memory for {self._size} {self._things} at once: {self._remedy}")
        self._size = self._first // 2
        self._warn(f"not enough memory for {self._first} {self._things} at once: {self._size} from here on")


def _if_it_fits(work: Callable[[slice], Found], part: slice) -> tuple[Found] | None:
    """What `work` makes of a part, in a tuple; None when memory ran out."""
    try:
        return (work(part),)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    torch.cuda.empty_cache()  # here, where the exception no longer holds tensors; nothing without a GPU in use
    return None
