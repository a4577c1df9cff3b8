"""Opens the cluster that a configuration means: its own on this machine, or one that runs already."""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import current_process, resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from gpuseg.config_dask import ADDRESS, DaskSection
from gpuseg.engine.base import Device
from gpuseg.engine.dask.executor import DaskExecutor
from gpuseg.engine.dask.scratch import own_scratch
from gpuseg.engine.dask.settings import not_started, told_settings
from gpuseg.engine.held import let_go
from gpuseg.errors import EngineError

_LOOK_SECONDS, _SPARE_SECONDS = 0.2, 10.0
_NOT_STARTED = (OSError, RuntimeError, TimeoutError, ValueError, TypeError, KeyError, AttributeError, ImportError)
_ENCRYPTION = "distributed.comm.require-encryption"
_SETTINGS = {
    # A task is given up once so many workers died with it.
    "distributed.scheduler.allowed-failures": 3,
    # A worker that is just being replaced, for the second time or on a busy machine, is not lost: its nanny stays.
    "distributed.deploy.lost-worker-timeout": "1 day",
    # Workers hold arrays on purpose and files are cached by the system; only a real shortage ends one.
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # What there is to say is said in one line by this process.
    "logging": dict.fromkeys(("distributed", "distributed.client", "distributed.gc", "tornado", "asyncio"), "critical"),
}


def open_dask(section: DaskSection, device: Device) -> DaskExecutor:
    """The executor over the cluster of a configuration.

    Raises
    ------
    ConfigError
        If a setting of dask itself cannot be used.
    EngineError
        If the cluster cannot be reached, or no worker comes in time.
    """
    if getattr(current_process(), "_inheriting", False):
        # A worker that starts imports the script of its parent, and without a guard would run it.
        raise SystemExit(0)
    with told_settings(), ExitStack() as opened:
        opened.enter_context(_quiet())
        opened.enter_context(dask.config.set(_SETTINGS))
        if section.is_own:
            client = opened.enter_context(_started(section, device))
        else:
            client = opened.enter_context(_connected(section))
        _await_workers(client, section)
        return DaskExecutor(client, opened.pop_all().close, section.wait_seconds)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the libraries log: what matters of it becomes an error."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    before = {name: logging.getLogger(name).level for name in (*names, "asyncio")}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        # What tidies up at the very end would say of a scratch folder that it is gone already.
        for name, level in before.items():
            if name != "distributed.diskutils":
                logging.getLogger(name).setLevel(level)


@contextmanager
def _started(section: DaskSection, device: Device) -> Iterator[Client]:
    """A cluster on this machine, which ends with its client."""
    # The scheduler's scratch lies where dask's own setting says, the workers' where their cluster does.
    with own_scratch() as scratch, dask.config.set({"temporary-directory": scratch}):
        try:
            cluster = _undisturbed(lambda: _own_cluster(section, device, scratch))
        except _NOT_STARTED as error:
            raise not_started(error, encrypted=bool(dask.config.get(_ENCRYPTION, default=None))) from None
        try:
            with Client(cluster, set_as_default=False) as client:
                yield client
        finally:
            cluster.close()


def _undisturbed(start: Callable[[], Any]) -> Any:
    """Start a cluster in a thread of its own: one that a signal leaves half started can never be closed.

    Its threads and processes inherit that they do not see Ctrl-C, which is for this process to answer.
    """

    def begin() -> Any:
        # Which it starts with the first process, and then lets the signal through again.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return start()

    with ThreadPoolExecutor(1) as thread:
        cluster = thread.submit(begin)
        try:
            return cluster.result()
        finally:
            if not cluster.done():
                with suppress(OSError, RuntimeError, TimeoutError):
                    cluster.result().close()


def _own_cluster(section: DaskSection, device: Device, scratch: str) -> Any:
    if device.name == "gpu":
        from gpuseg.engine.dask.gpus import gpu_cluster

        return gpu_cluster(section, scratch)
    n_workers = len(os.sched_getaffinity(0)) if section.workers == "auto" else section.workers
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        memory_limit="auto" if section.memory_bytes is None else section.memory_bytes,
        host="127.0.0.1",
        # Not 8787, which another run may have; only this machine sees it.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        local_directory=scratch,
        silence_logs=logging.CRITICAL,
    )


@contextmanager
def _connected(section: DaskSection) -> Iterator[Client]:
    """A client of a running cluster, whose workers keep nothing afterwards."""
    seconds = section.wait_seconds
    address = section.address or _written_address(Path(section.scheduler_file or ""), seconds)
    try:
        client = bounded(lambda: Client(address, timeout=seconds, set_as_default=False), seconds + _SPARE_SECONDS)
    except (OSError, ValueError, TypeError, AssertionError, RuntimeError, ImportError, TimeoutError) as error:
        place = section.scheduler_file or address
        raise EngineError(f"dask: no scheduler answers at {place} ({type(error).__name__})") from None
    try:
        yield client
    finally:
        # A client that lost its scheduler has lost what it speaks through, too: that is told already.
        for last in (lambda: client.run(let_go, on_error="ignore"), client.close):
            with suppress(OSError, RuntimeError, TimeoutError, KeyError, AttributeError):
                bounded(last, _SPARE_SECONDS)


def bounded(function: Callable[[], Any], seconds: float) -> Any:
    """The result of a function that may hang, which is then left behind in a thread that no exit waits for.

    Raises
    ------
    TimeoutError
        If it takes longer.
    """
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found[0]


def _written_address(path: Path, seconds: float) -> str:
    """The address in a scheduler's file."""
    _await_file(path, seconds)
    try:
        address = json.loads(path.read_text(encoding="utf-8"))["address"]
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        address = None
    if not isinstance(address, str) or not ADDRESS.fullmatch(address):
        raise EngineError(f"dask: {path} is no file that a scheduler wrote")
    return address


def _await_file(path: Path, seconds: float) -> None:
    """Wait for the file that a scheduler writes when it is ready; both may be started together."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() >= until:
            raise EngineError(
                f"dask: {path} did not appear within {seconds} seconds; start `dask scheduler --scheduler-file` first"
            )
        time.sleep(_LOOK_SECONDS)


def _await_workers(client: Client, section: DaskSection) -> None:
    wanted = 1 if section.workers == "auto" else section.workers
    try:
        client.wait_for_workers(wanted, timeout=section.wait_seconds)
    except TimeoutError:
        found = len(client.scheduler_info(n_workers=-1)["workers"])
        raise EngineError(
            f"dask: {found} of {wanted} workers came within {section.wait_seconds} seconds; start more, or wait longer "
            "(dask.wait_seconds)"
        ) from None
