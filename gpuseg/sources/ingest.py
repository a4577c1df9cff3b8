"""Reads every source once into buckets and reduces each bucket to the state that is kept."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow, as_numpy, codes_of, text_arrow
from gpuseg.engine.program import ReadPlan, Tally
from gpuseg.engine.spill import Spill
from gpuseg.sources.plan import Plans
from gpuseg.vocabulary import KINDS
from gpuseg.workspace.files import write_table

STATE = "state"
_NULLABLE = ("category", "order_id", "order_us")


@dataclass
class Ingested:
    """What reading found.

    Parameters
    ----------
    tallies : dict of source name to Tally
    n_profiles : int
        Distinct profiles over all sources.
    profiles_per_source : dict of source name to int
    categories : dict of str to int
        Lines per category.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    n_profiles: int = 0
    profiles_per_source: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)


def ingest(
    plans: Plans, engine: Engine, *, folder: Path, scratch: Path, progress: Callable[[str, int], None]
) -> Ingested:
    """Scan, bucket and reduce all sources.

    Parameters
    ----------
    plans : Plans
    engine : Engine
    folder : Path
        Version folder; the state goes to `state/` in it.
    scratch : Path
        Emptied first and removed at the end.
    progress : callable
        Called with a step ("read", "reduce") and how much of it was done since the last call: rows, buckets.

    Returns
    -------
    Ingested
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with Spill(scratch, plans.n_buckets) as spill:
            found = Ingested(tallies={plan.source: _scan(plan, engine, spill, progress) for plan in plans.reads})
        reduce_bucket = _Reducer(plans.reads, engine, spill, folder / STATE)
        for bucket in engine.executor.map(reduce_bucket, range(plans.n_buckets)):
            _merge(found, bucket)
            progress("reduce", 1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_table(folder / STATE / "categories.parquet", _category_table(found.categories), nullable=())
    return found


def _scan(plan: ReadPlan, engine: Engine, spill: Spill, progress: Callable[[str, int], None]) -> Tally:
    tally = Tally()
    for batch in engine.device.scan(plan):
        tally.add(batch.tally)
        rows, offsets = engine.device.partition_to_host(batch, spill.n_buckets)
        spill.append(plan.source, rows, offsets, coded=not KINDS[plan.kind].has_attributes)
        progress("read", batch.tally.rows_read)
    # One source's files at a time stay open: sources times buckets could pass the limit of open files.
    spill.finish()
    return tally


@dataclass(frozen=True)
class _Reducer:
    """Reduces one bucket and writes its state; safe to call from several threads."""

    reads: Sequence[ReadPlan]
    engine: Engine
    spill: Spill
    folder: Path

    def __call__(self, bucket: int) -> Ingested:
        names = [plan.source for plan in self.reads]
        events = self.spill.read(bucket, names)
        found = Ingested()
        if not events:
            return found
        known = []
        for kind, mine in _by_kind(self.reads, events):
            tables = self.engine.device.aggregate(kind, mine, self.spill.categories)
            known.append(tables.pop("profiles"))
            for name, table in tables.items():
                nullable = None if KINDS[kind].has_attributes else _NULLABLE
                write_table(bucket_file(self.folder / name, bucket), table, nullable=nullable)
                if name == "purchases.cells":
                    found.categories = _lines_per_category(table)
        profiles = _profiles(known, names)
        write_table(bucket_file(self.folder / "profiles", bucket), profiles, nullable=())
        found.n_profiles = profiles.num_rows
        found.profiles_per_source = {name: pc.sum(profiles[f"in_{name}"]).as_py() for name in names}
        del events
        self.spill.discard(bucket, names)
        return found


def bucket_file(folder: Path, bucket: int) -> Path:
    """The Parquet file of a bucket."""
    return folder / f"{bucket:04d}.parquet"


def bucket_files(folder: Path) -> list[Path]:
    """The Parquet files of all buckets that hold rows, in order."""
    return sorted(folder.glob("*.parquet")) if folder.is_dir() else []


def _by_kind(reads: Sequence[ReadPlan], events: Mapping[str, pa.Table]) -> Iterator[tuple[str, dict[str, pa.Table]]]:
    """The rows of a bucket, all sources of an event kind together, sources with attributes one by one."""
    groups: dict[tuple[str, str], tuple[str, dict[str, pa.Table]]] = {}
    for plan in reads:
        if plan.source in events:
            key = (plan.kind, plan.source if KINDS[plan.kind].has_attributes else "")
            groups.setdefault(key, (plan.kind, {}))[1][plan.source] = events[plan.source]
    yield from groups.values()


def _profiles(known: Sequence[pa.Table], sources: Sequence[str]) -> pa.Table:
    """Every profile of a bucket, in order of its id, and which sources know it."""
    profiles = known[0]["profile_id"]
    if len(known) > 1:
        together = pc.unique(pa.chunked_array([chunk for table in known for chunk in table["profile_id"].chunks]))
        profiles = together.take(pc.sort_indices(together))
    columns = {"profile_id": profiles}
    for source in sources:
        tables = [table for table in known if f"in_{source}" in table.column_names]
        if not tables:
            columns[f"in_{source}"] = as_arrow(np.zeros(len(profiles), np.bool_))
        elif len(known) == 1:
            columns[f"in_{source}"] = tables[0][f"in_{source}"]
        else:
            mine = tables[0].filter(tables[0][f"in_{source}"])["profile_id"]
            columns[f"in_{source}"] = pc.is_in(profiles, value_set=mine)
    return pa.table(columns)


def _lines_per_category(cells: pa.Table) -> dict[str, int]:
    column = cells["category"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    codes = codes_of(column)
    # Weights are float64; a bucket has far fewer than 2^53 lines, so the counts are exact.
    lines = np.bincount(codes + 1, weights=as_numpy(cells["n_lines"]), minlength=len(column.dictionary) + 1)
    return {name: int(count) for name, count in zip(column.dictionary.to_pylist(), lines[1:], strict=True) if count}


def _merge(found: Ingested, bucket: Ingested) -> None:
    found.n_profiles += bucket.n_profiles
    for mine, theirs in (
        (found.profiles_per_source, bucket.profiles_per_source),
        (found.categories, bucket.categories),
    ):
        for name, count in theirs.items():
            mine[name] = mine.get(name, 0) + count


def _category_table(lines: Mapping[str, int]) -> pa.Table:
    """Categories by lines, largest first, ties by the bytes of their names."""
    ordered = sorted(lines.items(), key=lambda item: (-item[1], item[0].encode()))
    return pa.table(
        {
            "category": text_arrow([name for name, _ in ordered]),
            "n_lines": as_arrow(np.array([count for _, count in ordered], np.int64)),
        }
    )
