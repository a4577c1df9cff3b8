"""What a command costs: processor seconds, wall seconds and peak memory; and on which machine. Linux only."""

import importlib.metadata
import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 0.1
_KIB = 1024
_LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "numba")
_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MOST_SHARE = 0.015


class BenchmarkError(Exception):
    """A benchmark cannot go on; no figure of it counts."""


class CommandFailedError(BenchmarkError):
    """A measured command did not exit with 0; the message ends with the last lines that it printed."""


@dataclass(frozen=True)
class Measured:
    """What one command cost, with its threads and its child processes.

    Parameters
    ----------
    user_seconds, system_seconds : float
        Processor time over all cores.
    wall_seconds : float
    peak_rss_bytes : int
        Largest resident set of any one process, exact, from the kernel.
    peak_pss_bytes : int
        Largest sum over the processes of their share of memory, sampled; pages that several share count once.
    sampling_share : float
        What the sampling took of one processor, besides the other figures.
    """

    user_seconds: float
    system_seconds: float
    wall_seconds: float
    peak_rss_bytes: int
    peak_pss_bytes: int
    sampling_share: float = 0.0

    @property
    def cpu_seconds(self) -> float:
        """User and system time together."""
        return self.user_seconds + self.system_seconds

    @property
    def peak_bytes(self) -> int:
        """The kernel's figure, or the sampled sum where several processes make it larger."""
        return max(self.peak_rss_bytes, self.peak_pss_bytes)

    def as_dict(self) -> dict[str, float]:
        """JSON form."""
        return {
            "cpu_seconds": round(self.cpu_seconds, 3),
            "user_seconds": round(self.user_seconds, 3),
            "system_seconds": round(self.system_seconds, 3),
            "wall_seconds": round(self.wall_seconds, 3),
            "peak_bytes": self.peak_bytes,
            "peak_rss_bytes": self.peak_rss_bytes,
            "peak_pss_bytes": self.peak_pss_bytes,
        }


def run_measured(command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end, as a process group of its own; what is left of the group then is killed.

    A caller must stay small: Linux starts the child's peak resident set at the caller's own.

    Parameters
    ----------
    command : sequence of str
    log : Path
        Takes what the command prints.
    environment : mapping of str to str, optional
        Variables besides those of this process.

    Returns
    -------
    Measured

    Raises
    ------
    CommandFailedError
        If it does not exit with 0.
    """
    with log.open("wb") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _kill_group(process.pid)
            process.wait()
            raise
        finally:
            sampler.stop()
        _kill_group(process.pid)
        seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
        raise CommandFailedError(f"{' '.join(command)}: exit {process.returncode}\n{tail}")
    return Measured(
        user_seconds=usage.ru_utime,
        system_seconds=usage.ru_stime,
        wall_seconds=seconds,
        peak_rss_bytes=usage.ru_maxrss * _KIB,
        peak_pss_bytes=sampler.peak_bytes,
        sampling_share=sampler.cpu_seconds / seconds,
    )


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class _Sampler(threading.Thread):
    """Samples the proportional set size of all processes of a group.

    Reading it makes the kernel walk a process's pages, so it is read only where the resident sizes, which are larger
    and cost nothing, leave room for a new peak, and no more often than `_MOST_SHARE` of a processor pays for.
    """

    def __init__(self, group: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self._group = group
        self._ended = threading.Event()

    def run(self) -> None:
        begun, wait = time.thread_time(), SAMPLE_SECONDS
        while not self._ended.wait(wait):
            before = time.thread_time()
            members = _members(self._group)
            if sum(map(_resident_bytes, members)) > self.peak_bytes:
                self.peak_bytes = max(self.peak_bytes, sum(map(_pss_bytes, members)))
            now = time.thread_time()
            wait = max(SAMPLE_SECONDS, (now - before) / _MOST_SHARE)
            self.cpu_seconds = now - begun

    def stop(self) -> None:
        """End the sampling and wait for it."""
        self._ended.set()
        self.join()


def _members(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for path in _PROC.iterdir():
        if path.name.isdecimal():
            try:
                if os.getpgid(int(path.name)) == group:
                    found.append(int(path.name))
            except ProcessLookupError:
                continue
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _pss_bytes(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith("Pss:"))


def hardware() -> dict[str, Any]:
    """Processor, usable cores and memory of this machine."""
    cpuinfo = (_PROC / "cpuinfo").read_text(encoding="utf-8")
    models = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def versions() -> dict[str, str]:
    """Versions of Python, gpuseg and the libraries that both sides rest on."""
    import gpuseg

    found = {"python": platform.python_version(), "gpuseg": gpuseg.__version__}
    return found | {name: importlib.metadata.version(name) for name in _LIBRARIES}
