"""cuDF's group-bys against the candidate of `group_by_kernel.py`, on a GPU: `python bench/gpu_group_by.py`.

Both group the same columns of device memory, and what comes out must be equal in every bit before any time is told.
cuDF is called as the package calls it, its frame made beforehand; no side copies from or to the host but a few numbers.
Prints a table and writes `bench/results/gpu_group_by.json`, after each case anew. `--rehearse` goes through small cases
on the CPU, over stand-ins, whose times say nothing.
"""

import argparse
import json
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import script
from cpu_vs_gpu import machine
from group_by_kernel import Cells, Kernels, Orders, day_cells, distinct_orders

from gpuseg.config_parts import MemorySection
from gpuseg.engine.gpu.libraries import Libraries, load
from gpuseg.engine.gpu.memory import apply
from gpuseg.engine.hardware import Hardware, find_gpus

NAME = "gpu_group_by"
LEAST_RATIO = 1.3
"""Below it, a kernel of our own is not worth its lines."""

_HEAD = ["case", "rows", "groups", "cuDF, ms", "candidate, ms", "ratio", "candidate, rows/s", "share of copy"]
_ROOT = Path(__file__).resolve().parents[1]
_DAY_US = 86_400_000_000
_FIRST_DAY, _DAYS, _CATEGORIES = 19_000, 90, 11
"""Few enough cells a profile that Zipf's profiles have about n / 4 of them."""

_ZIPF = 1.2
_REHEARSED = {"rows": [4_000, 9_000], "repeats": 1, "copied_bytes": 1 << 20}


@dataclass(frozen=True)
class Case:
    """Columns to be grouped.

    Parameters
    ----------
    name : str
    keys, values : mapping of str to array of the device
    how : mapping of str to str
        What cuDF is to do with each of `values`.
    columns : tuple of array of the device
        What the candidate takes.
    group : callable
        The candidate.
    """

    name: str
    keys: Mapping[str, Any]
    values: Mapping[str, Any]
    how: Mapping[str, str]
    columns: tuple[Any, ...]
    group: Callable[..., Cells | Orders]

    @property
    def read_bytes(self) -> int:
        """The candidate's input."""
        return sum(int(column.nbytes) for column in self.columns)


def draws(numbers: Any, stream: int) -> Any:
    """A random uint64 for each number (SplitMix64), the same on every device."""
    bits = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(stream * 0x632BE59BD9B4E019 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def below(numbers: Any, stream: int, most: int) -> Any:
    """Int64 from 0 to most - 1, alike often."""
    return (draws(numbers, stream) % np.uint64(most)).astype(np.int64)


def zipf(cupy: Any, numbers: Any, stream: int, most: int) -> Any:
    """Int64 from 0 to most - 1, about as often as their place to the power of -1.2."""
    shares = (draws(numbers, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    power = 1 - _ZIPF
    places = (1 - shares * (1 - float(most) ** power)) ** (1 / power)
    return cupy.minimum(places.astype(np.int64) - 1, most - 1)


def cells_case(cupy: Any, n: int, name: str) -> Case:
    """Lines of n / 10 profiles in about n / 4 cells."""
    row, n_groups, n_profiles = cupy.arange(n), max(n // 4, 1), max(n // 10, 1)
    if name == "cells, Zipf profiles":
        rank, told = zipf(cupy, row, 1, n_profiles), row
    else:
        told = zipf(cupy, row, 1, n_groups) if name == "cells, Zipf cells" else below(row, 1, n_groups)
        rank = told * n_profiles // n_groups
    day, category = below(told, 2, _DAYS) + _FIRST_DAY, below(told, 3, _CATEGORIES) - 1
    at_us = day * _DAY_US + below(row, 4, _DAY_US)
    measures = cupy.stack([below(row, 5, 100_000), below(row, 6, 10) + 1])
    keys = {"rank": rank.astype(np.int32), "day": day.astype(np.int32), "category": category.astype(np.int32)}
    sums = {f"sum{number}": measures[number] for number in range(len(measures))}
    values = {"first": at_us, "last": at_us, **sums, "n": cupy.ones(n, np.int64)}
    how = {"n": "sum", "first": "min", "last": "max", **dict.fromkeys(sums, "sum")}
    return Case(name, keys, values, how, (*keys.values(), at_us, measures), day_cells)


def orders_case(cupy: Any, n: int, name: str) -> Case:
    """Lines of n / 2 orders, each told by its id or its time."""
    row, n_orders, n_profiles = cupy.arange(n), max(n // 2, 1), max(n // 10, 1)
    order = below(row, 1, n_orders)
    at_us = below(order, 2, _DAYS * _DAY_US) + _FIRST_DAY * _DAY_US
    key = at_us if name == "orders, by time" else order
    keys = {"rank": (order * n_profiles // n_orders).astype(np.int32), "key": key}
    day = (at_us // _DAY_US + below(row, 3, 2)).astype(np.int32)
    return Case(name, keys, {"day": day}, {"day": "min"}, (*keys.values(), day), distinct_orders)


CASES: Mapping[str, Callable[[Any, int, str], Case]] = {
    "cells, uniform": cells_case,
    "cells, Zipf profiles": cells_case,
    "cells, Zipf cells": cells_case,
    "orders, by id": orders_case,
    "orders, by time": orders_case,
}


def seconds_of(cupy: Any, work: Callable[[], Any], repeats: int) -> float:
    """Median time until the device has nothing left to do."""
    seconds = []
    for _ in range(repeats):
        cupy.cuda.Device().synchronize()
        begun = time.perf_counter()
        work()
        cupy.cuda.Device().synchronize()
        seconds.append(time.perf_counter() - begun)
    return median(seconds)


def copy_rate(cupy: Any, n_bytes: int, repeats: int) -> float:
    """Bytes read and written a second by a copy inside the device."""
    source = cupy.ones(n_bytes // 8, np.int64)
    target = cupy.zeros_like(source)
    cupy.copyto(target, source)
    return 2 * n_bytes / seconds_of(cupy, lambda: cupy.copyto(target, source), repeats)


def phases_of(cupy: Any, case: Case) -> dict[str, float]:
    """Seconds of each kernel of the candidate, and of all else (sorts, allocations), from one run that waits a lot."""
    seconds: dict[str, float] = {}
    call = Kernels.call

    def timed(self: Kernels, name: str, *arguments: Any, **keywords: Any) -> None:
        cupy.cuda.Device().synchronize()
        begun = time.perf_counter()
        call(self, name, *arguments, **keywords)
        cupy.cuda.Device().synchronize()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun

    with patch.object(Kernels, "call", timed):
        whole = seconds_of(cupy, lambda: case.group(cupy, *case.columns), 1)
    return {name: round(value, 6) for name, value in (seconds | {"rest": whole - sum(seconds.values())}).items()}


def difference(cupy: Any, case: Case, frame: Any, found: Cells | Orders) -> str | None:
    """How the results of both differ, or None."""
    columns = found._asdict()
    columns |= {f"sum{number}": values for number, values in enumerate(columns.pop("sums", ()))}
    if "first_day" in columns:
        columns["day"] = columns.pop("first_day")
    if len(frame) != found.groups:
        return f"cuDF has {len(frame)} groups, the candidate {found.groups}"
    for name in (*case.keys, *case.how):
        wanted = frame[name].values
        if wanted.dtype != columns[name].dtype or not bool(cupy.array_equal(wanted, columns[name])):
            return f"column {name} differs"
    return None


def measured(libraries: Libraries, case: Case, repeats: int, rate: float) -> dict[str, Any]:
    """Compare both sides, and time them where they agree."""
    cupy = libraries.cupy
    frame = libraries.cudf.DataFrame({**case.keys, **case.values})

    def by_cudf() -> Any:
        return frame.groupby(list(case.keys), sort=True).agg(dict(case.how)).reset_index()

    def by_candidate() -> Cells | Orders:
        return case.group(cupy, *case.columns)

    theirs, ours = by_cudf(), by_candidate()
    told = {"groups": ours.groups}
    if isinstance(ours, Cells):
        told["rows_of_largest"] = int(ours.n.max())
    wrong = difference(cupy, case, theirs, ours)
    if wrong is not None:
        return told | {"mismatch": wrong}
    least_bytes = case.read_bytes + sum(int(column.nbytes) for column in ours[:-1])
    del theirs, ours
    seconds = {"cudf": seconds_of(cupy, by_cudf, repeats), "candidate": seconds_of(cupy, by_candidate, repeats)}
    n = len(case.columns[0])
    return told | {
        "seconds": {side: round(value, 6) for side, value in seconds.items()},
        "ratio": round(seconds["cudf"] / seconds["candidate"], 3),
        "rows_per_second": {side: round(n / value) for side, value in seconds.items()},
        "least_bytes": least_bytes,
        "share_of_copy": {side: round(least_bytes / value / rate, 4) for side, value in seconds.items()},
        "phases": phases_of(cupy, case),
    }


def table(results: Mapping[str, Any]) -> str:
    """A line a case; shares are of what a copy that reads the rows and writes the groups once would take."""
    gpus = ", ".join(gpu["name"] for gpu in results["hardware"]["gpus"]) or "no GPU"
    rate = f"a copy makes {results['copy_bytes_per_second'] / 1e12:.2f} TB/s"
    lines = [f"{results['date']}; `{results['command']}`; {gpus}; {rate}", "", _line(_HEAD)]
    lines.append(_line(["---"] * len(_HEAD)))
    for case in results["cases"]:
        cells = [case["case"], f"{case['rows']:,}", f"{case.get('groups', 0):,}"]
        wrong = case.get("mismatch") or case.get("error") or case.get("not_run")
        if wrong:
            lines.append(_line([*cells, " ".join(wrong.split()).replace("|", "/"), "", "", "", ""]))
            continue
        cells += [f"{1e3 * case['seconds'][side]:,.2f}" for side in ("cudf", "candidate")]
        cells += [f"{case['ratio']:.2f}", f"{case['rows_per_second']['candidate']:.2e}"]
        lines.append(_line([*cells, f"{case['share_of_copy']['candidate']:.1%}"]))
    reached = all(case.get("ratio", 0) >= LEAST_RATIO for case in results["cases"])
    said = f"At least {LEAST_RATIO} times as fast in every case: {'yes' if reached else 'no'}."
    if results["rehearsal"]:
        said = "A rehearsal over stand-ins on the CPU: the times say nothing."
    return "\n".join([*lines, "", said])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.Parser(NAME, "Measure cuDF's group-bys against a kernel of our own.")
    parser.add_argument("--out", type=Path, help=f"default bench/results/{NAME}.json; none for a rehearsal")
    parser.add_argument("--rows", type=_numbers, default=[20_000_000, 100_000_000])
    parser.add_argument("--repeats", type=script.whole, default=7, help="runs of each side; the median is told")
    parser.add_argument("--copied-bytes", type=script.whole, default=1 << 31, help="for the rate of a copy")
    parser.add_argument("--most-seconds", type=script.positive, default=100.0, help="no case begins later")
    parser.add_argument("--rehearse", action="store_true", help="small, on the CPU, in place of the sizes above")
    options = parser.parse_args(arguments)
    if options.rehearse:
        vars(options).update(_REHEARSED)
        if options.out is not None and script.RESULTS in options.out.resolve().parents:
            parser.error("a rehearsal is no result: choose --out outside of bench/results, or none")
    elif options.out is None:
        options.out = script.RESULTS / f"{NAME}.json"
    return options


def _numbers(text: str) -> list[int]:
    return [script.whole(word) for word in text.split(",")]


def stand_ins() -> Libraries:
    """The libraries of the tests, which run CUDA sources on the CPU."""
    # Some other package may have installed a module of this name.
    package = types.ModuleType("tests")
    package.__path__ = [str(_ROOT / "tests")]
    sys.modules.setdefault("tests", package)
    from tests.kernels.emulated import emulated_libraries

    return emulated_libraries()


def _results(options: argparse.Namespace, found: Hardware) -> dict[str, Any]:
    """What is known before the first case."""
    told = script.circumstances()
    libraries = {library.package: library.version for library in found.libraries.values()}
    shown = {name: value for name, value in vars(options).items() if name in {"rows", "repeats", "copied_bytes"}}
    about = {"hardware": machine(found), "versions": told["versions"] | libraries, "parameters": shown}
    return told | about | {"cuda_runtime": found.cuda_runtime, "rehearsal": options.rehearse, "cases": []}


def main(arguments: Sequence[str] | None = None) -> int:
    options, found = parsed(arguments), find_gpus()
    begun = time.perf_counter()
    if not options.rehearse and not found.usable:
        print(f"{NAME}: error: {found.problem}", file=sys.stderr)
        return 1
    libraries = stand_ins() if options.rehearse else load()
    apply(libraries, MemorySection())
    results = _results(options, found)
    rate = copy_rate(libraries.cupy, options.copied_bytes, options.repeats)
    results["copy_bytes_per_second"] = round(rate)
    for n in options.rows:
        for name, make in CASES.items():
            script.say(NAME, f"{name}, {n:,} rows")
            row = {"case": name, "rows": n}
            try:
                if time.perf_counter() - begun > options.most_seconds:
                    row |= {"not_run": f"{options.most_seconds:g} seconds were over"}
                else:
                    row |= measured(libraries, make(libraries.cupy, n, name), options.repeats, rate)
            # One case that fails must not cost the machine's time of all others; it is told, and ends with 1.
            except Exception as error:  # noqa: BLE001
                row |= {"error": f"{type(error).__name__}: {error}"}
            results["cases"].append(row)
            if options.out is not None:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    return 1 if any("ratio" not in row for row in results["cases"]) else 0


if __name__ == "__main__":
    sys.exit(main())
