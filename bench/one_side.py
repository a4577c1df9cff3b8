"""What a process that measures one side does: keep to some threads, warm up, and tell time and memory. Linux only."""

import argparse
import os
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def settle(threads: int) -> None:
    """Keep to as many processors, and print no warnings."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    warnings.simplefilter("ignore")


def first_use_seconds(call: Callable[[], Any]) -> float:
    """How much longer the first call takes than the second: loading and compiling."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return seconds[0] - seconds[1]


def costs(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call gives, and what it took: processor and wall seconds, and memory above what was resident before."""
    before = _status_bytes("VmRSS")
    # Linux: the peak begins anew at what is resident now.
    _CLEAR.write_text("5", encoding="ascii")
    usage, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = call()
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    return found, {
        "cpu_seconds": after.ru_utime - usage.ru_utime + after.ru_stime - usage.ru_stime,
        "system_seconds": after.ru_stime - usage.ru_stime,
        "wall_seconds": wall,
        "extra_bytes": max(_status_bytes("VmHWM") - before, 0),
    }


def _status_bytes(name: str) -> int:
    (line,) = (line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def step(steps: Any, name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    """A subcommand that runs a function with its options, and writes to `--out`."""
    found: argparse.ArgumentParser = steps.add_parser(name, help=run.__doc__)
    found.add_argument("--out", type=Path, required=True)
    found.set_defaults(step=run)
    return found
