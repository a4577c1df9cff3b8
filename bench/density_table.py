"""The results of `density.py` as Markdown tables."""

from collections.abc import Mapping
from typing import Any

_GIB = 1 << 30


def markdown(results: Mapping[str, Any]) -> str:
    """The machine, agreement by shape, times, and judgements.

    Parameters
    ----------
    results : mapping
        As the JSON file holds them.
    """
    machine = results["hardware"]
    told = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / _GIB:.0f} GiB; {told}; "
            f"{results['date'][:10]}; `{results['command']}`:",
            "",
            *_agreement(results["agreement"]),
            "",
            *_times(results["times"]),
            "",
            *(_judgement(line) for line in results["judgements"]),
        ]
    )


def _agreement(lines: list[Mapping[str, Any]]) -> list[str]:
    ratios = sorted({line["ratio"] for line in lines})
    groups: dict[tuple[str, int, int], dict[int, Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["shape"], line["rows"], line["sampled"]), {})[line["ratio"]] = line
    head = [
        "shape",
        "rows",
        "sampled",
        "exact: clusters, noise",
        *(f"{ratio:,} rows a micro-cluster" for ratio in ratios),
    ]
    body = [
        [shape, f"{n:,}", f"{sampled:,}", _exact(next(iter(mine.values()))), *(_cell(mine.get(at)) for at in ratios)]
        for (shape, n, sampled), mine in groups.items()
    ]
    return [_row(cells) for cells in (head, ["---", *["---:"] * (len(head) - 1)], *body)]


def _exact(line: Mapping[str, Any]) -> str:
    return f"{line['exact_clusters']}, {line['exact_noise']:.1%}"


def _cell(line: Mapping[str, Any] | None) -> str:
    """Adjusted Rand index and by how many points the share of noise is off."""
    if line is None:
        return ""
    if line["refused"] is not None:
        return "refused"
    return f"{line['ari']:.3f} ({100 * (line['noise'] - line['exact_noise']):+.1f})"


def _times(lines: list[Mapping[str, Any]]) -> list[str]:
    head = ["side", "rows", "s", "clusters", "noise", "ARI with what was planted"]
    body = [
        [
            line["side"],
            f"{line['rows']:,}",
            f"{line['wall_seconds']:,.1f}",
            str(line["clusters"]),
            f"{line['noise']:.1%}",
            f"{line['planted_ari']:.3f}",
        ]
        for line in lines
    ]
    return [_row(cells) for cells in (head, ["---", *["---:"] * (len(head) - 1)], *body)]


def _judgement(line: Mapping[str, Any]) -> str:
    aim = f" (at most {line['at_most']:.0%}: {'met' if line['met'] else 'missed'})" if "met" in line else ""
    return (
        f"- {line['rows']:,} rows: {line['share']:.2%} of the {line['exact_seconds_extrapolated']:,.0f} s of exact "
        f"HDBSCAN, extrapolated from {line['from']:,} rows by their square{aim}; noise off by "
        f"{100 * line['noise_off']:.2f} points"
    )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
