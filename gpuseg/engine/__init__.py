"""Where work runs. `open_engine` is the one place where hardware is chosen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gpuseg.config_messages import nearest
from gpuseg.engine.base import Device, Executor
from gpuseg.errors import ConfigError, DeviceUnavailableError


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
    """

    device: Device
    executor: Executor
    reason: str


@contextmanager
def open_engine(*, engine: str = "auto", executor: str = "local") -> Iterator[Engine]:
    """Choose the hardware once and hold it for the length of a run.

    Parameters
    ----------
    engine : {"auto", "cpu", "gpu"}
        `gpu` never falls back; `auto` may choose the CPU and says why.
    executor : {"local"}
        How buckets are spread.

    Yields
    ------
    Engine

    Raises
    ------
    ConfigError
        If there is no such engine or executor.
    DeviceUnavailableError
        If `gpu` was asked for and cannot be had.
    """
    for word, given, known in (("engine", engine, ("auto", "cpu", "gpu")), ("executor", executor, ("local",))):
        if given not in known:
            raise ConfigError(f"{word}: {given!r}: must be one of {', '.join(known)}{nearest(given, known)}")
    if engine == "gpu":
        raise DeviceUnavailableError(
            "engine gpu: this version of gpuseg has no GPU device yet; use engine: cpu or engine: auto"
        )
    from gpuseg.engine.cpu.device import CpuDevice
    from gpuseg.engine.local import LocalExecutor

    reason = "cpu, as configured" if engine == "cpu" else "cpu: this version of gpuseg has no GPU device yet"
    workers = LocalExecutor()
    try:
        yield Engine(CpuDevice(), workers, reason)
    finally:
        workers.close()
