"""The dask executor: items of work on the workers of a cluster, results in the order of the items.

A worker that dies is replaced by its nanny or its job queue, and its items are done again; what it had finished it
had written. An item at which worker after worker dies ends the run instead of the cluster.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.protocol.pickle import dumps, loads

from gpuseg.engine.base import Device
from gpuseg.engine.peaks import peaks_of_worker
from gpuseg.engine.solver import Problem, Solved
from gpuseg.errors import EngineError, GpusegError

Item = TypeVar("Item")
Result = TypeVar("Result")

_IN_FLIGHT_PER_WORKER = 2
_EMBEDDED_BYTES = 2**20
_MOST_TRIES = 5


class DaskExecutor:
    """Map over items on the workers of a cluster.

    Parameters
    ----------
    client : Client
    release : callable
        Called once at the end, to close what was opened for the client.
    """

    def __init__(self, client: Client, release: Callable[[], None]) -> None:
        self._client, self._release = client, release

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        stop: Callable[[], None] | None = None,
    ) -> Iterator[Result]:
        """Results in the order of the items; a few items a worker are under way at a time.

        Items go to the same workers in every map, as long as those live, so that what they hold in memory is near.

        Raises
        ------
        EngineError
            If an item kills the workers that take it, or the cluster cannot be reached.
        """
        work = _Work(self._client, function)
        waiting: deque[tuple[Item, Future]] = deque()
        try:
            for place, item in enumerate(items):
                waiting.append((item, work.submit(item, place)))
                if len(waiting) >= _IN_FLIGHT_PER_WORKER * max(1, len(work.workers)):
                    yield work.result(*waiting.popleft())
            while waiting:
                yield work.result(*waiting.popleft())
        finally:
            if waiting:
                if stop is not None:
                    stop()
                self._client.cancel([future for _, future in waiting], force=True)

    def solve(self, problem: Problem) -> Solved:
        """K-means of a library over the devices of all workers."""
        from gpuseg.engine.dask.solver import solve_on_workers

        return solve_on_workers(self._client, problem)

    @property
    def n_workers(self) -> int:
        """Workers of the cluster by now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def peaks(self, device: Device) -> Sequence[tuple[int, int | None]]:
        """Memory of every worker that answers; see `gpuseg.engine.peaks`."""
        try:
            return list(self._client.run(peaks_of_worker, device, on_error="ignore").values())
        except Exception:  # noqa: BLE001 - no figure is worth a run
            return ()

    def check(self, folder: Path) -> None:
        """Make sure that every worker runs this gpuseg and sees a folder of this machine.

        Raises
        ------
        EngineError
            Names the worker.
        """
        from gpuseg import __version__

        for worker, found in self._client.run(_looked, str(folder)).items():
            version, seen = found
            if version != __version__:
                raise EngineError(
                    f"dask: worker {worker} has {f'gpuseg {version}' if version else 'no gpuseg'}, and this process "
                    f"gpuseg {__version__}; install the same on both"
                )
            if not seen:
                raise EngineError(
                    f"dask: worker {worker} does not see {folder}; run.out must lie on a file system that all workers "
                    "share, under the same path"
                )

    def close(self) -> None:
        """Cancel what has not started and let the workers go."""
        self._release()


class _Work:
    """One function on its way to the workers."""

    def __init__(self, client: Client, function: Callable[[Any], Any]) -> None:
        self._client = client
        self._pickled: bytes = dumps(function)
        self._shared: Future | None = None
        self.workers: list[str] = []
        self._place: dict[str, int] = {}

    def submit(self, item: Any, place: int | None = None) -> Future:
        self.workers = self._workers()
        where = {}
        if self.workers and place is not None:
            where = {"workers": [self.workers[place % len(self.workers)]], "allow_other_workers": True}
        try:
            return self._client.submit(_call, self._function(), item, key=f"gpuseg-{uuid4().hex}", pure=False, **where)
        except (CommClosedError, OSError) as error:
            raise _unreachable(error) from None

    def result(self, item: Any, future: Future) -> Any:
        for _ in range(_MOST_TRIES):
            try:
                return future.result()
            except KilledWorker as error:
                raise EngineError(
                    f"dask: {error.allowed_failures + 1} workers died one after the other while they worked on {item}; "
                    "give each more memory (dask.memory_bytes, or fewer dask.workers), or make the pieces smaller "
                    "(run.buckets)"
                ) from None
            except GpusegError:
                raise
            except FutureCancelledError:
                # What was shared with the workers died with them.
                self._shared = None
                future = self.submit(item)
            except (CommClosedError, TimeoutError) as error:
                raise _unreachable(error) from None
        raise EngineError(f"dask: the cluster lost {item} {_MOST_TRIES} times; look at its scheduler's log")

    def _function(self) -> Any:
        if len(self._pickled) <= _EMBEDDED_BYTES:
            return self._pickled
        if self._shared is None:
            self._shared = self._client.scatter(self._pickled, broadcast=True, hash=False)
        return self._shared

    def _workers(self) -> list[str]:
        return sorted(self._client.scheduler_info(n_workers=-1)["workers"])


def _unreachable(error: BaseException) -> EngineError:
    return EngineError(f"dask: the cluster cannot be reached any more ({type(error).__name__})")


_loading = threading.Lock()
_last: list[tuple[bytes, Callable[[Any], Any]]] = []


def _call(pickled: bytes, item: Any) -> Any:
    """Work on one item, on a worker, which unpickles a function once for all its items."""
    with _loading:
        if not _last or _last[0][0] != pickled:
            _last[:] = [(pickled, loads(pickled))]
        function = _last[0][1]
    return function(item)


def _looked(folder: str) -> tuple[str | None, bool]:
    """The version of gpuseg on a worker, and whether it sees a folder."""
    try:
        from gpuseg import __version__
    except ImportError:
        return None, False
    return __version__, Path(folder).is_dir()
