"""From raw figures of `scoring.py` to medians, ratios, the bars, and tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from kmeans_table import best_ratio, medians_of, memory_of

_BAR = 1.0
_LABEL_BYTES = 4
_LATENCIES = ("latency_1_seconds", "latency_1000_seconds")
_RATIOS = ("cpu_seconds", "wall_seconds", *_LATENCIES)
_FIGURES = ("cpu_seconds", "system_seconds", "wall_seconds", "rows_per_second", "extra_bytes", "first_use_seconds")
_FIGURES += (*_LATENCIES, "latency_1_p99_seconds", "latency_1000_p99_seconds")


def summarise(size: Mapping[str, int], runs: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Medians over the repeats, and the best of the others divided by gpuseg; the bar is that none is faster.

    Parameters
    ----------
    size : mapping
        `rows`, `features`, `centers` and `bytes` of the rows.
    runs : sequence of mapping
        One a repeat: side to its figures.

    Returns
    -------
    dict
        `medians`, `ratios` with `spread`, `bar` of processor time and `memory`.
    """
    ratios = {name: best_ratio(runs, name) for name in _RATIOS}
    medians = medians_of(runs, _FIGURES)
    memory = memory_of(size, medians, label_bytes=_LABEL_BYTES)
    bar = {"at_least": _BAR, "met": ratios["cpu_seconds"]["median"] >= _BAR}
    return {"medians": medians, "ratios": ratios, "bar": bar, "memory": memory}


def markdown(results: Mapping[str, Any]) -> str:
    """A table of all sizes for many rows at once, and one for few."""
    cases, parameters = results["cases"], results["parameters"]
    sides = list(cases[0]["medians"])
    absent = f"; not installed: {', '.join(results['absent'])}" if results["absent"] else ""
    different = max(max(case["compared"]["different"].values()) for case in cases)
    near_ties = max(case["compared"]["near_ties"] for case in cases)
    text = [
        f"Processor seconds (user and system) of one pass over all rows, {parameters['threads']} threads, medians of "
        f"{parameters['repeats']} runs{absent}. Every label is that of the nearest center, or of one as near within "
        f"float32's rounding: of a size at most {near_ties:,} rows have two such centers, and at most {different:,} "
        "labels of a side are not float64's. Extra memory is a share of the rows', labels included.",
        "",
        *_table(
            ["rows", "features", "k", *sides, "best other / gpuseg", "bar", "wall"]
            + [f"{what}, {side}" for what in ("million rows/s", "extra memory") for side in sides],
            [_bulk(case) for case in cases],
        ),
        "",
        f"Microseconds of one call, median and 99th percentile of {parameters['calls']:,}.",
        "",
        *_table(
            ["features", "k"]
            + [f"{what}, {side}" for what in ("one row", "1,000 rows") for side in [*sides, "best other / gpuseg"]],
            [_calls(case) for case in cases],
        ),
    ]
    return "\n".join(text)


def _bulk(case: Mapping[str, Any]) -> list[str]:
    medians, ratio = case["medians"].values(), case["ratios"]["cpu_seconds"]
    low, high = ratio["spread"]
    return [
        f"{case['rows']:,}",
        str(case["features"]),
        str(case["centers"]),
        *(f"{figures['cpu_seconds']:.3f}" for figures in medians),
        f"{ratio['median']:.2f} ({low:.2f} to {high:.2f})",
        f"{case['bar']['at_least']:g}: {'met' if case['bar']['met'] else 'missed'}",
        f"{case['ratios']['wall_seconds']['median']:.2f}",
        *(f"{figures['rows_per_second'] / 1e6:.1f}" for figures in medians),
        *(f"{figures['extra_bytes'] / case['bytes']:.0%}" for figures in medians),
    ]


def _calls(case: Mapping[str, Any]) -> list[str]:
    cells = [str(case["features"]), str(case["centers"])]
    for name in _LATENCIES:
        tail = name.replace("_seconds", "_p99_seconds")
        cells += [f"{side[name] * 1e6:,.0f}; {side[tail] * 1e6:,.0f}" for side in case["medians"].values()]
        cells += [f"{case['ratios'][name]['median']:.2f}"]
    return cells


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---:"] * len(head), *rows)]
