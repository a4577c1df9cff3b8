"""Ids, times, orders, categories and attributes as a device reads them from frames."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.errors import InvalidValueError, SchemaError
from tests.twins import epoch_day, localized, to_us

# Ids that sloppy readers change or merge: padding, composed and decomposed é, joined emoji, CSV's own characters.
AWKWARD = [
    "00001",
    "1",
    " 1",
    "1 ",
    "\u00e9",
    "e\u0301",
    "🙂",
    "👩\u200d👧",
    "a,b",
    'q"q',
    "new\nline",
    "NA",
    "null",
    "\x00",
]


@pytest.fixture(scope="session")
def read(scan):
    """One canonical column of a frame whose other columns are plain."""

    def one(column, values, **settings):
        n = len(values)
        plain = {
            "profile_id": pa.array([1] * n),
            "at": pa.array([0] * n, pa.timestamp("us")),
            "amount": pa.array([1] * n),
        }
        columns, tally = scan(pa.table(plain | {column: values}), **settings)
        return columns, tally

    return one


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_text_ids_come_out_byte_for_byte(read, kind):
    assert read("profile_id", pa.array(AWKWARD, kind))[0]["profile_id"] == AWKWARD


def test_text_ids_from_pandas_and_polars(read):
    texts = [text for text in AWKWARD if text != "\x00"]
    for frame in (
        pd.DataFrame({"id": texts}),
        pd.DataFrame({"id": pd.Categorical(texts)}),
        pd.DataFrame({"id": pd.Series(texts, dtype=object)}),
        pl.DataFrame({"id": texts}),
    ):
        assert read("profile_id", pa.table(frame)["id"])[0]["profile_id"] == texts


def test_text_ids_from_a_polars_categorical(read):
    frame = pl.DataFrame({"id": pl.Series(["b", "a", "b"], dtype=pl.Categorical)})
    assert read("profile_id", pa.table(frame)["id"])[0]["profile_id"] == ["b", "a", "b"]


def test_integer_ids(read):
    for kind in (pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64()):
        assert read("profile_id", pa.array([0, 5, 127], kind))[0]["profile_id"] == [0, 5, 127]
    extremes = [2**63 - 1, -(2**63), 0]
    assert read("profile_id", pa.array(extremes))[0]["profile_id"] == extremes
    assert read("profile_id", pa.array(extremes), id_type="text")[0]["profile_id"] == [str(value) for value in extremes]


def test_ids_of_text_as_integers_on_request(read):
    assert read("profile_id", pa.array(["7", "-3", "007"]), id_type="int64")[0]["profile_id"] == [7, -3, 7]
    for text in ("x", "1.0", " 7", str(2**63)):
        with pytest.raises(InvalidValueError, match="row 2, column 'profile_id': not a whole number within int64"):
            read("profile_id", pa.array(["7", text]), id_type="int64")


def test_ids_beyond_int64(read):
    with pytest.raises(InvalidValueError, match="row 2, column 'profile_id': not a whole number within int64"):
        read("profile_id", pa.array([1, 2**63], pa.uint64()))
    assert read("profile_id", pa.array([2**63], pa.uint64()), id_type="text")[0]["profile_id"] == [str(2**63)]


@pytest.mark.parametrize("values", [pa.array([1.0]), pa.array([True]), pa.array([0], pa.date32())], ids=str)
def test_types_that_are_no_ids(read, values):
    with pytest.raises(SchemaError, match=r"column 'profile_id': ids are .*must be integers or text"):
        read("profile_id", values)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", "b", None]),
        pa.array(["a", "b", ""]),
        pa.array(["a", "b", ""], pa.large_string()),
        pa.array(["a", "b", ""], pa.string_view()),
        pa.array(["a", "b", ""]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["a", None])),
        pa.array(["", "a", "b", ""])[1:],
        pa.array([1, 2, None]),
    ],
    ids=lambda values: str(values.type),
)
def test_missing_ids(read, values):
    with pytest.raises(InvalidValueError, match="row 3, column 'profile_id': the value is missing"):
        read("profile_id", values)


def test_a_column_of_nothing(read, scan):
    for column in (pa.nulls(3), pa.nulls(3).dictionary_encode()):
        for name in ("category", "order_id"):
            found, tally = read(name, column)
            assert (found[name], tally.null_counts[name]) == ([None] * 3, 3)
        with pytest.raises(InvalidValueError, match="row 1, column 'profile_id': the value is missing"):
            read("profile_id", column)
    frame = pa.table({"profile_id": ["a"], "tier": pa.nulls(1)})
    assert scan(frame, kind="crm", columns={"tier": "tier"})[0]["tier"] == [None]
    nothing = pa.table({name: pa.nulls(0) for name in ("profile_id", "at", "amount")})
    assert scan(nothing)[1].rows_read == 0


def test_runs_and_other_dictionaries_are_spread_out(read):
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", ""]))
    assert read("category", runs)[0]["category"] == ["a", "a", None]
    coded = pa.array([dt.datetime(2017, 1, 1)] * 2, pa.timestamp("us")).dictionary_encode()
    assert read("at", coded)[0]["at_us"] == [to_us(dt.datetime(2017, 1, 1))] * 2
    assert read("amount", pa.array([1.5, 2.5]).dictionary_encode())[0]["amount_minor"] == [15_000, 25_000]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2017-01-01", "2017-01-01T05:00:00"),
        ("2017-01-01T10", "2017-01-01T15:00:00"),
        ("2017-01-01 10:11", "2017-01-01T15:11:00"),
        (" 2017-01-01 10:11:12 ", "2017-01-01T15:11:12"),
        ("2017-01-01T10:11:12.123456789", "2017-01-01T15:11:12.123456"),
        ("2017-01-01T10:11:12Z", "2017-01-01T10:11:12"),
        ("2017-01-01T10:11:12.9999999Z", "2017-01-01T10:11:12.999999"),
        ("2017-01-01T10:11:12+05:30", "2017-01-01T04:41:12"),
        ("2017-01-01 10:11:12-0530", "2017-01-01T15:41:12"),
        ("2017-01-01T10:11:12+05", "2017-01-01T05:11:12"),
        ("2017-07-01 00:00:00", "2017-07-01T04:00:00"),
    ],
)
def test_times_as_text(read, text, instant):
    found, _ = read("at", pa.array(["2017-01-01T00:00Z", text]), timezone="America/New_York")
    assert found["at_us"][1] == to_us(dt.datetime.fromisoformat(instant))


@pytest.mark.parametrize(
    "text",
    [
        "2017-02-30",
        "2017-1-1",
        "20170101",
        "01/02/2017",
        "2017-01-01T24:00:00",
        "2017-01-01T10:61",
        "1483228800",
        " ",
        "x",
    ],
)
def test_text_that_is_no_time(read, text):
    with pytest.raises(InvalidValueError, match=r"row 2, column 'at': not an ISO 8601 time$"):
        read("at", pa.array(["2017-01-01", text, "2017-01-03"]))


def test_the_first_bad_time_is_named_among_zoned_and_naive_ones(read):
    texts = ["2017-01-01T00:00Z", "2017-01-01", "2017-01-01T00:00Z", "bad", "2017-01-01T99:00Z"]
    with pytest.raises(InvalidValueError, match="row 4, column 'at'"):
        read("at", pa.array(texts))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamps_of_every_unit(read, unit, zone):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    values = pa.array([1_483_228_800 * per_second, (1_499_000_000 + 1) * per_second], pa.timestamp(unit, tz=zone))
    found, _ = read("at", values, timezone="America/New_York")
    shift = [5 * 3600, 4 * 3600] if zone is None else [0, 0]
    assert found["at_us"] == [(1_483_228_800 + shift[0]) * 10**6, (1_499_000_001 + shift[1]) * 10**6]


def test_nanoseconds_are_cut_off(read):
    assert read("at", pa.array([1999, 2000], pa.timestamp("ns")))[0]["at_us"] == [1, 2]


def test_dates(read):
    for kind in (pa.date32(), pa.date64()):
        found, _ = read("at", pa.array([dt.date(2017, 1, 1)], kind), timezone="Asia/Tokyo")
        assert found["at_us"] == [to_us(dt.datetime(2016, 12, 31, 15))]


def test_times_that_cannot_be(read):
    with pytest.raises(InvalidValueError, match="row 2, column 'at': the time is out of range"):
        read("at", pa.array([10, 2**60], pa.timestamp("s")))
    with pytest.raises(InvalidValueError, match="row 2, column 'at': the time lies before 1970-01-01"):
        read("at", pa.array(["2017-01-01", "1900-01-01"]))
    with pytest.raises(SchemaError, match="column 'at': the type is int64"):
        read("at", pa.array([10]))
    with pytest.raises(InvalidValueError, match="row 1, column 'at': the value is missing"):
        read("at", pa.array([None, 5], pa.timestamp("us")))


@given(
    walls=st.lists(
        st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2017, 12, 30)).map(lambda wall: wall.replace(fold=0)),
        min_size=1,
        max_size=12,
    ),
    source_zone=st.sampled_from(["America/New_York", "Australia/Lord_Howe", "UTC", "Europe/Dublin"]),
    run_zone=st.sampled_from(["Asia/Kathmandu", "America/Sao_Paulo", "UTC"]),
)
def test_text_and_timestamps_give_the_same_instants_and_days(read, walls, source_zone, run_zone):
    expected = [localized(wall, source_zone)[0] for wall in walls]
    days = [epoch_day(at_us, run_zone) for at_us in expected]
    for values in (pa.array([wall.isoformat() for wall in walls]), pa.array(walls, pa.timestamp("us"))):
        found, tally = read("at", values, timezone=source_zone, run={"timezone": run_zone})
        assert found["at_us"] == expected
        assert found["day"] == days
        assert (tally.first_day, tally.last_day) == (min(days), max(days))


def test_readings_are_counted(read):
    texts = ["2017-03-12 02:30", "2017-11-05 01:30", "2017-11-05 01:45", "2017-11-05 01:30-05:00", "2017-06-01"]
    _, tally = read("at", pa.array(texts), timezone="America/New_York")
    assert (tally.times_nonexistent, tally.times_ambiguous) == (1, 2)


def test_rows_at_or_after_as_of_are_left_out_and_counted(scan):
    walls = [dt.datetime(2017, 12, 31, 18, 59, 59, 999_999), dt.datetime(2017, 12, 31, 19), dt.datetime(2018, 6, 1)]
    frame = pa.table(
        {
            "profile_id": pa.array(["kept", "late", "later"]),
            "at": pa.array(walls, pa.timestamp("us")),
            "amount": pa.array([1, 2, 3]),
            "order_id": pa.array([7, None, 9]),
            "category": pa.array(["a", "b", None]),
        }
    )
    columns, tally = scan(frame, timezone="America/New_York", run={"timezone": "UTC"})
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(columns, 1)
    assert (columns["profile_id"], columns["order_id"], columns["category"]) == (["kept"], [7], ["a"])
    assert (tally.rows_read, tally.rows_used, tally.rows_after_as_of) == (3, 1, 2)
    assert tally.null_counts == {"profile_id": 0, "at": 0, "amount": 0, "order_id": 0, "category": 0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", None, ""]), ["a", None, None]),
        (pa.array(["a", None, ""], pa.large_string()), ["a", None, None]),
        (pa.array(["a", None, ""], pa.string_view()), ["a", None, None]),
        (pa.array(["a", None, ""]).dictionary_encode(), ["a", None, None]),
        (pa.array([3, None, -1]), ["3", None, "-1"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_categories(read, values, expected):
    assert read("category", values)[0]["category"] == expected


def test_categories_from_pandas_and_polars(read):
    for frame in (
        pd.DataFrame({"c": pd.Categorical(["b", None, "a"])}),
        pd.DataFrame({"c": ["b", None, "a"]}),
        pl.DataFrame({"c": pl.Series(["b", None, "a"], dtype=pl.Categorical)}),
        pl.DataFrame({"c": pl.Series(["b", None, "a"], dtype=pl.Enum(["a", "b"]))}),
    ):
        assert read("category", pa.table(frame)["c"])[0]["category"] == ["b", None, "a"]


def test_types_that_are_no_categories(read):
    with pytest.raises(SchemaError, match="column 'category': the type is double"):
        read("category", pa.array([1.5]))


def test_orders_keep_their_type_and_their_nulls(read):
    assert read("order_id", pa.array([5, None, 6]))[0]["order_id"] == [5, None, 6]
    assert read("order_id", pa.array(["x", None, "007"]))[0]["order_id"] == ["x", None, "007"]
    assert read("order_id", pa.array(["x", "", "007"]))[0]["order_id"] == ["x", None, "007"]
    with pytest.raises(SchemaError, match="column 'order_id'"):
        read("order_id", pa.array([1.5]))


def test_attributes_keep_their_values(scan):
    frame = pa.table(
        {
            "profile_id": pa.array(["a", "b"]),
            "age": pa.array([30, None]),
            "tier": pa.array(["gold", "x"]).dictionary_encode(),
        }
    )
    columns, tally = scan(frame, kind="crm", columns={"age": "age", "level": "tier"})
    assert columns["age"] == [30, None]
    assert columns["level"] == ["gold", "x"]
    assert tally.null_counts == {"profile_id": 0, "age": 1, "level": 0}


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 100])
def test_chunks_cover_every_row_once(scan, device, plan_of, chunk_rows):
    frame = pa.table(
        {"profile_id": pa.array(range(10)), "at": pa.array(range(10), pa.timestamp("s")), "amount": pa.array(range(10))}
    )
    columns, tally = scan(frame, run={"chunk_rows": chunk_rows})
    assert columns["profile_id"] == list(range(10))
    assert tally.rows_read == 10
    sizes = [batch.tally.rows_read for batch in device.scan(plan_of(frame, run={"chunk_rows": chunk_rows}))]
    assert max(sizes) <= chunk_rows


@given(
    ids=st.lists(st.sampled_from(AWKWARD), max_size=30),
    n_buckets=st.integers(1, 9),
    as_text=st.booleans(),
)
def test_partition_follows_the_hash_and_keeps_rows_whole(device, plan_of, ids, n_buckets, as_text):
    from tests.twins import id_bytes, xxh64

    profiles = ids if as_text else [len(text) - 3 for text in ids]
    frame = pa.table(
        {
            "profile_id": pa.array(profiles, pa.string() if as_text else pa.int64()),
            "at": pa.array(range(len(ids)), pa.timestamp("s")),
            "amount": pa.array(range(len(ids)), pa.int64()),
            "category": pa.array([text or None for text in ids], pa.string()),
        }
    )
    for batch in device.scan(plan_of(frame)):
        rows, offsets = device.partition_to_host(batch, n_buckets)
        assert len(offsets) == n_buckets + 1
        buckets = [sorted({xxh64(id_bytes(profile)) % n_buckets}) for profile in rows["profile_id"].to_pylist()]
        expected = [[bucket] for bucket in range(n_buckets) for _ in range(offsets[bucket], offsets[bucket + 1])]
        assert buckets == expected
        place = np.array(rows["at_us"].to_pylist(), np.int64) // 10**6
        assert [profiles[at] for at in place] == rows["profile_id"].to_pylist()
        assert [ids[at] or None for at in place] == rows["category"].to_pylist()
        assert [int(at) * 10_000 for at in place] == rows["amount_minor"].to_pylist()
