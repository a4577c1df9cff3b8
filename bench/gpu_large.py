"""As many events as one machine can: from Parquet files to assignments on one GPU, a billion events by default.

`python bench/gpu_large.py --data FOLDER --make` writes the synthetic purchases, which takes minutes; without `--make`
the same command runs gpuseg over them and writes `bench/results/gpu_large.json`. Each step may be a command of its own
on a machine that is had for a while only.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import script
from cpu_vs_gpu import machine
from measure import BenchmarkError
from runs import TINY_EVENTS, TINY_PROFILES, Runs, check_segments, check_sizes

from gpuseg.engine.hardware import find_gpus

_FILES = "purchases-*.parquet"
_WHOLE = (100_000_000, 1_000_000_000, "gpu")
_EVENTS_FILE = "n_events"
_EVENT_BYTES, _SCRATCH_BYTES = 20, 50
"""Of an event in its file, and at the peak of a run: parts, state, features and assignments."""


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("gpu_large", "Measure one large run.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the events; --make writes them")
    parser.add_argument("--make", action="store_true", help="write the events, and nothing else")
    parser.add_argument("--profiles", type=script.whole, default=100_000_000, help="default: 100 million")
    parser.add_argument("--events", type=script.whole, default=1_000_000_000, help="default: a billion")
    parser.add_argument("--segments", type=script.whole, default=8)
    parser.add_argument("--engine", choices=("cpu", "gpu"), default="gpu")
    parser.add_argument("--seed", type=script.seed, default=0)
    options = parser.parse_args(arguments)
    check_sizes(parser, options)
    check_segments(parser, options.segments, options.profiles)
    whole = (options.profiles, options.events, options.engine)
    if whole != _WHOLE and not options.make and options.out == parser.get_default("out"):
        parser.error(
            f"{options.out.name} in {options.out.parent.name} is for a billion events on a GPU; name another --out"
        )
    return options


def make(options: argparse.Namespace) -> int:
    """Write the events, and at last what they are beside them."""
    try:
        _check_room(options.data.parent, _EVENT_BYTES * options.events)
        with tempfile.TemporaryDirectory(prefix="gpu-large-", dir=options.scratch) as scratch:
            Runs(Path(scratch)).make_data(options.data, options.profiles, options.events, seed=options.seed)
        (options.data / _EVENTS_FILE).write_text(_expected(options), encoding="utf-8")
    except (BenchmarkError, OSError) as error:
        print(f"gpu_large: error: {str(error).splitlines()[-1]}", file=sys.stderr)
        return 1
    print(f"{options.events:,} events of {options.profiles:,} profiles, {_size(options.data) / 1e9:.1f} GB")
    return 0


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Compile by tiny runs, then run once over all events.

    Raises
    ------
    BenchmarkError
        If the folder does not hold these events.
    """
    beside = options.data / _EVENTS_FILE
    if not beside.is_file() or beside.read_text("utf-8") != _expected(options):
        raise BenchmarkError(f"{options.data} does not hold these events; make them with --make and the same sizes")
    found = find_gpus()
    if options.engine == "gpu" and not found.usable:
        raise BenchmarkError(str(found.problem))
    _check_room(scratch, _SCRATCH_BYTES * options.events)
    runs = Runs(scratch)
    how: dict[str, Any] = {"until": "assign", "segments": options.segments, "run": {"engine": options.engine}}
    script.say("gpu_large", "a tiny run, which compiles")
    runs.make_data(scratch / "tiny", TINY_PROFILES, TINY_EVENTS, seed=options.seed)
    runs.pipeline("warm", scratch / "tiny", **how)
    script.say("gpu_large", f"{options.events:,} events of {options.profiles:,} profiles")
    cost, told = runs.pipeline("large", options.data, **how)
    circumstances = script.circumstances()
    libraries = {library.package: library.version for library in found.libraries.values()}
    return {
        **circumstances,
        "hardware": machine(found),
        "versions": circumstances["versions"] | libraries,
        "parameters": {name: getattr(options, name) for name in ("profiles", "events", "segments", "engine", "seed")},
        "file_bytes": _size(options.data),
        "wall_seconds": round(cost.wall_seconds, 2),
        "cpu_seconds": round(cost.cpu_seconds, 1),
        "peak_bytes": cost.peak_bytes,
        "stage_seconds": {name: round(seconds, 2) for name, seconds in told["stage_seconds"].items()},
        "events_per_second": round(options.events / cost.wall_seconds),
    }


def shown(results: Mapping[str, Any]) -> str:
    """The results for people."""
    stages = ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in results["stage_seconds"].items())
    parameters = results["parameters"]
    what = f"{parameters['events']:,} events of {parameters['profiles']:,} profiles"
    speed = f"{results['wall_seconds']:,.1f} s, {results['events_per_second']:,} events a second"
    memory = f"host memory {results['peak_bytes'] / 1e9:.1f} GB"
    return f"{what} ({results['file_bytes'] / 1e9:.1f} GB) on {parameters['engine']}: {speed}, {memory}\n{stages}"


def _check_room(folder: Path, n_bytes: int) -> None:
    """Refuse to begin what would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise BenchmarkError(f"about {n_bytes / 1e9:.0f} GB needed, {free / 1e9:.0f} GB free; see --data and --scratch")


def _expected(options: argparse.Namespace) -> str:
    return f"{options.profiles} profiles, {options.events} events, seed {options.seed}\n"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(_FILES))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if options.make:
        return make(options)
    return script.shown("gpu_large", options, lambda scratch: measure(options, scratch), shown)


if __name__ == "__main__":
    sys.exit(main())
