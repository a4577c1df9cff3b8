"""Puts every profile into its segment and adds up what the cards need, bucket by bucket."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow, as_numpy, text_arrow
from gpuseg.segments.model import Model, Placement
from gpuseg.segments.sample import SampleRule
from gpuseg.segments.totals import Totals, group_of, segment_sums, units_of
from gpuseg.vocabulary import NO_SEGMENT, SEGMENT_STATUSES
from gpuseg.workspace.files import read_table, write_table


def assign_profiles(
    model: Model,
    engine: Engine,
    *,
    features: Path,
    profiles: Path,
    folder: Path,
    buckets: Sequence[str],
    progress: Callable[[str, int], None],
    n_profiles: int,
    matrix_rows: dict[str, Any],
) -> Totals:
    """Write the segment of every profile and collect the totals.

    Parameters
    ----------
    model : Model
    engine : Engine
    features, profiles : Path
        Folders with the feature files and with every profile that any source knows.
    folder : Path
        Folder for the assignment files.
    buckets : sequence of str
        Names of the bucket files.
    progress : callable
        Called with ("assign", 1) after each bucket.
    n_profiles : int
        Profiles with events.
    matrix_rows : dict of bucket file name to device array
        The matrix of buckets for which it is at hand; each is dropped once it was used.
    """
    job = _Assigner(model, engine, SampleRule(model.seed, n_profiles), features, profiles, folder, matrix_rows)
    parts = []
    for part in engine.executor.map(job, buckets):
        parts.append(part)
        progress("assign", 1)
    order = job.rule.order(np.concatenate([part.hashes for part in parts]))
    names = [feature["name"] for feature in model.features]
    return Totals(
        counts=np.sum([part.counts for part in parts], axis=0),
        n_no_data=sum(part.n_no_data for part in parts),
        sums=dict(zip(names, np.sum([part.sums for part in parts], axis=0) / units_of(model), strict=True)),
        n_known=dict(zip(names, np.sum([part.n_known for part in parts], axis=0), strict=True)),
        sample=pa.concat_tables([part.sample for part in parts]).take(as_arrow(order)),
    )


@dataclass(frozen=True)
class _Part:
    counts: npt.NDArray[np.int64]
    n_no_data: int
    sums: npt.NDArray[np.float64]
    n_known: npt.NDArray[np.int64]
    sample: pa.Table
    hashes: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class _Assigner:
    """Assigns one bucket and writes its file."""

    model: Model
    engine: Engine
    rule: SampleRule
    features: Path
    profiles: Path
    folder: Path
    matrix_rows: dict[str, Any]

    def __call__(self, bucket: str) -> _Part:
        everyone = read_table(self.profiles / bucket, ["profile_id"])["profile_id"]
        k = self.model.n_segments
        names = [feature["name"] for feature in self.model.features]
        path = self.features / bucket
        table = read_table(path) if path.exists() else _no_features(everyone, self.model.features)
        placed = self.model.place(table, self.engine, self.matrix_rows.pop(bucket, None))
        write_table(self.folder / bucket, _assignments(everyone, table["profile_id"], placed, self.model.names))
        labels = placed.segment_id
        groups = group_of(labels, k)
        sums, n_known = segment_sums(table, names, groups, k + 1)
        rows, hashes = self.rule.pick(table, self.engine)
        sample = table.append_column("segment_id", as_arrow(labels)).drop_columns(["profile_id"])
        return _Part(
            counts=np.bincount(groups, minlength=k + 1),
            n_no_data=len(everyone) - table.num_rows,
            sums=sums,
            n_known=n_known,
            sample=sample if rows.size == table.num_rows else sample.take(as_arrow(rows)),
            hashes=hashes,
        )


def _no_features(everyone: pa.ChunkedArray, features: Sequence[Mapping[str, Any]]) -> pa.Table:
    types = {"int64": pa.int64(), "float64": pa.float64()}
    fields = [pa.field("profile_id", everyone.type), *(pa.field(f["name"], types[f["dtype"]]) for f in features)]
    return pa.schema(fields).empty_table()


def _assignments(
    everyone: pa.ChunkedArray, with_data: pa.ChunkedArray, placed: Placement, names: Sequence[str]
) -> pa.Table:
    """One row for every profile of the bucket, ordered by id; those without events and noise have no segment."""
    n = len(everyone)
    if len(with_data) == n:
        places = np.arange(n)
    else:
        places = as_numpy(pc.index_in(with_data, value_set=everyone.combine_chunks()))
    segment = np.full(n, NO_SEGMENT, np.int32)
    distance, confidence = np.full(n, np.nan), np.full(n, np.nan)
    segment[places], distance[places], confidence[places] = placed.segment_id, placed.distance, placed.confidence
    missing = segment == NO_SEGMENT
    no_data = np.isnan(confidence)
    codes = np.where(no_data, 1, np.where(missing, 2, 0)).astype(np.int8)
    name = pa.DictionaryArray.from_arrays(as_arrow(segment, missing), text_arrow(names))
    status = pa.DictionaryArray.from_arrays(as_arrow(codes), text_arrow(SEGMENT_STATUSES))
    return pa.table(
        {
            "profile_id": everyone,
            "segment_id": as_arrow(segment),
            "segment_name": name.cast(pa.string()),
            "segment_status": status.cast(pa.string()),
            "distance": as_arrow(distance, missing),
            "confidence": as_arrow(confidence, no_data),
        }
    )
