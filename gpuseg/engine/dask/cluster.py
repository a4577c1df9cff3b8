"""Opens the cluster that a configuration means: its own on this machine, or one that runs already."""

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, LocalCluster

from gpuseg.config_dask import DaskSection
from gpuseg.engine.base import Device
from gpuseg.engine.dask.executor import DaskExecutor
from gpuseg.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTINGS = {
    # A task is given up once so many workers died with it.
    "distributed.scheduler.allowed-failures": 3,
    # Workers hold arrays on purpose and files are cached by the system; only a real shortage ends one.
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}


def open_dask(section: DaskSection, device: Device) -> DaskExecutor:
    """The executor over the cluster of a configuration.

    Raises
    ------
    EngineError
        If the cluster cannot be reached, or no worker comes in time.
    """
    settings = dask.config.set(_SETTINGS)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    releases: list[Callable[[], Any]] = [lambda: settings.__exit__(None, None, None)]

    def release() -> None:
        while releases:
            releases.pop()()

    try:
        if section.address is None and section.scheduler_file is None:
            scratch = tempfile.mkdtemp(prefix="gpuseg-dask-")
            releases.append(lambda: shutil.rmtree(scratch, ignore_errors=True))
            cluster = _own_cluster(section, device, scratch)
            releases.append(cluster.close)
            client = Client(cluster)
        else:
            client = _connected(section)
        releases.append(client.close)
        _await_workers(client, section)
    except BaseException:
        release()
        raise
    return DaskExecutor(client, release)


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


def _connected(section: DaskSection) -> Client:
    place = section.address or section.scheduler_file
    where = {"address": section.address} if section.address else {"scheduler_file": section.scheduler_file}
    if section.scheduler_file is not None and not Path(section.scheduler_file).exists():
        raise EngineError(
            f"dask: {section.scheduler_file} does not exist; start `dask scheduler --scheduler-file` first"
        )
    try:
        return Client(**where, timeout=section.wait_seconds)
    except (OSError, ValueError, TimeoutError) as error:
        raise EngineError(f"dask: no scheduler answers at {place} ({type(error).__name__})") from None


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
