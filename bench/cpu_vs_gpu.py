"""The CPU against the GPU, by gpuseg's own devices: features, K-means, HDBSCAN, scoring, and whole runs.

`python bench/cpu_vs_gpu.py` does the same work on both, from the same data, compares what came out, and only then tells
times: it prints a table and writes `bench/results/cpu_vs_gpu.json` and `.md`, after each case anew. Where no GPU can be
used its columns are absent. `--small` takes a minute on a CPU.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import script
from gpu_cases import LEAST_HDBSCAN_SIZE, Case, hdbscan_case, kmeans_case, library_kmeans_case, scoring_case
from gpu_runs import RunCase
from gpu_table import markdown
from measure import BenchmarkError, hardware
from runs import check_sizes

from gpuseg.engine.hardware import Hardware, find_gpus

SMALL = {
    "rows": 100_000,
    "features": [16, 32],
    "clusters": [8, 32],
    "iterations": 3,
    "hdbscan_rows": [2_000],
    "profiles": 2_000,
    "events": 20_000,
    "repeats": 1,
}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = script.parser("cpu_vs_gpu", "Measure gpuseg's devices against each other.")
    parser.add_argument("--devices", type=_words, help="such as cpu,gpu; default: both, or the cpu where it is alone")
    parser.add_argument("--cases", type=_words, default=["runs", "kmeans", "library", "scoring", "hdbscan"])
    parser.add_argument("--rows", type=script.whole, default=10_000_000, help="rows of K-means and scoring")
    parser.add_argument("--features", type=_numbers, default=[16, 32])
    parser.add_argument("--clusters", type=_numbers, default=[8, 32, 128])
    parser.add_argument("--iterations", type=script.whole, default=10, help="updates of K-means, exactly")
    parser.add_argument("--hdbscan-rows", type=_numbers, default=[20_000, 100_000, 1_000_000])
    parser.add_argument("--cpu-hdbscan-most", type=script.count, default=100_000, help="most rows for the cpu")
    parser.add_argument("--profiles", type=script.whole, default=2_000_000, help="profiles of whole runs")
    parser.add_argument("--events", type=script.whole, default=20_000_000, help="purchases of whole runs")
    parser.add_argument("--repeats", type=script.whole, default=3, help="runs of each device; the median is told")
    parser.add_argument("--seed", type=script.seed, default=0)
    parser.add_argument("--small", action="store_true", help="sizes for a minute, in place of all those above")
    options = parser.parse_args(arguments)
    if options.small:
        vars(options).update(SMALL)
    check_sizes(parser, options)
    if max(options.clusters) > options.rows:
        parser.error(f"--clusters {max(options.clusters)} is more than --rows {options.rows}")
    if min(options.hdbscan_rows) < LEAST_HDBSCAN_SIZE:
        parser.error(f"--hdbscan-rows must be at least {LEAST_HDBSCAN_SIZE}")
    unknown = set(options.cases) - set(CASES) or set(options.devices or ()) - {"cpu", "gpu"}
    if unknown:
        parser.error(f"there is no {sorted(unknown)[0]!r}; cases: {', '.join(CASES)}; devices: cpu, gpu")
    return options


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [script.whole(word) for word in text.split(",")]


def _kmeans(options: argparse.Namespace, scratch: Path) -> Iterator[Case]:
    return _of_rows(options, kmeans_case)


def _library(options: argparse.Namespace, scratch: Path) -> Iterator[Case]:
    return _of_rows(options, library_kmeans_case)


def _of_rows(options: argparse.Namespace, make: Callable[..., Case]) -> Iterator[Case]:
    for n_features in options.features:
        for k in options.clusters:
            yield make(options.rows, n_features, k, n_iter=options.iterations, seed=options.seed)


def _scoring(options: argparse.Namespace, scratch: Path) -> Iterator[Case]:
    for n_features in options.features:
        yield scoring_case(options.rows, n_features, options.clusters[-1], seed=options.seed)


def _hdbscan(options: argparse.Namespace, scratch: Path) -> Iterator[Case]:
    for n_rows in options.hdbscan_rows:
        yield hdbscan_case(n_rows, options.features[0], seed=options.seed, on_cpu=n_rows <= options.cpu_hdbscan_most)


def _runs(options: argparse.Namespace, scratch: Path) -> Iterator[Case]:
    yield RunCase(options.profiles, options.events, seed=options.seed, scratch=scratch).case()


CASES = {"runs": _runs, "kmeans": _kmeans, "library": _library, "scoring": _scoring, "hdbscan": _hdbscan}


def measured(case: Case, devices: Sequence[str], repeats: int) -> dict[str, Any]:
    """Run a case on each device and compare; times are told only where both agree."""
    asked = [device for device in devices if device in case.devices]
    found = {device: case.run(device, repeats) for device in asked}
    row: dict[str, Any] = {"case": case.name, "parameters": case.parameters, "agreed": None}
    if len(asked) > 1:
        try:
            row["agreed"] = case.compare(*(found[device].value for device in asked))
        except BenchmarkError as error:
            return row | {"mismatch": str(error)}
    seconds = {device: found[device].seconds for device in asked}
    return row | {"seconds": seconds, "facts": {device: found[device].facts for device in asked}}


def machine(found: Hardware) -> dict[str, Any]:
    """Processor, memory and GPUs."""
    gpus = [{"name": gpu.name, "total_bytes": gpu.total_bytes} for gpu in found.gpus]
    return hardware() | {"gpus": gpus, "driver": found.driver, "driver_cuda": found.driver_cuda}


def results_of(options: argparse.Namespace, found: Hardware, devices: Sequence[str]) -> dict[str, Any]:
    """What is known before the first case."""
    shown = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    libraries = {library.package: library.version for library in found.libraries.values()}
    told = script.circumstances()
    return {
        **told,
        "hardware": machine(found),
        "versions": told["versions"] | libraries,
        "parameters": shown,
        "devices": list(devices),
        "no_gpu_because": found.problem if "gpu" not in devices else None,
        "cases": [],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    found = find_gpus()
    devices = options.devices or (["cpu", "gpu"] if found.usable else ["cpu"])
    if "gpu" in devices and not found.usable:
        print(f"cpu_vs_gpu: error: {found.problem}", file=sys.stderr)
        return 1
    results = results_of(options, found, devices)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cpu-vs-gpu-", dir=options.scratch) as scratch:
        for name in options.cases:
            for case in CASES[name](options, Path(scratch)):
                script.say("cpu_vs_gpu", f"{case.name} {case.told}")
                results["cases"].append(_row(case, devices, options.repeats))
                _write(results, options.out)
    print(markdown(results))
    return 1 if any("mismatch" in row or "error" in row for row in results["cases"]) else 0


def _row(case: Case, devices: Sequence[str], repeats: int) -> dict[str, Any]:
    try:
        return measured(case, devices, repeats)
    # One case that fails must not cost the machine's time of all others; it is told, and ends with 1.
    except Exception as error:  # noqa: BLE001
        return {"case": case.name, "parameters": case.parameters, "error": f"{type(error).__name__}: {error}"}


def _write(results: dict[str, Any], out: Path) -> None:
    out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(markdown(results) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
