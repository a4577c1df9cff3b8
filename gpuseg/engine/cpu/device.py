"""The CPU as a Device: Arrow reads, compiled kernels reduce, NumPy holds the matrix."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow, text_arrow
from gpuseg.engine.capabilities import construct
from gpuseg.engine.coarse import rounded_rows
from gpuseg.engine.cpu.aggregate import aggregate_events
from gpuseg.engine.cpu.attribute_rows import attribute_rows
from gpuseg.engine.cpu.canonical import Columns, canonical_columns
from gpuseg.engine.cpu.evaluate import evaluate_features
from gpuseg.engine.cpu.hashing import hash_ids, order_by_bucket
from gpuseg.engine.cpu.lloyd import lloyd_pass, nearest_centers
from gpuseg.engine.cpu.memory import free_bytes
from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.engine.cpu.spanning import prim
from gpuseg.engine.expression import Expression
from gpuseg.engine.matrix import matrix_rows
from gpuseg.engine.program import PLACE_FILE, PLACE_ROW, Batch, LloydPass, MatrixPlan, ReadPlan
from gpuseg.engine.solver import Problem, Solved
from gpuseg.errors import UnsupportedOnDeviceError
from gpuseg.vocabulary import KINDS


class CpuDevice:
    """The processor cores of this machine."""

    name = "cpu"
    held_bytes = 2**28
    pass_rows = 65_536

    def scan(self, plan: ReadPlan) -> Iterator[Batch]:
        """Read a source chunk by chunk into canonical rows.

        Raises
        ------
        SchemaError, InvalidValueError
            With file, row and column.
        """
        for chunk in read_chunks(plan):
            columns, tally, rejected = canonical_columns(chunk, plan)
            if KINDS[plan.kind].has_attributes:
                places = np.arange(columns.n_rows) if columns.places is None else columns.places
                columns.values[PLACE_FILE] = text_arrow([chunk.file] * columns.n_rows)
                columns.values[PLACE_ROW] = chunk.first_row + places
            yield Batch(columns, tally, rejected, columns.refused)

    def partition_to_host(self, batch: Batch, n_buckets: int) -> tuple[pa.RecordBatch, Sequence[int]]:
        """Rows ordered by the bucket of their profile, and the n_buckets + 1 offsets between buckets."""
        columns: Columns = batch.columns
        if n_buckets == 1:
            return _record_batch(columns.values), [0, columns.n_rows]
        hashes = self.hash_ids(columns.values["profile_id"], 0)
        order, offsets = order_by_bucket(hashes, n_buckets)
        ordered = {
            name: column.take(order) if isinstance(column, np.ndarray) else column.take(as_arrow(order))
            for name, column in columns.values.items()
        }
        return _record_batch(ordered), offsets.tolist()

    def aggregate(self, kind: str, events: Mapping[str, pa.Table], categories: Sequence[str]) -> dict[str, pa.Table]:
        """Reduce all rows of one kind in one bucket to state tables in host memory."""
        if not KINDS[kind].has_attributes:
            return aggregate_events(KINDS[kind], events, categories)
        ((source, rows),) = events.items()
        return attribute_rows(source, rows)

    def evaluate(self, state: Mapping[str, pa.Table], features: Mapping[str, Expression]) -> pa.Table:
        """Feature columns, in host memory, of every profile that the state tables hold, ordered by id."""
        return evaluate_features(state, features)

    def hash_ids(self, ids: Any, seed: int) -> npt.NDArray[np.uint64]:
        """uint64 XXH64 of each profile id."""
        return hash_ids(ids, seed)

    def matrix(self, table: pa.Table, plan: MatrixPlan) -> npt.NDArray[np.float32]:
        """Matrix of feature columns, shape (n_rows, n_columns), C-ordered."""
        return matrix_rows(table, plan)

    def asarray(self, array: Any) -> npt.NDArray[Any]:
        """C-ordered NumPy array."""
        return np.ascontiguousarray(array)

    def hold(self, rows: Any) -> npt.NDArray[Any]:
        """C-ordered NumPy array."""
        return np.ascontiguousarray(rows)

    def coarse(self, rows: Any, shift: Any) -> npt.NDArray[np.float32]:
        """Rows less a point, rounded to bfloat16, in float32."""
        return rounded_rows(rows, shift)

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """The same array: the CPU's memory is the host's."""
        return np.asarray(array)

    def assign_accumulate(
        self, rows: Any, centers: Any, *, weights: Any = None, want_labels: bool = False
    ) -> LloydPass:
        """Assign rows to their nearest center and add them up per center.

        Parameters
        ----------
        rows : float32 or float64 array, shape (n_rows, n_features)
        centers : array of the same type, shape (k, n_features)
        weights : array, shape (n_rows,), optional
            How often each row counts, in host memory; finite, not below zero. Sums on the matrix's grid stay exact for
            whole numbers as long as they fit into 53 bits.
        want_labels : bool, default False
            Also return labels and the two smallest squared distances of each row.
        """
        return lloyd_pass(rows, centers, weights=weights, want_labels=want_labels)

    def nearest(self, rows: Any, centers: Any) -> npt.NDArray[np.int32]:
        """Index of the nearest center of each row, the lower of equals; rows and centers as in `assign_accumulate`."""
        return nearest_centers(rows, centers)

    def prim(self, columns: Any, cores: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Minimum spanning tree of mutual reachability distances; see `gpuseg.engine.base.Device`."""
        return prim(columns, cores)

    def estimator(self, name: str, **parameters: Any) -> Any:
        """Construct a named estimator from the capability table."""
        return construct(name, self.name, parameters)

    def solve(self, problem: Problem) -> Solved:
        """Refused: gpuseg's own iterations are what the processor has.

        Raises
        ------
        UnsupportedOnDeviceError
        """
        raise UnsupportedOnDeviceError(f"cluster.solver: {problem.solver} is not available on {self.name}; use lloyd")

    def free_bytes(self) -> int:
        """Memory that the machine and the container's limit still leave."""
        return free_bytes()

    def peak_bytes(self) -> None:
        """None: its memory is the host's."""


def _record_batch(values: Mapping[str, Any]) -> pa.RecordBatch:
    arrays = {name: as_arrow(v) if isinstance(v, np.ndarray) else v for name, v in values.items()}
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
