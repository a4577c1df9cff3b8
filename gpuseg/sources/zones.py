"""Builds the UTC transition table of a time zone on the host, from the zone database that Python uses."""

import datetime as dt
import importlib.metadata
import zoneinfo
from functools import lru_cache
from pathlib import Path

import numpy as np

from gpuseg.engine.program import ZoneTable

_US = 1_000_000
_STEP = dt.timedelta(hours=12)
_START = dt.datetime(1969, 12, 1, tzinfo=dt.UTC)


@lru_cache(maxsize=64)
def zone_table(name: str, until_year: int) -> ZoneTable:
    """Transitions of a zone from 1969-12-01 to the end of `until_year`.

    Parameters
    ----------
    name : str
        IANA name, such as "America/New_York".
    until_year : int
        Last year covered.

    Returns
    -------
    ZoneTable
        Exact to the second; two changes of offset within 12 hours of each other, which no zone has had since 1970,
        would be seen as one.
    """
    zone = zoneinfo.ZoneInfo(name)
    end = dt.datetime(until_year + 1, 1, 2, tzinfo=dt.UTC)
    transitions: list[int] = []
    offsets = [_offset(zone, _START)]
    moment = _START
    while moment < end:
        later = moment + _STEP
        if _offset(zone, later) != offsets[-1]:
            transitions.append(_first_change(zone, moment, later))
            offsets.append(_offset(zone, later))
        moment = later
    return ZoneTable(name, np.array(transitions, np.int64) * _US, np.array(offsets, np.int64) * _US)


def midnight_us(day: dt.date, name: str) -> int:
    """Microseconds UTC of the first instant of a day in a zone."""
    zone = zoneinfo.ZoneInfo(name)
    wall = dt.datetime(day.year, day.month, day.day)
    # Where midnight is skipped, the day starts at the jump: the earlier of both readings of the gap, shifted back.
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    skipped = first > second
    return _US * (_first_change(zone, second - _STEP, first + _STEP) if skipped else int(first.timestamp()))


def tzdata_version() -> str:
    """Version of the zone database in use."""
    for folder in zoneinfo.TZPATH:
        for file, prefix in (("tzdata.zi", "# version "), ("+VERSION", "")):
            path = Path(folder) / file
            if path.is_file():
                with path.open(encoding="utf-8", errors="replace") as handle:
                    return handle.readline().strip().removeprefix(prefix)
    try:
        return importlib.metadata.version("tzdata")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _offset(zone: zoneinfo.ZoneInfo, moment: dt.datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _first_change(zone: zoneinfo.ZoneInfo, low: dt.datetime, high: dt.datetime) -> int:
    """Second at which the offset has left that of `low`, by bisection."""
    offset = _offset(zone, low)
    left, right = int(low.timestamp()), int(high.timestamp())
    while right - left > 1:
        middle = (left + right) // 2
        if _offset(zone, dt.datetime.fromtimestamp(middle, dt.UTC)) == offset:
            left = middle
        else:
            right = middle
    return right
