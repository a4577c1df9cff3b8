"""PostgreSQL: what becomes of its types."""

import pytest

from gpuseg.errors import InvalidValueError
from tests.sources.sql.places import READER

GOOD = "1 as profile_id, timestamp '2017-01-01' as at, 1.5 as amount"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1::smallint", 10_000),
        ("-3::integer", -30_000),
        ("922337203685477::bigint", 9_223_372_036_854_770_000),
        ("0.1::real", 1_000),
        ("0.1::double precision", 1_000),
        ("123456789012345.6789::numeric", 1_234_567_890_123_456_789),
        ("12.34::numeric::money", 123_400),
        ("' 7.5 '::text", 75_000),
        ("'7.5'::varchar(9)", 75_000),
        ("'7.5'::char(9)", 75_000),
    ],
)
def test_types_of_figures(asked, expression, expected):
    columns, tally = asked(f"select 1 as profile_id, date '2017-01-01' as at, {expression} as amount")
    assert columns["amount_minor"] == [expected]
    assert tally.amounts_rounded == 0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'2d903fb9-b602-4d11-bb09-e6904ebec245'::uuid", "2d903fb9-b602-4d11-bb09-e6904ebec245"),
        ("'Ä'::text", "Ä"),
        ("'x'::char(4)", "x"),
        ("'a'::name", "a"),
        ("'{\"a\":1}'::jsonb", '{"a": 1}'),
        ("7::numeric", "7"),
        ("'\\x00ff'::bytea", "\\x00ff"),
        ("array[1,2]", "{1,2}"),
        ("''::text", None),
        ("null::text", None),
    ],
)
def test_types_of_ids(asked, expression, expected):
    columns, _ = asked(f"select {GOOD}, {expression} as order_id")
    assert columns["order_id"] == [expected]


def test_types_of_ids_that_are_numbers(asked, server):
    server.execute("create domain positive as bigint", f"grant usage on type positive to {READER}")
    for kind in ("smallint", "integer", "bigint", "positive"):
        assert asked(f"select {GOOD}, 7::{kind} as order_id")[0]["order_id"] == [7]


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("timestamp '2017-07-01 12:00'", 1_498_903_200),
        ("timestamptz '2017-07-01 12:00+00'", 1_498_910_400),
        ("date '2017-07-01'", 1_498_860_000),
        ("'2017-07-01T12:00:00+00:00'::text", 1_498_910_400),
        ("'2017-07-01 12:00'::text", 1_498_903_200),
    ],
)
def test_times_without_a_zone_are_those_of_the_source(asked, expression, seconds):
    query = f"select 1 as profile_id, {expression} as at, 1 as amount"
    assert asked(query, timezone="Europe/Berlin")[0]["at_us"] == [seconds * 10**6]


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
@pytest.mark.parametrize("when", ["infinity", "-infinity"])
def test_an_infinite_time_is_a_missing_one(asked, kind, when):
    times = f"(values (1, {kind} '2017-01-01'), (2, {kind} '{when}')) v(profile_id, at)"
    with pytest.raises(InvalidValueError, match=r"the query, row 2, column 'at': the value is missing"):
        asked(f"select profile_id, at, 1 as amount from {times}")


def test_times_of_a_far_future_are_after_the_window(asked):
    times = "(values (1, '9999-12-31'), (2, '290000-01-01'), (3, '2017-01-01')) v(n, at)"
    for kind in ("timestamp", "timestamptz"):
        columns, tally = asked(f"select n as profile_id, at::{kind}, 1 as amount from {times}")
        assert (columns["profile_id"], tally.rows_after_as_of) == ([3], 2)
    days = "(values (1, date '9999-12-31'), (2, date '290000-12-31'), (3, date '2017-01-01')) v(n, at)"
    assert asked(f"select n as profile_id, at, 1 as amount from {days}")[0]["profile_id"] == [3]
