"""The CPU and the GPU's code over stand-ins give the same tables, features and matrix passes, to the last bit."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.arrow import codes_of
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.expression import Attribute, Constant, Reduction, sqrt
from gpuseg.engine.gpu import reading
from gpuseg.engine.gpu.canonical import DeviceColumns
from gpuseg.engine.profiles import profile_set, profiles_of
from gpuseg.engine.program import ConsentRule, Tally
from gpuseg.errors import GpusegError, UnsupportedOnDeviceError

DEVICES = ("gpu-logic",)
CPU = CpuDevice()
CELLS, ORDERS = "purchases.cells", "purchases.orders"
US = 10**6
FIRST, INSIDE, LAST = 1_450_000_000, 1_500_000_000, 1_514_900_000
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
# 2017-11-05 in New York: 05:59:59Z, 06:00Z and 06:30Z fall into the hour that comes twice; 2017-03-12 lacks one.
AWKWARD = [1_509_861_599, 1_509_861_600, 1_509_843_600, 1_489_285_800, 1_489_287_600, 1_489_291_199]


def world(seed, *, text=False, flaws=0.0, n=400):
    """Purchases with all that a file may hold; `flaws` is the share of values that are missing."""
    rng = np.random.default_rng(seed)
    seconds = np.where(rng.random(n) < 0.3, rng.choice(AWKWARD, n), rng.integers(FIRST, LAST, n))
    ids = rng.integers(-5, 40, n)
    holes = pa.array(rng.random(n) < flaws)
    nothing = {"amount": pa.scalar(None, pa.float64()), "order": pa.scalar(None, pa.int64())}
    amount, order = (
        pa.array(rng.integers(-9_000, 90_000, n) / rng.choice([1, 100, 7], n)),
        pa.array(ids * 7 + seconds % 3),
    )
    words = pa.array([f"c{code}" if code else None for code in rng.integers(0, 30, n)])
    return pa.table(
        {
            "id": pa.array([f"p{value}é" for value in ids]) if text else pa.array(ids),
            "at": pa.array(seconds * US + rng.integers(0, 3, n), pa.timestamp("us")),
            "amount": pa.compute.if_else(holes, nothing["amount"], amount),
            "order": pa.compute.if_else(pa.array(rng.random(n) < flaws), nothing["order"], order),
            "category": words.dictionary_encode() if seed % 2 else words,
            "ok": pa.array(rng.random(n) < 0.9),
        }
    )


MAPPED = {"profile_id": "id", "order_id": "order", "category": "category"}


def scanned(device, plan, n_buckets=1):
    """Every row of a plan as one Arrow table, the tally, and the rows set apart."""
    tally, parts, rejected = Tally(), [], []
    for batch in device.scan(plan):
        tally.add(batch.tally)
        rows, offsets = device.partition_to_host(batch, n_buckets)
        assert len(offsets) == n_buckets + 1
        parts.append((pa.Table.from_batches([rows]), list(offsets)))
        rejected += [] if batch.rejected is None else [batch.rejected]
    return parts, tally, rejected


def plain(table):
    """Dictionaries spread out: in which order words are numbered is a device's own."""
    columns = {
        name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pa.table(columns)


def assert_alike(device, plan, n_buckets):
    found, tally, rejected = scanned(device, plan, n_buckets)
    expected, twin_tally, twin_rejected = scanned(CPU, plan, n_buckets)
    assert vars(tally) == vars(twin_tally)
    rows, twin = (pa.concat_tables([plain(part) for part, _ in parts]) for parts in (found, expected))
    assert rows.schema == twin.schema
    if n_buckets == 1 or len(found) == len(expected) == 1:
        assert rows.equals(twin)
        assert [offsets for _, offsets in found] == [offsets for _, offsets in expected] or n_buckets == 1
    else:
        order = [(name, "ascending") for name in ("profile_id", "at_us", "amount_minor", "order_id")]
        assert rows.sort_by(order).equals(twin.sort_by(order))
    assert bool(rejected) is bool(twin_rejected)
    if rejected:
        assert pa.concat_tables(rejected).equals(pa.concat_tables(twin_rejected))
    return found


@given(
    seed=st.integers(0, 10**6),
    text=st.booleans(),
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    n_buckets=st.sampled_from([1, 3, 16]),
    chunk_rows=st.sampled_from([37, 100, 10**6]),
    group_rows=st.sampled_from([50, 130, 400]),
    retention=st.sampled_from([None, 300]),
    flaws=st.sampled_from([0.0, 0.0, 0.004]),
    file=st.booleans(),
)
def test_scans(
    device, plan_of, tmp_path_factory, seed, text, zones, n_buckets, chunk_rows, group_rows, retention, flaws, file
):
    table = world(seed, text=text, flaws=flaws)
    settings = {"columns": MAPPED, "timezone": zones[0], "consent_column": "ok", "retention_days": retention}
    run = {"timezone": zones[1], "chunk_rows": chunk_rows, "as_of": "2017-12-01"}
    if file:
        path = tmp_path_factory.mktemp("scan") / "rows.parquet"
        pq.write_table(table, path, row_group_size=group_rows)
        plan = plan_of(None, run=run, uri=str(path), **settings)
    else:
        plan = plan_of(table, run=run, **settings)
    assert_alike(device, replace(plan, quarantine=True), n_buckets)


@pytest.mark.parametrize("text", [False, True], ids=["integers", "text"])
def test_a_clean_file_is_converted_on_the_device(device, plan_of, tmp_path, text):
    path = tmp_path / "rows.parquet"
    pq.write_table(world(2, text=text), path, row_group_size=150)
    plan = plan_of(None, uri=str(path), columns=MAPPED, consent_column="ok", run={"chunk_rows": 200})
    batches = list(device.scan(plan))
    assert {type(batch.columns) for batch in batches} == {DeviceColumns}
    assert [batch.tally.rows_read for batch in batches] == [150, 150, 100]


@pytest.mark.parametrize("name", ["rows[1].parquet", "rows~.parquet"])
def test_a_name_that_looks_like_a_pattern_is_read_by_the_host(device, plan_of, tmp_path, monkeypatch, name):
    path = tmp_path / name
    pq.write_table(world(2), path)
    plan = plan_of(world(2), columns=MAPPED)
    plan = replace(plan, format="parquet", frame=None, files=(str(path),))
    monkeypatch.setattr(reading, "_frame", None)
    assert sum(batch.tally.rows_read for batch in device.scan(plan)) == 400


def test_from_the_first_flaw_on_the_host_reads(device, plan_of, tmp_path):
    path = tmp_path / "rows.parquet"
    table = world(4)
    ids = table["id"].to_pylist()
    ids[250] = None
    pq.write_table(table.set_column(0, "id", pa.array(ids)), path, row_group_size=100)
    plan = plan_of(None, uri=str(path), columns=MAPPED, run={"chunk_rows": 100})
    batches = device.scan(plan)
    assert [type(next(batches).columns) for _ in range(2)] == [DeviceColumns] * 2
    with pytest.raises(GpusegError, match=r"rows\.parquet, row 251, column 'id': the value is missing"):
        next(batches)


def columns_of(kind):
    n = 5
    frame = {"profile_id": pa.array(range(n)), "at": pa.array([INSIDE * US - 1] * n, pa.timestamp("us"))}
    return pa.table(frame | {"amount": pa.array([1.5, 2.25, -1e-7, 0.00005, 3e10])} | kind)


@pytest.mark.parametrize(
    "kind",
    [
        {"profile_id": pa.array([3, 1, 2, 1, 250], pa.uint8())},
        {"profile_id": pa.array([3, 1, 2, 1, 2**63], pa.uint64())},
        {"profile_id": pa.array(["a", "b", "", "c", "d"])},
        {"profile_id": pa.array(["a", "b", "a", "c", "d"]).dictionary_encode()},
        {"profile_id": pa.array(["a", "b", "a", "c", "d"], pa.large_string())},
        {"at": pa.array([INSIDE] * 5, pa.timestamp("s", tz="Asia/Tokyo"))},
        {"at": pa.array([INSIDE * 1000] * 5, pa.timestamp("ms"))},
        {"at": pa.array([INSIDE * US * 1000 + 999] * 5, pa.timestamp("ns"))},
        {"at": pa.array([-1] * 5, pa.timestamp("ns", tz="UTC"))},
        {"at": pa.array([-1] * 5, pa.timestamp("ms"))},
        {"at": pa.array([-(2**63)] * 5, pa.timestamp("ms"))},
        {"at": pa.array([2**62] * 5, pa.timestamp("ms"))},
        {"at": pa.array([17_000] * 5, pa.date32())},
        {"at": pa.array(["2017-05-01T10:00:00+02:00"] * 5)},
        {"amount": pa.array([1, -2, 3, 4, 2**62])},
        {"amount": pa.array([1, -2, 3, 4, -(2**63)])},
        {"amount": pa.array([1, -2, 3, 4, 500], pa.int16())},
        {"amount": pa.array([0.1, 19.99, 12345.67, 0.00005, 1], pa.float32())},
        {"amount": pa.array([0.1, 19.99, 2.5, 0, 1e12])},
        {"amount": pa.array([0.1, 19.99, 2.5, 0, float("nan")])},
        {"amount": pa.array([0.1, 19.99, 2.5, 0, 1e300])},
        {"amount": pa.array(["1", "2", "3.55", "4", "5"])},
        {"amount": pa.array([Decimal(n) / 4 for n in range(5)], pa.decimal128(9, 2))},
        {"category": pa.array(["a", "", None, "b", "a"])},
        {"category": pa.array([None] * 5, pa.string())},
        {"category": pa.array([1, 2, 3, 1, 2])},
        {"order_id": pa.array([1, None, 2, 2, 1])},
        {"order_id": pa.array(["x", "y", "y", "z", "z"])},
    ],
    ids=lambda kind: f"{next(iter(kind))}-{next(iter(kind.values())).type}",
)
@pytest.mark.parametrize("file", [False, True], ids=["frame", "file"])
def test_types_and_their_limits(device, plan_of, tmp_path, kind, file):
    table = columns_of(kind)
    source = {"frame": table}
    if file:
        pq.write_table(table, tmp_path / "rows.parquet")
        source = {"frame": None, "uri": str(tmp_path / "rows.parquet")}
    plan = plan_of(**source, timezone="America/New_York")

    def outcome(which):
        try:
            return scanned(which, plan)
        except GpusegError as error:
            return type(error), str(error)

    found, expected = outcome(device), outcome(CPU)
    if isinstance(expected[0], type):
        assert found == expected
    else:
        assert_alike(device, plan, 1)


@pytest.mark.parametrize("consent_unknown", ["refuse", "use"])
@pytest.mark.parametrize("text", [False, True], ids=["integers", "text"])
def test_profiles_that_a_consent_table_forbids(device, plan_of, consent_unknown, text):
    table = world(6, text=text)
    known = table["id"].unique().slice(3, 15)
    ids = known.cast(pa.large_string()) if text else known
    rule = ConsentRule(profile_set(profiles_of(ids, CPU.hash_ids)), may_be_used=consent_unknown == "refuse")
    plan = replace(plan_of(table, columns=MAPPED), consent=rule)
    assert_alike(device, plan, 1)
    (batch,), (twin,) = device.scan(plan), CPU.scan(plan)
    assert (batch.refused is None) is (twin.refused is None) is (consent_unknown == "use")
    if batch.refused is not None:
        assert batch.refused.dtype == twin.refused.dtype
        assert batch.refused.tolist() == twin.refused.tolist()


def state_of(device, plan, codes=None):
    parts, _, _ = scanned(CPU, plan)
    rows = pa.concat_tables([part for part, _ in parts]).unify_dictionaries().combine_chunks()
    coded = rows["category"].chunk(0)
    words = coded.dictionary.to_pylist()
    events = rows.set_column(rows.column_names.index("category"), "category", pa.array(codes_of(coded)))
    return device.aggregate("purchases", {"orders": events, "shop": events.slice(50, 90)}, words)


def lifetime(operation, column, table=CELLS, **more):
    return Reduction(table, operation, column, **more)


DAY = 17_400
FEATURES = {
    "n_lines": lifetime("sum", "n_lines"),
    "n_lines_90d": lifetime("sum", "n_lines", since_day=DAY - 90),
    "n_orders_30d": lifetime("count", "day", ORDERS, since_day=DAY - 30),
    "first": lifetime("min", "first_us"),
    "last_day_5d": lifetime("max", "day", since_day=DAY - 5),
    "least_order_day": lifetime("min", "day", ORDERS, since_day=DAY - 400),
    "days_365d": lifetime("count_distinct", "day", since_day=DAY - 365),
    "score": lifetime("sum", "amount_minor", half_life_days=14, as_of_day=DAY),
    "spread": sqrt(lifetime("sum_squared_gaps", "day") / (lifetime("count_distinct", "day") - 1)),
    "share": lifetime("sum", "n_lines", category="c3", since_day=DAY - 700) / lifetime("sum", "n_lines"),
    "n_of": lifetime("count", "day", category="c7"),
    "mean": lifetime("sum", "amount_minor") / Constant(10_000) / lifetime("count", "day", ORDERS),
    "age": Attribute("crm.attributes", "age"),
    "is_a": Attribute("crm.attributes", "word", value="a"),
}


def attributes_of_some(state, seed):
    ids = state[CELLS]["profile_id"].unique()
    ids = ids.take(pa.compute.sort_indices(ids)).slice(0, len(ids) // 2)
    rng = np.random.default_rng(seed)
    words = pa.array(rng.choice(["a", "b"], len(ids)).tolist())
    return pa.table({"profile_id": ids, "age": pa.array(rng.integers(18, 90, len(ids))), "word": words})


@given(seed=st.integers(0, 10**6), text=st.booleans(), n=st.sampled_from([1, 2, 60, 400]))
def test_state_and_features(device, plan_of, seed, text, n):
    table = world(seed, text=text, flaws=0.0, n=n)
    plan = plan_of(table, columns=MAPPED, run={"timezone": "America/New_York", "as_of": "2018-01-01"})
    state, twin = state_of(device, plan), state_of(CPU, plan)
    assert list(state) == list(twin)
    for name in twin:
        assert state[name].equals(twin[name]), name
        assert state[name].schema == twin[name].schema
    tables = {name: state[name] for name in (CELLS, ORDERS)} | {"crm.attributes": attributes_of_some(state, seed)}
    found, expected = device.evaluate(tables, FEATURES), CPU.evaluate(tables, FEATURES)
    assert found.schema == expected.schema
    assert found.equals(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 300), d=st.integers(1, 9), k=st.integers(1, 7))
def test_matrix_passes(device, dtype, seed, n, d, k):
    rng = np.random.default_rng(seed)
    rows = (np.rint(np.clip(rng.normal(size=(n, d)), -6, 6) * 2**20) / 2**20).astype(dtype)
    centers = rng.normal(size=(k, d)).astype(dtype)
    centers[k // 2], centers[-1] = rows[0], centers[0]
    found = device.assign_accumulate(device.asarray(rows), centers, want_labels=True)
    expected = CPU.assign_accumulate(rows, centers, want_labels=True)
    for name in ("labels", "nearest", "second"):
        mine, twin = device.to_host(getattr(found, name)), getattr(expected, name)
        assert mine.dtype == twin.dtype
        assert mine.tolist() == twin.tolist()
    assert found.sums.tolist() == expected.sums.tolist()
    assert found.counts.tolist() == expected.counts.tolist()
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-13)


def test_estimators_come_from_the_table(device):
    rows = device.asarray(np.repeat(np.float32([[0, 0], [9, 9]]), 20, axis=0))
    fitted = device.estimator("kmeans", n_segments=2, seed=1).fit(rows)
    assert device.to_host(fitted.cluster_centers_).sum() == 18
    with pytest.raises(UnsupportedOnDeviceError, match="trees is not available on gpu, which has: "):
        device.estimator("trees")


def test_free_memory_is_told(device):
    assert device.free_bytes() > 0


def test_days_and_instants_far_away(device, plan_of):
    """Before the first and after the last change of a zone's clocks."""
    # In São Paulo the clocks went from midnight back to the day before.
    back = [dt.datetime(2018, 2, 18, 2) + shift * dt.timedelta(microseconds=1) for shift in (-1, 0, 1)]
    walls = [dt.datetime(1970, 1, 3), dt.datetime(1999, 12, 31, 23, 59), dt.datetime(2199, 7, 1)]
    at = pa.array([*walls, *back], pa.timestamp("us"))
    frame = pa.table({"profile_id": range(6), "at": at, "amount": [1.0] * 6})
    for zone in [*ZONES, "America/Sao_Paulo"]:
        for source_zone in (zone, "UTC"):
            plan = plan_of(frame, timezone=source_zone, run={"timezone": zone, "as_of": "2200-01-01"})
            assert_alike(device, plan, 3)
