"""Rows in host memory as fixed blocks on a device, and what is computed of them block by block."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.passes import assign
from gpuseg.engine import Engine
from gpuseg.engine.program import LloydPass

_BLOCK_ROWS = 65_536


def row_blocks(rows: npt.NDArray[Any], engine: Engine, n_rows: int = _BLOCK_ROWS) -> list[Any]:
    """Blocks of so many rows for passes on the device: their number follows from the rows, the CPU's are not copied."""
    return [engine.device.hold(rows[start : start + n_rows]) for start in range(0, len(rows), n_rows)]


def nearest_centers(rows: npt.NDArray[Any], centers: npt.NDArray[Any], engine: Engine) -> npt.NDArray[np.int32]:
    """Index of the nearest center of every row, the lower of equals."""
    blocks, found = row_blocks(rows, engine, engine.device.pass_rows), np.empty(len(rows), np.int32)
    # To start a thread takes longer than a few rows do.
    executor = engine.executor if len(blocks) > 1 else _Here()
    assign(blocks, centers, found, device=engine.device, executor=executor)
    return found


class _Here:
    """Items one after the other in the calling thread."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        return map(function, items)


def variance_of(blocks: list[Any], engine: Engine) -> float:
    """Mean over columns of their variances, by two passes over the rows instead of a copy of them."""

    def passed(center: npt.NDArray[Any]) -> list[LloydPass]:
        return list(engine.executor.map(lambda block: engine.device.assign_accumulate(block, center), blocks))

    d, kind = int(blocks[0].shape[1]), blocks[0].dtype
    n = sum(len(block) for block in blocks)
    means = np.sum([part.sums for part in passed(np.zeros((1, d), kind))], axis=0) / n
    squares = sum(part.inertia for part in passed(means.astype(kind)))
    return squares / float(n * d)
