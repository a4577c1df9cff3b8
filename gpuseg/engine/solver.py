"""K-means by a library in place of gpuseg's own iterations: what is asked of it, and whether it can be had."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.base import Device
from gpuseg.engine.capabilities import capability
from gpuseg.engine.hardware import RAPIDS_RELEASE, installed_libraries
from gpuseg.errors import DeviceUnavailableError, EngineError, UnsupportedOnDeviceError

OWN = ("auto", "lloyd")
"""Words of `cluster.solver` that mean gpuseg's own iterations."""

_OVER_DASK = ("dask-cudf", "raft-dask")
_ROWS = {"local": "solver {}", "dask": "solver {} over dask"}


@dataclass(frozen=True, eq=False)
class Problem:
    """A K-means fit from given centers.

    Parameters
    ----------
    solver : str
        A word of `cluster.solver` that is not one of `OWN`.
    device : Device
        What a block is loaded with.
    blocks : sequence of callables that give an array for a device
        float32 rows, shape (n, n_features), C-ordered.
    start : float32 array, shape (k, n_features)
    n_rows : int
        Rows of all blocks together.
    seed : int
    tol : float
        Stop once the squared moves of the centers add up to less than this.
    max_iter : int
        Most updates.
    """

    solver: str
    device: Device
    blocks: Sequence[Callable[[Device], Any]]
    start: npt.NDArray[np.float32]
    n_rows: int
    seed: int
    tol: float
    max_iter: int = 300

    @property
    def parameters(self) -> dict[str, Any]:
        """What every form of the estimator is made with, under gpuseg's names."""
        return {
            "n_segments": len(self.start),
            "init": self.start,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "seed": self.seed,
        }

    @property
    def n_products(self) -> int:
        """Products of numbers that all distances of `max_iter` updates take."""
        return self.n_rows * self.start.size * self.max_iter

    def solved(self, centers: npt.NDArray[Any], n_iter: Any) -> "Solved":
        """What the library found.

        Raises
        ------
        EngineError
            If it is no set of centers.
        """
        found = np.ascontiguousarray(centers, np.float32)
        if found.shape != self.start.shape or not np.isfinite(found).all():
            raise EngineError(f"cluster.solver: {self.solver} gave no usable centers; use cluster.solver: lloyd")
        return Solved(found, int(n_iter))


@dataclass(frozen=True, eq=False)
class Solved:
    """Centers that a library found.

    Parameters
    ----------
    centers : float32 array, shape (k, n_features)
        In host memory, in the library's order.
    n_iter : int
        Updates made.
    """

    centers: npt.NDArray[np.float32]
    n_iter: int


def estimator_name(solver: str, executor: str) -> str:
    """The row of the capability table for a solver over an executor."""
    return _ROWS[executor].format(solver)


def check_solver(solver: str, device: Device, executor: str) -> None:
    """Make sure, before anything is read, that a solver can be had on a device with an executor, "local" or "dask".

    Raises
    ------
    UnsupportedOnDeviceError
        If the capability table has no row for it.
    DeviceUnavailableError
        If a library that it needs over workers is missing.
    """
    if solver in OWN:
        return
    try:
        capability(estimator_name(solver, executor), device.name)
    except UnsupportedOnDeviceError as error:
        raise UnsupportedOnDeviceError(f"cluster.solver: {error}; or use cluster.solver: lloyd") from None
    missing = [name for name in _OVER_DASK if name not in installed_libraries()] if executor == "dask" else []
    if missing:
        raise DeviceUnavailableError(
            f"cluster.solver: {solver} over dask needs {' and '.join(missing)} {RAPIDS_RELEASE}: install gpuseg with "
            "its extra gpu-cu13 or gpu-cu12, or use cluster.solver: lloyd"
        )
