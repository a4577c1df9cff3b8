"""The local executor: threads of this process, results in the order of the items."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from gpuseg.engine.base import Device
from gpuseg.engine.solver import Problem, Solved

Item = TypeVar("Item")
Result = TypeVar("Result")


class LocalExecutor:
    """Map over items on threads; the kernels and Arrow release the interpreter lock while they work.

    Parameters
    ----------
    n_threads : int, optional
        Threads; by default the processors this process may use.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        self.n_threads = n_threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="gpuseg")

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        stop: Callable[[], None] | None = None,
    ) -> Iterator[Result]:
        """Results in the order of the items; at most one item a thread is in memory besides the result read."""
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item))
                if len(waiting) >= self.n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Whoever cleans up after a failure must not be overtaken by an item that is still being worked on.
            if waiting and stop is not None:
                stop()
            for future in waiting:
                future.cancel()
            wait(waiting)

    def solve(self, problem: Problem) -> Solved:
        """K-means of a library on the device."""
        return problem.device.solve(problem)

    @property
    def n_workers(self) -> int:
        """Threads."""
        return self.n_threads

    def peaks(self, device: Device) -> Sequence[tuple[int, int | None]]:
        """Nothing: there are no other processes."""
        return ()

    def check(self, folder: Path) -> None:
        """Threads of this process see what it sees."""

    def close(self) -> None:
        """Cancel what has not started and wait for what has."""
        self._pool.shutdown(wait=True, cancel_futures=True)
