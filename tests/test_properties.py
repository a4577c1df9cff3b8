"""The algebra holds exactly: no order of rows, split into files, chunk, bucket or format changes a bit.

Chunk-level properties run on the device alone, with many examples; a few examples go through whole runs. Both are
compared with `tests.twins` by `==`.
"""

import csv
import datetime as dt
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpuseg.config import FeaturesSection
from gpuseg.engine.spill import Room, RunWriter, Spill
from gpuseg.errors import GpusegError
from gpuseg.features.algebra import Context
from gpuseg.features.registry import declare_features
from gpuseg.pipeline import execute
from gpuseg.sources.zones import zone_table
from tests.twins import Line, feature_rows, from_us, id_bytes, id_order, localized, seen_lines, state_of, xxh64

AS_OF = dt.date(2018, 1, 1)
WINDOWS = (1, 30, 365)
ZONES = ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Casablanca"]
# Ids that sloppy readers merge or mend: padding, composed and decomposed é, joined emoji, CSV's own characters.
TEXTS = ["00001", "1", " 1", "\u00e9", "e\u0301", "🙂", "👩\u200d👧", "a,b", 'q"q', "new\nline", "NA", "null", "A", "a"]
INTEGERS = [0, 1, -1, 7, 10, 2**31, -(2**63), 2**63 - 1, 12345, 99]
CATEGORIES = ["bread", "Bread", "é", "e\u0301", "other", "🍞", "a,b", "NA", *(f"c{number:02}" for number in range(16))]


def walls_near_changes(zone_name):
    """Wall clocks around the changes of 2016 to 2018: before, inside and after the hour that is skipped or repeated."""
    table = zone_table(zone_name, 2018)
    found = []
    for number, at_us in enumerate(int(at) for at in table.transitions_us):
        if from_us(at_us).year >= 2016:
            for offset in (int(table.offsets_us[number]), int(table.offsets_us[number + 1])):
                jump = from_us(at_us + offset).replace(tzinfo=None)
                found += [jump + dt.timedelta(minutes=minutes) for minutes in (-61, -30, -15, 0, 10, 29, 45, 60, 120)]
    return found or [dt.datetime(2017, 3, 1)]


@dataclass(frozen=True)
class Example:
    """A small table of events and what may be said about it."""

    lines: tuple[Line, ...]
    zone: str
    source_zone: str
    order_type: pa.DataType

    @property
    def id_type(self) -> str:
        return "text" if isinstance(self.lines[0].profile, str) else "int64"

    @property
    def seen(self) -> list[Any]:
        return seen_lines(self.lines, as_of=AS_OF, zone=self.zone, source_zone=self.source_zone)

    @property
    def twin(self) -> dict[Any, dict[str, Any]]:
        return feature_rows(self.seen, as_of=AS_OF, windows=WINDOWS)


@st.composite
def examples(draw, *, min_lines=1, max_lines=30):
    """Events of few profiles, so that ties, shared days and long orders are common."""
    zone, source_zone = draw(st.sampled_from(ZONES)), draw(st.sampled_from(ZONES))
    profiles = st.sampled_from(draw(st.sampled_from([TEXTS, INTEGERS])))
    text_orders = draw(st.booleans())
    orders = st.none() | (st.sampled_from(TEXTS) if text_orders else st.integers(-2, 3))
    walls = (
        st.sampled_from(walls_near_changes(source_zone))
        | st.datetimes(dt.datetime(2016, 12, 25), dt.datetime(2018, 1, 2))
        | st.sampled_from(
            [dt.datetime(2017, 12, 1), dt.datetime(2017, 12, 31, 23, 59, 59, 999_999), dt.datetime(1970, 1, 2)]
        )
    )
    amounts = st.integers(-(10**8), 10**9).map(lambda minor: Decimal(minor).scaleb(-4))
    lines = st.builds(Line, profiles, walls, amounts, orders, st.none() | st.sampled_from(CATEGORIES))
    kind = pa.string() if text_orders else pa.int64()
    return Example(tuple(draw(st.lists(lines, min_size=min_lines, max_size=max_lines))), zone, source_zone, kind)


def arrow_table(example: Example, lines: Sequence[Line], *, aware=False, amounts="text") -> pa.Table:
    """The lines as columns; aware times are instants already."""
    times: list[Any] = [line.wall for line in lines]
    if aware:
        times = [from_us(localized(line.wall, example.source_zone)[0]) for line in lines]
    money = {"text": pa.string(), "decimal": pa.decimal128(20, 4), "float": pa.float64()}[amounts]
    convert = {"text": str, "decimal": lambda value: value, "float": float}[amounts]
    return pa.table(
        {
            "profile_id": pa.array(
                [line.profile for line in lines], pa.string() if example.id_type == "text" else pa.int64()
            ),
            "at": pa.array(times, pa.timestamp("us", tz="UTC" if aware else None)),
            "amount": pa.array([convert(line.amount) for line in lines], money),
            "order_id": pa.array([line.order for line in lines], example.order_type),
            "category": pa.array([line.category for line in lines], pa.string()),
        }
    )


def state_on_device(device, plans, n_buckets):
    """Scan all plans, bucket, and aggregate: the state tables of each bucket."""
    with TemporaryDirectory() as folder:
        spill = Spill(n_buckets)
        for place, plan in enumerate(plans):
            writer = RunWriter(Path(folder) / f"run{place}", plan.source, n_buckets, Room())
            for batch in device.scan(plan):
                writer.append(*device.partition_to_host(batch, n_buckets))
            spill.add(writer.finish())
        buckets = [spill.read(bucket) for bucket in range(n_buckets)]
        return [
            {
                name: table
                for name, table in device.aggregate("purchases", events, spill.categories).items()
                if name.startswith("purchases.")
            }
            if events
            else {}
            for events in buckets
        ]


def features_on_device(device, buckets):
    """Features of each bucket, with the categories of all of them."""
    lines: dict[str, int] = {}
    for state in buckets:
        for cell in state["purchases.cells"].to_pylist() if state else ():
            if cell["category"] is not None:
                lines[cell["category"]] = lines.get(cell["category"], 0) + cell["n_lines"]
    largest = sorted(lines, key=lambda name: (-lines[name], name.encode()))[:20]
    context = Context(AS_OF, WINDOWS, 10_000, tuple(largest), has_categories=True)
    declared, _ = declare_features(FeaturesSection(), context, {"purchases"})
    expressions = {item.feature.name: item.feature.expression for item in declared}
    return [device.evaluate(state, expressions) for state in buckets if state]


def rows_of(tables):
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


@settings(max_examples=300)
@given(
    example=examples(),
    order=st.randoms(use_true_random=False),
    n_buckets=st.sampled_from([1, 2, 7]),
    chunk_rows=st.integers(1, 40),
    aware=st.booleans(),
    amounts=st.sampled_from(["text", "decimal", "float"]),
)
def test_state_and_features_equal_the_twin(device, plan_of, example, order, n_buckets, chunk_rows, aware, amounts):
    lines = list(example.lines)
    order.shuffle(lines)
    plan = plan_of(
        arrow_table(example, lines, aware=aware, amounts=amounts),
        timezone=example.source_zone,
        run={"as_of": AS_OF, "timezone": example.zone, "chunk_rows": chunk_rows},
    )
    buckets = state_on_device(device, [plan], n_buckets)
    cells, orders = state_of(example.seen)
    for number, state in enumerate(buckets):
        mine = {
            profile
            for profile in {line.profile for line in example.lines}
            if xxh64(id_bytes(profile)) % n_buckets == number
        }
        found = [rows_of([state[f"purchases.{name}"]]) if state else [] for name in ("cells", "orders")]
        assert found == [[row for row in rows if row[0] in mine] for rows in (cells, orders)]
    twin = example.twin
    found = [row for table in features_on_device(device, buckets) for row in table.to_pylist()]
    assert {row.pop("profile_id"): row for row in sorted(found, key=lambda row: id_order(row["profile_id"]))} == twin


@settings(max_examples=60)
@given(
    example=examples(),
    order=st.randoms(use_true_random=False),
    chunks=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cut=st.integers(0, 30),
)
def test_the_order_of_rows_and_sources_changes_no_bit(device, plan_of, example, order, chunks, cut):
    """One source in order, against the same lines shuffled over two sources that are scanned the other way round."""
    run = {"as_of": AS_OF, "timezone": example.zone}
    split = [example.lines[:cut], example.lines[cut:]]

    def plans(parts, chunk_rows, names):
        return [
            plan_of(
                arrow_table(example, part),
                name=name,
                timezone=example.source_zone,
                run=run | {"chunk_rows": chunk_rows},
            )
            for name, part in zip(names, parts, strict=True)
        ]

    first = state_on_device(device, plans(split, chunks[0], ["a", "b"]), 3)
    shuffled = [order.sample(part, len(part)) for part in split]
    second = state_on_device(device, plans(shuffled, chunks[1], ["a", "b"])[::-1], 3)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all(table.equals(other[name]) for name, table in one.items())
    for one, other in zip(features_on_device(device, first), features_on_device(device, second), strict=True):
        assert one.schema == other.schema
        assert one.equals(other)


@settings(max_examples=60)
@given(example=examples(min_lines=2), cut=st.integers(0, 30))
def test_two_sources_are_the_twin_of_two_sources(device, plan_of, example, cut):
    parts = {"web": example.lines[:cut], "shop": example.lines[cut:]}
    run = {"as_of": AS_OF, "timezone": example.zone}
    plans = [
        plan_of(arrow_table(example, part), name=name, timezone=example.source_zone, run=run)
        for name, part in parts.items()
    ]
    labelled = [
        Line(line.profile, line.wall, line.amount, line.order, line.category, name)
        for name, part in parts.items()
        for line in part
    ]
    seen = seen_lines(labelled, as_of=AS_OF, zone=example.zone, source_zone=example.source_zone)
    (state,) = state_on_device(device, plans, 1)
    assume(seen)
    cells, orders = state_of(seen)
    assert rows_of([state["purchases.cells"]]) == cells
    assert rows_of([state["purchases.orders"]]) == orders
    (table,) = features_on_device(device, [state])
    twin = feature_rows(seen, as_of=AS_OF, windows=WINDOWS)
    assert {row.pop("profile_id"): row for row in table.to_pylist()} == twin


@settings(max_examples=60)
@given(
    example=examples(),
    days=st.integers(1, 60),
    moved=st.integers(0, 400),
)
def test_a_window_is_the_difference_of_two_lifetimes(device, plan_of, example, days, moved):
    """Sums of the last days are those of all days less those of the days before."""
    run = {"timezone": example.zone}
    as_of = AS_OF - dt.timedelta(days=moved)

    def features(until, window):
        plan = plan_of(arrow_table(example, example.lines), timezone=example.source_zone, run=run | {"as_of": until})
        (state,) = state_on_device(device, [plan], 1)
        if not state:
            return {}
        context = Context(until, (window,), 10_000)
        declared, _ = declare_features(FeaturesSection(families=("rfm", "tempo")), context, {"purchases"})
        table = device.evaluate(state, {item.feature.name: item.feature.expression for item in declared})
        return {row["profile_id"]: row for row in table.to_pylist()}

    now, before = features(as_of, days), features(as_of - dt.timedelta(days=days), days)
    for profile, row in now.items():
        for name in ("n_lines", "amount_minor", "n_active_days"):
            assert row[f"{name}_{days}d"] == row[name] - before.get(profile, {name: 0})[name]


@dataclass(frozen=True)
class Variant:
    """One way to write the same events and to run over them."""

    format: str
    n_files: int
    packed: bool
    aware: bool
    amounts: str
    buckets: int
    chunk_rows: int
    seed: int


def variants(kind=None, buckets=None):
    return st.builds(
        Variant,
        st.sampled_from(["csv", "parquet"]) if kind is None else st.just(kind),
        st.integers(1, 4),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["text", "decimal", "float"]),
        st.sampled_from([1, 2, 7]) if buckets is None else st.just(buckets),
        st.sampled_from([1, 2, 5, 1_000]),
        st.integers(0, 10**6),
    )


def write(folder: Path, example: Example, variant: Variant) -> str:
    """Write the lines, shuffled, split over files; the names' order is not the order of writing."""
    rng = np.random.default_rng(variant.seed)
    shuffled = [example.lines[place] for place in rng.permutation(len(example.lines))]
    folder.mkdir()
    for name, places in zip(
        rng.permutation(["b", "a", "d", "c"]), np.array_split(np.arange(len(shuffled)), variant.n_files), strict=False
    ):
        table = arrow_table(
            example, [shuffled[place] for place in places], aware=variant.aware, amounts=variant.amounts
        )
        if variant.format == "parquet":
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=3)
            continue
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=str(rng.choice(["\n", "\r\n"])))
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            amount = row["amount"] if variant.amounts != "float" else repr(row["amount"])
            values = [row["profile_id"], row["at"].isoformat(" "), amount, row["order_id"], row["category"]]
            writer.writerow(["" if value is None else value for value in values])
        content = text.getvalue().encode()
        ending = ".csv.gz" if variant.packed else ".csv"
        (folder / f"{name}{ending}").write_bytes(gzip.compress(content) if variant.packed else content)
    return f"{folder}/*.{variant.format}*"


def outcome(folder: Path, example: Example, variant: Variant, config_of: Any) -> Any:
    """A run's version folder, or the class of the error."""
    source = {
        "name": "orders",
        "kind": "purchases",
        "uri": write(folder, example, variant),
        "timezone": example.source_zone,
        "id_type": example.id_type,
    }
    config = config_of(
        source,
        as_of=AS_OF,
        timezone=example.zone,
        out=str(folder / "run"),
        buckets=variant.buckets,
        chunk_rows=variant.chunk_rows,
        engine="cpu",
        sections={
            "features": {"windows_days": WINDOWS},
            "quality": {"max_null_share": 1.0},
            "cluster": {"segments_range": [2, 4]},
        },
    )
    try:
        return execute(config, until="assign").version.path
    except GpusegError as error:
        return type(error)


def features_of(version: Path) -> dict[Any, dict[str, Any]]:
    rows = [row for file in sorted((version / "features").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return {row.pop("profile_id"): row for row in sorted(rows, key=lambda row: id_order(row["profile_id"]))}


def segments_of(version: Path) -> dict[Any, tuple[Any, ...]]:
    rows = [row for file in (version / "assignments").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return {row["profile_id"]: tuple(row.values())[1:] for row in rows}


def kept_bytes(version: Path) -> dict[str, bytes]:
    """Every file that may hold no clock, path, host or run name."""
    folders = [version / name for name in ("state", "features", "model", "assignments")]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(version)): file.read_bytes() for file in [*files, version / "segments.json"]}


@settings(max_examples=12)
@given(example=examples(min_lines=8, max_lines=40), data=st.data())
def test_runs_over_any_files_buckets_and_chunks_agree(tmp_path_factory, config_of, example, data):
    folder = tmp_path_factory.mktemp("runs")
    found = [outcome(folder / str(number), example, data.draw(variants()), config_of) for number in range(3)]
    if isinstance(found[0], type):
        assert found == [found[0]] * 3
        return
    twin = example.twin
    for version in found:
        assert features_of(version) == twin
    segments = [segments_of(version) for version in found]
    assert segments[0].keys() == twin.keys()
    assert segments[1] == segments[0]
    assert segments[2] == segments[0]


@settings(max_examples=6)
@given(example=examples(min_lines=8, max_lines=40), data=st.data())
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_equal_work_gives_equal_bytes(tmp_path_factory, config_of, example, data, kind):
    """The same run twice, then the same events shuffled, split, packed and chunked otherwise into as many buckets."""
    folder = tmp_path_factory.mktemp("bytes")
    first = data.draw(variants(kind))
    other = data.draw(variants(kind, first.buckets))
    found = [
        outcome(folder / str(number), example, variant, config_of)
        for number, variant in enumerate([first, first, other])
    ]
    if isinstance(found[0], type):
        assert found == [found[0]] * 3
        return
    expected = kept_bytes(found[0])
    assert len(expected) >= 10
    for version in found[1:]:
        again = kept_bytes(version)
        assert again.keys() == expected.keys()
        assert [name for name in expected if again[name] != expected[name]] == []
