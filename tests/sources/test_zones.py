import datetime as dt
import zoneinfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.sources.zones import midnight_us, tzdata_version, zone_table
from tests.twins import from_us, localized, to_us

SECOND = 1_000_000
NAMES = [
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Europe/Dublin",
    "Africa/Monrovia",  # 44 minutes and 30 seconds behind until 1972
    "Antarctica/Troll",  # moves by two hours
]


def offset_us(zone, moment):
    return moment.astimezone(zone).utcoffset() // dt.timedelta(microseconds=1)


def looked_up(table, at_us):
    return int(table.offsets_us[np.searchsorted(table.transitions_us, at_us, side="right")])


def check(name, until=2026):
    table = zone_table(name, until)
    zone = zoneinfo.ZoneInfo(name)
    assert table.name == name
    assert table.offsets_us.size == table.transitions_us.size + 1
    assert (table.offsets_us[1:] != table.offsets_us[:-1]).all()
    assert (np.diff(table.transitions_us) > 0).all()
    for at_us in (int(at) for at in table.transitions_us):
        for moment in (at_us - SECOND, at_us - 1, at_us, at_us + 1):
            assert looked_up(table, moment) == offset_us(zone, from_us(moment)), from_us(moment)
    days = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day) for day in range(0, 365 * 56, 5))
    assert all(looked_up(table, to_us(day)) == offset_us(zone, day) for day in days)


@pytest.mark.parametrize("name", NAMES)
def test_table_is_what_zoneinfo_says(name):
    check(name)


@pytest.mark.slow
def test_every_zone_there_is():
    for name in sorted(zoneinfo.available_timezones() - {"localtime"}):
        check(name)


@given(
    name=st.sampled_from(NAMES),
    moment=st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2026, 12, 31), timezones=st.just(dt.UTC)),
)
def test_any_moment(name, moment):
    assert looked_up(zone_table(name, 2026), to_us(moment)) == offset_us(zoneinfo.ZoneInfo(name), moment)


def test_the_rules_go_on_after_the_last_written_transition():
    table = zone_table("America/New_York", 2199)
    assert looked_up(table, to_us(dt.datetime(2199, 7, 1))) == -4 * 3600 * SECOND
    assert looked_up(table, to_us(dt.datetime(2199, 12, 31))) == -5 * 3600 * SECOND


def test_a_zone_without_transitions():
    table = zone_table("UTC", 2026)
    assert table.transitions_us.size == 0
    assert table.offsets_us.tolist() == [0]


def test_the_table_is_built_once():
    assert zone_table("Europe/Dublin", 2018) is zone_table("Europe/Dublin", 2018)
    assert zone_table("Europe/Dublin", 2019) is not zone_table("Europe/Dublin", 2018)


@pytest.mark.parametrize(
    ("day", "name", "instant"),
    [
        (dt.date(2018, 1, 1), "UTC", "2018-01-01T00:00"),
        (dt.date(2018, 1, 1), "America/New_York", "2018-01-01T05:00"),
        (dt.date(2017, 7, 1), "Asia/Kathmandu", "2017-06-30T18:15"),
        # Midnight is skipped: the day begins at the jump.
        (dt.date(2017, 10, 15), "America/Sao_Paulo", "2017-10-15T03:00"),
        (dt.date(2011, 12, 30), "Pacific/Apia", "2011-12-30T10:00"),
        (dt.date(2011, 12, 31), "Pacific/Apia", "2011-12-30T10:00"),
        # Midnight comes twice: the day begins with the first.
        (dt.date(2010, 11, 7), "America/St_Johns", "2010-11-07T02:30"),
    ],
)
def test_midnight(day, name, instant):
    assert midnight_us(day, name) == to_us(dt.datetime.fromisoformat(instant))


@given(
    name=st.sampled_from(NAMES),
    day=st.dates(dt.date(1970, 1, 2), dt.date(2026, 12, 31)),
)
def test_midnight_is_the_first_reading_of_midnight(name, day):
    assert midnight_us(day, name) == localized(dt.datetime.combine(day, dt.time()), name)[0]


def test_version_of_the_zone_database():
    assert tzdata_version()[:2] == "20"
