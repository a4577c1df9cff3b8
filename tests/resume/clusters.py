"""A dask cluster of processes of one's own, and runs as processes, to be killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gpuseg

PATHS = [str(Path(gpuseg.__file__).parents[1]), str(Path(__file__).parent)]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(PATHS)}
LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]
_DEADLINE_SECONDS = 120


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[subprocess.Popen[Any], Path]]:
    """A scheduler on a free port, and its file."""
    path = folder / "scheduler.json"
    command = ["distributed.cli.dask_scheduler", *LOCAL, "--port", "0", "--scheduler-file", str(path)]
    with process(command) as started:
        until(lambda: path.exists() and path.read_text().strip().endswith("}"), "the scheduler")
        yield started, path


@contextmanager
def worker(
    path: Path, *options: str, before: tuple[str, ...] = (), **environment: str
) -> Iterator[subprocess.Popen[Any]]:
    """A worker of a scheduler."""
    command = ["distributed.cli.dask_worker", *LOCAL, "--scheduler-file", str(path), "--nthreads", "1", *options]
    with process(command, before=before, **environment) as started:
        yield started


@contextmanager
def process(module: list[str], *, before: tuple[str, ...] = (), **environment: str) -> Iterator[subprocess.Popen[Any]]:
    command = [*before, sys.executable, "-m", *module]
    # Modules lie in the current folder too.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    started = subprocess.Popen(command, env=ENVIRONMENT | environment, start_new_session=True, **quiet)
    try:
        yield started
    finally:
        end_group(started)


def end_group(started: subprocess.Popen[Any]) -> None:
    """Kill what one of our own processes has started, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def until(ready: Any, what: str) -> None:
    """Wait for something that another process does."""
    waiting = threading.Event()
    for _ in range(_DEADLINE_SECONDS * 20):
        if ready():
            return
        waiting.wait(0.05)
    raise TimeoutError(what)


def start(settings: dict[str, Any], folder: Path, *words: str) -> subprocess.Popen[str]:
    """`gpuseg run` as a process group of its own."""
    path = folder / "gpuseg.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "gpuseg", "run", str(path), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, **pipes)


def code_of(run: subprocess.Popen[str]) -> int:
    """How a run ended."""
    run.communicate(timeout=_DEADLINE_SECONDS)
    return run.returncode


def members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, of_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(of_session) == session and state != "Z":
                found.append(int(folder.name))
    return found
