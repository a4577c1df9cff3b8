"""`compiled`: numba's compiler for the kernels, with what it compiled kept on disk where there is a place for it."""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba as nb


def compiled(function: Callable[..., Any]) -> Any:
    """A function compiled without the interpreter's lock, once on a machine.

    What was compiled lies beside the package, in the user's cache folder or in `NUMBA_CACHE_DIR`. Where none of them
    can be written, as in a container without a home, every process compiles anew, and one line says so.
    """
    try:
        return nb.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # numba: "cannot cache function ...: no locator available".
        _tell()
        return nb.njit(nogil=True)(function)


@lru_cache(maxsize=1)
def _tell() -> None:
    logging.getLogger(__name__).warning(
        "no folder for compiled kernels can be written, so every process compiles them anew (10 to 20 seconds); "
        "set NUMBA_CACHE_DIR to one"
    )
