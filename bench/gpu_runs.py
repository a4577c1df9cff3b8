"""What `cpu_vs_gpu.py` does with whole runs: a process of its own for each, and equal features and segments."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from gpu_cases import Case, Found, MismatchError
from runs import TINY_EVENTS, TINY_PROFILES, Runs

SEGMENTS = 8
LEAST_EQUAL_SHARE = 0.999
FEATURE_STAGES = ("validate", "features")


class RunCase(Runs):
    """Runs over synthetic purchases, from Parquet files to assignments.

    Parameters
    ----------
    n_profiles, n_events, seed : int
    scratch : Path
        Takes the data and the runs.
    """

    def __init__(self, n_profiles: int, n_events: int, *, seed: int, scratch: Path) -> None:
        super().__init__(scratch)
        self.n_profiles, self.n_events, self.seed = n_profiles, n_events, seed

    def case(self) -> Case:
        """As a case; its seconds are `features` (from files to features), each stage, and the whole process."""
        parameters = {"profiles": self.n_profiles, "events": self.n_events, "segments": SEGMENTS}
        return Case("run", parameters, self.run, compare_versions)

    def run(self, device: str, repeats: int) -> Found:
        """Compile by a tiny run, then repeat the whole."""
        self._data("tiny", TINY_PROFILES, TINY_EVENTS)
        self._data("data", self.n_profiles, self.n_events)
        for _ in range(2):
            self._pipeline(device, "tiny")
        runs = [self._pipeline(device, "data") for _ in range(repeats)]
        seconds = {name: round(median(run["seconds"][name] for run in runs), 3) for name in runs[-1]["seconds"]}
        return Found(Path(runs[-1]["version"]), seconds, {"peak_host_bytes": max(run["peak_bytes"] for run in runs)})

    def _data(self, name: str, n_profiles: int, n_events: int) -> None:
        if not (self.scratch / name).exists():
            self.make_data(self.scratch / name, n_profiles, n_events, seed=self.seed)

    def _pipeline(self, device: str, data: str) -> dict[str, Any]:
        run = {"engine": device}
        measured, found = self.pipeline(
            f"run-{device}-{data}", self.scratch / data, until="assign", segments=SEGMENTS, run=run
        )
        stages = {f"stage {name}": seconds for name, seconds in found["stage_seconds"].items()}
        to_features = sum(found["stage_seconds"][name] for name in FEATURE_STAGES)
        seconds = {"whole process": measured.wall_seconds, "files to features": to_features, **stages}
        return {"version": found["version"], "seconds": seconds, "peak_bytes": measured.peak_bytes}


def compare_versions(left: Path, right: Path) -> dict[str, Any]:
    """Features of equal bits, and the share of profiles in equal segments, of two versions."""
    n_different = n_rows = 0
    for name, one, other in _tables(left, right, "features"):
        for column in one.column_names:
            if column not in other.column_names or not one[column].equals(other[column]):
                raise MismatchError(f"features/{name}: column {column} differs")
        n_rows += one.num_rows
    for _, one, other in _tables(left, right, "assignments"):
        if not one["profile_id"].equals(other["profile_id"]):
            raise MismatchError("assignments: the versions have different profiles")
        segments = [np.asarray(table["segment_id"]) for table in (one, other)]
        n_different += int(np.count_nonzero(segments[0] != segments[1]))
    share = 1 - n_different / n_rows
    if share < LEAST_EQUAL_SHARE:
        raise MismatchError(f"assignments: {n_different} of {n_rows} profiles are in another segment")
    return {"equal_features": True, "equal_segments_share": round(share, 6)}


def _tables(left: Path, right: Path, folder: str) -> Iterator[tuple[str, Any, Any]]:
    import pyarrow.parquet as pq

    names = [sorted(path.name for path in (version / folder).glob("*.parquet")) for version in (left, right)]
    if names[0] != names[1] or not names[0]:
        raise MismatchError(f"{folder}: the versions have different files")
    for name in names[0]:
        one, other = (pq.read_table(version / folder / name) for version in (left, right))
        yield name, one, other
