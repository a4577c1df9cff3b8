"""gpuseg against pandas and scikit-learn, from the same Parquet files to segments, each in a process of its own.

`python bench/end_to_end.py` makes 20 million purchases of 2 million profiles, runs both sides by turns, checks that
they computed the same features, prints what each cost and writes `bench/results/end_to_end.json`. Smaller:
`python bench/end_to_end.py --profiles 20000 --events 200000`.
"""

import argparse
import datetime as dt
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import BenchmarkError, Measured, hardware, run_measured, versions
from summary import side_by_side, summarise

# Only small modules above: a child's peak memory starts at that of the process that starts it.

HERE = Path(__file__).resolve().parent
TINY_PROFILES = 2_000
TINY_EVENTS = 20_000
# Kernels are compiled anew for arrays of another kind: with one chunk a bucket's rows come straight from a file, with
# several they are copied together. More than one bucket, so that rows are split into buckets at all.
TINY_RUNS = ({"buckets": 4}, {"buckets": 4, "chunk_rows": 2_048})
COLUMNS = {
    "profile_id": "customer_id",
    "at": "ordered_at",
    "amount": "line_amount",
    "order_id": "order_number",
    "category": "department",
}


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
        self.options = options
        self.scratch = scratch
        self.data = options.data or scratch / "data"

    def prepare(self) -> None:
        """Make the data, unless it was given, and bring it into the page cache."""
        if self.options.data is None:
            self._make_data(self.data, self.options.profiles, self.options.events)
        files = sorted(self.data.glob("purchases-*.parquet"))
        if not files:
            raise BenchmarkError(f"{self.data}: no purchases-*.parquet")
        for file in files:
            with file.open("rb") as handle:
                while handle.read(1 << 24):
                    pass

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
        compiled = self._kernels()
        runs = [self.repeat() for _ in range(self.options.repeats)]
        late = sorted(self._kernels() - compiled)
        if late:
            raise BenchmarkError(f"a measured run compiled {', '.join(late)}; add a run that does to TINY_RUNS")
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
        config, out = self.scratch / f"{name}.yaml", self.scratch / f"{name}.json"
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        # JSON is YAML.
        config.write_text(json.dumps(self._config(name, data or self.data, settings or {})), encoding="utf-8")
        command = [str(HERE / "worker.py"), "pipeline", "--config", str(config), "--until", until, "--out", str(out)]
        measured = self._run(command)
        return measured, json.loads(out.read_text(encoding="utf-8"))

    def compare(self) -> dict[str, float]:
        """Check the features of the last run against the naive ones."""
        # Here, not above: it loads pandas.
        from compare import compare_results

        say("comparing")
        version = json.loads((self.scratch / "run.json").read_text(encoding="utf-8"))["version"]
        as_of, timezone = self.options.as_of.isoformat(), self.options.timezone
        return compare_results(self.data, Path(version), as_of=as_of, timezone=timezone)

    def _config(self, name: str, data: Path, settings: Mapping[str, int]) -> dict[str, Any]:
        options = self.options
        return {
            "run": {
                "out": str(self.scratch / name),
                "as_of": options.as_of.isoformat(),
                "timezone": options.timezone,
                "seed": options.seed,
                "engine": options.engine,
                **settings,
            },
            "sources": [
                {
                    "name": "purchases",
                    "kind": "purchases",
                    "uri": str(data.resolve() / "purchases-*.parquet"),
                    "timezone": "UTC",
                    "columns": COLUMNS,
                }
            ],
            "features": {"families": ["rfm", "tempo", "interests"]},
            "cluster": {"segments": options.segments},
        }

    def _make_data(self, folder: Path, n_profiles: int, n_events: int) -> None:
        say(f"making {n_events} purchases of {n_profiles} profiles")
        command = [str(HERE / "worker.py"), "data", "--profiles", str(n_profiles), "--events", str(n_events)]
        command += ["--seed", str(self.options.seed), "--as-of", self.options.as_of.isoformat()]
        self._run([*command, "--out", str(folder)])

    def _run(self, command: Sequence[str]) -> Measured:
        kernels = {"NUMBA_CACHE_DIR": str(self.scratch / "kernels")}
        return run_measured([sys.executable, *command], log=self.scratch / "log.txt", environment=kernels)

    def _kernels(self) -> set[str]:
        """Names of the compiled kernels, one a signature."""
        return {path.name for path in (self.scratch / "kernels").rglob("*.nbc")}


def _without_folders(words: Sequence[str]) -> list[str]:
    """A command line without the options that name folders."""
    options = ("--scratch", "--out", "--data")
    return [word for before, word in zip(("", *words), words, strict=False) if not {before, word} & set(options)]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure gpuseg against pandas and scikit-learn.")
    parser.add_argument("--profiles", type=int, default=2_000_000)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--segments", type=int, default=8, help="number of segments on both sides")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, by turns")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-of", type=dt.date.fromisoformat, default="2026-01-01", help="exclusive end of the window")
    parser.add_argument("--timezone", default="America/New_York", help="zone in which days are counted")
    parser.add_argument("--engine", default="cpu", choices=("auto", "cpu", "gpu"), help="what gpuseg runs on")
    parser.add_argument(
        "--data", type=Path, help="folder with purchases-*.parquet of gpuseg.synth, instead of new data"
    )
    parser.add_argument("--scratch", type=Path, help="folder for temporary files; default the system's")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "end_to_end.json")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything, compare, and put the figures together."""
    bench = Bench(options, scratch)
    bench.prepare()
    compiled = bench.warm_up()
    runs = bench.repeats()
    compared = bench.compare()
    return {
        "command": shlex.join(["python", *_without_folders(sys.argv)]),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": versions(),
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
    with tempfile.TemporaryDirectory(prefix="end-to-end-", dir=options.scratch) as scratch:
        try:
            results = measured_results(options, Path(scratch))
        except BenchmarkError as error:
            print(f"end_to_end: error: {error}", file=sys.stderr)
            return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(side_by_side(results))
    return 0


def say(what: str) -> None:
    """Tell which step begins, on stderr."""
    print(f"end_to_end: {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
