"""K-means of gpuseg against scikit-learn, scikit-learn-intelex and faiss: the same rows, start and number of updates.

`python bench/kmeans.py` (`pip install gpuseg[bench]` for the peers; those that are not there are left out) makes rows,
runs all sides by turns, each in a process of its own, checks that they reached the same objective, prints what each
cost and writes `bench/results/kmeans.json`. Smaller: `python bench/kmeans.py --rows 200000 --features 8 --centers 8`.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import script
from kmeans_table import OWN, markdown, summarise
from kmeans_worker import SIDES
from measure import BenchmarkError, CommandFailedError

HERE = Path(__file__).resolve().parent
OBJECTIVE_TOLERANCE = 1e-5
_REFERENCE = "scikit-learn"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
say = partial(script.say, "kmeans")


class ObjectiveError(BenchmarkError):
    """Two sides ended at different objectives; no time of theirs counts."""


class Bench:
    """The runs of one benchmark.

    Parameters
    ----------
    options : argparse.Namespace
        See `parsed`.
    scratch : Path
        Empty folder for everything that the runs write.
    """

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.sides = [side for side, (module, *_) in SIDES.items() if importlib.util.find_spec(module)]
        self.distributions = [SIDES[side][1] for side in self.sides if side != OWN]

    def cases(self) -> list[dict[str, Any]]:
        """Every size, measured and compared; of the rows, one array is on disk at a time."""
        found = []
        for n in self.options.rows:
            for d in self.options.features:
                data = self.scratch / "rows.npy"
                say(f"making {n:,} rows of {d} features")
                size = ["--rows", str(n), "--features", str(d), "--seed", str(self.options.seed)]
                self._run("data", *size, "--out", str(data))
                found += [self.case(data, n, d, k) for k in self.options.centers]
        return found

    def case(self, data: Path, n: int, d: int, k: int) -> dict[str, Any]:
        """One size: all sides by turns, as often as asked for.

        Raises
        ------
        ObjectiveError
            If a side's centers have another objective than scikit-learn's, or it made another number of updates.
        """
        runs = []
        for number in range(self.options.repeats):
            say(f"{n:,} x {d}, k = {k}, run {number + 1} of {self.options.repeats}")
            runs.append({side: self._fit(side, data, k) for side in self.sides})
        objectives = self._objectives(data)
        self._check(runs, objectives)
        size = {"rows": n, "features": d, "centers": k, "bytes": 4 * n * d}
        reference = objectives[_REFERENCE]
        gaps = {side: abs(value / reference - 1) for side, value in objectives.items()}
        return {**size, "objective_gaps": gaps, "runs": runs, **summarise(size, runs)}

    def _fit(self, side: str, data: Path, k: int) -> dict[str, Any]:
        out = self.scratch / f"{side}.json"
        options = self.options
        size = ["--centers", str(k), "--updates", str(options.updates), "--threads", str(options.threads)]
        self._run("fit", "--side", side, "--data", str(data), *size, "--out", str(out))
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    def _objectives(self, data: Path) -> dict[str, float]:
        out = self.scratch / "objectives.json"
        files = [str(self.scratch / f"{side}.npy") for side in self.sides]
        self._run("objective", "--data", str(data), "--out", str(out), *files)
        found: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
        return found

    def _check(self, runs: list[dict[str, Any]], objectives: dict[str, float]) -> None:
        reference = objectives[_REFERENCE]
        for side in self.sides:
            made = {run[side]["n_iter"] for run in runs}
            if made != {self.options.updates}:
                raise ObjectiveError(f"{side}: {sorted(made)} updates instead of {self.options.updates}")
            gap = abs(objectives[side] / reference - 1)
            if not gap <= OBJECTIVE_TOLERANCE:
                raise ObjectiveError(f"{side}: its objective differs from {_REFERENCE}'s by {gap:.1e} of it")

    def _run(self, *words: str) -> None:
        threads = dict.fromkeys(_THREADS, str(self.options.threads))
        environment = {**os.environ, **threads, "NUMBA_CACHE_DIR": str(self.scratch / "kernels")}
        command = [sys.executable, str(HERE / "kmeans_worker.py"), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join(done.stderr.splitlines()[-10:])
            raise CommandFailedError(f"{' '.join(words[:3])}: exit {done.returncode}\n{tail}")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("kmeans", "Measure K-means of gpuseg against other libraries.")
    parser.add_argument("--rows", type=_whole, nargs="+", default=[2_000_000, 8_000_000])
    parser.add_argument("--features", type=_whole, nargs="+", default=[8, 16, 32])
    parser.add_argument("--centers", type=_whole, nargs="+", default=[8, 32, 128])
    parser.add_argument("--updates", type=_whole, default=10, help="updates of the centers, the same on every side")
    parser.add_argument("--repeats", type=_whole, default=3, help="runs of each side, by turns")
    parser.add_argument("--threads", type=_whole, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything, compare, and put the figures together."""
    bench = Bench(options, scratch)
    cases = bench.cases()
    found = script.circumstances()
    found["versions"] |= {name: importlib.metadata.version(name) for name in bench.distributions}
    return found | {
        "parameters": {name: value for name, value in vars(options).items() if not isinstance(value, Path | None)},
        "absent": [side for side in SIDES if side not in bench.sides],
        "objective_tolerance": OBJECTIVE_TOLERANCE,
        "cases": cases,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if not script.measured("kmeans", options, partial(measured_results, options)):
        return 1
    print(markdown(json.loads(options.out.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
