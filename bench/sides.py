"""What `kmeans.py` and `scoring.py` share: their rows, and every side a process of its own, with threads alike."""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import script
from measure import CommandFailedError

HERE = Path(__file__).resolve().parent
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Sides:
    """The runs of one benchmark.

    Parameters
    ----------
    name : str
        Of the benchmark; its worker is `{name}_worker.py`.
    options : argparse.Namespace
        See `parser`.
    scratch : Path
        Empty folder for everything that the runs write.
    known : mapping of str to tuple
        Every side to its module and distribution, and what the worker makes of it; those not installed are left out.
    """

    def __init__(
        self, name: str, options: argparse.Namespace, scratch: Path, known: Mapping[str, tuple[str, str, Any]]
    ) -> None:
        self.name, self.options, self.scratch, self.known = name, options, scratch, known
        self.sides = [side for side, (module, *_) in known.items() if importlib.util.find_spec(module)]

    def rows(self) -> Iterator[tuple[Path, int, int]]:
        """Every size of rows in a file, with its numbers of rows and features; one is on disk at a time."""
        for n in self.options.rows:
            for d in self.options.features:
                data = self.scratch / "rows.npy"
                script.say(self.name, f"making {n:,} rows of {d} features")
                size = ["--rows", str(n), "--features", str(d), "--seed", str(self.options.seed)]
                self._run("data", *size, "--out", str(data))
                yield data, n, d

    def told(self, step: str, name: str, *words: str) -> dict[str, Any]:
        """Run a step of the worker, and read what it writes."""
        out = self.scratch / f"{name}.json"
        self._run(step, *words, "--out", str(out))
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    def results(self) -> dict[str, Any]:
        """Circumstances, with the versions of the other sides, parameters, and the sides that are not installed."""
        found = script.circumstances()
        names = [self.known[side][1] for side in self.sides]
        found["versions"] |= {name: importlib.metadata.version(name) for name in names if name not in found["versions"]}
        return found | {
            "parameters": {
                name: value for name, value in vars(self.options).items() if not isinstance(value, Path | None)
            },
            "absent": [side for side in self.known if side not in self.sides],
        }

    def _run(self, *words: str) -> None:
        threads = dict.fromkeys(_THREADS, str(self.options.threads))
        environment = {**os.environ, **threads, "NUMBA_CACHE_DIR": str(self.scratch / "kernels")}
        command = [sys.executable, str(HERE / f"{self.name}_worker.py"), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join(done.stderr.splitlines()[-10:])
            raise CommandFailedError(f"{' '.join(words[:3])}: exit {done.returncode}\n{tail}")


def parser(name: str, description: str, *, rows: list[int]) -> script.Parser:
    """A parser with the sizes, the repeats and the threads."""
    made = script.parser(name, description)
    made.add_argument("--rows", type=script.whole, nargs="+", default=rows)
    made.add_argument("--features", type=script.whole, nargs="+", default=[8, 16, 32])
    made.add_argument("--centers", type=script.whole, nargs="+", default=[8, 32, 128])
    made.add_argument("--repeats", type=script.whole, default=3, help="runs of each side, by turns")
    made.add_argument("--threads", type=script.whole, default=len(os.sched_getaffinity(0)))
    made.add_argument("--seed", type=script.seed, default=0)
    return made


def parsed_sizes(made: script.Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, refused where a size has more centers than rows."""
    options = made.parse_args(arguments)
    if max(options.centers) > min(options.rows):
        made.error(f"--centers {max(options.centers)} is more than --rows {min(options.rows)}")
    return options
