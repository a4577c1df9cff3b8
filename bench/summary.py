"""From raw figures of repeated runs to medians, ratios, the bars, and a table for people."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Figures = Mapping[str, Any]

_RATIOS = {"cpu": "cpu_seconds", "wall": "wall_seconds", "memory": "peak_bytes"}
_BARS = {"cpu": 5.0, "memory": 2.0}
_MIB = 1 << 20


def summarise(runs: Sequence[Mapping[str, Figures]]) -> dict[str, Any]:
    """Medians over the repeats, and naive divided by gpuseg.

    A ratio is taken between the two runs of one repeat, which share the state of the machine; the median over the
    repeats is what the bars are held against.

    Parameters
    ----------
    runs : sequence of mapping
        One a repeat: side to its figures.

    Returns
    -------
    dict
        `medians`, `ratios` and `bars`.
    """
    medians = {side: _medians([run[side] for run in runs]) for side in runs[0]}
    ratios = {
        name: round(median(run["naive"][figure] / run["gpuseg"][figure] for run in runs), 3)
        for name, figure in _RATIOS.items()
    }
    bars = {
        name: {"at_least": bar, "measured": ratios[name], "met": ratios[name] >= bar} for name, bar in _BARS.items()
    }
    return {"medians": medians, "ratios": ratios, "bars": bars}


def _medians(figures: Sequence[Figures]) -> dict[str, Any]:
    return {
        name: _medians([run[name] for run in figures]) if isinstance(value, Mapping) else _median_of(figures, name)
        for name, value in figures[0].items()
    }


def _median_of(figures: Sequence[Figures], name: str) -> float:
    return round(median(run[name] for run in figures), 3)


def side_by_side(results: Mapping[str, Any]) -> str:
    """The table of medians, the ratios with their bars, and where gpuseg's time goes."""
    medians, ratios, bars, compared = (results[name] for name in ("medians", "ratios", "bars", "compared"))
    head = ("", "naive", "gpuseg", "naive/gpuseg", "bar", "with report")
    rows = [head]
    for label, name in (("CPU seconds", "cpu"), ("wall seconds", "wall"), ("peak MiB", "memory")):
        scale = _MIB if name == "memory" else 1
        naive, ours, whole = (
            f"{medians[side][_RATIOS[name]] / scale:,.1f}" for side in ("naive", "gpuseg", "gpuseg_with_report")
        )
        bar = bars.get(name)
        verdict = f">= {bar['at_least']:g}: {'met' if bar['met'] else 'missed'}" if bar else ""
        rows.append((label, naive, ours, f"{ratios[name]:.2f}", verdict, whole))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    stages = medians["gpuseg_with_report"]["stage_seconds"]
    return "\n".join(
        [
            f"{compared['n_columns']} features of {compared['n_profiles']:,} profiles are equal on both sides; "
            f"medians of {len(results['runs'])} runs",
            *lines,
            "gpuseg by stage, wall seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items()),
            f"compiling gpuseg's kernels, once on a machine: {results['compile']['compile_seconds']:.1f} seconds",
        ]
    )
