"""What rows of `gpu_kernels.py` come to beside each other: shares of a copy, ratios, and a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DEFINITIONS = {
    "ms": "median milliseconds by CUDA events, of `runs` runs after one that warms up; of iterations: the difference of"
    " a long and a short fit (`fits_ms`), by the iterations that they differ in, updates of centers included",
    "bytes": "least that must move: each row read once, and labels (4 bytes) and distances (8) written where wanted",
    "share_of_copy": "bytes / time, as a share of what a copy inside the device reads and writes together in that time",
    "share_of_read": "the same as a share of what reading alone reads",
    "ratio": "time / our time for the same features and centers; below 1 is faster than we are",
    "inertia_off": "relative to ours: of the first rows, by plain CuPy, with the centers that `inertia_after` updates"
    " from the same start give",
    "labels_off": "share of rows with another label than ours (many centers) or than the CPU's (correctness)",
    "different": "numbers with other bits than they should have; of sums and inertia, see gpu_kernels_check.py",
}
_HEAD = ["case", "what", "ms", "rows/s", "of copy", "of read", "ratio", "remarks"]
_SHOWN = ("labels_off", "inertia_off", "registers", "local_bytes", "blocks", "clusters", "planted_ari", "wall_seconds")


def judged(rows: Sequence[Mapping[str, Any]], n_rows: int) -> list[dict[str, Any]]:
    """Rows with what needs others: shares of the copy and of reading, ratios to ours, differences of inertia."""
    rates = {row["case"]: row["bytes"] / row["ms"] for row in rows if row["case"] in {"copy", "read"} and "ms" in row}
    ours = {_like(row): row for row in rows if row["parameters"].get("side") == "ours"}
    found = []
    for row in rows:
        told, mine = dict(row), ours.get(_like(row), {})
        if row.get("ms", 0) > 0:
            told |= {f"share_of_{name}": round(row["bytes"] / row["ms"] / rate, 4) for name, rate in rates.items()}
            if row["case"] not in {"copy", "read"}:
                told["rows_per_second"] = round(1e3 * n_rows / row["ms"])
            if mine.get("ms", 0) > 0:
                told["ratio"] = round(row["ms"] / mine["ms"], 3)
        if "inertia" in row and "inertia" in mine:
            told["inertia_off"] = (row["inertia"] - mine["inertia"]) / mine["inertia"]
        found.append(told)
    return found


def _like(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["case"], row["parameters"].get("features"), row["parameters"].get("k")


def failed(row: Mapping[str, Any]) -> bool:
    """Whether it says that something is wrong, or was not looked at; what is not installed is neither."""
    return bool("error" in row or "not_run" in row or row.get("different"))


def table(results: Mapping[str, Any]) -> str:
    """A line each; correctness in a few."""
    rows = results["cases"]
    lines = [f"{results['date']}; `{results['command']}`", *_rates(rows), *_correctness(rows), ""]
    lines += [_line(_HEAD), _line(["---"] * len(_HEAD))]
    for row in rows:
        if row["case"] not in {"device", "copy", "read", "correctness"}:
            what = ", ".join(f"{name} {value}" for name, value in row["parameters"].items())
            lines.append(_line([row["case"], what, *_cells(row)]))
    if results["rehearsal"]:
        lines += ["", "A rehearsal over stand-ins on the CPU: the times say nothing."]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    wrong = row.get("error") or row.get("not_run") or row.get("skipped")
    remarks = [" ".join(str(wrong).split()).replace("|", "/")[:120]] if wrong else []
    remarks += [f"DIFFERENT {row['different']}"] if row.get("different") else []
    remarks += [f"{name} {_short(row[name])}" for name in _SHOWN if row.get(name) is not None]
    if "ms" not in row:
        return ["", "", "", "", "", "; ".join(remarks)]
    shares = [f"{row[name]:.1%}" if name in row else "" for name in ("share_of_copy", "share_of_read")]
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    return [f"{row['ms']:,.3f}", f"{row.get('rows_per_second', 0):.2e}", *shares, ratio, "; ".join(remarks)]


def _short(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _rates(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if "gpu" in row:
            yield f"{row['gpu']}, {row['attributes'].get('MultiProcessorCount')} multiprocessors; {row['packages']}"
        if row["case"] in {"copy", "read"} and "ms" in row:
            told = "read and written" if row["case"] == "copy" else "read"
            yield f"{row['case']}: {row['bytes'] / row['ms'] / 1e9:.3f} TB/s {told}"


def _correctness(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    checked = [row for row in rows if row["case"] == "correctness"]
    wrong = [row for row in checked if failed(row)]
    yield f"correctness: {len(checked) - len(wrong)} of {len(checked)} equal to the CPU and from run to run"
    for row in wrong:
        what = ", ".join(f"{name} {value}" for name, value in row["parameters"].items())
        told = row.get("error") or row.get("not_run") or f"labels off {row['labels_off']:.2%}, {row['forms']}"
        yield f"  {what}: {' '.join(str(told).split())[:300]}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
