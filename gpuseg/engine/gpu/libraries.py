"""The libraries that the GPU device calls, in one place, so that others can stand in for them."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Libraries:
    """Modules of RAPIDS, or what stands in for them.

    Parameters
    ----------
    cupy, cudf, cuml, rmm : module
    """

    cupy: Any
    cudf: Any
    cuml: Any
    rmm: Any


def load() -> Libraries:
    """Import the real libraries; only of use where a GPU was found, since the imports succeed without one."""
    for submodule in ("rmm.mr", "rmm.allocators.cupy", "cuml.cluster", "cuml.neighbors"):
        import_module(submodule)
    return Libraries(*(import_module(name) for name in ("cupy", "cudf", "cuml", "rmm")))
