"""gpuseg against pandas and scikit-learn, from the same Parquet files to segments, each in a process of its own.

`python bench/end_to_end.py` makes 20 million purchases of 2 million profiles, runs both sides by turns, checks that
they computed the same features, prints what each cost and writes `bench/results/end_to_end.json`. Smaller:
`python bench/end_to_end.py --profiles 20000 --events 200000`.
"""

import argparse
import datetime as dt
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import script
from measure import BenchmarkError, Measured
from runs import AS_OF, TIMEZONE, TINY_EVENTS, TINY_PROFILES, TINY_RUNS, Runs, check_segments, check_sizes, read_through
from summary import side_by_side, summarise

# Only small modules above: a child's peak memory starts at that of the process that starts it.

HERE = Path(__file__).resolve().parent
say = partial(script.say, "end_to_end")


class Bench(Runs):
    """The runs of one benchmark.

    Parameters
    ----------
    options : argparse.Namespace
        See `parsed`.
    scratch : Path
        Empty folder for everything that the runs write.
    """

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        super().__init__(scratch)
        self.options = options
        self.data = options.data or scratch / "data"

    def prepare(self) -> None:
        """Make the data, unless it was given, and bring it into the page cache."""
        if self.options.data is None:
            self._make_data(self.data, self.options.profiles, self.options.events)
        files = sorted(self.data.glob("purchases-*.parquet"))
        if not files:
            raise BenchmarkError(f"{self.data}: no purchases-*.parquet")
        read_through(files)

    def warm_up(self) -> dict[str, float]:
        """Compile gpuseg's kernels by tiny runs; what they take longer than when repeated is compilation."""
        say("compiling")
        tiny = self.scratch / "tiny"
        self._make_data(tiny, TINY_PROFILES, TINY_EVENTS)
        first, second = (
            sum(self.gpuseg("tiny-run", "assign", data=tiny, settings=run)[0].wall_seconds for run in TINY_RUNS)
            for _ in range(2)
        )
        return {
            "first_runs_seconds": round(first, 3),
            "second_runs_seconds": round(second, 3),
            "compile_seconds": round(first - second, 3),
        }

    def repeats(self) -> list[dict[str, Any]]:
        """Run each side by turns.

        Raises
        ------
        BenchmarkError
            If one of these runs compiled a kernel, so that its time is not that of the work.
        """
        compiled = self.kernels()
        runs = [self.repeat() for _ in range(self.options.repeats)]
        self.check_kernels(compiled)
        return runs

    def repeat(self) -> dict[str, Any]:
        """Run each side once."""
        say("naive")
        naive = self.naive().as_dict()
        say("gpuseg")
        measured, found = self.gpuseg("run", "assign")
        ours = measured.as_dict() | {"stage_seconds": found["stage_seconds"]}
        say("gpuseg with report")
        measured, found = self.gpuseg("whole-run", "report")
        shutil.rmtree(self.scratch / "whole-run")
        return {
            "naive": naive,
            "gpuseg": ours,
            "gpuseg_with_report": measured.as_dict() | {"stage_seconds": found["stage_seconds"]},
        }

    def naive(self) -> Measured:
        """Run pandas and scikit-learn."""
        options = self.options
        command = [str(HERE / "naive.py"), "--data", str(self.data), "--out", str(self.scratch / "naive.parquet")]
        command += ["--segments", str(options.segments), "--seed", str(options.seed)]
        return self._run([*command, "--as-of", options.as_of.isoformat(), "--timezone", options.timezone])

    def gpuseg(
        self, name: str, until: str, *, data: Path | None = None, settings: Mapping[str, int] | None = None
    ) -> tuple[Measured, dict[str, Any]]:
        """Run gpuseg into the folder `name`, and read what it says about the run."""
        options = self.options
        run = {"as_of": options.as_of.isoformat(), "timezone": options.timezone}
        run |= {"seed": options.seed, "engine": options.engine, **(settings or {})}
        return self.pipeline(name, data or self.data, until=until, segments=options.segments, run=run)

    def compare(self) -> dict[str, float]:
        """Check the features of the last run against the naive ones."""
        # Here, not above: it loads pandas.
        from compare import compare_results

        say("comparing")
        version = json.loads((self.scratch / "run.json").read_text(encoding="utf-8"))["version"]
        as_of, timezone = self.options.as_of.isoformat(), self.options.timezone
        return compare_results(self.data, Path(version), as_of=as_of, timezone=timezone)

    def _make_data(self, folder: Path, n_profiles: int, n_events: int) -> None:
        say(f"making {n_events} purchases of {n_profiles} profiles")
        self.make_data(folder, n_profiles, n_events, seed=self.options.seed, as_of=self.options.as_of.isoformat())


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("end_to_end", "Measure gpuseg against pandas and scikit-learn.")
    parser.add_argument("--profiles", type=script.whole, default=2_000_000)
    parser.add_argument("--events", type=script.whole, default=20_000_000)
    parser.add_argument("--segments", type=script.whole, default=8, help="number of segments on both sides")
    parser.add_argument("--repeats", type=script.whole, default=3, help="runs of each side, by turns")
    parser.add_argument("--seed", type=script.seed, default=0)
    parser.add_argument("--as-of", type=script.date, default=AS_OF, help="exclusive end of the window")
    parser.add_argument("--timezone", type=script.zone, default=TIMEZONE, help="zone in which days are counted")
    parser.add_argument("--engine", default="cpu", choices=("auto", "cpu", "gpu"), help="what gpuseg runs on")
    parser.add_argument(
        "--data", type=Path, help="folder with purchases-*.parquet of gpuseg.synth, instead of new data"
    )
    options = parser.parse_args(arguments)
    if options.data is None:
        check_sizes(parser, options)
        check_segments(parser, options.segments, options.profiles)
    return options


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything, compare, and put the figures together."""
    bench = Bench(options, scratch)
    bench.prepare()
    compiled = bench.warm_up()
    runs = bench.repeats()
    compared = bench.compare()
    return {
        **script.circumstances(),
        "parameters": parameters(options),
        "compared": compared,
        "compile": compiled,
        "runs": runs,
        **summarise(runs),
    }


def parameters(options: argparse.Namespace) -> dict[str, Any]:
    """The options in JSON form; the sizes of data that was given are those of `compared`."""
    # Folders of a machine say nothing to others.
    given = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    shown = {name: str(value) if isinstance(value, dt.date) else value for name, value in given.items()}
    return shown if options.data is None else shown | {"profiles": None, "events": None}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    return script.shown("end_to_end", options, partial(measured_results, options), side_by_side)


if __name__ == "__main__":
    sys.exit(main())
