"""From raw figures of `kmeans.py` to medians, ratios, the bars, and a table for people."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

OWN = "gpuseg"
MOST_EXTRA = 0.1
_FIGURES = ("cpu_seconds", "system_seconds", "wall_seconds", "extra_bytes", "first_use_seconds")


def bar_of(d: int, k: int) -> float:
    """How many times the processor time of gpuseg the best of the others has to take."""
    if d <= 16 and k <= 32:
        return 2.0
    return 1.3 if d <= 16 or k <= 32 else 1.1


def summarise(size: Mapping[str, int], runs: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Medians over the repeats, and the best of the others divided by gpuseg.

    A ratio is taken between runs of one repeat, which share the state of the machine; the median of them is what the
    bars are held against.

    Parameters
    ----------
    size : mapping
        `rows`, `features`, `centers` and `bytes` of the rows.
    runs : sequence of mapping
        One a repeat: side to its figures.

    Returns
    -------
    dict
        `medians`, `ratios` with `spread`, `bar` and `memory`.
    """
    ratios = {name: best_ratio(runs, name) for name in ("cpu_seconds", "wall_seconds")}
    medians = medians_of(runs, _FIGURES)
    return {"medians": medians, "ratios": ratios, "bar": judged(size, ratios), "memory": memory_of(size, medians)}


def medians_of(runs: Sequence[Mapping[str, Mapping[str, Any]]], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Side to its figures, each the median over the repeats."""
    return {side: {name: median(run[side][name] for run in runs) for name in names} for side in runs[0]}


def best_ratio(runs: Sequence[Mapping[str, Mapping[str, Any]]], name: str) -> dict[str, Any]:
    """The least figure of the others divided by gpuseg's: median and spread over the repeats."""
    others = [side for side in runs[0] if side != OWN]
    found = [min(run[side][name] for side in others) / run[OWN][name] for run in runs]
    return {"median": median(found), "spread": [min(found), max(found)]}


def judged(size: Mapping[str, int], ratios: Mapping[str, Any]) -> dict[str, Any]:
    """The ratio of processor time held against the bar."""
    bar = bar_of(size["features"], size["centers"])
    return {"at_least": bar, "met": ratios["cpu_seconds"]["median"] >= bar}


def memory_of(
    size: Mapping[str, int], medians: Mapping[str, Mapping[str, float]], *, label_bytes: int = 0
) -> dict[str, Any]:
    """Shares of the rows' bytes that gpuseg takes besides them, held against the bar without so many bytes a row."""
    extra = medians[OWN]["extra_bytes"] / size["bytes"]
    labels = label_bytes * size["rows"] / size["bytes"]
    met = extra - labels <= MOST_EXTRA
    return {"extra_share": extra, "labels_share": labels, "at_most": MOST_EXTRA, "met": met}


def markdown(results: Mapping[str, Any]) -> str:
    """A table of all sizes: processor seconds of each side, the ratio with its bar, and memory."""
    cases = results["cases"]
    sides = list(cases[0]["medians"])
    head = ["rows", "features", "k", *sides, "best other / gpuseg", "bar", "wall"]
    head += [f"extra memory, {side}" for side in sides]
    lines = [head, ["---:"] * len(head)]
    for case in cases:
        medians, ratio = case["medians"], case["ratios"]["cpu_seconds"]
        low, high = ratio["spread"]
        cells = [f"{case['rows']:,}", str(case["features"]), str(case["centers"])]
        cells += [f"{medians[side]['cpu_seconds']:.2f}" for side in sides]
        cells += [f"{ratio['median']:.2f} ({low:.2f} to {high:.2f})"]
        cells += [f"{case['bar']['at_least']:g}: {'met' if case['bar']['met'] else 'missed'}"]
        cells += [f"{case['ratios']['wall_seconds']['median']:.2f}"]
        cells += [f"{medians[side]['extra_bytes'] / case['bytes']:.0%}" for side in sides]
        lines.append(cells)
    n_met = sum(case["memory"]["met"] for case in cases)
    gap = max(max(case["objective_gaps"].values()) for case in cases)
    equal = min(min(case["equal_labels"].values()) for case in cases)
    parameters = results["parameters"]
    absent = f"; not installed: {', '.join(results['absent'])}" if results["absent"] else ""
    text = [
        f"Processor seconds (user and system) of {parameters['updates']} updates and the last assignment, "
        f"{parameters['threads']} threads, medians of {parameters['repeats']} runs{absent}. Objectives in float64 "
        f"differ by at most {gap:.0e} of scikit-learn's, and at least {equal:.2%} of the labels are the same. `wall` "
        "is the ratio of wall seconds. Extra memory is a share of the rows', labels included (gpuseg's fit keeps them "
        "in a byte each; `labels_` makes int32 of them).",
        "",
        *("| " + " | ".join(line) + " |" for line in lines),
        "",
        f"- memory besides the rows of at most {MOST_EXTRA:.0%} of theirs: met at {n_met} of {len(cases)} sizes",
    ]
    return "\n".join(text)
