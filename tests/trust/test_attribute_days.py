"""Instants among the attributes of people fall on the days of the run's zone."""

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuseg


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Asia/Tokyo"])
def test_a_zoned_attribute_falls_on_a_local_day(tmp_path, unit, zone):
    utc = dt.UTC
    since = [dt.datetime(2017, 3, 12, 4, 59, 59, tzinfo=utc), dt.datetime(2017, 7, 1, 3, 59, 59, tzinfo=utc), None]
    since += [dt.datetime(2017, 7, 1, 4, tzinfo=utc), dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=utc)]
    names = [f"P-{i}" for i in range(5)]
    people = pa.table({"profile_id": names, "since": pa.array(since, pa.timestamp(unit, tz="Europe/Berlin"))})
    orders = {"profile_id": names * 2, "at": [f"2017-03-{i + 1:02d}" for i in range(10)], "amount": [1.0] * 10}
    content = {
        "run": {"out": str(tmp_path / "out"), "as_of": "2018-01-01", "timezone": zone},
        "sources": [
            {"name": "orders", "kind": "purchases"},
            {"name": "people", "kind": "crm", "columns": {"since": "since"}},
        ],
        "features": {"families": ["rfm", "attributes"]},
        "quality": {"max_null_share": 1.0},
        "cluster": {"segments": 2},
    }
    run = gpuseg.run(content, frames={"orders": pa.table(orders), "people": people})
    (path,) = (run.path / "features").glob("*.parquet")
    found = dict(zip(*(pq.read_table(path)[name].to_pylist() for name in ("profile_id", "since_days")), strict=True))
    zoned = ZoneInfo(zone)
    for name, instant in zip(names, since, strict=True):
        if instant is None:
            assert found[name] is None
        else:
            assert found[name] == (dt.date(2018, 1, 1) - instant.astimezone(zoned).date()).days
