"""Values of Python as Arrow columns."""

import datetime as dt
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from gpuseg.engine.sql_values import arrow_column, arrow_type, free_type

NOON = dt.datetime(2017, 7, 1, 12)
ABROAD = dt.timezone(dt.timedelta(hours=2))
US, INSTANT = pa.timestamp("us"), pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([], pa.null(), []),
        ([None, None], pa.null(), [None, None]),
        ([1, None, -(2**63) + 1, 2**63 - 1], pa.int64(), [1, None, -(2**63) + 1, 2**63 - 1]),
        ([2**63, 1], pa.string(), ["9223372036854775808", "1"]),
        ([0.1, None], pa.float64(), [0.1, None]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        ([2**53 + 1, 0.1], pa.string(), ["9007199254740993", "0.1"]),
        ([True, None, False], pa.bool_(), [True, None, False]),
        ([True, 2], pa.string(), ["true", "2"]),
        (["é", "", None], pa.string(), ["é", "", ""]),
        (["x", 7, 1.5], pa.string(), ["x", "7", "1.5"]),
        ([Decimal("1.50"), Decimal("1E+3"), None], pa.string(), ["1.50", "1000", ""]),
        ([Decimal("NaN"), 1, float("nan")], pa.string(), ["NaN", "1", ""]),
        ([dt.date(2017, 7, 1), None, dt.date(1, 1, 1)], pa.date32(), [dt.date(2017, 7, 1), None, dt.date(1, 1, 1)]),
        ([NOON, None], US, [NOON, None]),
        ([NOON.replace(microsecond=1)], US, [NOON.replace(microsecond=1)]),
        ([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)], US, [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]),
        ([NOON.replace(tzinfo=ABROAD), None], INSTANT, [dt.datetime(2017, 7, 1, 10, tzinfo=dt.UTC), None]),
        ([NOON, NOON.replace(tzinfo=ABROAD)], pa.string(), ["2017-07-01T12:00:00", "2017-07-01T12:00:00+02:00"]),
        ([dt.date(2017, 7, 1), NOON], pa.string(), ["2017-07-01", "2017-07-01T12:00:00"]),
        ([b"\x00\xff", None, memoryview(b"x")], pa.binary(), [b"\x00\xff", None, b"x"]),
        ([b"\x00\xff", "x"], pa.string(), ["00ff", "x"]),
        ([{"a": ["é"]}, [1]], pa.string(), ['{"a": ["é"]}', "[1]"]),
        ([uuid.UUID(int=1)], pa.string(), ["00000000-0000-0000-0000-000000000001"]),
    ],
)
def test_types_and_values(values, kind, expected):
    assert arrow_type(values) == kind
    found = arrow_column(values)
    found.validate(full=True)
    assert (found.type, found.to_pylist()) == (kind, expected)


@pytest.mark.parametrize(
    ("first", "then", "fits"),
    [
        ([1], [2.5, "x"], True),
        ([True], [False, None], True),
        ([True], [None], True),
        ([True], ["yes"], False),
        ([dt.date(2017, 7, 1)], [NOON], False),
        ([NOON], [NOON.replace(tzinfo=ABROAD)], False),
        ([None], [NOON], True),
    ],
)
def test_a_free_column_keeps_its_type(first, then, fits):
    kind = free_type(arrow_type(first))
    found = arrow_column(then, kind)
    assert (found is not None) is fits
    assert not fits or found.type == kind
