"""What another granularity costs beside the fit that it comes from.

`python bench/cut.py` makes 25 million purchases of 5 million profiles, runs gpuseg with method hierarchical, cuts the
run into 2 to 50 segments, every command a process of its own, checks that the last cut has the bytes of a fresh fit of
as many segments, prints what each cost and writes `bench/results/cut.json`. Beside that it fits a `Segmenter` to 5
million rows with 16 features in memory and cuts it likewise, the labels of every row included.

A cut stands in for the stages fit and assign. Its explanation and report, and the start of its process, are as those of
any run of whatever size; they are in the time of the whole command.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import script
from measure import BenchmarkError, Measured
from runs import TINY_EVENTS, TINY_PROFILES, TINY_RUNS, WORKER, Runs, check_segments, check_sizes, read_through
from scaling import check_equal, digests

# Only small modules above: a child's peak memory starts at that of the process that starts it.

_INSTEAD = ("fit", "assign")
_FRESH = 7
_COLUMNS = 16
_FEW_ROWS = 300_000
_WARM = (50_000, 250_000)
"""Profiles and events of which one bucket has so many rows that micro-clusters are searched by way of few."""
say = partial(script.say, "cut")


class Cuts(Runs):
    """The runs and cuts of one benchmark.

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

    def lines(self) -> list[dict[str, Any]]:
        """What the run, every cut and a fresh run of as many segments as the last cut cost.

        Raises
        ------
        BenchmarkError
            If the last cut differs from the fresh run, or something was compiled meanwhile.
        """
        self._warm_up()
        compiled = self.kernels()
        options = self.options
        self._data(options.profiles, options.events)
        found = [self._line("run", _FRESH, *self._fitted("run", _FRESH))]
        for k in options.cuts:
            say(f"cut into {k}")
            found.append(self._line("cut", k, *self._cut("run", k)))
        last = Path(found[-1].pop("version"))
        fresh = self._line("run", options.cuts[-1], *self._fitted("fresh", options.cuts[-1]))
        written = {"the fresh run": digests(Path(fresh.pop("version"))), "the cut": digests(last)}
        check_equal(written)
        self.check_kernels(compiled)
        for line in found:
            line.pop("version", None)
        return [*found, fresh | {"equal_files": len(written["the cut"])}]

    def rows(self) -> dict[str, Any]:
        """What a fit of rows in memory and its cuts cost, in wall seconds.

        Raises
        ------
        BenchmarkError
            If the last cut differs from a fresh fit.
        """
        self._rows(min(_FEW_ROWS, self.options.profiles), self.options.cuts[:1])
        compiled = self.kernels()
        say(f"{self.options.profiles:,} rows in memory")
        found = self._rows(self.options.profiles, self.options.cuts)
        self.check_kernels(compiled)
        return found

    def _rows(self, n_rows: int, cuts: Sequence[int]) -> dict[str, Any]:
        told = self.scratch / "rows.json"
        sizes = ["--rows", str(n_rows), "--columns", str(_COLUMNS), "--segments", *map(str, cuts)]
        self._run([str(WORKER), "cut-rows", *sizes, "--out", str(told)])
        found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
        if not found.pop("equal"):
            raise BenchmarkError(f"{n_rows:,} rows in memory: the last cut is not that of a fresh fit")
        return {"rows": n_rows, "features": _COLUMNS, **found}

    def _warm_up(self) -> None:
        """Compile the kernels, so that no run that counts does."""
        say("compiling")
        for sizes, runs in (((TINY_PROFILES, TINY_EVENTS), TINY_RUNS), (_WARM, ({"buckets": 1},))):
            self._data(*sizes)
            for run in runs:
                self._fitted("tiny", 5, run)
            shutil.rmtree(self.scratch / "data")
        self._cut("tiny", 3)

    def _data(self, n_profiles: int, n_events: int) -> None:
        say(f"making {n_events:,} purchases of {n_profiles:,} profiles")
        self.make_data(self.scratch / "data", n_profiles, n_events)
        read_through(sorted((self.scratch / "data").glob("purchases-*.parquet")))

    def _fitted(self, name: str, k: int, run: dict[str, Any] | None = None) -> tuple[Measured, dict[str, Any]]:
        say(f"{name}: {k} segments")
        keys = {"engine": self.options.engine, **(run or {})}
        return self.pipeline(name, self.scratch / "data", until="report", segments=k, method="hierarchical", run=keys)

    def _cut(self, name: str, k: int) -> tuple[Measured, dict[str, Any]]:
        told = self.scratch / "cut.json"
        words = ["cut", "--run", str(self.scratch / name), "--segments", str(k), "--out", str(told)]
        cost = self._run([str(WORKER), *words])
        return cost, json.loads(told.read_text(encoding="utf-8"))

    def _line(self, what: str, k: int, cost: Measured, told: dict[str, Any]) -> dict[str, Any]:
        return {"what": what, "segments": k, **cost.as_dict(), **told}


def judged(lines: Sequence[dict[str, Any]], rows: dict[str, Any], *, most: float) -> list[dict[str, Any]]:
    """The dearest cut beside its fit: rows in memory and stages of a run, against a bar, and the whole commands."""
    run, cuts = lines[0], [line for line in lines if line["what"] == "cut"]

    def seconds(line: dict[str, Any]) -> float:
        return sum(float(line["stage_seconds"][stage]) for stage in _INSTEAD)

    instead = max(seconds(line) for line in cuts) / seconds(run)
    in_memory = max(one["seconds"] for one in rows["cuts"]) / rows["fit_seconds"]
    against = {"stages fit and assign": instead, "rows in memory": in_memory}
    return [
        *(
            {"what": what, "share": round(found, 4), "bar": most, "met": found <= most}
            for what, found in against.items()
        ),
        {"what": "whole command, wall time", "share": _share(run, cuts, "wall_seconds")},
        {"what": "whole command, CPU time", "share": _share(run, cuts, "cpu_seconds")},
    ]


def _share(run: dict[str, Any], cuts: Sequence[dict[str, Any]], key: str) -> float:
    return round(float(max(line[key] for line in cuts) / run[key]), 4)


def shown(results: dict[str, Any]) -> str:
    """The figures as lines."""
    rows = ["what  segments  wall s  CPU s  peak MiB  fit s  assign s"]
    for line in results["lines"]:
        stages = line["stage_seconds"]
        rows.append(
            f"{line['what']:4}  {line['segments']:8}  {line['wall_seconds']:6.1f}  {line['cpu_seconds']:5.1f}  "
            f"{line['peak_bytes'] / 2**20:8,.0f}  {stages['fit']:5.2f}  {stages['assign']:8.2f}"
        )
    told, cuts = results["rows"], results["rows"]["cuts"]
    slowest = max(one["seconds"] for one in cuts)
    rows.append(f"{told['rows']:,} rows in memory: fit {told['fit_seconds']:.2f} s, slowest cut {slowest:.3f} s")
    for told in results["judgements"]:
        bar = "" if "bar" not in told else f" (bar {told['bar']:g}: {'met' if told['met'] else 'missed'})"
        rows.append(f"dearest cut, {told['what']}: {told['share']:.3f} of its fit's{bar}")
    return "\n".join(rows)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("cut", "Measure other granularities of one fit.")
    parser.add_argument("--profiles", type=script.whole, default=5_000_000)
    parser.add_argument("--events", type=script.whole, default=25_000_000)
    parser.add_argument("--cuts", type=_numbers, default="2,5,12,25,50", help="numbers of segments, commas between")
    parser.add_argument("--most", type=script.positive, default=0.05, help="share of the fit that a cut may take")
    parser.add_argument("--engine", default="cpu", choices=("auto", "cpu", "gpu"))
    options = parser.parse_args(arguments)
    check_sizes(parser, options)
    check_segments(parser, max(*options.cuts, _FRESH), options.profiles)
    if _FRESH in options.cuts:
        parser.error(f"--cuts: the run itself has {_FRESH} segments")
    return options


def _numbers(text: str) -> list[int]:
    found = [script.whole(word) for word in text.split(",")]
    if min(found) < 2:
        raise argparse.ArgumentTypeError(f"{text!r}: a cut has at least 2 segments")
    return found


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything and put the figures together."""
    cuts = Cuts(options, scratch)
    lines, rows = cuts.lines(), cuts.rows()
    return {
        **script.circumstances(),
        "lines": lines,
        "rows": rows,
        "judgements": judged(lines, rows, most=options.most),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if not script.measured("cut", options, partial(measured_results, options)):
        return 1
    print(shown(json.loads(options.out.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
