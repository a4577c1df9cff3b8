"""What benchmarks run in processes of their own: making the data, gpuseg's pipeline, and other cuts of its fits."""

import argparse
import datetime as dt
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpuseg.clustering.segmenter import Segmenter
from gpuseg.cutting import cut
from gpuseg.outcome import Outcome
from gpuseg.pipeline import execute, read_config
from gpuseg.synth import SynthSpec, synthesize

_GROUPS = 7


def make_data(options: argparse.Namespace) -> None:
    """Write synthetic purchases."""
    spec = SynthSpec(options.profiles, options.events, seed=options.seed, as_of=options.as_of, kinds=("purchases",))
    synthesize(spec, options.out)


def run_pipeline(options: argparse.Namespace) -> None:
    """Run gpuseg up to a stage, and write where its output lies and the seconds of every stage."""
    _tell(execute(read_config(options.config), until=options.until), options.out)


def run_cut(options: argparse.Namespace) -> None:
    """Cut a run elsewhere, and write the same."""
    _tell(cut(options.run, segments=options.segments), options.out)


def cut_rows(options: argparse.Namespace) -> None:
    """Fit a `Segmenter` to rows in memory and cut it elsewhere, and write the seconds of each and what was equal."""
    random = np.random.default_rng(0)
    centers = random.normal(scale=4.0, size=(_GROUPS, options.columns)).astype(np.float32)
    rows = random.standard_normal((options.rows, options.columns), dtype=np.float32)
    rows += centers[random.integers(_GROUPS, size=options.rows)]
    fitted = Segmenter(n_segments=_GROUPS, method="hierarchical", engine="cpu")
    begun = time.perf_counter()
    fitted.fit(rows)
    found: dict[str, Any] = {"fit_seconds": time.perf_counter() - begun, "cuts": []}
    for segments in options.segments:
        begun = time.perf_counter()
        last = fitted.cut(segments)
        labels = last.labels_
        found["cuts"].append({"segments": segments, "seconds": time.perf_counter() - begun})
    fresh = Segmenter(n_segments=options.segments[-1], method="hierarchical", engine="cpu").fit(rows)
    found["equal"] = bool((labels == fresh.labels_).all() and (last.cluster_centers_ == fresh.cluster_centers_).all())
    options.out.write_text(json.dumps(found), encoding="utf-8")


def _tell(outcome: Outcome, out: Path) -> None:
    found = {
        "version": str(outcome.version.path),
        "stage_seconds": {record.stage: record.seconds for record in outcome.records},
    }
    out.write_text(json.dumps(found), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One step of a benchmark.")
    steps = parser.add_subparsers(required=True)
    data = steps.add_parser("data", help="write synthetic purchases")
    data.add_argument("--profiles", type=int, required=True)
    data.add_argument("--events", type=int, required=True)
    data.add_argument("--seed", type=int, required=True)
    data.add_argument("--as-of", type=dt.date.fromisoformat, required=True)
    data.add_argument("--out", type=Path, required=True, help="empty folder")
    data.set_defaults(step=make_data)
    pipeline = steps.add_parser("pipeline", help="run gpuseg")
    pipeline.add_argument("--config", type=Path, required=True)
    pipeline.add_argument("--until", required=True, help="last stage")
    pipeline.add_argument("--out", type=Path, required=True, help="JSON file about the run")
    pipeline.set_defaults(step=run_pipeline)
    cutting = steps.add_parser("cut", help="make another granularity of a run")
    cutting.add_argument("--run", type=Path, required=True)
    cutting.add_argument("--segments", type=int, required=True)
    cutting.add_argument("--out", type=Path, required=True, help="JSON file about the run")
    cutting.set_defaults(step=run_cut)
    matrix = steps.add_parser("cut-rows", help="make other granularities of a fit in memory")
    matrix.add_argument("--rows", type=int, required=True)
    matrix.add_argument("--columns", type=int, required=True)
    matrix.add_argument("--segments", type=int, nargs="+", required=True)
    matrix.add_argument("--out", type=Path, required=True, help="JSON file about it")
    matrix.set_defaults(step=cut_rows)
    options = parser.parse_args(arguments)
    options.step(options)


if __name__ == "__main__":
    main()
