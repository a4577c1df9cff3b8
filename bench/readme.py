"""The table of measurements in the README, from the results files that are there: `python bench/readme.py`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from kmeans_table import OWN, best_ratio
from marks import replaced
from script import RESULTS, Parser

README = RESULTS.parents[1] / "README.md"
MARK = "bench"
_MIB, _GIB = 1 << 20, 1 << 30
_HEAD = ("", "gpuseg", "best other", "other / gpuseg", "aim")
_NO_AIM = "none set"
_LEAST_AGREEMENT = 0.95

Results = Mapping[str, Any]


class Line(NamedTuple):
    """One line of the table, as text."""

    what: str
    own: str
    other: str
    ratio: str
    aim: str


def end_to_end_lines(results: Results) -> Iterator[Line]:
    """Processor and wall seconds, and memory, against pandas and scikit-learn."""
    parameters, medians, bars = results["parameters"], results["medians"], results["bars"]
    rows = _millions(parameters["events"]) + " " if parameters["events"] else ""
    data = f"{rows}purchases of {_millions(results['compared']['n_profiles'])} customers"
    figures = (("cpu", "CPU seconds", "cpu_seconds", 1), ("wall", "wall seconds", "wall_seconds", 1))
    for name, unit, figure, scale in (*figures, ("memory", "peak MiB", "peak_bytes", _MIB)):
        what = f"{data}, Parquet to {parameters['segments']} segments: {unit}" if name == "cpu" else f"— {unit}"
        own, other = (f"{medians[side][figure] / scale:,.4g}" for side in (OWN, "naive"))
        bar = bars.get(name)
        aim = f"{bar['at_least']:g}x: {_verdict([bar['met']])}" if bar else _NO_AIM
        yield Line(what, own, f"{other} (pandas + scikit-learn)", f"{results['ratios'][name]:.2f}x", aim)


def features_lines(results: Results) -> Iterator[Line]:
    """Processor seconds and memory against the best of the other libraries; the bars are those against polars."""
    medians, runs, bars = results["medians"], results["runs"], results["bars"]
    others = [side for side in medians if side != OWN]
    if not others:
        return
    profiles = _millions(results["compared"][others[0]]["n_profiles"])
    for name, unit, scale in (("cpu_seconds", "CPU seconds", 1), ("peak_bytes", "peak MiB", _MIB)):
        what = f"features of {profiles} customers, Parquet to Parquet: {unit}" if scale == 1 else f"— {unit}"
        best = min(others, key=lambda side: medians[side][name])
        bar = bars.get(name)
        told = bar and f"at most {bar['at_most']:g} of polars': {bar['measured']:.2f}, {_verdict([bar['met']])}"
        own, other = (f"{medians[side][name] / scale:,.4g}" for side in (OWN, best))
        yield Line(what, own, f"{other} ({best})", f"{best_ratio(runs, name)['median']:.2f}x", told or _NO_AIM)


def kmeans_lines(results: Results) -> Iterator[Line]:
    """Processor seconds and memory of fits over all sizes."""
    yield from _grid_lines(results, f"K-means, {results['parameters']['updates']} updates of {_grid(results)}")


def scoring_lines(results: Results) -> Iterator[Line]:
    """Processor seconds and memory of assigning many rows, and the time of calls with few."""
    cases = results["cases"]
    yield from _grid_lines(results, f"nearest of given centers for {_grid(results)}")
    for rows, name in (("1 row", "latency_1_seconds"), ("1,000 rows", "latency_1000_seconds")):
        yield _over(cases, f"— wall microseconds of a call with {rows}, median", name, _NO_AIM, scale=1e-6)


def scaling_lines(results: Results) -> Iterator[Line]:
    """How time and memory grow with the data, by executor."""
    judged, lines = results["judgements"], results["lines"]
    sizes = sorted({line["n_events"] for line in lines})
    about = {
        "time": f"runs of {_millions(sizes[0])} to {_millions(sizes[-1])} purchases: time a customer, last / first",
        "memory": "— peak memory, largest / smallest",
    }
    for name, what in about.items() if judged else ():
        found = {executor: one[name] for executor, one in judged.items()}
        own = ", ".join(f"{one['measured']:.2f} ({executor})" for executor, one in found.items())
        most = next(iter(found.values()))["at_most"]
        yield Line(what, own, "", "", f"at most {most:g}: {_verdict([one['met'] for one in found.values()])}")


def cut_lines(results: Results) -> Iterator[Line]:
    """The dearest cut beside the run that it comes from."""
    run, rows = results["lines"][0], results["rows"]
    whole = {"whole command, wall time": run["wall_seconds"], "whole command, CPU time": run["cpu_seconds"]}
    whole["rows in memory"] = rows["fit_seconds"]
    about = {"rows in memory": f"`Segmenter.cut` of {_millions(rows['rows'])} rows, share of the fit's time"}
    cuts = [line["segments"] for line in results["lines"] if line["what"] == "cut"]
    for place, told in enumerate(results["judgements"]):
        what = f"`gpuseg cut` into {min(cuts)} to {max(cuts)} segments, share of the run's time: "
        own = f"{told['share']:.1%}" + (f" of {whole[told['what']]:.0f} s" if told["what"] in whole else "")
        aim = f"at most {told['bar']:.0%}: {_verdict([told['met']])}" if "bar" in told else _NO_AIM
        yield Line((what if place == 0 else "— ") + about.get(told["what"], told["what"]), own, "", "", aim)


def density_lines(results: Results) -> Iterator[Line]:
    """Density clustering on micro-clusters against exact HDBSCAN: agreement where it is not refused, and time."""
    tried = results["agreement"]
    told = [one for one in tried if one["refused"] is None]
    held = [one["ari"] >= _LEAST_AGREEMENT for one in told]
    cases = f"{len(told)} of {len(tried)} cases, the rest refused"
    what = f"density on micro-clusters, agreement with exact HDBSCAN (ARI) in {cases}"
    least = min(one["ari"] for one in told)
    yield Line(what, f"{least:.3f} at least", "", "", f"at least {_LEAST_AGREEMENT:g}: {_verdict(held)}")
    last = results["judgements"][-1]
    own = max((one for one in results["times"] if one["side"] == "micro"), key=lambda one: one["rows"])
    yield Line(
        f"— {_millions(own['rows'])} rows: seconds",
        f"{own['wall_seconds']:.0f}",
        f"{last['exact_seconds_extrapolated']:,.0f} (scikit-learn, extrapolated from {last['from']:,} rows)",
        f"{1 / last['share']:,.0f}x",
        f"at least {1 / last['at_most']:g}x: {_verdict([last['met']])}",
    )


def accuracy_lines(results: Results) -> Iterator[Line]:
    """Agreement with known classes, each method against the same one of scikit-learn."""
    sets = results["sets"]
    for place, own in enumerate(sets[0]["compared"]):
        held = [one["compared"][own] for one in sets]
        peer = held[0]["peer"]
        ours, theirs = (median(one["figures"][name]["ari"]["median"] for one in sets) for name in (own, peer))
        what = f"agreement with known classes (ARI), median of {len(sets)} sets: " if place == 0 else "— "
        lowest = min(one["difference"] for one in held)
        below = f", by up to {-lowest:.3f}" if not all(one["met"] for one in held) else ""
        aim = f"at most {held[0]['at_most_below']:g} below on each: {_verdict([one['met'] for one in held])}{below}"
        yield Line(what + own.removeprefix("gpuseg "), f"{ours:.3f}", f"{theirs:.3f} (scikit-learn)", "", aim)


LINES = {
    "end_to_end": end_to_end_lines,
    "features": features_lines,
    "kmeans": kmeans_lines,
    "scoring": scoring_lines,
    "scaling": scaling_lines,
    "cut": cut_lines,
    "density": density_lines,
    "accuracy": accuracy_lines,
}
"""Name of a results file to what the table says of it, in the order of the table."""


def _grid_lines(results: Results, what: str) -> Iterator[Line]:
    cases = results["cases"]
    bars = sorted({case["bar"]["at_least"] for case in cases})
    verdict = _verdict([case["bar"]["met"] for case in cases])
    yield _over(cases, f"{what}: CPU seconds", "cpu_seconds", f"{_range(bars, '{:g}x')}: {verdict}")
    memory = [case["memory"] for case in cases]
    others = [min(case["medians"][side]["extra_bytes"] for side in _others(case)) / case["bytes"] for case in cases]
    verdict = _verdict([one["met"] for one in memory])
    yield Line(
        "— memory besides the rows, share of theirs",
        _range([one["extra_share"] for one in memory], "{:.0%}"),
        _range(others, "{:.0%}"),
        "",
        f"at most {memory[0]['at_most']:.0%}{' without labels' if memory[0]['labels_share'] else ''}: {verdict}",
    )


def _over(cases: Sequence[Results], what: str, name: str, aim: str, *, scale: float = 1) -> Line:
    """A figure over all sizes: from the least to the largest, and which of the others were best."""
    best = [min(_others(case), key=lambda side, case=case: case["medians"][side][name]) for case in cases]
    others = [case["medians"][side][name] / scale for case, side in zip(cases, best, strict=True)]
    own = [case["medians"][OWN][name] / scale for case in cases]
    ratios = [case["ratios"][name]["median"] for case in cases]
    names = ", ".join(sorted(set(best)))
    return Line(what, _range(own, "{:,.3g}"), f"{_range(others, '{:,.3g}')} ({names})", _range(ratios, "{:.2f}x"), aim)


def _others(case: Results) -> list[str]:
    return [side for side in case["medians"] if side != OWN]


def _grid(results: Results) -> str:
    cases = results["cases"]
    rows = _range([case["rows"] / 1e6 for case in cases], "{:g} M")
    d, k = (_range([case[name] for case in cases], "{:g}") for name in ("features", "centers"))
    return f"{rows} x {d} float32, k = {k}"


def _range(values: Sequence[float], form: str) -> str:
    ends = [form.format(value) for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def _verdict(met: Sequence[bool]) -> str:
    if all(met):
        return "met"
    return "missed" if not any(met) else f"missed at {len(met) - sum(met)} of {len(met)}"


def _millions(n: float) -> str:
    return f"{n / 1e6:g} M" if n >= 1e6 else f"{n:,}"


def _circumstances(name: str, results: Results) -> str:
    machine = results["hardware"]
    versions = ", ".join(f"{library} {version}" for library, version in results["versions"].items())
    parameters = results.get("parameters", {})
    n = len(results["runs"]) if "runs" in results else parameters.get("repeats", 1)
    of_each = f"{n} run{'s' if n > 1 else ''} of each"
    told = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / _GIB:.0f} GiB",
        versions,
        results["date"][:10],
        f"{parameters['seeds']} seeds" if "seeds" in parameters else of_each,
        f"`{results['command']}`",
    ]
    if "compile" in results:
        told.append(f"compiling took another {results['compile']['compile_seconds']:.0f} s, once on a machine")
    return f"- `{name}.json`: {'; '.join(told)}"


def text(folder: Path) -> str:
    """The table, and where, when and how each of its files was made.

    Parameters
    ----------
    folder : Path
        With the results files; those of `LINES` that it has are told.
    """
    found = {name: folder / f"{name}.json" for name in LINES}
    results = {name: json.loads(file.read_text("utf-8")) for name, file in found.items() if file.exists()}
    if not results:
        return "Nothing has been measured yet."
    lines = [line for name, one in results.items() for line in LINES[name](one)]
    table = ["| " + " | ".join(cells) + " |" for cells in (_HEAD, ["---"] * len(_HEAD), *lines)]
    return "\n".join([*table, "", *(_circumstances(name, one) for name, one in results.items())])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser("readme", "Write the README's table of measurements.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results files")
    parser.add_argument("--page", type=Path, default=README)
    options = parser.parse_args(arguments)
    if not options.results.is_dir():
        parser.error(f"--results {options.results}: is no folder")
    page = options.page.read_text(encoding="utf-8")
    options.page.write_text(replaced(page, MARK, text(options.results)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
