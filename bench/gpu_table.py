"""The results of `cpu_vs_gpu.py` as a Markdown table."""

from collections.abc import Mapping
from typing import Any

_GIB = 1 << 30


def markdown(results: Mapping[str, Any]) -> str:
    """A table with a line a case, under the machine, the versions, the date and the command.

    Parameters
    ----------
    results : mapping
        As the JSON file holds them.
    """
    devices = results["devices"]
    both = len(devices) > 1
    head = ["case", *(f"{device}, s" for device in devices), *(["cpu/gpu", "agreement"] if both else [])]
    lines = ["# The CPU against the GPU", "", *_about(results), "", _row(head), _row(["---"] * len(head))]
    for case in results["cases"]:
        lines += _lines(case, devices, both=both)
    return "\n".join(lines)


def _about(results: Mapping[str, Any]) -> list[str]:
    hardware = results["hardware"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['total_bytes'] / _GIB:.0f} GiB)" for gpu in hardware["gpus"])
    driver = f", driver {hardware['driver']}, CUDA {hardware['driver_cuda']}" if gpus else ""
    lines = [
        f"{results['date']}; `{results['command']}`",
        "",
        f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_bytes'] / _GIB:.0f} GiB; "
        f"GPU: {gpus or 'none'}{driver}; " + ", ".join(f"{name} {told}" for name, told in results["versions"].items()),
    ]
    if results["no_gpu_because"]:
        lines += ["", f"No GPU was measured: {results['no_gpu_because']}."]
    return lines


def _lines(case: Mapping[str, Any], devices: list[str], *, both: bool) -> list[str]:
    told = ", ".join(f"{value:,} {name}" for name, value in case["parameters"].items())
    wrong = case.get("mismatch") or case.get("error")
    if wrong is not None:
        # Neither a bar nor a line of an error may end the table.
        why = " ".join(wrong.split()).replace("|", "/")
        rest = ["", why] if both else []
        return [_row([f"{case['case']}: {told}" + ("" if both else f": {why}"), *["failed"] * len(devices), *rest])]
    lines = []
    for place, step in enumerate(next(iter(case["seconds"].values()), {})):
        seconds = [case["seconds"].get(device, {}).get(step) for device in devices]
        cells = ["not run" if one is None else f"{one:,.3f}" for one in seconds]
        if both:
            whole = None not in seconds and seconds[1]
            cells += [f"{seconds[0] / seconds[1]:.1f}" if whole else "", _agreed(case["agreed"]) if place == 0 else ""]
        lines.append(_row([f"{case['case']}, {step}: {told}", *cells]))
    return lines


def _agreed(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return "not compared"
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.1e}" if name.endswith("difference") else f"{name.replace('_', ' ')} {value}"
        for name, value in facts.items()
    )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
