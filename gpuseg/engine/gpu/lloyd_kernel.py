"""`assign_accumulate` on the device by kernels of gpuseg's own, which read every row once. Not yet run on a GPU.

Centers are ranked by products on tensor cores; where two lie closer together than products can be off, the row is
compared with all centers as the CPU does it, so labels and distances have the CPU's bits. Values are added up as
integers, in any order: for rows on the matrix's grid sums are exact; for others every value is rounded to at most
2^-28 of about the largest of its column. The sources are in `gpuseg/engine/gpu/cuda/`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.coarse import CoarseRows, widened
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.prepared import Centers, prepared
from gpuseg.engine.gpu.shapes import GROUP, MOST_FEATURES, TILE, Shape, in_parts, whole
from gpuseg.engine.matrix import GRID
from gpuseg.engine.program import LloydPass

_SOURCES = ("primitives.cuh", "tiles.cuh", "lloyd.cu")
_LEAST_CAPABILITY = 80
"""8.0: products of bfloat16 numbers, and copies to shared memory that overlap with work."""

_SUMMED_TILES = 2048
_SAMPLED_ROWS = 1024
_SUMMING_THREADS = 256
_REGISTERS, _THREADS = 65_536, 2_048
_KEPT_BYTES = 1_024
"""Shared memory that the system takes of every block."""

_ROUNDED, _OVERFLOWED = 1, 2
_GRID_EXPONENT = int(np.log2(GRID))
_MOST_BITS, _MOST_EXPONENT = 29, 126
_CHECKED_ROWS = 2**20
_NOTHING = np.uint64(0)


@dataclass(frozen=True)
class Assigned(LloydPass):
    """A pass, with what its inertia is the sum of, one after the other.

    Parameters
    ----------
    inertias : float64 array, shape (ceil(n_rows / 65,536),)
        Of 65,536 rows each, so that passes over parts of the rows come to the same.
    """

    inertias: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def added(inertias: npt.NDArray[np.float64]) -> float:
    """The sum, from the first to the last."""
    return float(np.cumsum(inertias)[-1]) if len(inertias) else 0.0


@dataclass(frozen=True)
class Wanted:
    """What a pass is to give.

    Parameters
    ----------
    sums, labels, second : bool
        Sums, counts and inertia; labels; labels with both distances.
    """

    sums: bool = False
    labels: bool = False
    second: bool = False


class LloydKernels:
    """The kernels on one device, compiled when first asked for.

    Parameters
    ----------
    libraries : Libraries
    """

    def __init__(self, libraries: Libraries) -> None:
        self.cupy = libraries.cupy
        device = self.cupy.cuda.Device()
        self._capability = int(device.compute_capability)
        self._attributes = device.attributes
        self._modules: dict[Shape, Any] = {}
        self._made: dict[tuple[Shape, str], tuple[Any, int]] = {}

    def shape_for(self, rows: Any, k: int, wanted: Wanted) -> tuple[Shape, int] | None:
        """The form of the kernels for these rows, and the groups of centers that a part has; 0 where they all fit.

        None where the kernels are not made for such rows, or such a device.
        """
        coarse = isinstance(rows, CoarseRows)
        if self._capability < _LEAST_CAPABILITY or rows.dtype != np.float32:
            return None
        n, d = rows.shape
        if not n or not 0 < d <= MOST_FEATURES or not (coarse or rows.flags.c_contiguous):
            return None
        aligned = coarse or (d % 4 == 0 and rows.data.ptr % 16 == 0)
        most = int(self._attributes["MaxSharedMemoryPerBlockOptin"])
        kind: dict[str, Any] = {"aligned": aligned, "with_second": wanted.second, "most_bytes": most, "coarse": coarse}
        shape = whole(d, k, with_sums=wanted.sums, **kind)
        return in_parts(d, **kind) if shape is None else (shape, 0)

    def run(
        self, rows: Any, centers: npt.NDArray[np.float32], shape: Shape, n_groups: int, wanted: Wanted
    ) -> Assigned | None:
        """One pass, by the form that `shape_for` gave.

        Parameters
        ----------
        rows : float32 array of the device, shape (n_rows, n_features), or CoarseRows
        centers : float32 array of the host, shape (k, n_features)
        shape : Shape
        n_groups : int
        wanted : Wanted

        Returns
        -------
        Assigned
            Sums, counts and inertia zero where they are not wanted. None where sums would not be exact though the rows
            are on the matrix's grid, or where a value is not finite.
        """
        one = _Pass(self, rows, prepared(centers, shape), len(centers), shape, n_groups)
        outputs = one.outputs(wanted)
        if not wanted.sums:
            one.launch(outputs, None)
            return Assigned(np.zeros(centers.shape), np.zeros(len(centers), np.int64), 0.0, *outputs)
        sums = one.added_up(outputs, None)
        if sums.flags & _OVERFLOWED:
            largest = np.max(
                [self.cupy.asnumpy(self.cupy.abs(some).max(axis=0)) for some in _wide_blocks(rows)], axis=0
            )
            if not np.isfinite(largest).all():
                return None
            sums = one.added_up(outputs, _exponents(largest))
        beside = sums.flags & _ROUNDED and sums.exponents.min() < _GRID_EXPONENT
        if sums.flags & _OVERFLOWED or (beside and _on_grid(self.cupy, rows)):
            return None
        return Assigned(sums.sums, sums.counts, added(sums.inertias), *outputs, sums.inertias)

    def call(self, shape: Shape, name: str, n_tiles: int, n_bytes: int, arguments: tuple[Any, ...]) -> None:
        """Run a kernel over tiles, by as many blocks as the device holds at a time."""
        kernel, n_registers = self._kernel(shape, name)
        kernel.max_dynamic_shared_size_bytes = n_bytes
        together = min(
            int(self._attributes["MaxSharedMemoryPerMultiprocessor"]) // (n_bytes + _KEPT_BYTES),
            _REGISTERS // (n_registers * shape.n_threads),
            _THREADS // shape.n_threads,
        )
        n_blocks = min(-(-n_tiles // shape.warps), max(together, 1) * int(self._attributes["MultiProcessorCount"]))
        kernel((n_blocks,), (shape.n_threads,), arguments, shared_mem=n_bytes)

    def call_once(self, shape: Shape, name: str, n_blocks: int, n_threads: int, arguments: tuple[Any, ...]) -> None:
        """Run a kernel that takes one item of shared memory a thread."""
        kernel, _ = self._kernel(shape, name)
        kernel((n_blocks,), (n_threads,), arguments, shared_mem=8 * n_threads)

    def _kernel(self, shape: Shape, name: str) -> tuple[Any, int]:
        """A kernel and the registers that each of its threads takes."""
        if shape not in self._modules:
            self._modules[shape] = self.cupy.RawModule(code=source(), options=shape.options)
        if (shape, name) not in self._made:
            kernel = self._modules[shape].get_function(name)
            self._made[shape, name] = kernel, int(kernel.num_regs)
        return self._made[shape, name]


@dataclass(frozen=True, eq=False)
class _Totals:
    """Sums in host memory, and what befell the values."""

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    inertias: npt.NDArray[np.float64]
    flags: int
    exponents: npt.NDArray[np.int32]


class _Pass:
    """Rows and centers, ready to be launched over."""

    def __init__(self, kernels: LloydKernels, rows: Any, centers: Centers, k: int, shape: Shape, n_groups: int) -> None:
        self._kernels, self._cupy, self._shape = kernels, kernels.cupy, shape
        self._size, self._rows = rows.shape, rows.patterns if isinstance(rows, CoarseRows) else rows
        self._k, self._n_groups = k, n_groups
        numbers, first, second = self._cupy.asarray(centers.numbers), centers.n_padded, centers.n_shift
        self._centers = numbers[:first], numbers[first : first + second], numbers[first + second :]
        self._bounds = centers.bounds.values

    def outputs(self, wanted: Wanted) -> tuple[Any, Any, Any]:
        """Labels and both distances of all rows, not yet written; None for those not wanted."""
        n = len(self._rows)
        labels = self._cupy.empty(n, np.int32) if wanted.labels or wanted.second else None
        distances = [self._cupy.empty(n, np.float32) if wanted.second else None for _ in range(2)]
        return labels, distances[0], distances[1]

    def added_up(self, outputs: tuple[Any, Any, Any], exponents: npt.NDArray[np.int32] | None) -> _Totals:
        """Launch, and fetch the sums; powers of two that make integers of columns are guessed from some rows."""
        (n, d), k, cupy = self._size, self._k, self._cupy
        n_tiles = -(-n // TILE)
        n_parts = -(-n_tiles // _SUMMED_TILES)
        # One array, so that one copy brings it all to the host.
        sizes = [8 * k * (d + 1), 8, 8 * n_parts, 4 * d]
        edges = np.cumsum([0, *sizes]).tolist()
        room = cupy.zeros(edges[-1], np.uint8)
        totals, flags, parts, used = (room[low:high] for low, high in pairwise(edges))
        scales, inertias = cupy.empty(d, np.float32), cupy.empty(n_tiles, np.float64)
        call = self._kernels.call_once
        if exponents is None:
            arguments = (self._rows, np.int64(n), np.int32(min(n, _SAMPLED_ROWS)), scales, used)
            call(self._shape, "choose_scales", d, 128, arguments)
        else:
            scales = cupy.asarray(np.ldexp(np.float32(1), exponents))
        self.launch(outputs, (scales, totals, flags, inertias))
        call(self._shape, "add_inertias", n_parts, _SUMMING_THREADS, (inertias, np.int64(n_tiles), parts))
        host = cupy.asnumpy(room)
        found = host[: edges[1]].view(np.int64)
        if exponents is None:
            exponents = host[edges[3] :].view(np.int32)
        return _Totals(
            np.ldexp(found[: k * d].reshape(k, d).astype(np.float64), -exponents),
            found[k * d :].copy(),
            host[edges[2] : edges[3]].view(np.float64),
            int(host[edges[1] : edges[2]].view(np.int64)[0]),
            exponents,
        )

    def launch(self, outputs: tuple[Any, Any, Any], sums: tuple[Any, Any, Any, Any] | None) -> None:
        """Write outputs, and scales, totals, flags and inertias where there are any."""
        n, shape, k = np.int64(len(self._rows)), self._shape, np.int32(self._k)
        n_tiles = -(-len(self._rows) // TILE)
        scales, *totals = sums or (_NOTHING,) * 4
        written = (*totals, *(_NOTHING if array is None else array for array in outputs))
        if not self._n_groups:
            arguments = (self._rows, n, *self._centers, k, *self._bounds, scales, *written)
            n_bytes = shape.assign_bytes(self._k, with_sums=sums is not None)
            self._kernels.call(shape, "assign", n_tiles, n_bytes, arguments)
            return
        state = self._state()
        all_groups = -(-self._k // GROUP)
        for first in range(0, all_groups, self._n_groups):
            part = min(self._n_groups, all_groups - first)
            arguments = (self._rows, n, *self._centers, k, np.int32(first), np.int32(part), *state)
            self._kernels.call(shape, "rank_rows", n_tiles, shape.rank_bytes(part), arguments)
        arguments = (self._rows, n, self._centers[0], k, *self._bounds, scales, *state, *written)
        self._kernels.call(shape, "finish_rows", n_tiles, shape.finish_bytes(), arguments)

    def _state(self) -> tuple[Any, ...]:
        """Best, second and third rank of every row, and whose the first two are."""
        n, empty = len(self._rows), self._cupy.empty
        more = (empty(n, np.float32), empty(n, np.int32)) if self._shape.with_second else (_NOTHING, _NOTHING)
        return empty(n, np.float32), empty(n, np.float32), more[0], empty(n, np.int32), more[1]


@cache
def source() -> str:
    """CUDA C++ of all kernels, for the macros of `Shape.options`."""
    folder = Path(__file__).with_name("cuda")
    return "\n".join((folder / name).read_text("utf-8") for name in _SOURCES)


def _exponents(largest: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Powers of two that make integers of at most `_MOST_BITS` bits of columns, on the matrix's grid where they can."""
    above = np.frexp(largest)[1]
    found = _MOST_BITS - above
    found = np.where(above <= _MOST_BITS + 1 - _GRID_EXPONENT, np.maximum(found, _GRID_EXPONENT), found)
    return np.asarray(np.clip(found, -_MOST_EXPONENT, _MOST_EXPONENT), np.int32)


def _wide_blocks(rows: Any) -> Iterator[Any]:
    """Rows as float32 arrays of the device, some at a time."""
    for low in range(0, len(rows), _CHECKED_ROWS):
        yield widened(rows[low : low + _CHECKED_ROWS])


def _on_grid(cupy: Any, rows: Any) -> bool:
    """Whether every value is a multiple of the matrix's smallest step."""
    for some in _wide_blocks(rows):
        steps = some * np.float32(GRID)
        if not bool((cupy.rint(steps) == steps).all()):
            return False
    return True
