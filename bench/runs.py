"""Runs of gpuseg over synthetic purchases, each a process of its own."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import script
from measure import BenchmarkError, Measured, run_measured

# Only small modules above: a child's peak memory starts at that of the process that starts it.

WORKER = Path(__file__).resolve().parent / "worker.py"
AS_OF, TIMEZONE = "2026-01-01", "America/New_York"
TINY_PROFILES, TINY_EVENTS = 2_000, 20_000
# Kernels are compiled anew for arrays of another kind: with one chunk a bucket's rows come straight from a file, with
# several they are copied together. More than one bucket, so that rows are split into buckets at all; many, so that the
# ids of a bucket are far apart, as those of much data are.
TINY_RUNS = ({"buckets": 4}, {"buckets": 4, "chunk_rows": 2_048}, {"buckets": 64})
LEAST_PROFILES = 5
"""As many as `gpuseg.synth` plants segments."""

COLUMNS = {
    "profile_id": "customer_id",
    "at": "ordered_at",
    "amount": "line_amount",
    "order_id": "order_number",
    "category": "department",
}
"""Canonical column to that of `gpuseg.synth`."""


class Runs:
    """Data and runs in one folder.

    Parameters
    ----------
    scratch : Path
        Empty; takes everything that the processes write.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch.resolve()

    def make_data(self, folder: Path, n_profiles: int, n_events: int, *, seed: int = 0, as_of: str = AS_OF) -> None:
        """Write purchases as Parquet files."""
        command = [str(WORKER), "data", "--profiles", str(n_profiles), "--events", str(n_events)]
        self._run([*command, "--seed", str(seed), "--as-of", as_of, "--out", str(folder)])

    def pipeline(
        self,
        name: str,
        data: Path,
        *,
        until: str,
        segments: int,
        run: Mapping[str, Any],
        method: str = "kmeans",
        **sections: Any,
    ) -> tuple[Measured, dict[str, Any]]:
        """Run gpuseg over purchases into the folder `name`, and read what it says about the run.

        Parameters
        ----------
        name : str
        data : Path
        until : str
            The last stage.
        segments : int
        run : mapping
            Keys of `run` besides `out`, over `as_of` and `timezone` of the benchmarks.
        method : str
            Of clustering.
        sections
            More sections of the configuration.
        """
        config, told = self.scratch / f"{name}.yaml", self.scratch / f"{name}.json"
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        source = {"name": "purchases", "kind": "purchases", "timezone": "UTC", "columns": COLUMNS}
        keys = {
            **sections,
            "run": {"as_of": AS_OF, "timezone": TIMEZONE, **run, "out": str(self.scratch / name)},
            "sources": [source | {"uri": str(data.resolve() / "purchases-*.parquet")}],
            "features": {"families": ["rfm", "tempo", "interests"]},
            "cluster": {"method": method, "segments": segments},
        }
        # JSON is YAML.
        config.write_text(json.dumps(keys), encoding="utf-8")
        command = [str(WORKER), "pipeline", "--config", str(config), "--until", until, "--out", str(told)]
        cost = self._run(command)
        return cost, json.loads(told.read_text(encoding="utf-8"))

    def kernels(self) -> set[str]:
        """Names of the compiled kernels, one a signature."""
        return {path.name for path in (self.scratch / "kernels").rglob("*.nbc")}

    def check_kernels(self, compiled: set[str]) -> None:
        """Make sure that none was compiled besides these.

        Raises
        ------
        BenchmarkError
            If one was, so that the time of a run is not that of the work.
        """
        late = sorted(self.kernels() - compiled)
        if late:
            raise BenchmarkError(f"a measured run compiled {', '.join(late)}; add a run that does to TINY_RUNS")

    def _run(self, command: Sequence[str]) -> Measured:
        kernels = {"NUMBA_CACHE_DIR": str(self.scratch / "kernels")}
        return run_measured([sys.executable, *command], log=self.scratch / "log.txt", environment=kernels)


def check_sizes(made: script.Parser, options: argparse.Namespace) -> None:
    """Refuse purchases that cannot be made: fewer than profiles, or of fewer profiles than planted segments."""
    if options.profiles < LEAST_PROFILES:
        made.error(f"--profiles must be at least {LEAST_PROFILES}")
    if options.events < options.profiles:
        made.error(f"--events {options.events} is less than --profiles {options.profiles}")


def check_segments(made: script.Parser, n_segments: int, n_profiles: int) -> None:
    """Refuse more segments than profiles, of which the warm-up has few."""
    most = min(n_profiles, TINY_PROFILES)
    if n_segments > most:
        made.error(f"--segments must be at most {most}")


def read_through(files: Iterable[Path]) -> None:
    """Bring files into the page cache."""
    for file in files:
        with file.open("rb") as handle:
            while handle.read(1 << 24):
                pass
