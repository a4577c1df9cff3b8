"""The GPU as a Device. Written against RAPIDS 26.10 and run with pandas and NumPy standing in; not yet on a GPU."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.config_parts import MemorySection
from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.capabilities import capability, library_parameters
from gpuseg.engine.coarse import CoarseRows, coarse_rows, rounded_rows
from gpuseg.engine.cpu.aggregate import aggregate_events
from gpuseg.engine.cpu.attribute_rows import attribute_rows
from gpuseg.engine.cpu.canonical import canonical_columns
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.cpu.hashing import hash_ids
from gpuseg.engine.expression import Expression
from gpuseg.engine.gpu.aggregate import device_kernels
from gpuseg.engine.gpu.canonical import DeviceColumns, canonical_on_device, takes
from gpuseg.engine.gpu.evaluate import evaluate_on_device
from gpuseg.engine.gpu.hashing import hash_int64
from gpuseg.engine.gpu.libraries import Libraries, load
from gpuseg.engine.gpu.lloyd import Lloyd
from gpuseg.engine.gpu.matrix import matrix_on_device
from gpuseg.engine.gpu.memory import fitting, free_bytes, halving, peak_bytes, set_up
from gpuseg.engine.gpu.reading import Column, chunks_by_arrow, chunks_by_cudf, moved
from gpuseg.engine.gpu.solver import solve_on_device
from gpuseg.engine.gpu.spanning import SpanningTrees
from gpuseg.engine.program import Batch, LloydPass, MatrixPlan, ReadPlan
from gpuseg.engine.solver import Problem, Solved
from gpuseg.vocabulary import KINDS

_BYTES_PER_VALUE = 8
_SHARE_HELD = 4
_COPIES = 4
"""Raw and canonical columns of a chunk lie in memory with what is made between them."""


class GpuDevice:
    """One GPU; threads take turns on it, so that each bucket has its whole memory.

    Parameters
    ----------
    libraries : Libraries
    memory : MemorySection, optional
        Nothing is set up where not given.
    workers_memory : MemorySection, optional
        What the device of a worker that gets this one is set up with; the same where not given.
    """

    name = "gpu"
    pass_rows = 2**24

    def __init__(
        self,
        libraries: Libraries,
        *,
        memory: MemorySection | None = None,
        workers_memory: MemorySection | None = None,
    ) -> None:
        self._libraries, self._memory = libraries, workers_memory or memory
        self._host = CpuDevice()
        self._turn = RLock()
        self._lloyd, self._trees = Lloyd(libraries), SpanningTrees(libraries)
        if memory is not None:
            set_up(libraries, memory)

    def __reduce__(self) -> tuple[Any, tuple[MemorySection | None]]:
        return _of_this_process, (self._memory,)

    @property
    def held_bytes(self) -> int:
        """Half of what is free: the other half is for the work on a block."""
        return self.free_bytes() // 2

    def scan(self, plan: ReadPlan) -> Iterator[Batch]:
        """Read a source chunk by chunk into canonical rows; what the device does not do exactly, the CPU does.

        Raises
        ------
        SchemaError, InvalidValueError
            With file, row and column.
        """
        batches = self._batches(plan)
        while True:
            with self._turn:
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _batches(self, plan: ReadPlan) -> Iterator[Batch]:
        if not takes(plan):
            yield from self._host.scan(plan)
            return
        for file in plan.files:
            first_row = plan.first_row
            for batch in self._scan_by_cudf(plan, file):
                if batch is None:
                    yield from self._scan_by_arrow(plan, file, first_row)
                    break
                yield batch
                first_row += batch.tally.rows_read

    def _scan_by_cudf(self, plan: ReadPlan, file: str) -> Iterator[Batch | None]:
        """Batches of a file, and None where the host must go on."""
        if plan.format != "parquet":
            yield None
            return
        for columns in chunks_by_cudf(plan, file, self._libraries):
            for batch in (None,) if columns is None else self._converted(columns, plan):
                yield batch
                if batch is None:
                    return

    def _scan_by_arrow(self, plan: ReadPlan, file: str, first_row: int) -> Iterator[Batch]:
        """The rest of a file, read on the host; chunks that are plain move over."""
        for chunk in chunks_by_arrow(plan, file, first_row):
            columns = moved(chunk, plan, self._libraries)
            batches: list[Batch | None] = [None] if columns is None else list(self._converted(columns, plan))
            if None in batches:
                found, tally, rejected = canonical_columns(chunk, plan)
                batches = [Batch(found, tally, rejected, found.refused)]
            yield from (batch for batch in batches if batch is not None)

    def _converted(self, columns: Mapping[str, Column], plan: ReadPlan) -> Iterator[Batch | None]:
        """Batches of a chunk, one where memory allows; None for rows that the CPU must convert."""

        def convert(low: int, high: int) -> Batch | None:
            rows = {name: column[low:high] for name, column in columns.items()}
            found = canonical_on_device(rows, plan, self._libraries)
            return None if found is None else Batch(found[0], found[1], None, found[0].refused)

        n_rows, unit = len(columns["profile_id"].values), _BYTES_PER_VALUE * _COPIES * len(columns)
        return halving(convert, n_rows, libraries=self._libraries, what="rows of a chunk", unit_bytes=unit)

    def partition_to_host(self, batch: Batch, n_buckets: int) -> tuple[pa.RecordBatch, Sequence[int]]:
        """Rows ordered by the bucket of their profile, and the n_buckets + 1 offsets between buckets."""
        columns = batch.columns
        if not isinstance(columns, DeviceColumns):
            return self._host.partition_to_host(batch, n_buckets)
        if n_buckets == 1 or not columns.n_rows:
            offsets = [0] * n_buckets + [columns.n_rows]
            return _record_batch(columns.values, None, self._libraries.cupy), offsets
        cupy = self._libraries.cupy
        needed = _BYTES_PER_VALUE * _COPIES * columns.n_rows
        with fitting(self._libraries, "the order of a chunk's rows", needed):
            hashes = self._hashes(columns.values["profile_id"].values, 0)
            buckets = (hashes % np.uint64(n_buckets)).astype(np.int64)
            order = cupy.argsort(buckets, kind="stable")
            starts = cupy.searchsorted(buckets[order], cupy.arange(n_buckets + 1))
            return _record_batch(columns.values, order, cupy), cupy.asnumpy(starts).tolist()

    def aggregate(self, kind: str, events: Mapping[str, pa.Table], categories: Sequence[str]) -> dict[str, pa.Table]:
        """Reduce all rows of one kind in one bucket to state tables in host memory; sessions are the CPU's."""
        if KINDS[kind].has_attributes:
            ((source, rows),) = events.items()
            return attribute_rows(source, rows)
        with self._turn:
            return aggregate_events(KINDS[kind], events, categories, kernels=device_kernels(self._libraries))

    def evaluate(self, state: Mapping[str, pa.Table], features: Mapping[str, Expression]) -> pa.Table:
        """Feature columns, in host memory, of every profile that the state tables hold, ordered by id."""
        with self._turn:
            return evaluate_on_device(state, features, self._libraries)

    def hash_ids(self, ids: Any, seed: int) -> npt.NDArray[np.uint64]:
        """uint64 XXH64 of each profile id, in host memory; text is hashed there."""
        if isinstance(ids, pa.Array | pa.ChunkedArray):
            if not pa.types.is_integer(ids.type):
                return hash_ids(ids, seed)
            ids = as_numpy(ids)
        with fitting(self._libraries, "hashes of ids", _BYTES_PER_VALUE * _COPIES * len(ids)):
            return self.to_host(self._hashes(self._libraries.cupy.asarray(ids), seed))

    def _hashes(self, ids: Any, seed: int) -> Any:
        if isinstance(ids, pa.Array):
            return self._libraries.cupy.asarray(hash_ids(ids, seed))
        return hash_int64(ids, seed)

    def matrix(self, table: pa.Table, plan: MatrixPlan) -> Any:
        """Matrix of feature columns, shape (n_rows, n_columns), C-ordered on the device; errors as of `asarray`."""
        with self._turn:
            return matrix_on_device(self._libraries, table, plan)

    def asarray(self, array: Any) -> Any:
        """C-ordered array of the device.

        Raises
        ------
        DeviceMemoryError
            If it does not fit.
        """
        with fitting(self._libraries, "an array", array.nbytes):
            return self._libraries.cupy.ascontiguousarray(self._libraries.cupy.asarray(array))

    def hold(self, rows: Any) -> Any:
        """C-ordered rows on the device, or as they are in host memory where they would take much of what is free."""
        if isinstance(rows, np.ndarray) and rows.nbytes > self.free_bytes() // _SHARE_HELD:
            return np.ascontiguousarray(rows)
        return self.asarray(rows)

    def coarse(self, rows: Any, shift: Any) -> Any:
        """Rows less a point, rounded to bfloat16: `CoarseRows`, or float32 where they are in host memory."""
        if isinstance(rows, np.ndarray):
            return rounded_rows(rows, shift)
        with fitting(self._libraries, "coarse rows", rows.nbytes // 2):
            return coarse_rows(self._libraries.cupy, rows, self._libraries.cupy.asarray(shift))

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """NumPy array of the same values."""
        if isinstance(array, np.ndarray):
            return array
        array = array.widened() if isinstance(array, CoarseRows) else array
        found: npt.NDArray[Any] = self._libraries.cupy.asnumpy(array)
        return found

    def assign_accumulate(
        self, rows: Any, centers: Any, *, weights: Any = None, want_labels: bool = False
    ) -> LloydPass:
        """Assign rows to their nearest center and add them up per center.

        Parameters
        ----------
        rows : float32 or float64 array, shape (n_rows, n_features), or what `coarse` gives
            Of the device, or of the host, from where it is copied piece by piece.
        centers : array of the same type, shape (k, n_features)
        weights : array, shape (n_rows,), optional
            How often each row counts, in host memory; finite, not below zero. Sums on the matrix's grid stay exact for
            whole numbers as long as they fit into 53 bits.
        want_labels : bool, default False
            Also return labels and the two smallest squared distances of each row.
        """
        with self._turn:
            return self._lloyd.pass_over(rows, centers, weights=weights, want_labels=want_labels)

    def nearest(self, rows: Any, centers: Any) -> Any:
        """Index of the nearest center of each row, the lower of equals; rows and centers as in `assign_accumulate`."""
        with self._turn:
            return self._lloyd.nearest(rows, centers)

    def prim(self, columns: Any, cores: Any) -> Any:
        """Minimum spanning tree of mutual reachability distances; see `gpuseg.engine.base.Device`."""
        with self._turn:
            found = self._trees.prim(columns, cores)
        return self._host.prim(columns, cores) if found is None else found

    def estimator(self, name: str, **parameters: Any) -> Any:
        """Construct a named estimator from the capability table."""
        row = capability(name, self.name)
        found, path = self._libraries.cuml, "cuml"
        for part in row.path.replace(":", ".").split(".")[1:]:
            path = f"{path}.{part}"
            try:
                found = getattr(found, part)
            except AttributeError:
                # What only some runs need is loaded here.
                found = import_module(path)
        return found(**library_parameters(row, parameters, what=f"{name} on {self.name}"))

    def solve(self, problem: Problem) -> Solved:
        """K-means of cuML over all rows at once; errors as of `asarray`."""
        with self._turn:
            return solve_on_device(self._libraries, self, problem)

    def free_bytes(self) -> int:
        """Device memory that nobody has taken, and what lies unused in the pool of this process."""
        return free_bytes(self._libraries)

    def peak_bytes(self) -> int | None:
        """The most that this process ever had in use of its pool; None without a pool."""
        return peak_bytes()


def _record_batch(values: Mapping[str, Column], order: Any | None, cupy: Any) -> pa.RecordBatch:
    """Columns in an order of rows, in host memory."""
    on_host = None if order is None else as_arrow(cupy.asnumpy(order))
    arrays = []
    for column in values.values():
        if isinstance(column.values, pa.Array):
            arrays.append(column.values if on_host is None else column.values.take(on_host))
            continue
        host = cupy.asnumpy(column.values if order is None else column.values[order])
        array = as_arrow(host, host < 0) if column.words is not None else as_arrow(host)
        arrays.append(array if column.words is None else pa.DictionaryArray.from_arrays(array, column.words))
    return pa.RecordBatch.from_arrays(arrays, names=list(values))


@lru_cache(maxsize=1)
def _of_this_process(memory: MemorySection | None) -> GpuDevice:
    """The GPU of a worker's process, which every piece of work there shares."""
    return GpuDevice(load(), memory=memory)
