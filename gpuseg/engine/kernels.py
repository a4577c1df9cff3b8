"""`compiled`: numba's compiler for the kernels, with what it compiled kept on disk where there is a place for it."""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba as nb


def compiled(function: Callable[..., Any]) -> Any:
    """A function compiled without the interpreter's lock, once on a machine.

    What was compiled lies beside the package, in the user's cache folder or in `NUMBA_CACHE_DIR`. Where none of them
    can be written, as in a container without a home, every process compiles anew, and one line says so. What a lost
    power supply left half-written is compiled again too.
    """
    try:
        kernel = nb.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # numba: "cannot cache function ...: no locator available".
        _tell()
        return nb.njit(nogil=True)(function)
    cache = kernel._cache
    load = cache.load_overload

    def load_overload(signature: Any, context: Any) -> Any:
        try:
            return load(signature, context)
        except Exception:  # noqa: BLE001
            # A truncated file raises whatever numba's reading of it comes to.
            _tell_damaged(function.__qualname__)
            cache.flush()
            return None

    cache.load_overload = load_overload
    return kernel


@lru_cache(maxsize=1)
def _tell() -> None:
    logging.getLogger(__name__).warning(
        "no folder for compiled kernels can be written, so every process compiles them anew (10 to 20 seconds); "
        "set NUMBA_CACHE_DIR to one"
    )


def _tell_damaged(name: str) -> None:
    logging.getLogger(__name__).warning("the compiled kernel %s is damaged on disk and is compiled again", name)
