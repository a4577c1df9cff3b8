"""The dask executor: items of work on the workers of a cluster, results in the order of the items.

A worker that dies is replaced by its nanny or its job queue, and its items are done again; what it had finished it
had written. An item at which worker after worker dies ends the run instead of the cluster.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client

from gpuseg.engine.base import Device
from gpuseg.engine.dask.flights import Flights
from gpuseg.engine.dask.slots import GONE, Slots, unreachable
from gpuseg.engine.dask.tasks import looked
from gpuseg.engine.peaks import peaks_of_worker
from gpuseg.engine.solver import Problem, Solved
from gpuseg.errors import EngineError

Item = TypeVar("Item")
Result = TypeVar("Result")

_ANSWER_SECONDS = 10.0
"""How long workers may take to say how much memory they took."""


class DaskExecutor:
    """Map over items on the workers of a cluster.

    Parameters
    ----------
    client : Client
    release : callable
        Called once at the end, to close what was opened for the client.
    wait_seconds : float
        How long there may be no worker at all.
    """

    def __init__(self, client: Client, release: Callable[[], None], wait_seconds: float = 300.0) -> None:
        self._client, self._release = client, release
        self._slots = Slots(client, wait_seconds)
        self._run = ""
        self._answers = True

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
        flights = Flights(self._client, self._slots, function, self._run)
        try:
            for item in items:
                flights.start(item)
                if flights.are_enough:
                    yield flights.land()
            while flights.waiting:
                yield flights.land()
        finally:
            if flights.waiting:
                if stop is not None:
                    stop()
                with suppress(*GONE):
                    flights.cancel()

    def solve(self, problem: Problem) -> Solved:
        """K-means of a library over the devices of all workers."""
        from gpuseg.engine.dask.solver import solve_on_workers

        return solve_on_workers(self._client, problem)

    @property
    def n_workers(self) -> int:
        """Workers of the cluster by now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def peaks(self, device: Device) -> Sequence[tuple[int, int | None]]:
        """Memory of every worker, see `gpuseg.engine.peaks`; none any more once they do not all answer in time."""
        if not self._answers:
            return ()
        found: list[tuple[int, int | None]] = []

        def ask() -> None:
            # No figure is worth a run.
            with suppress(Exception):
                found.extend(self._client.run(peaks_of_worker, device, on_error="ignore").values())

        asking = threading.Thread(target=ask, daemon=True, name="gpuseg-peaks")
        asking.start()
        asking.join(_ANSWER_SECONDS)
        self._answers = not asking.is_alive()
        return found if self._answers else ()

    def check(self, folder: Path) -> None:
        """Make sure that every worker runs this gpuseg, sees a folder of this machine, and no longer works on it.

        Raises
        ------
        EngineError
            Names the worker.
        """
        from gpuseg import __version__

        self._run = str(folder)
        for worker, found in self._looks(folder).items():
            if isinstance(found, Exception):
                raise EngineError(
                    f"dask: worker {worker} cannot load gpuseg {__version__}; install there what this process has"
                )
            version, seen, _ = found
            if version != __version__:
                raise EngineError(
                    f"dask: worker {worker} has gpuseg {version}, and this process gpuseg {__version__}; install the "
                    "same on both"
                )
            if not seen:
                raise EngineError(
                    f"dask: worker {worker} does not see {folder}; run.out must lie on a file system that all workers "
                    "share, under the same path"
                )
        # A driver that was killed leaves its workers at their last pieces, which they would write over newer ones.
        self._slots.wait_until(
            lambda: not any(found[2] for found in self._looks(folder).values()),
            f"workers still work on {folder} for an earlier attempt; wait for them, or restart the workers",
        )

    def close(self) -> None:
        """Cancel what has not started and let the workers go."""
        self._release()

    def _looks(self, folder: Path) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._client.run(looked, str(folder), on_error="return")
        except GONE as error:
            raise unreachable(error) from None
        # Who died meanwhile, or is being replaced, gives no answer and is no reason to end.
        return {worker: answer for worker, answer in found.items() if not isinstance(answer, OSError)}
