"""Runs a configuration over a scheduler and workers of this machine, and goes on with it after a preemption.

`python local.py CONFIG` needs `run.executor: dask` and `dask.scheduler_file` in CONFIG. A run that ends with 143 is
started again with `--resume`, a bounded number of times; every other exit code is passed on. It is what the scripts for
Slurm and Kubernetes do, on one machine.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from gpuseg.config import read_config
from gpuseg.engine.dask.scratch import own_scratch
from gpuseg.errors import ConfigError, EngineError

PREEMPTED = 143
_POLL_SECONDS = 0.1
_SCHEDULER_SECONDS = 60
_END_SECONDS = 10
_DASK = (sys.executable, "-m", "dask")
# Arrays in memory are work under way, and files are cached by the system; only a real shortage may end a worker.
_SETTINGS = {
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "0.95",
}


class Failed(Exception):
    """The cluster cannot do the work."""


class Cluster:
    """A scheduler and workers, on loopback and ports that are free.

    Parameters
    ----------
    file : Path
        Where the scheduler tells its address; removed at the end.
    log : Path
        Takes what scheduler and workers print.
    n_workers : int
    memory : str
        Limit of a worker, such as `2GiB`.
    replacements : int
        How many workers that ended are replaced, in all.
    """

    def __init__(self, file: Path, log: Path, *, n_workers: int, memory: str, replacements: int) -> None:
        self._file, self._log, self._n_workers, self._memory = file, log, n_workers, memory
        self._left = replacements
        self._opened = ExitStack()
        self._scratch = ""
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        try:
            # A file that an earlier scheduler left would lead to nobody.
            self._file.unlink(missing_ok=True)
            self._scratch = self._opened.enter_context(own_scratch())
            self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
            self._await_scheduler(self._scheduler)
            self._workers = [self._worker() for _ in range(self._n_workers)]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def mend(self) -> None:
        """Replace workers that ended.

        Raises
        ------
        Failed
            If the scheduler ended, or too many workers did.
        """
        if self._scheduler is None or self._scheduler.poll() is not None:
            raise Failed(f"the scheduler ended; see {self._log}")
        for place, worker in enumerate(self._workers):
            if worker.poll() is not None:
                if not self._left:
                    raise Failed(f"workers end again and again; see {self._log}")
                self._left -= 1
                _end_group(worker)
                self._workers[place] = self._worker()

    def _worker(self) -> subprocess.Popen[bytes]:
        options = ["--host", "127.0.0.1", "--nworkers", "1", "--nthreads", "1", "--memory-limit", self._memory]
        return self._start("worker", *options, "--local-directory", self._scratch, "--death-timeout", "60")

    def _start(self, role: str, *words: str) -> subprocess.Popen[bytes]:
        command = [*_DASK, role, "--scheduler-file", str(self._file), "--no-dashboard", *words]
        environment = os.environ | _SETTINGS | {"DASK_TEMPORARY_DIRECTORY": self._scratch}
        with self._log.open("ab") as log:
            # A group of its own: Ctrl-C is for the run, which then ends in order, and the cluster after it.
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        say(f"{role} is process {process.pid}")
        return process

    def _await_scheduler(self, scheduler: subprocess.Popen[bytes]) -> None:
        for _ in range(int(_SCHEDULER_SECONDS / _POLL_SECONDS)):
            if self._file.exists() and self._file.stat().st_size:
                return
            with suppress(subprocess.TimeoutExpired):
                raise Failed(f"the scheduler ended with {scheduler.wait(_POLL_SECONDS)}; see {self._log}")
        raise Failed(f"the scheduler did not come within {_SCHEDULER_SECONDS} seconds; see {self._log}")

    def _stop(self) -> None:
        started = [*self._workers, *([self._scheduler] if self._scheduler is not None else [])]
        for process in started:
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            _end_group(process)
        self._file.unlink(missing_ok=True)
        self._opened.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of a process's group, such as a worker whose nanny was killed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def attempt(config: Path, flags: Sequence[str], cluster: Cluster) -> int:
    """Run, or go on with, a configuration once, and give its exit code as a shell would."""
    process = subprocess.Popen([sys.executable, "-m", "gpuseg", *flags, "run", "--resume", str(config)])
    say(f"run is process {process.pid}")
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_POLL_SECONDS)
                return code if code >= 0 else 128 - code
            cluster.mend()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def work(options: argparse.Namespace) -> int:
    """Start the cluster and run until done, failed, or preempted too often."""
    dask = read_config(options.config).dask
    if dask.scheduler_file is None:
        raise ConfigError(f"{options.config}: dask.scheduler_file is missing; give a path that all workers see")
    log = options.config.with_name("dask.log")
    sizes = {"n_workers": options.workers, "memory": options.worker_memory, "replacements": options.replacements}
    with Cluster(Path(dask.scheduler_file), log, **sizes) as cluster:
        for restart in range(options.restarts + 1):
            if restart:
                say(f"preempted; restart {restart} of {options.restarts}")
            code = attempt(options.config, ["--json"] if options.json else ["-v"], cluster)
            if code != PREEMPTED:
                break
    return code


def say(what: str) -> None:
    """A remark on stderr."""
    print(f"local: {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and give its exit code."""
    parser = argparse.ArgumentParser(description="Run gpuseg over a scheduler and workers of this machine.")
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker-memory", default="2GiB", help="limit of each worker; default 2GiB")
    parser.add_argument("--restarts", type=int, default=5, help="how often a preempted run goes on; default 5")
    parser.add_argument("--replacements", type=int, default=10, help="how many lost workers are replaced; default 10")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(PREEMPTED))
    try:
        return work(parser.parse_args(arguments))
    except Failed as error:
        say(f"error: {error}")
        return 4
    except (ConfigError, EngineError) as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
