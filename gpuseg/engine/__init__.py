"""Where work runs. `open_engine` is the one place where hardware is chosen."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache

from gpuseg.config_dask import DaskSection
from gpuseg.config_messages import nearest
from gpuseg.config_parts import MemorySection
from gpuseg.engine.base import Device, Executor
from gpuseg.engine.cpu.memory import kept_memory
from gpuseg.engine.hardware import Hardware, find_gpus
from gpuseg.errors import ConfigError, DeviceUnavailableError

__all__ = ["Engine", "kept_memory", "open_engine", "spread_text"]


_SHARED = {"pool": "async", "pool_bytes": None}


@dataclass(frozen=True)
class Engine:
    """A device and an executor.

    Parameters
    ----------
    device : Device
        What one worker computes with.
    executor : Executor
        How buckets are spread over workers.
    reason : str
        Why this device, in one line.
    threads : Executor
        Those of this process, for work on what it holds.
    """

    device: Device
    executor: Executor
    reason: str
    threads: Executor


@contextmanager
def open_engine(
    *,
    engine: str = "auto",
    executor: str = "local",
    memory: MemorySection | None = None,
    dask: DaskSection | None = None,
) -> Iterator[Engine]:
    """Choose the hardware once and hold it for the length of a run.

    Parameters
    ----------
    engine : {"auto", "cpu", "gpu"}
        `gpu` never falls back; `auto` may choose the CPU and says why.
    executor : {"local", "dask"}
        How buckets are spread.
    memory : MemorySection, optional
        How a GPU's memory is had; the defaults of the configuration where not given.
    dask : DaskSection, optional
        Which cluster; likewise.

    Yields
    ------
    Engine

    Raises
    ------
    ConfigError
        If there is no such engine or executor, or its package is not installed.
    DeviceUnavailableError
        If `gpu` was asked for and cannot be had.
    EngineError
        If the cluster cannot be reached.
    """
    for word, given, known in (("engine", engine, ("auto", "cpu", "gpu")), ("executor", executor, ("local", "dask"))):
        if given not in known:
            raise ConfigError(f"{word}: {given!r}: must be one of {', '.join(known)}{nearest(given, known)}")
    from gpuseg.engine.local import LocalExecutor

    memory = memory or MemorySection()
    device, reason = _device(engine, memory, executor)
    with closing(LocalExecutor()) as threads:
        if executor == "local":
            yield Engine(device, threads, reason, threads)
            return
        with closing(_dask_executor(dask or DaskSection(), device)) as workers:
            yield Engine(device, workers, reason, threads)


def spread_text(executor: str, section: DaskSection, device: Device) -> str:
    """Who would do the work, in words; nothing is started.

    Raises
    ------
    ConfigError
        If a package is missing, or settings of dask itself cannot be used.
    """
    if executor == "local":
        return "threads of this process"
    _import_dask()
    place = section.address or section.scheduler_file
    if place is not None:
        least = "any number" if section.workers == "auto" else f"at least {section.workers}"
        return f"the workers ({least}) of the dask cluster at {place}"
    if section.workers != "auto":
        return f"{section.workers} dask workers of this machine"
    return f"dask workers of this machine, one a {'GPU' if device.name == 'gpu' else 'processor'}"


def _dask_executor(section: DaskSection, device: Device) -> Executor:
    return _import_dask()(section, device)


def _import_dask() -> Callable[[DaskSection, Device], Executor]:
    """What opens a cluster."""
    from gpuseg.engine.dask.settings import told_settings

    with told_settings():
        try:
            from gpuseg.engine.dask.cluster import open_dask
        except ImportError as error:
            raise ConfigError(f"run.executor: dask needs {error.name}; pip install 'gpuseg[dask]'") from None
    return open_dask


def _device(engine: str, memory: MemorySection, executor: str) -> tuple[Device, str]:
    """The device, and why it."""
    from gpuseg.engine.cpu.device import CpuDevice

    if engine == "cpu":
        return CpuDevice(), "cpu, as configured"
    found = _hardware()
    if not found.usable:
        if engine == "gpu":
            raise DeviceUnavailableError(f"engine gpu: {found.problem}; or use engine: cpu or engine: auto")
        if found.gpus:
            _warn_once(f"a GPU is here but cannot be used, so the CPU is: {found.problem}")
        return CpuDevice(), f"cpu: {found.problem}"
    from gpuseg.engine.gpu.device import GpuDevice
    from gpuseg.engine.gpu.libraries import load

    why = "as configured" if engine == "gpu" else "the fastest that is usable here"
    # The first GPU is a worker's too, so that its pool is not for this process to take.
    own = memory if executor == "local" else memory.model_copy(update=_SHARED)
    return GpuDevice(load(), memory=own, workers_memory=memory), f"gpu: {found.gpus[0].name}, {why}"


@lru_cache(maxsize=1)
def _hardware() -> Hardware:
    """Hardware does not change while a process runs."""
    return find_gpus()


@lru_cache
def _warn_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)
