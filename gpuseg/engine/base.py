"""The seam: where work runs. Two protocols and nothing else."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from gpuseg.engine.expression import Expression
    from gpuseg.engine.program import Batch, LloydPass, MatrixPlan, ReadPlan
    from gpuseg.engine.solver import Problem, Solved

Item = TypeVar("Item")
Result = TypeVar("Result")


class Device(Protocol):
    """One processor: it executes reading plans, the hot kernels and named estimators."""

    name: str

    @property
    def held_bytes(self) -> int:
        """Memory that the rows of a fit may be kept in between passes."""

    @property
    def pass_rows(self) -> int:
        """Rows that a pass is best handed at a time; a multiple of 65,536."""

    def scan(self, plan: "ReadPlan") -> "Iterator[Batch]":
        """Read a source chunk by chunk into canonical rows."""

    def partition_to_host(self, batch: "Batch", n_buckets: int) -> "tuple[pa.RecordBatch, Sequence[int]]":
        """Rows ordered by the bucket of their profile, and the n_buckets + 1 offsets between buckets."""

    def aggregate(
        self, kind: str, events: "Mapping[str, pa.Table]", categories: Sequence[str]
    ) -> "dict[str, pa.Table]":
        """Reduce all rows of one kind in one bucket to state tables in host memory (hot kernel).

        Kinds with attributes come one source at a time. The table "profiles" holds the distinct profiles in order of
        their ids, with a column `in_SOURCE` for every source, and "categories", where the kind has them, the lines and
        profiles of each; neither is kept.
        """

    def evaluate(self, state: "Mapping[str, pa.Table]", features: "Mapping[str, Expression]") -> "pa.Table":
        """Feature columns, in host memory, of every profile that the state tables hold, ordered by id."""

    def hash_ids(self, ids: "pa.Array | pa.ChunkedArray", seed: int) -> Any:
        """uint64 XXH64 of each profile id, in host memory."""

    def matrix(self, table: "pa.Table", plan: "MatrixPlan") -> Any:
        """float32 matrix of feature columns, C-ordered array of the device; see `gpuseg.engine.matrix`."""

    def asarray(self, array: Any) -> Any:
        """C-ordered array of the device."""

    def hold(self, rows: Any) -> Any:
        """C-ordered rows for passes: on the device while it has room, else in host memory, from where they are read."""

    def coarse(self, rows: Any, shift: Any) -> Any:
        """Held rows less a point, rounded to bfloat16, which passes take as well: on a GPU in half the memory."""

    def to_host(self, array: Any) -> Any:
        """NumPy array of the same values."""

    def assign_accumulate(
        self, rows: Any, centers: Any, *, weights: Any = None, want_labels: bool = False
    ) -> "LloydPass":
        """Assign rows to their nearest center and add them up, each times its weight, per center (hot kernel)."""

    def nearest(self, rows: Any, centers: Any) -> Any:
        """int32 index of each row's nearest center on the device, the lower of equals: `labels` of a pass alone."""

    def prim(self, columns: Any, cores: Any) -> Any:
        """Minimum spanning tree of mutual reachability distances, by Prim (1957) from the first point on.

        Parameters
        ----------
        columns : float32 or float64 array, shape (n_features, n_points)
            Coordinates of two points or more, C-ordered, in host memory.
        cores : array of the same type, shape (n_points,)
            Core distance of each.

        Returns
        -------
        ends : int64 array, shape (n_points - 1, 2)
            The point in the tree that each edge comes from, and the one it adds, in host memory. Of points equally near
            the one at the lowest position comes next, where the last one takes the position of each that leaves.
        heights : float64 array, shape (n_points - 1,)
            The squared distance in the precision of the points.
        """

    def estimator(self, name: str, **parameters: Any) -> Any:
        """Construct a named estimator from the capability table."""

    def solve(self, problem: "Problem") -> "Solved":
        """K-means of a library over all rows, on this device alone."""

    def free_bytes(self) -> int:
        """Memory in which the device can still work, in bytes."""

    def peak_bytes(self) -> int | None:
        """The most of its own memory that this process ever took; None where that is the host's, or is not known."""


class Executor(Protocol):
    """Many items of work: over threads, processes or machines."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        stop: Callable[[], None] | None = None,
    ) -> Iterator[Result]:
        """Results in the order of the items, whatever order they finish in.

        `stop` is called where the rest is not wanted any more, so that work under way may end early.
        """

    def solve(self, problem: "Problem") -> "Solved":
        """K-means of a library over all rows, on all workers together."""

    @property
    def n_workers(self) -> int:
        """Items that are worked on at a time."""

    def peaks(self, device: Device) -> Sequence[tuple[int, int | None]]:
        """Of every worker process that answers: most host memory since it was last asked, most of its device so far.

        Nothing where this process does the work.
        """

    def check(self, folder: "Path") -> None:
        """Make sure that every worker can work on the files of a folder."""

    def close(self) -> None:
        """Cancel what has not started and release the workers."""
