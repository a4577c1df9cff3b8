"""Puts every profile into its segment and adds up what the cards need, bucket by bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow, as_numpy, text_arrow
from gpuseg.engine.base import Device
from gpuseg.progress import Meter, counted
from gpuseg.segments.blocks import MatrixBlock
from gpuseg.segments.model import Model, Placement
from gpuseg.segments.sample import SampleRule
from gpuseg.segments.totals import Totals, group_of, segment_sums, units_of
from gpuseg.vocabulary import NO_SEGMENT, SEGMENT_STATUSES
from gpuseg.workspace.files import read_table, write_table
from gpuseg.workspace.ledger import Entry, Ledger, Once


def assign_profiles(
    model: Model,
    engine: Engine,
    *,
    features: Path,
    profiles: Path,
    folder: Path,
    buckets: Sequence[str],
    progress: Meter,
    n_profiles: int,
    blocks: Mapping[str, MatrixBlock],
    ledger: Ledger,
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
    progress : Meter
        Told of the step "assign" (buckets, and profiles with events).
    n_profiles : int
        Profiles with events.
    blocks : mapping of bucket file name to MatrixBlock
        The matrix of buckets for which it is at hand; what is held of one is let go once it was used.
    ledger : Ledger
        Buckets that are done.
    """
    job = _Assigner(model, engine.device, SampleRule(model.seed, n_profiles), features, profiles, folder, blocks)
    parts = []
    found = engine.executor.map(Once(job, ledger, _PartCodec(), "bucket", job.files), buckets)
    held = [ledger.holds(f"bucket-{bucket}") for bucket in buckets]
    for part in counted(progress, "assign", found, held, rows=lambda part: int(part.counts.sum())):
        parts.append(part)
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


class _PartCodec:
    """Stores what one bucket adds to the totals; figures of float64 come back to the bit."""

    def store(self, result: _Part) -> Entry:
        content = {
            "counts": result.counts.tolist(),
            "n_no_data": result.n_no_data,
            "sums": result.sums.tolist(),
            "n_known": result.n_known.tolist(),
        }
        return Entry(content, {"sample": result.sample, "hashes": pa.table({"hash": as_arrow(result.hashes)})})

    def restore(self, entry: Entry) -> _Part:
        return _Part(
            counts=np.array(entry.content["counts"], np.int64),
            n_no_data=entry.content["n_no_data"],
            sums=np.array(entry.content["sums"], np.float64),
            n_known=np.array(entry.content["n_known"], np.int64),
            sample=entry.tables["sample"],
            hashes=as_numpy(entry.tables["hashes"]["hash"]),
        )


@dataclass(frozen=True)
class _Assigner:
    """Assigns one bucket and writes its file."""

    model: Model
    device: Device
    rule: SampleRule
    features: Path
    profiles: Path
    folder: Path
    blocks: Mapping[str, MatrixBlock]

    def files(self, bucket: str, _part: _Part) -> list[Path]:
        return [self.folder / bucket]

    def __call__(self, bucket: str) -> _Part:
        everyone = read_table(self.profiles / bucket, ["profile_id"])["profile_id"]
        k = self.model.n_segments
        names = [feature["name"] for feature in self.model.features]
        path = self.features / bucket
        table = read_table(path) if path.exists() else _no_features(everyone, self.model.features)
        block = self.blocks.get(bucket)
        placed = self.model.place(table, self.device, None if block is None else block.take())
        write_table(self.folder / bucket, _assignments(everyone, table["profile_id"], placed, self.model.names))
        labels = placed.segment_id
        groups = group_of(labels, k)
        sums, n_known = segment_sums(table, names, groups, k + 1)
        rows, hashes = self.rule.pick(table, self.device)
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
