"""The results of `scaling.py`: what is judged of them, and a Markdown table."""

from collections.abc import Mapping, Sequence
from typing import Any

MARK = "scaling.json"
_MIB, _GIB = 1 << 20, 1 << 30


def judged(lines: Sequence[Mapping[str, Any]], *, most_time: float, most_memory: float) -> dict[str, Any]:
    """For every executor, whether memory stays and time grows no faster than the data.

    Parameters
    ----------
    lines : sequence of mapping
        One a size and executor.
    most_time : float
        Most that wall seconds a profile of the largest size may be of those of the smallest.
    most_memory : float
        Most that the largest peak may be of the smallest.

    Returns
    -------
    dict
        Executor to `memory` and `time`, each with `at_most`, `measured` and `met`; empty where there is one size only.
    """
    found: dict[str, Any] = {}
    for executor in dict.fromkeys(line["executor"] for line in lines):
        mine = sorted((line for line in lines if line["executor"] == executor), key=lambda line: line["n_events"])
        if len(mine) < 2:
            continue
        peaks = [line["peak_bytes"] for line in mine]
        each = [line["wall_seconds"] / line["n_profiles"] for line in mine]
        ratios = {"memory": (max(peaks) / min(peaks), most_memory), "time": (each[-1] / each[0], most_time)}
        found[executor] = {
            name: {"at_most": most, "measured": round(ratio, 3), "met": ratio <= most}
            for name, (ratio, most) in ratios.items()
        }
    return found


def markdown(results: Mapping[str, Any]) -> str:
    """The machine, a table with a line a size and executor, and the judgements.

    Parameters
    ----------
    results : mapping
        As the JSON file holds them.
    """
    machine = results["hardware"]
    told = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    head = ["events", "profiles", "buckets", "executor", "wall s", "CPU s", "wall s / million profiles", "peak MiB"]
    rows = [_cells(line) for line in results["lines"]]
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / _GIB:.0f} GiB; {told}; "
            f"{results['date'][:10]}; `{results['command']}`:",
            "",
            *(_row(cells) for cells in (head, ["---", *["---:"] * (len(head) - 1)], *rows)),
            "",
            *(_judgement(executor, found) for executor, found in results["judgements"].items()),
            "Both executors wrote the same bytes (state, features, model, assignments, cards, explanations).",
        ]
    )


def _cells(line: Mapping[str, Any]) -> list[str]:
    return [
        f"{line['n_events'] / 1e6:g} M",
        f"{line['n_profiles']:,}",
        f"{line['n_buckets']:,}",
        line["executor"],
        f"{line['wall_seconds']:,.1f}",
        f"{line['cpu_seconds']:,.1f}",
        f"{line['wall_seconds_per_million_profiles']:,.1f}",
        f"{line['peak_bytes'] / _MIB:,.0f}",
    ]


def _judgement(executor: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    memory, time = found["memory"], found["time"]
    return (
        f"- {executor}: largest peak {memory['measured']:.2f} times the smallest "
        f"(aim {memory['at_most']:g}: {_met(memory)}); time a profile, largest size over smallest, "
        f"{time['measured']:.2f} (aim {time['at_most']:g}: {_met(time)})"
    )


def _met(found: Mapping[str, Any]) -> str:
    return "met" if found["met"] else "missed"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
