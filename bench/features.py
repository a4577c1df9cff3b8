"""Features of gpuseg against pandas, polars, duckdb and dask.dataframe: the same Parquet files, the same columns.

`python bench/features.py` (`pip install gpuseg[bench]` for the others; those that are not there are left out) makes 20
million purchases of 2 million profiles, runs all sides by turns, each a process of its own from files to files, checks
that all computed the same features, prints what each cost and writes `bench/results/features.json`. Smaller:
`python bench/features.py --profiles 20000 --events 200000`.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import script
from measure import BenchmarkError, Measured
from runs import AS_OF, TIMEZONE, TINY_EVENTS, TINY_PROFILES, TINY_RUNS, Runs, check_sizes, read_through

# Only small modules above: a child's peak memory starts at that of the process that starts it.

HERE = Path(__file__).resolve().parent
OWN, BARRED = "gpuseg", "polars"
SIDES = {
    "pandas": ("pandas", "pandas"),
    "polars": ("polars", "polars"),
    "duckdb": ("duckdb", "duckdb"),
    "dask.dataframe": ("dask", "dask"),
}
"""The others: name to module and distribution."""
BARS = {"cpu_seconds": 0.8, "peak_bytes": 0.5}
"""The most that gpuseg may take of what polars takes."""
_FIGURES = ("cpu_seconds", "user_seconds", "system_seconds", "wall_seconds", "peak_bytes")
_MIB = 1 << 20
say = partial(script.say, "features")


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
        present = [side for side, (module, _) in SIDES.items() if importlib.util.find_spec(module)]
        self.others = [side for side in present if side in options.sides]

    def prepare(self) -> None:
        """Make the data, unless it was given, bring it into the page cache, and compile gpuseg's kernels."""
        options = self.options
        if options.data is None:
            say(f"making {options.events:,} purchases of {options.profiles:,} profiles")
            self.make_data(self.data, options.profiles, options.events)
        files = sorted(self.data.glob("purchases-*.parquet"))
        if not files:
            raise BenchmarkError(f"{self.data}: no purchases-*.parquet")
        read_through(files)
        say("compiling")
        self.make_data(self.scratch / "tiny", TINY_PROFILES, TINY_EVENTS)
        for run in TINY_RUNS:
            self._gpuseg(self.scratch / "tiny", run)

    def runs(self) -> list[dict[str, dict[str, float]]]:
        """What every side cost, by turns.

        Raises
        ------
        BenchmarkError
            If one of these runs compiled a kernel.
        """
        compiled = self.kernels()
        found = []
        for number in range(self.options.repeats):
            costs = {}
            for side in (OWN, *self.others):
                say(f"{side}, run {number + 1} of {self.options.repeats}")
                cost = self._gpuseg(self.data, {}) if side == OWN else self._other(side)
                costs[side] = cost.as_dict()
            found.append(costs)
        self.check_kernels(compiled)
        return found

    def compare(self) -> dict[str, Any]:
        """Hold the features of every other side against those of gpuseg's last run.

        Raises
        ------
        MismatchError
            Naming the first side and column that differ.
        """
        # Here, not above: it loads pandas.
        from compare import MismatchError, compare_tables, read_features

        version = Path(json.loads((self.scratch / f"{OWN}.json").read_text(encoding="utf-8"))["version"])
        ours, found = read_features(version / "features"), {}
        for side in self.others:
            say(f"comparing with {side}")
            try:
                found[side] = compare_tables(read_features(self.scratch / f"{side}.parquet"), ours)
            except MismatchError as error:
                raise MismatchError(f"{side}: {error}") from None
        return found

    def _gpuseg(self, data: Path, run: Mapping[str, int]) -> Measured:
        settings = {"engine": "cpu", **run}
        return self.pipeline(OWN, data, until="features", segments=8, run=settings)[0]

    def _other(self, side: str) -> Measured:
        out = self.scratch / f"{side}.parquet"
        if out.is_dir():
            shutil.rmtree(out)
        command = [str(HERE / "features_sides.py"), "--side", side, "--data", str(self.data), "--out", str(out)]
        return self._run([*command, "--as-of", AS_OF, "--timezone", TIMEZONE])


def summarise(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Medians over the repeats; gpuseg divided by every other side, within each repeat; the bars against polars."""
    medians = {side: {name: median(run[side][name] for run in runs) for name in _FIGURES} for side in runs[0]}
    ratios = {
        side: {name: round(median(run[OWN][name] / run[side][name] for run in runs), 3) for name in _FIGURES}
        for side in runs[0]
        if side != OWN
    }
    bars = {}
    if BARRED in ratios:
        for name, most in BARS.items():
            bars[name] = {"at_most": most, "measured": ratios[BARRED][name], "met": ratios[BARRED][name] <= most}
    return {"medians": medians, "ratios": ratios, "bars": bars}


def markdown(results: Mapping[str, Any]) -> str:
    """A table of the sides, and the bars."""
    compared, absent = next(iter(results["compared"].values()), {}), results["absent"]
    about = (
        f"{compared['n_columns']} features of {compared['n_profiles']:,} profiles, equal on all sides"
        if compared
        else "nothing to compare with"
    )
    head = ["", "CPU seconds", "wall seconds", "peak MiB", "gpuseg's CPU share of it", "memory share"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for side, figures in results["medians"].items():
        ratio = results["ratios"].get(side)
        cells = [side, f"{figures['cpu_seconds']:.1f}", f"{figures['wall_seconds']:.1f}"]
        cells += [f"{figures['peak_bytes'] / _MIB:,.0f}"]
        cells += [f"{ratio[name]:.2f}" if ratio else "" for name in BARS]
        lines.append(cells)
    text = [
        f"{about}; medians of {len(results['runs'])} runs by turns"
        + (f"; not installed or not asked for: {', '.join(absent)}" if absent else "")
        + ".",
        "",
        *("| " + " | ".join(line) + " |" for line in lines),
    ]
    for name, bar in results["bars"].items():
        verdict = "met" if bar["met"] else "missed"
        text += [
            "",
            f"- of polars, {name.replace('_', ' ')}: {bar['measured']:.2f} (aim {bar['at_most']:g}: {verdict})",
        ]
    return "\n".join(text)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("features", "Measure the features of gpuseg against other libraries.")
    parser.add_argument("--profiles", type=script.whole, default=2_000_000)
    parser.add_argument("--events", type=script.whole, default=20_000_000)
    parser.add_argument("--repeats", type=script.whole, default=3, help="runs of each side, by turns")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="what to measure against")
    parser.add_argument(
        "--data", type=Path, help="folder with purchases-*.parquet of gpuseg.synth, instead of new data"
    )
    options = parser.parse_args(arguments)
    if options.data is None:
        check_sizes(parser, options)
    return options


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything, compare, and put the figures together."""
    bench = Bench(options, scratch)
    bench.prepare()
    runs = bench.runs()
    found = script.circumstances()
    found["versions"] |= {SIDES[side][1]: importlib.metadata.version(SIDES[side][1]) for side in bench.others}
    given = {name: value for name, value in vars(options).items() if not isinstance(value, Path | None)}
    return {
        **found,
        "parameters": given | {"as_of": AS_OF, "timezone": TIMEZONE},
        "absent": [side for side in SIDES if side not in bench.others],
        "compared": bench.compare(),
        "runs": runs,
        **summarise(runs),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    return script.shown("features", options, partial(measured_results, options), markdown)


if __name__ == "__main__":
    sys.exit(main())
