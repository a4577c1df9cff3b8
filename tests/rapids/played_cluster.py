"""A dask cluster of threads of this process whose GPUs are stand-ins, and fits for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import dask
import numpy as np
from distributed import Client, LocalCluster

from gpuseg.engine.base import Device
from gpuseg.engine.gpu import device as gpu_device
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.solver import Problem

_QUIET = {"distributed.worker.memory.spill": False, "distributed.worker.memory.pause": False}


@contextmanager
def played_cluster(libraries: Libraries, n_workers: int = 2) -> Iterator[Client]:
    """A client; the device that a worker opens is one over `libraries`."""
    gpu_device._of_this_process.cache_clear()
    try:
        with (
            patch.object(gpu_device, "load", lambda: libraries),
            dask.config.set(_QUIET),
            LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=False,
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
    finally:
        gpu_device._of_this_process.cache_clear()


@dataclass(frozen=True)
class Block:
    """Rows around three centers, the same for a seed."""

    seed: int
    n: int = 60

    def rows(self) -> Any:
        """On the host."""
        rng = np.random.default_rng(self.seed)
        found = rng.normal(size=(self.n, 4)) / 4 + 5 * rng.integers(0, 3, (self.n, 1))
        return np.asarray(np.rint(found * 2**20) / 2**20, np.float32)

    def __call__(self, device: Device) -> Any:
        """On a device."""
        return device.asarray(self.rows())


def blocks_of(n: int) -> list[Block]:
    """Blocks of several sizes."""
    return [Block(seed, 40 + 7 * seed) for seed in range(n)]


def problem_of(device: Device, blocks: Sequence[Block], **settings: Any) -> Problem:
    """A fit of three segments."""
    start = np.array([[1] * 4, [6] * 4, [9] * 4], np.float32)
    return Problem("cuml", device, blocks, start, n_rows=sum(b.n for b in blocks), seed=3, tol=1e-4, **settings)
