"""The same rows give the same bytes from files and from every kind of database."""

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from gpuseg.config import parse_config
from gpuseg.pipeline import execute
from tests.sources.sql.places import FORMS
from tests.trust.worlds import World, clean_rows, mixed, outputs, quarantined, read_all, table_of

BUCKETS = {"buckets": 4}
FLAWED = {
    "orders": [
        {"profile_id": None, "at": dt.datetime(2017, 3, 1), "amount": 1.0, "allowed": "yes"},
        {"profile_id": "P-001", "at": None, "amount": 1.0, "allowed": "yes"},
        {"profile_id": "P-002", "at": dt.datetime(2017, 3, 1), "amount": 9e99, "allowed": "yes"},
        {"profile_id": "P-003", "at": dt.datetime(2017, 3, 1), "amount": 3.0, "allowed": "no"},
        {"profile_id": "P-004", "at": dt.datetime(2013, 3, 1), "amount": 3.0, "allowed": "yes"},
        {"profile_id": "P-005", "at": dt.datetime(2019, 3, 1), "amount": 3.0, "allowed": "yes"},
    ],
    "people": [{"profile_id": "P-999", "region": "nörth", "allowed": "no"}, {"profile_id": None, "allowed": "yes"}],
}


@pytest.mark.parametrize("form", ["csv", *FORMS])
def test_a_whole_run_writes_the_same_bytes(tmp_path, stored, form):
    rows = clean_rows()
    expected = World(tmp_path / "files", rows, run=BUCKETS)
    expected.run()
    if form == "csv":
        other = World(tmp_path / "other", rows, form="csv", run=BUCKETS)
    else:
        places = stored(form, **{name: table_of(name, mine) for name, mine in rows.items()})
        other = World(tmp_path / "other", rows, sources=places, run=BUCKETS)
    other.run()
    assert outputs(other.version) == outputs(expected.version)


@pytest.mark.parametrize("form", FORMS)
def test_consent_retention_and_rows_set_apart(tmp_path, stored, form):
    rows = mixed(clean_rows(), FLAWED)
    sources = {
        "orders": {"consent_column": "allowed", "retention_days": 1_000},
        "people": {"consent_column": "allowed"},
    }
    options = {"run": BUCKETS | {"chunk_rows": 7}, "sections": {"quality": {"on_bad": "quarantine"}}}
    expected = World(tmp_path / "files", rows, sources=sources, **options)
    expected.run()
    places = stored(form, **{name: table_of(name, mine) for name, mine in rows.items()})
    both = {name: place | sources.get(name, {}) for name, place in places.items()}
    other = World(tmp_path / "other", rows, sources=both, **options)
    other.run()
    assert outputs(other.version) == outputs(expected.version)
    found, wanted = (json.loads((world.version / "quality.json").read_text()) for world in (other, expected))
    assert found["sources"] == wanted["sources"]
    assert sum(source["rows_quarantined"] for source in found["sources"]) == 4
    for source in ("orders", "people"):
        # A time is shown as it is stored.
        kept = [{k: v for k, v in row.items() if k != "value_at"} for row in quarantined(other.version, source)]
        assert {row.pop("file") for row in kept} == {f"table {places[source]['table']}"}
        apart = [{k: v for k, v in row.items() if k != "value_at"} for row in quarantined(expected.version, source)]
        assert {row.pop("file") for row in apart} == {str(expected.folder / f"{source}.parquet")}
        assert kept == apart


@pytest.mark.parametrize("form", FORMS)
def test_an_identity_map_is_a_table(stored, form, tmp_path):
    rows = {
        "profile_id": ["@oak", "@oak", "@elm", "@nobody"],
        "at": [dt.datetime(2017, 5, day) for day in (1, 2, 3, 4)],
        "amount": [1.0, 2.0, 3.0, 4.0],
    }
    places = stored(form, orders=rows, handles={"handle": ["@oak", "@elm"], "customer": [17, 20]})
    identity = {**places["handles"], "key": "handle", "profile_id": "customer"}
    config = {
        "run": {"out": str(tmp_path / "run"), "as_of": "2018-01-01"},
        "sources": [{"name": "orders", "kind": "purchases", "identity": identity, **places["orders"]}],
    }
    version = execute(parse_config(config), until="features").version.path
    features = read_all(version / "features")
    assert features["profile_id"].to_pylist() == [17, 20]
    assert features["amount_sum"].to_pylist() == [3.0, 3.0]
    assert json.loads((version / "quality.json").read_text())["sources"][0]["rows_unmatched"] == 1


@pytest.mark.parametrize("form", FORMS)
def test_exact_amounts_are_exact_to_the_last_digit(stored, scan, form):
    """None of these is a float; times of them with a zone are instants."""
    amounts = [Decimal("123456789012345.6789"), Decimal("-0.0001"), Decimal("922337203685477.5807"), Decimal("7")]
    at = [dt.datetime(2017, 1, day, 23, 59, 59, 999_999) for day in (1, 2, 3, 4)]
    table = pa.table(
        {
            "profile_id": pa.array([2**53 + 1, -(2**62), 0, 7]),
            "at": pa.array(at, pa.timestamp("us")),
            "amount": pa.array(amounts, pa.decimal128(19, 4)),
            "order_id": pa.array(["é", None, "x'y", ""]),
        }
    )
    columns, tally = scan(**stored(form, rows=table)["rows"])
    assert columns["profile_id"] == [2**53 + 1, -(2**62), 0, 7]
    assert columns["amount_minor"] == [1234567890123456789, -1, 2**63 - 1, 70_000]
    assert columns["order_id"] == ["é", None, "x'y", None]
    us = dt.timedelta(microseconds=1)
    assert columns["at_us"] == [(value - dt.datetime(1970, 1, 1)) // us for value in at]
    assert (tally.rows_read, tally.amounts_rounded) == (4, 0)


@pytest.mark.parametrize("form", FORMS)
def test_attributes_become_the_same_figures(tmp_path, stored, form):
    n = 40
    people = {
        "profile_id": pa.array([f"P-{k:03d}" for k in range(n)]),
        "age": pa.array([None if k == 5 else 20 + k for k in range(n)], pa.int64()),
        "joined": pa.array([dt.date(2015, 1, 1) + dt.timedelta(days=31 * k) for k in range(n)]),
        "balance": pa.array([Decimal(k) / 8 for k in range(n)], pa.decimal128(12, 3)),
        "height": pa.array([float(np.sqrt(k)) for k in range(n)]),
        "tier": pa.array(["gold" if k % 3 else "silver" for k in range(n)]),
    }
    names = ["age", "joined", "balance", "height", "tier"]
    families = {"families": ["rfm", "attributes"]}
    found = []
    for kind in ("parquet", form):
        rows = {"orders": clean_rows()["orders"]}
        world = World(tmp_path / kind.replace("+", "-"), rows, run=BUCKETS)
        if kind == "parquet":
            pa.parquet.write_table(pa.table(people), world.folder / "people.parquet")
            place = {"uri": str(world.folder / "people.parquet")}
        else:
            place = stored(form, people=people)["people"]
        section = {"name": "people", "kind": "crm", "columns": {name: name for name in names}, **place}
        config = world.config | {"sources": [*world.config["sources"], section], "features": families}
        config["sources"][0]["uri"] = str(world.folder / "orders.parquet")
        found.append(read_all(execute(parse_config(config), until="features").version.path / "features"))
    assert {"age", "joined_days", "balance", "height"} <= set(found[0].column_names)
    assert found[1].equals(found[0])
