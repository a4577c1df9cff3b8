"""Events past their retention are never used: the day itself is the border, in the run's zone."""

import datetime as dt

import pyarrow as pa
import pytest

from gpuseg.errors import EmptyDataError
from tests.trust.worlds import World, clean_rows, mixed, outputs, reconciled, traces

DATED = ("orders", "clicks", "voices")
KEEP = 365
MARKS = ("EXPIRED", "987654321", "OLDCAT", "old-page", "2016-12-31", "2016-06-06", "2015-")


def expired(at, who="EXPIRED-1"):
    return {
        "orders": [{"profile_id": who, "at": at, "amount": 987654321.12, "order_id": who, "category": "OLDCAT"}],
        "clicks": [{"profile_id": who, "at": at, "event": "purchase", "url": "/old-page", "dwell_ms": 5.0}],
        "voices": [{"profile_id": who, "at": at, "rating": 1.0, "comment": "old awful"}],
    }


@pytest.mark.parametrize("form", ["parquet", "csv", "frame"])
@pytest.mark.parametrize("buckets", [1, 2, 7])
def test_expired_rows_leave_no_trace(tmp_path, form, buckets):
    sources = {name: {"retention_days": KEEP} for name in DATED}
    # As of 2018-01-01 the last day that is kept is 2017-01-01.
    extra = expired(dt.datetime(2016, 12, 31, 23, 59, 59, 999_999))
    for source, rows in expired(dt.datetime(2016, 6, 6), "P-000").items():
        extra[source] += rows
    settings = {"form": form, "sources": sources, "run": {"buckets": buckets, "chunk_rows": 3}}
    world = World(tmp_path / "w", mixed(clean_rows(), extra), **settings)
    run = world.run()
    assert traces(world.out, MARKS) == []
    twin = World(tmp_path / "twin", clean_rows(), **settings)
    twin.run()
    assert outputs(world.version) == outputs(twin.version)
    found = {source["name"]: source for source in run.quality["sources"]}
    assert {name: found[name]["rows_past_retention"] for name in DATED} == dict.fromkeys(DATED, 2)
    assert found["people"]["rows_past_retention"] == 0
    assert all(reconciled(source) for source in run.quality["sources"])


@pytest.mark.parametrize("days", [1, 30, 365])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_the_border_is_midnight_of_the_oldest_day(scan, days, zone):
    from zoneinfo import ZoneInfo

    oldest = dt.datetime.combine(dt.date(2018, 1, 1) - dt.timedelta(days=days), dt.time(), ZoneInfo(zone))
    first = oldest.astimezone(dt.UTC)
    before = first - dt.timedelta(microseconds=1)
    at = pa.array([first, before, first + dt.timedelta(microseconds=1)], pa.timestamp("us", tz="UTC"))
    frame = pa.table({"profile_id": ["kept", "old", "kept too"], "at": at, "amount": [1.0, 2.0, 3.0]})
    columns, tally = scan(frame, run={"timezone": zone}, retention_days=days)
    assert columns["profile_id"] == ["kept", "kept too"]
    assert (tally.rows_read, tally.rows_used, tally.rows_past_retention) == (3, 2, 1)
    assert tally.first_day == (dt.date(2018, 1, 1) - dt.date(1970, 1, 1)).days - days


def test_values_of_expired_rows_are_not_even_checked(scan):
    frame = pa.table({"profile_id": ["a", None], "at": ["2017-12-31", "2010-01-01"], "amount": [1.0, None]})
    columns, tally = scan(frame, retention_days=10)
    assert columns["profile_id"] == ["a"]
    assert (tally.rows_past_retention, tally.rows_quarantined) == (1, 0)


def test_each_source_has_its_own_retention(tmp_path):
    extra = expired(dt.datetime(2016, 6, 6), "P-000")
    world = World(tmp_path / "w", mixed(clean_rows(), extra), sources={"voices": {"retention_days": KEEP}})
    run = world.run()
    counts = [source["rows_past_retention"] for source in run.quality["sources"]]
    assert counts == [0, 0, 1, 0]
    assert [source["first_day"] for source in run.quality["sources"]][:2] == ["2016-06-06"] * 2
    assert run.quality["sources"][2]["first_day"] > "2016-06-06"
    assert run.quality["sources"][2]["retention_days"] == KEEP


def test_nothing_left_is_an_error_that_says_why(tmp_path):
    rows = {"orders": expired(dt.datetime(2016, 6, 6))["orders"]}
    world = World(tmp_path / "w", rows, sources={"orders": {"retention_days": 30}})
    with pytest.raises(EmptyDataError, match=r"^orders: no row of 1 is left: 1 past their retention$"):
        world.run()
    assert traces(world.out, MARKS) == []
