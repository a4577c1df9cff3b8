"""Where work runs. `open_engine` is the one place where hardware is chosen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gpuseg.engine.base import Device, Executor
from gpuseg.errors import DeviceUnavailableError


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
    DeviceUnavailableError
        If `gpu` was asked for and cannot be had.
    """
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
