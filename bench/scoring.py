"""Scoring: rows in memory to the nearest of given centers, by gpuseg, scikit-learn, scikit-learn-intelex and faiss.

`python bench/scoring.py` (`pip install gpuseg[bench]` for the peers; those that are not there are left out) makes rows
and centers, runs all sides by turns, each in a process of its own, checks every label, prints what each cost and writes
`bench/results/scoring.json`. Smaller: `python bench/scoring.py --rows 200000 --features 8 --centers 8`.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import script
from measure import BenchmarkError
from scoring_table import markdown, summarise
from scoring_worker import BATCHES, SIDES
from sides import Sides, parsed_sizes, parser

say = partial(script.say, "scoring")


class LabelsError(BenchmarkError):
    """A side gave rows to centers that are not the nearest; no time of any side counts."""


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
        super().__init__("scoring", options, scratch, SIDES)
        self.centers = scratch / "centers.npy"

    def cases(self) -> list[dict[str, Any]]:
        """Every size, measured and compared."""
        return [self.case(data, n, d, k) for data, n, d in self.rows() for k in self.options.centers]

    def case(self, data: Path, n: int, d: int, k: int) -> dict[str, Any]:
        """One size: all sides by turns, as often as asked for, the labels checked each time.

        Raises
        ------
        LabelsError
            If a side gives a row to a center that is further than another by more than rounding.
        """
        threads = ["--threads", str(self.options.threads)]
        self._run("centers", "--data", str(data), "--centers", str(k), *threads, "--out", str(self.centers))
        runs, compared = [], {}
        for number in range(self.options.repeats):
            say(f"{n:,} x {d}, k = {k}, run {number + 1} of {self.options.repeats}")
            runs.append({side: self._score(side, data) for side in self.sides})
            compared = self._compare(data, n)
        size = {"rows": n, "features": d, "centers": k, "bytes": 4 * n * d}
        return {**size, "compared": compared, "runs": runs, **summarise(size, runs)}

    def _score(self, side: str, data: Path) -> dict[str, Any]:
        options = self.options
        words = ["--side", side, "--data", str(data), "--centers", str(self.centers)]
        counts = [
            word for name in ("passes", "calls", "threads") for word in (f"--{name}", str(getattr(options, name)))
        ]
        return self.told("score", side, *words, *counts)

    def _compare(self, data: Path, n: int) -> dict[str, Any]:
        files = [str(self.scratch / f"{side}.npy") for side in self.sides]
        found = self.told("compare", "compared", "--data", str(data), "--centers", str(self.centers), *files)
        for side, n_wrong in found.pop("wrong").items():
            if n_wrong:
                raise LabelsError(f"{side}: {n_wrong:,} of {n:,} labels are not those of the nearest centers")
        return found


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = parser("scoring", "Measure assigning rows to given centers against other libraries.", rows=[2_000_000])
    made.add_argument(
        "--passes", type=script.whole, default=5, help="passes over all rows in a run, of which the mean is told"
    )
    made.add_argument("--calls", type=script.whole, default=1_000, help="calls with few rows in a run")
    options = parsed_sizes(made, arguments)
    if min(options.rows) < max(BATCHES):
        made.error(f"--rows must be at least {max(BATCHES)}")
    return options


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything, compare, and put the figures together."""
    bench = Bench(options, scratch)
    cases = bench.cases()
    return bench.results() | {"cases": cases}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    return script.shown("scoring", options, partial(measured_results, options), markdown)


if __name__ == "__main__":
    sys.exit(main())
