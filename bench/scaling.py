"""What a run costs as the data grows, on the threads of one process and on the workers of a dask cluster.

`python bench/scaling.py` makes 5, 20 and 80 million purchases of a tenth as many profiles, runs gpuseg on each with
both executors, every run a process group of its own, checks that both wrote the same bytes, prints what each cost and
writes `bench/results/scaling.json` and the table in `docs/scaling.md`. Other sizes: `python bench/scaling.py --sizes
50`; the table alone, from results that are there: `python bench/scaling.py --table`.
"""

import argparse
import hashlib
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import script
from marks import replaced
from measure import BenchmarkError, Measured
from runs import TINY_EVENTS, TINY_PROFILES, TINY_RUNS, Runs, check_segments, read_through
from scaling_table import MARK, judged, markdown

# Only small modules above: a child's peak memory starts at that of the process that starts it.

DOCS = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
EVENTS_PER_PROFILE = 10
_FOLDERS = ("state", "features", "model", "assignments")
_FILES = ("segments.json", "explanations.json")
say = partial(script.say, "scaling")


class Scaling(Runs):
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
        workers = options.workers
        self.executors: dict[str, dict[str, Any]] = {
            "local": {"run": {"executor": "local"}},
            f"dask-{workers}": {"run": {"executor": "dask"}, "dask": {"workers": workers}},
        }

    def warm_up(self) -> None:
        """Compile the kernels, so that no run that counts does."""
        say("compiling")
        self._make_data(TINY_EVENTS, TINY_PROFILES)
        for run in TINY_RUNS:
            self._pipeline("tiny", {"run": dict(run)})
        self._clear()

    def lines(self) -> list[dict[str, Any]]:
        """What every size costs with every executor.

        Raises
        ------
        BenchmarkError
            If the executors wrote different bytes, or a run compiled a kernel.
        """
        compiled = self.kernels()
        found = [line for size in self.options.sizes for line in self._of_size(int(size * 1e6))]
        self.check_kernels(compiled)
        return found

    def _of_size(self, n_events: int) -> list[dict[str, Any]]:
        n_profiles = n_events // EVENTS_PER_PROFILE
        n_bytes = self._make_data(n_events, n_profiles)
        found, written = [], {}
        for name, sections in self.executors.items():
            say(f"{n_events:,} events, {name}")
            measured, told = self._pipeline(name, sections)
            written[name] = digests(Path(told["version"]))
            found.append(
                {
                    "executor": name,
                    "n_events": n_events,
                    "n_profiles": told["n_profiles"],
                    "n_buckets": told["n_buckets"],
                    "stored_bytes": n_bytes,
                    **measured.as_dict(),
                    "wall_seconds_per_million_profiles": _per_million(measured.wall_seconds, told["n_profiles"]),
                    "cpu_seconds_per_million_profiles": _per_million(measured.cpu_seconds, told["n_profiles"]),
                    "sampling_share": round(measured.sampling_share, 4),
                    "stage_seconds": told["stage_seconds"],
                    "equal_files": len(written[name]),
                }
            )
            # Features are compared by digests; the files of one run are enough to hold at a time.
            shutil.rmtree(self.scratch / name)
        check_equal(written)
        self._clear()
        return found

    def _pipeline(self, name: str, sections: Mapping[str, Any]) -> tuple[Measured, dict[str, Any]]:
        """Run gpuseg into the folder `name`, and read what it says about the run."""
        run = {"engine": self.options.engine, **sections["run"]}
        given = {"until": "report", "segments": self.options.segments, **sections, "run": run}
        measured, told = self.pipeline(name, self.scratch / "data", **given)
        manifest = json.loads((Path(told["version"]) / "manifest.json").read_text(encoding="utf-8"))
        quality = json.loads((Path(told["version"]) / "quality.json").read_text(encoding="utf-8"))
        return measured, told | {"n_buckets": manifest["n_buckets"], "n_profiles": quality["n_profiles"]}

    def _make_data(self, n_events: int, n_profiles: int) -> int:
        """Write purchases, read them once so that they lie in the page cache, and give their stored size."""
        say(f"making {n_events:,} purchases of {n_profiles:,} profiles")
        self.make_data(self.scratch / "data", n_profiles, n_events)
        files = sorted((self.scratch / "data").glob("purchases-*.parquet"))
        read_through(files)
        return sum(file.stat().st_size for file in files)

    def _clear(self) -> None:
        for name in ("data", "tiny", *self.executors):
            shutil.rmtree(self.scratch / name, ignore_errors=True)


def digests(version: Path) -> dict[str, str]:
    """SHA-256 of every file of a version that equal work writes equally."""
    files = [path for folder in _FOLDERS for path in (version / folder).rglob("*") if path.is_file()]
    found = {}
    for file in [*files, *(version / name for name in _FILES)]:
        with file.open("rb") as handle:
            found[file.relative_to(version).as_posix()] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def check_equal(written: Mapping[str, Mapping[str, str]]) -> None:
    """Compare what the executors wrote.

    Raises
    ------
    BenchmarkError
        Naming the first file that differs.
    """
    (first, expected), *others = written.items()
    for name, found in others:
        for file in sorted(expected.keys() | found.keys()):
            if expected.get(file) != found.get(file):
                raise BenchmarkError(f"{file} of {name} is not that of {first}")


def _per_million(seconds: float, n_profiles: int) -> float:
    return round(seconds / n_profiles * 1e6, 3)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("scaling", "Measure what gpuseg costs as the data grows.")
    parser.add_argument("--sizes", type=_sizes, default="5,20,80", help="millions of events, with commas between")
    parser.add_argument("--workers", type=script.whole, default=2, help="workers of the dask cluster")
    parser.add_argument("--segments", type=script.whole, default=8)
    parser.add_argument("--most-time", type=script.positive, default=1.2, help="time a profile, largest over smallest")
    parser.add_argument("--most-memory", type=script.positive, default=1.2, help="largest peak over the smallest")
    parser.add_argument("--engine", default="cpu", choices=("auto", "cpu", "gpu"))
    parser.add_argument(
        "--docs", type=Path, help="page whose table is written anew; default docs/scaling.md, none with another --out"
    )
    parser.add_argument("--table", action="store_true", help="measure nothing; write the table of --out")
    options = parser.parse_args(arguments)
    check_segments(parser, options.segments, int(options.sizes[0] * 1e6) // EVENTS_PER_PROFILE)
    if options.docs is None and options.out == parser.get_default("out"):
        options.docs = DOCS
    if options.table and not options.out.is_file():
        parser.error(f"--table: there is no {options.out}")
    return options


def _sizes(text: str) -> list[float]:
    with suppress(ValueError):
        sizes = sorted({float(word) for word in text.split(",")})
        if all(1e-3 <= size <= 1e5 for size in sizes):
            return sizes
    raise argparse.ArgumentTypeError(f"{text!r}: sizes are millions of events, from 0.001 to 100,000")


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything and put the figures together."""
    bench = Scaling(options, scratch)
    bench.warm_up()
    lines = bench.lines()
    found = script.circumstances()
    found["versions"]["distributed"] = importlib.metadata.version("distributed")
    return {
        **found,
        "lines": lines,
        "judgements": judged(lines, most_time=options.most_time, most_memory=options.most_memory),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if not options.table and not script.measured("scaling", options, partial(measured_results, options)):
        return 1
    table = markdown(json.loads(options.out.read_text(encoding="utf-8")))
    if options.docs is not None:
        page = options.docs.read_text(encoding="utf-8")
        options.docs.write_text(replaced(page, MARK, table), encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
