"""Puts every profile into its segment and adds up what the cards need, bucket by bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from gpuseg.segments.model import Model
from gpuseg.segments.placing import Placement
from gpuseg.segments.sample import SampleRule
from gpuseg.segments.sums import MICRO_CLUSTER, Collected, Sums
from gpuseg.segments.totals import group_of
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
) -> Collected:
    """Write the segment of every profile and collect what the cards need.

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
    sums: Sums | None = None
    samples, hashes = [], []
    found = engine.executor.map(Once(job, ledger, _PartCodec(), "bucket", job.files), buckets)
    held = [ledger.holds(f"bucket-{bucket}") for bucket in buckets]
    for part in counted(progress, "assign", found, held, rows=lambda part: int(part.sums.counts.sum())):
        sums = part.sums if sums is None else sums + part.sums
        samples.append(part.sample)
        hashes.append(part.hashes)
    assert sums is not None
    order = job.rule.order(np.concatenate(hashes))
    return Collected(sums, pa.concat_tables(samples).take(as_arrow(order)))


@dataclass(frozen=True)
class _Part:
    sums: Sums
    sample: pa.Table
    hashes: npt.NDArray[np.uint64]


class _PartCodec:
    """Stores what one bucket adds; figures of float64 come back to the bit."""

    def store(self, result: _Part) -> Entry:
        sums = result.sums
        figures = {"figure": as_arrow(sums.figures.ravel()), "n_known": as_arrow(sums.n_known.ravel())}
        tables = {
            "counts": pa.table({"count": as_arrow(sums.counts)}),
            "figures": pa.table(figures),
            "sample": result.sample,
            "hashes": pa.table({"hash": as_arrow(result.hashes)}),
        }
        return Entry({"n_no_data": sums.n_no_data}, tables)

    def restore(self, entry: Entry) -> _Part:
        counts = as_numpy(entry.tables["counts"]["count"])
        figures, n_known = (
            as_numpy(entry.tables["figures"][name]).reshape(-1, len(counts)) for name in ("figure", "n_known")
        )
        sums = Sums(counts, figures, n_known, entry.content["n_no_data"])
        return _Part(sums, entry.tables["sample"], as_numpy(entry.tables["hashes"]["hash"]))


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
        names = [feature["name"] for feature in self.model.features]
        path = self.features / bucket
        table = read_table(path) if path.exists() else _no_features(everyone, self.model.features)
        block = self.blocks.get(bucket)
        placed = self.model.place(table, self.device, None if block is None else block.take())
        write_assignments(self.folder / bucket, assignments(everyone, table["profile_id"], placed, self.model.names))
        # Of micro-clusters any granularity can be made again, so they are what is added up.
        fine, n_fine = placed.micro_cluster, self.model.placer.n_micro
        if fine is None or n_fine is None:
            fine, n_fine = group_of(placed.segment_id, self.model.n_segments), self.model.n_segments + 1
            marked = table.append_column("segment_id", as_arrow(placed.segment_id))
        else:
            marked = table.append_column(MICRO_CLUSTER, as_arrow(fine))
        rows, hashes = self.rule.pick(table, self.device)
        sample = marked.drop_columns(["profile_id"])
        return _Part(
            sums=replace(Sums.of(table, names, fine, n_fine), n_no_data=len(everyone) - table.num_rows),
            sample=sample if rows.size == table.num_rows else sample.take(as_arrow(rows)),
            hashes=hashes,
        )


def _no_features(everyone: pa.ChunkedArray, features: Sequence[Mapping[str, Any]]) -> pa.Table:
    types = {"int64": pa.int64(), "float64": pa.float64()}
    fields = [pa.field("profile_id", everyone.type), *(pa.field(f["name"], types[f["dtype"]]) for f in features)]
    return pa.schema(fields).empty_table()


def assignments(
    everyone: pa.ChunkedArray, with_data: pa.ChunkedArray, placed: Placement, names: Sequence[str]
) -> pa.Table:
    """One row for every profile of a bucket, ordered by id; those without events and noise have no segment.

    Parameters
    ----------
    everyone : Arrow array
        Ids of all profiles of the bucket.
    with_data : Arrow array
        Ids of those that were placed, in the same order.
    placed : Placement
    names : sequence of str
        Names of the segments.
    """
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
    columns = {
        "profile_id": everyone,
        "segment_id": as_arrow(segment),
        "segment_name": name,
        "segment_status": status,
        "distance": as_arrow(distance, missing),
        "confidence": as_arrow(confidence, no_data),
    }
    if placed.micro_cluster is not None:
        micro = np.full(n, NO_SEGMENT, np.int32)
        micro[places] = placed.micro_cluster
        columns[MICRO_CLUSTER] = as_arrow(micro, no_data)
    return pa.table(columns)


def write_assignments(path: Path, table: pa.Table) -> None:
    """Write the assignments of a bucket, names as text; those of micro-clusters have few different figures."""
    through = MICRO_CLUSTER in table.column_names
    write_table(path, table, repeating=("distance", "confidence") if through else (), as_text=True)
