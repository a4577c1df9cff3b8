"""Everything about the kernels of `assign_accumulate` on one GPU: are they right, how fast, against whom, and why.

`python bench/gpu_kernels.py` compares them with the CPU, then times passes of Lloyd's algorithm by them, in plain CuPy,
by cuML, FlashLib and flash-kmeans on the same rows from the same start, then blocks of other sizes and kernels with
parts left out, scoring, many centers and density. It prints a table and writes `bench/results/gpu_kernels.json` after
each case anew. A case that fails is told; one that hangs, or after which the device answers no more, costs the process
that runs the cases, and another goes on. `--rehearse` goes through all of it small on the CPU, over stand-ins.
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import script
from cpu_vs_gpu import machine
from gpu_kernels_cases import Case, all_cases, run_cases
from gpu_kernels_table import DEFINITIONS, failed, judged, table
from gpu_kernels_world import REHEARSED, EventClock, Sizes, World

from gpuseg.engine.hardware import find_gpus

NAME = "gpu_kernels"
MOST_SECONDS, START_SECONDS, GRACE_SECONDS = 420.0, 90.0, 30.0
"""For all cases, until the first of a process begins, and for one that began in time after all others."""

Begin = Callable[[int], "Worker"]
"""Start a process from the case of this place on."""


class Worker:
    """A process that runs cases and tells of them, a line each.

    Parameters
    ----------
    command : sequence of str
        The number of the file to write to comes behind.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._from, to = os.pipe()
        self._process = subprocess.Popen([*command, str(to)], pass_fds=(to,))
        os.close(to)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._from, selectors.EVENT_READ)
        self._read = b""

    def told(self, seconds: float) -> dict[str, Any] | None:
        """The next line; empty after the last; None where none came in time."""
        end = time.perf_counter() + seconds
        while b"\n" not in self._read:
            if not self._ready.select(max(end - time.perf_counter(), 0)):
                return None
            some = os.read(self._from, 65_536)
            if not some:
                return {}
            self._read += some
        line, self._read = self._read.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self, seconds: float = 5.0) -> int:
        """Wait so long for its end, then bring it about; its exit status."""
        self._ready.close()
        os.close(self._from)
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def supervise(
    cases: Sequence[Case], begin: Begin, tell: Callable[[Case, dict[str, Any]], None], seconds: float
) -> None:
    """Run all cases in as many processes as it takes; every case is told of once."""
    place, end = 0, time.perf_counter() + seconds
    while place < len(cases):
        if time.perf_counter() > end:
            tell(cases[place], {"not_run": "the time was over"})
            place += 1
            continue
        place = _followed(cases, place, begin(place), tell, end)


def _followed(
    cases: Sequence[Case], place: int, worker: Worker, tell: Callable[[Case, dict[str, Any]], None], end: float
) -> int:
    """Listen to a process until it ends or takes too long; the place of the case to go on with."""
    begun, most, runs = False, START_SECONDS, False
    while place < len(cases):
        seconds = min(most, max(end - time.perf_counter(), 0) + GRACE_SECONDS)
        found = worker.told(seconds)
        if found:
            runs = True
            if "begun" in found:
                begun, most = True, cases[place].most_seconds
                script.say(NAME, " ".join([cases[place].name, *map(str, cases[place].parameters.values())]))
            else:
                tell(cases[place], found["row"])
                place, begun = place + 1, False
            continue
        code = worker.end(5.0 if found is not None else 0.0)
        if not runs:
            for case in cases[place:]:
                tell(case, {"not_run": f"a process ended with {code} before its first case"})
            return len(cases)
        if begun or found is None:
            why = f"took more than {seconds:.0f} seconds" if found is None else f"the process ended with {code}"
            tell(cases[place], {"error": why})
            place += 1
        return place
    worker.end()
    return place


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.Parser(NAME, "Measure the kernels of assign_accumulate on a GPU.")
    parser.add_argument("--out", type=Path, help=f"default bench/results/{NAME}.json; none for a rehearsal")
    parser.add_argument("--most-seconds", type=script.positive, default=MOST_SECONDS, help="no case begins later")
    parser.add_argument("--rehearse", action="store_true", help="small, on the CPU")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rehearse:
        if options.out is not None and script.RESULTS in options.out.resolve().parents:
            parser.error("a rehearsal is no result: choose --out outside of bench/results, or none")
    elif options.out is None:
        options.out = script.RESULTS / f"{NAME}.json"
    return options


def world_of(*, rehearse: bool) -> World:
    """The GPU, or what plays it; libraries other than CuPy may be missing."""
    if rehearse:
        from gpu_kernels_played import played_world

        return played_world()
    from gpuseg.config_parts import MemorySection
    from gpuseg.engine.gpu.libraries import Libraries, load
    from gpuseg.engine.gpu.memory import set_up

    try:
        libraries = load()
        set_up(libraries, MemorySection())
    except ImportError:
        import cupy

        libraries = Libraries(cupy, None, None, None)
    return World(libraries, Sizes(), EventClock(libraries.cupy))


def work(options: argparse.Namespace) -> int:
    """Be the process that runs cases from a place on."""
    first, to = options.worker
    sizes = REHEARSED if options.rehearse else Sizes()
    with os.fdopen(to, "w", encoding="utf-8", buffering=1) as out:

        def tell(line: dict[str, Any]) -> None:
            out.write(f"{json.dumps(line, default=str)}\n")

        begun = time.perf_counter()
        world = world_of(rehearse=options.rehearse)
        left = options.most_seconds - (time.perf_counter() - begun)
        return 0 if run_cases(world, all_cases(sizes), tell, first=first, most_seconds=left) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if options.worker:
        return work(options)
    found, end = find_gpus(), time.perf_counter() + options.most_seconds
    if not options.rehearse and not found.gpus:
        print(f"{NAME}: error: {found.problem}", file=sys.stderr)
        return 1
    sizes = REHEARSED if options.rehearse else Sizes()
    told, rows = script.circumstances(), []
    libraries = {library.package: library.version for library in found.libraries.values()}
    results: dict[str, Any] = told | {
        "hardware": machine(found),
        "versions": told["versions"] | libraries,
        "rehearsal": options.rehearse,
        "rows": sizes.rows,
        "definitions": DEFINITIONS,
    }

    def begin(first: int) -> Worker:
        left = f"{max(end - time.perf_counter(), 0.1):.1f}"
        command = [sys.executable, __file__, "--most-seconds", left, *(["--rehearse"] * options.rehearse)]
        return Worker([*command, "--worker", str(first)])

    def tell(case: Case, row: dict[str, Any]) -> None:
        rows.append({"case": case.name, "parameters": dict(case.parameters)} | row)
        results["cases"] = judged(rows, sizes.rows)
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    supervise(all_cases(sizes), begin, tell, options.most_seconds)
    print(table(results))
    return 1 if any(map(failed, results["cases"])) else 0


if __name__ == "__main__":
    sys.exit(main())
