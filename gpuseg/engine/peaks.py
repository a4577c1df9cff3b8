"""How much memory the processes of a run take at most."""

import os
import resource
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from gpuseg.engine.base import Device, Executor
from gpuseg.progress import Peak

_STATUS, _STATM, _CLEAR = Path("/proc/self/status"), Path("/proc/self/statm"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What proc_pid_clear_refs(5) says to write."""
_SAMPLE_SECONDS = 0.05


class Measured:
    """Measures what is done within it: its seconds, and its peak of memory where it does not fail.

    Notes
    -----
    The kernel's mark of the most a process ever held is never reset here, for whoever started it reads the same mark
    (`time -v`, a benchmark). Where a stage raises it, that is its peak; else it is the most of samples 50 ms apart.

    Parameters
    ----------
    device : Device
    executor : Executor

    Attributes
    ----------
    seconds : float
    peak : Peak or None
    """

    def __init__(self, device: Device, executor: Executor) -> None:
        self.seconds = 0.0
        self.peak: Peak | None = None
        self._device, self._executor = device, executor
        self._begun = 0.0
        self._before = self._sampled = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True, name="gpuseg-memory")

    def __enter__(self) -> "Measured":
        self._executor.peaks(self._device)
        self._before, self._sampled = highest_bytes(), resident_bytes()
        self._thread.start()
        self._begun = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begun
        self._ended.set()
        self._thread.join()
        if kind is None:
            self.peak = self._found()

    def _found(self) -> Peak:
        highest = highest_bytes()
        own = highest if highest > self._before else max(self._sampled, resident_bytes())
        workers = self._executor.peaks(self._device)
        on_devices = [self._device.peak_bytes(), *(on_device for _, on_device in workers)]
        return Peak(
            host_bytes=own,
            workers_bytes=sum(n for n, _ in workers) if workers else None,
            largest_worker_bytes=max(n for n, _ in workers) if workers else None,
            device_bytes=max((n for n in on_devices if n is not None), default=None),
        )

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._sampled = max(self._sampled, resident_bytes())


def peaks_of_worker(device: Device) -> tuple[int, int | None]:
    """In a worker: the most memory of this process since it was last asked, and of its device so far.

    Where the kernel's mark cannot be reset, it is the most since the process began.
    """
    highest = highest_bytes()
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    return highest, device.peak_bytes()


def highest_bytes() -> int:
    """The most that this process ever held in memory."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident_bytes() -> int:
    """What this process holds in memory; 0 where the system does not say."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
