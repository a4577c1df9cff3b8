"""K-means by cuML over the GPUs of a dask cluster. Written against RAPIDS 26.10; not yet run on a GPU.

Every worker takes part in each of cuML's passes, so that one that fails leaves the others waiting without end: a
watchdog gives them a time, restarts them and ends the run, which goes on from where the fit began.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from dask import array
from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from gpuseg.engine.base import Device
from gpuseg.engine.solver import Problem, Solved, estimator_name
from gpuseg.errors import DeviceMemoryError, EngineError

Result = TypeVar("Result")

_RESUME = "`gpuseg run --resume` goes on with the fit; cluster.solver: lloyd does not wait for all workers at once"
_RESTART_SECONDS = 60


@dataclass(frozen=True)
class Watch:
    """How long a fit may take without an answer.

    Parameters
    ----------
    start_seconds : float
        For loading libraries and connecting the workers.
    products_per_second : float
        Least rate of a GPU; the slowest that RAPIDS runs on (T4) is made for forty times as many.
    poll_seconds : float
        Time between two looks at the workers.
    clock : callable
        Seconds from any point in time.
    """

    start_seconds: float = 300.0
    products_per_second: float = 1e11
    poll_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic

    def limit_seconds(self, problem: Problem, n_workers: int) -> float:
        """Seconds after which workers are taken to hang."""
        return self.start_seconds + problem.n_products / (self.products_per_second * max(n_workers, 1))


def solve_on_workers(client: Client, problem: Problem, watch: Watch | None = None) -> Solved:
    """Fit the rows where their buckets' workers keep them.

    Parameters
    ----------
    client : Client
    problem : Problem
    watch : Watch, optional

    Raises
    ------
    DeviceMemoryError
        If the rows do not fit on the workers' devices.
    EngineError
        If a worker is lost, cuML fails, or no answer comes in time.
    """
    watch = watch or Watch()
    workers = _workers(client)
    name = f"gpuseg-rows-{uuid4().hex}"
    parts = [
        client.submit(
            _load,
            problem.device,
            block,
            key=(name, place, 0),
            workers=[workers[place % len(workers)]],
            allow_other_workers=True,
            pure=False,
        )
        for place, block in enumerate(problem.blocks)
    ]
    rows = _dask_array(name, parts, _sizes(client, parts), problem.start.shape[1])
    model = problem.device.estimator(estimator_name(problem.solver, "dask"), client=client, **problem.parameters)
    limit = watch.limit_seconds(problem, len(workers))

    def problem_of(seconds: float) -> str | None:
        gone = set(workers) - set(_workers(client))
        if gone:
            return f"{len(gone)} of {len(workers)} workers ended while cuML fitted over all of them"
        if seconds > limit:
            size = " x ".join(f"{n:,}" for n in (problem.n_rows, problem.start.shape[1], len(problem.start)))
            return (
                f"cuML gave no answer within {limit:,.0f} seconds ({size} rows, features and segments, at most "
                f"{problem.max_iter} passes, {watch.products_per_second:.0e} products a second and worker)"
            )
        return None

    _watched(lambda: model.fit(rows), client, workers, problem_of, watch)
    return problem.solved(problem.device.to_host(model.cluster_centers_), model.n_iter_)


def _load(device: Device, block: Callable[[Device], Any]) -> Any:
    """Rows of a block, on the device of a worker."""
    rows = block(device)
    # cuML takes other orders by copying them.
    return device.asarray(rows)


def _height(rows: Any) -> int:
    return len(rows)


def _sizes(client: Client, parts: Sequence[Future]) -> list[int]:
    """Rows of each part, once all are loaded."""
    try:
        return [int(future.result()) for future in [client.submit(_height, part, pure=False) for part in parts]]
    except DeviceMemoryError as error:
        raise DeviceMemoryError(f"{error}; or cluster.solver: lloyd, which also works with rows on disk") from None
    except (KilledWorker, FutureCancelledError, CommClosedError) as error:
        raise EngineError(
            f"cluster.solver: cuml: workers ended while they took up the matrix ({type(error).__name__}); give them "
            "more memory, or use cluster.solver: lloyd, which also works with rows on disk"
        ) from None


def _dask_array(name: str, parts: Sequence[Future], sizes: Sequence[int], n_features: int) -> Any:
    """Parts as one dask array, a chunk each."""
    # Under their own keys, or dask would have to find places for copies of them.
    chunks = (tuple(sizes), (n_features,))
    return array.Array({part.key: part for part in parts}, name, chunks=chunks, meta=np.empty((0, 0), np.float32))


def _watched(
    work: Callable[[], Any],
    client: Client,
    workers: Sequence[str],
    problem_of: Callable[[float], str | None],
    watch: Watch,
) -> None:
    """Do the work, but not for longer than nothing hinders it.

    Raises
    ------
    EngineError
        What hinders it; the workers are restarted then. What the work itself raises is raised.
    """
    ended = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        # Whatever it is belongs to the thread that waits.
        except BaseException as error:  # noqa: BLE001
            raised.append(error)
        finally:
            ended.set()

    begun = watch.clock()
    threading.Thread(target=run, name="gpuseg-solver", daemon=True).start()
    while not ended.wait(watch.poll_seconds):
        found = problem_of(watch.clock() - begun)
        if found is not None and not ended.is_set():
            raise EngineError(f"cluster.solver: cuml: {found}; {_restarted(client, workers)}; {_RESUME}")
    if raised:
        raise _told(raised[0])


def _restarted(client: Client, workers: Sequence[str]) -> str:
    """Restart those workers that are left, and say so; a cluster may have others, which are not waiting."""
    try:
        client.restart_workers(sorted(set(workers) & set(_workers(client))), timeout=_RESTART_SECONDS)
    # A cluster that hangs may fail to restart in any way, which must not hide why it had to.
    except Exception as error:  # noqa: BLE001
        return f"the workers could not be restarted ({type(error).__name__}), restart them"
    return "the workers were restarted"


def _told(error: BaseException) -> BaseException:
    """Failures of cuML on workers in one line; anything else as it is."""
    text = str(error).partition("\n")[0]
    if isinstance(error, MemoryError) or "bad_alloc" in text or "out_of_memory" in text:
        return DeviceMemoryError(
            "cluster.solver: cuml: the workers' devices have no memory for the fit; use more workers, or "
            "cluster.solver: lloyd, which also works with rows on disk"
        )
    if isinstance(error, ImportError):
        return EngineError(f"cluster.solver: cuml: a library is missing ({error}); or use cluster.solver: lloyd")
    if isinstance(error, RuntimeError | OSError | KilledWorker | FutureCancelledError):
        return EngineError(f"cluster.solver: cuml: the fit failed on the workers: {text}; {_RESUME}")
    return error


def _workers(client: Client) -> list[str]:
    """Addresses, in the order in which the executor hands out items.

    Raises
    ------
    EngineError
        If there is none.
    """
    found: list[str] = []
    with suppress(CommClosedError, OSError):
        found = sorted(client.scheduler_info(n_workers=-1)["workers"])
    if not found:
        raise EngineError(f"cluster.solver: cuml: the cluster has no workers, or cannot be reached; {_RESUME}")
    return found
