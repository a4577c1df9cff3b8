"""Instants and days by table against `zoneinfo`, near every change of the clocks."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.cpu.times import local_days, localize
from gpuseg.sources.zones import zone_table
from tests.twins import epoch_day, from_us, localized, to_us

SECOND = 1_000_000
ZONES = [
    "America/New_York",
    "Australia/Lord_Howe",  # summer time of half an hour
    "Asia/Kathmandu",  # from +05:30 to +05:45 in 1986, no summer time
    "Africa/Casablanca",  # clocks move four times a year, and around Ramadan
    "America/Sao_Paulo",  # clocks jump over midnight
    "Pacific/Apia",  # the 30th of December 2011 never was
    "Europe/Dublin",  # summer time is the standard, winter time is negative
    "America/St_Johns",  # clocks went back at one minute past midnight
    "UTC",
]
# Around a change: the last microsecond before it, the hour that is skipped or repeated, and a day either side.
STEPS_US = sorted(
    {
        sign * (hours * 3600 * SECOND) + nudge
        for sign in (-1, 1)
        for hours in (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 24)
        for nudge in (-1, 0, 1)
    }
)
UNTIL = 2026


def around(centers: np.ndarray) -> np.ndarray:
    values = (centers[:, None] + np.array(STEPS_US, np.int64)[None, :]).ravel()
    return np.unique(values[values >= 0])


@pytest.mark.parametrize("name", ZONES)
def test_localize_near_every_transition(name):
    table = zone_table(name, UNTIL)
    walls = np.concatenate([table.transitions_us + table.offsets_us[:-1], table.transitions_us + table.offsets_us[1:]])
    walls = around(walls)
    expected = [localized(from_us(int(wall)).replace(tzinfo=None), name) for wall in walls]
    at_us, n_ambiguous, n_nonexistent = localize(walls, table.transitions_us, table.offsets_us)
    assert at_us.tolist() == [at for at, _ in expected]
    assert n_ambiguous == sum(what == "ambiguous" for _, what in expected)
    assert n_nonexistent == sum(what == "nonexistent" for _, what in expected)


@pytest.mark.parametrize("name", ZONES)
def test_local_days_near_every_transition(name):
    table = zone_table(name, UNTIL)
    instants = around(table.transitions_us)
    expected = [epoch_day(int(at), name) for at in instants]
    days = local_days(instants, table.transitions_us, table.offsets_us)
    assert days.dtype == np.int32
    assert days.tolist() == expected
    shuffled = np.random.default_rng(0).permutation(instants.size)
    assert local_days(instants[shuffled], table.transitions_us, table.offsets_us).tolist() == [
        expected[place] for place in shuffled
    ]


@pytest.mark.parametrize(
    ("name", "wall", "instant", "ambiguous", "nonexistent"),
    [
        ("America/New_York", "2017-11-05 01:30", "2017-11-05 05:30", 1, 0),  # the first reading, summer time
        ("America/New_York", "2017-03-12 02:30", "2017-03-12 07:00", 0, 1),  # the jump at 07:00 UTC
        ("America/New_York", "2017-03-12 03:00", "2017-03-12 07:00", 0, 0),
        ("America/New_York", "2017-11-05 02:00", "2017-11-05 07:00", 0, 0),
        ("Australia/Lord_Howe", "2017-10-01 02:10", "2017-09-30 15:30", 0, 1),
        ("Australia/Lord_Howe", "2017-04-02 01:45", "2017-04-01 14:45", 1, 0),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00", 0, 1),
        ("America/Sao_Paulo", "2017-10-15 00:00", "2017-10-15 03:00", 0, 1),
        ("Europe/Dublin", "2017-10-29 01:30", "2017-10-29 00:30", 1, 0),
    ],
)
def test_readings_worked_out_by_hand(name, wall, instant, ambiguous, nonexistent):
    table = zone_table(name, UNTIL)
    walls = np.array([to_us(dt.datetime.fromisoformat(wall))])
    at_us, *counts = localize(walls, table.transitions_us, table.offsets_us)
    assert at_us.tolist() == [to_us(dt.datetime.fromisoformat(instant))]
    assert counts == [ambiguous, nonexistent]


@given(
    name=st.sampled_from(ZONES),
    seconds=st.lists(st.integers(0, to_us(dt.datetime(UNTIL, 12, 31)) // SECOND), min_size=1, max_size=40),
    microsecond=st.integers(0, 999_999),
)
def test_any_time_of_any_day(name, seconds, microsecond):
    table = zone_table(name, UNTIL)
    walls = np.array(seconds, np.int64) * SECOND + microsecond
    expected = [localized(from_us(int(wall)).replace(tzinfo=None), name)[0] for wall in walls]
    assert localize(walls, table.transitions_us, table.offsets_us)[0].tolist() == expected
    days = local_days(walls, table.transitions_us, table.offsets_us).tolist()
    assert days == [epoch_day(int(at), name) for at in walls]


def test_empty_arrays():
    table = zone_table("America/New_York", UNTIL)
    nothing = np.empty(0, np.int64)
    at_us, *counts = localize(nothing, table.transitions_us, table.offsets_us)
    assert (at_us.size, counts) == (0, [0, 0])
    assert local_days(nothing, table.transitions_us, table.offsets_us).size == 0
