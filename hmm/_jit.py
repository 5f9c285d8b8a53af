"""`njit` that caches compiled kernels where it can and compiles them anew where it cannot."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_warned = False


def njit(function: Kernel) -> Kernel:
    """Compile `function` with numba, cached on disk when a cache location is writable.

    Numba raises when a cached kernel is defined and neither the folder of its source nor the user's cache
    folder can be written. Such a kernel is compiled in memory, and the first one gives one warning.
    """
    global _warned
    try:
        compiled = numba.njit(cache=True)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        if not _warned:
            warnings.warn(
                "no writable folder for compiled kernels: they are compiled at every start; "
                "set NUMBA_CACHE_DIR to a writable folder",
                RuntimeWarning,
                stacklevel=2,
            )
            _warned = True
        compiled = numba.njit(function)
    return cast(Kernel, compiled)
