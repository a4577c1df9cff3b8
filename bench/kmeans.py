"""K-means of gpuseg against scikit-learn, scikit-learn-intelex and faiss: the same rows, start and number of updates.

`python bench/kmeans.py` (`pip install gpuseg[bench]` for the peers; those that are not there are left out) makes rows,
runs all sides by turns, each in a process of its own, checks that they reached the same objective and labels, prints
what each cost and writes `bench/results/kmeans.json`. Smaller: `python bench/kmeans.py --rows 200000 --features 8`.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import script
from kmeans_table import markdown, summarise
from kmeans_worker import SIDES
from measure import BenchmarkError
from sides import Sides, parsed_sizes, parser

OBJECTIVE_TOLERANCE = 1e-5
LEAST_EQUAL_LABELS = 0.98
_REFERENCE = "scikit-learn"
say = partial(script.say, "kmeans")


class DifferentError(BenchmarkError):
    """Two sides ended at different objectives or labels; no time of theirs counts."""


class Bench(Sides):
    """The runs of one benchmark.

    Parameters
    ----------
    options : argparse.Namespace
        See `parsed`.
    scratch : Path
        Empty folder for everything that the runs write.
    """

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        super().__init__("kmeans", options, scratch, SIDES)

    def cases(self) -> list[dict[str, Any]]:
        """Every size, measured and compared."""
        return [self.case(data, n, d, k) for data, n, d in self.rows() for k in self.options.centers]

    def case(self, data: Path, n: int, d: int, k: int) -> dict[str, Any]:
        """One size: all sides by turns, as often as asked for.

        Raises
        ------
        DifferentError
            If a side's centers have another objective than scikit-learn's, too many of its labels are others, or it
            made another number of updates.
        """
        runs = []
        for number in range(self.options.repeats):
            say(f"{n:,} x {d}, k = {k}, run {number + 1} of {self.options.repeats}")
            runs.append({side: self._fit(side, data, k) for side in self.sides})
        objectives, equal = self._objectives(data), self._equal_labels()
        self._check(runs, objectives, equal)
        size = {"rows": n, "features": d, "centers": k, "bytes": 4 * n * d}
        reference = objectives[_REFERENCE]
        gaps = {side: abs(value / reference - 1) for side, value in objectives.items()}
        return {**size, "objective_gaps": gaps, "equal_labels": equal, "runs": runs, **summarise(size, runs)}

    def _fit(self, side: str, data: Path, k: int) -> dict[str, Any]:
        options = self.options
        size = ["--centers", str(k), "--updates", str(options.updates), "--threads", str(options.threads)]
        return self.told("fit", side, "--side", side, "--data", str(data), *size)

    def _objectives(self, data: Path) -> dict[str, float]:
        files = [str(self.scratch / f"{side}.npy") for side in self.sides]
        return self.told("objective", "objectives", "--data", str(data), *files)

    def _equal_labels(self) -> dict[str, float]:
        files = {side: str(self.scratch / f"{side}.labels.npy") for side in self.sides}
        return self.told("labels", "labels", "--reference", files[_REFERENCE], *files.values())

    def _check(self, runs: list[dict[str, Any]], objectives: dict[str, float], equal: dict[str, float]) -> None:
        reference = objectives[_REFERENCE]
        for side in self.sides:
            made = {run[side]["n_iter"] for run in runs}
            if made != {self.options.updates}:
                raise DifferentError(f"{side}: {sorted(made)} updates instead of {self.options.updates}")
            gap = abs(objectives[side] / reference - 1)
            if not gap <= OBJECTIVE_TOLERANCE:
                raise DifferentError(f"{side}: its objective differs from {_REFERENCE}'s by {gap:.1e} of it")
            if equal[side] < LEAST_EQUAL_LABELS:
                raise DifferentError(f"{side}: {1 - equal[side]:.1%} of its labels are not {_REFERENCE}'s")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = parser("kmeans", "Measure K-means of gpuseg against other libraries.", rows=[2_000_000, 8_000_000])
    made.add_argument("--updates", type=script.whole, default=10, help="updates of the centers, the same on every side")
    return parsed_sizes(made, arguments)


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything, compare, and put the figures together."""
    bench = Bench(options, scratch)
    cases = bench.cases()
    bounds = {"objective_tolerance": OBJECTIVE_TOLERANCE, "least_equal_labels": LEAST_EQUAL_LABELS}
    return bench.results() | bounds | {"cases": cases}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    return script.shown("kmeans", options, partial(measured_results, options), markdown)


if __name__ == "__main__":
    sys.exit(main())
