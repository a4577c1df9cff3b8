"""Prim's minimum spanning tree on the device, by a kernel of gpuseg's own. Not yet run on a GPU.

No library takes core distances of one's own. The kernel, `cuda/spanning.cu`, gives the CPU's edges, ties included; its
blocks wait for each other after every point, so all of them have to be resident at once. Before a grid of some size is
believed it does some points as the CPU's code does them.
"""

import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.cpu.spanning import prim
from gpuseg.engine.gpu.libraries import Libraries

Tree = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

THREADS = 512
"""Of a block, at least 32."""

LEAST_POINTS = 8_192
"""Fewer take the CPU less than the 5 microseconds a step that are expected of a GPU (not measured)."""

_MOST_POINTS = 2**22
"""Steps times blocks are counted in 32 bits, up to 1,023 blocks."""

_MOST_FEATURES = 8_192
"""Coordinates of one point have to fit into the shared memory that any block may take."""

_COMPARED_POINTS = 512
_RESIDENT_BLOCKS = 2
"""On each multiprocessor: the kernel is compiled so that their registers fit, and 1,024 threads fit on any GPU."""

_LEAST_CAPABILITY = 80
_SOURCES = ("primitives.cuh", "grid.cuh", "spanning.cu")
_WARP_THREADS, _WARP_BYTES, _STEP_BYTES, _VALUE_BYTES = 32, 8, 12, 4
_NONE = np.uint64(2**64 - 1)
_INFINITY = np.uint32(0x7F800000)
_LOG = logging.getLogger(__name__)


class SpanningTrees:
    """Trees on one device.

    Parameters
    ----------
    libraries : Libraries
    """

    def __init__(self, libraries: Libraries) -> None:
        self._cupy, self._n_threads = libraries.cupy, THREADS
        self._kernel: Any = None
        self._believed: dict[int, bool] = {}

    def prim(self, columns: npt.NDArray[Any], cores: npt.NDArray[Any]) -> Tree | None:
        """The tree; None where the kernel is not made for the points, not believed, or the device has no memory left.

        Parameters and what is returned as in `Device.prim`.
        """
        d, n = columns.shape
        device = self._cupy.cuda.Device()
        n_blocks = min(-(-n // self._n_threads), _RESIDENT_BLOCKS * int(device.attributes["MultiProcessorCount"]))
        fits = LEAST_POINTS <= n <= _MOST_POINTS and d < _MOST_FEATURES and n_blocks < 2**32 // _MOST_POINTS
        if int(device.compute_capability) < _LEAST_CAPABILITY or columns.dtype != np.float32 or not fits:
            return None
        try:
            return self.run(columns, cores, n_blocks) if self._believes(columns, cores, n_blocks) else None
        except MemoryError:
            _LOG.warning("gpu: no memory for the spanning tree of %d points; the CPU makes it", n)
            return None

    def run(self, columns: npt.NDArray[np.float32], cores: npt.NDArray[np.float32], n_blocks: int) -> Tree:
        """The tree by so many blocks, which are to fit on the device at once; float32 alone."""
        cupy, (d, n) = self._cupy, columns.shape
        if self._kernel is None:
            module = cupy.RawModule(code=source(), options=options(self._n_threads), enable_cooperative_groups=True)
            self._kernel = module.get_function("span")
        # Winners, then edges: one array, so that one copy brings both to the host.
        found = cupy.full((2, n - 1), _NONE, np.uint64)
        arguments = (
            cupy.asarray(columns), cupy.asarray(cores), np.int32(n), np.int32(d),
            cupy.full(n, _INFINITY, np.uint32), cupy.zeros(n, np.int32),
            cupy.arange(n, dtype=np.int32), cupy.arange(n, dtype=np.int32),
            found[0], found[1], cupy.zeros(1, np.uint32),
        )  # fmt: skip
        n_bytes = self._n_threads // _WARP_THREADS * _WARP_BYTES + _STEP_BYTES + (d + 1) * _VALUE_BYTES
        self._kernel((n_blocks,), (self._n_threads,), arguments, shared_mem=n_bytes)
        winners, edges = cupy.asnumpy(found)
        ends = np.stack([edges >> np.uint64(32), edges & np.uint64(2**32 - 1)], axis=1).astype(np.int64)
        return ends, (winners >> np.uint64(32)).astype(np.uint32).view(np.float32).astype(np.float64)

    def _believes(self, columns: npt.NDArray[Any], cores: npt.NDArray[Any], n_blocks: int) -> bool:
        """Whether a grid of so many blocks did as the CPU, when it was first asked for."""
        if n_blocks in self._believed:
            return self._believed[n_blocks]
        some, own = np.ascontiguousarray(columns[:, :_COMPARED_POINTS]), cores[:_COMPARED_POINTS]
        problem = ""
        try:
            mine = self.run(some, own, n_blocks)
        except (self._cupy.cuda.compiler.CompileException, RuntimeError) as error:
            problem = f"does not run here ({type(error).__name__})"
        else:
            plain = prim(some, own)
            if not all(np.array_equal(*both) for both in zip(mine, plain, strict=True)):
                problem = "gives another tree"
        if problem:
            _LOG.warning("gpu: the kernel for spanning trees %s; the CPU makes them", problem)
        self._believed[n_blocks] = not problem
        return not problem


def options(n_threads: int = THREADS) -> tuple[str, ...]:
    """What the compiler is told, for blocks of so many threads."""
    return "-std=c++17", f"-DTHREADS={n_threads}"


@cache
def source() -> str:
    """CUDA C++ of the kernel, for the macro THREADS."""
    folder = Path(__file__).with_name("cuda")
    return "\n".join((folder / name).read_text("utf-8") for name in _SOURCES)
