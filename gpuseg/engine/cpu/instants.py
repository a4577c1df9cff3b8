"""Times of events as instants: timestamps, dates and ISO 8601 text, with and without a zone."""

from operator import methodcaller

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen
from gpuseg.engine.cpu.checks import Rows, is_text, one_array
from gpuseg.engine.cpu.times import localize
from gpuseg.engine.program import ReadPlan, Tally, ZoneTable
from gpuseg.vocabulary import EARLIEST_US

_ZONED = r"([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$"
_TOO_FINE = r"(\.[0-9]{6})[0-9]+"


def event_times(rows: Rows, plan: ReadPlan, tally: Tally) -> npt.NDArray[np.int64]:
    """Instants of the column `at` in microseconds UTC; ambiguous and nonexistent wall times are counted.

    Raises
    ------
    BadRows
        If a time cannot be read, is out of range or lies before 1970.
    SchemaError
        If the column's type cannot hold times.
    """
    array = one_array(rows.table["at"])
    if is_text(array.type):
        at_us = _parsed_times(rows, array.cast(pa.string()), plan.zone, tally)
    elif pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        at_us = _to_us(rows, array)
        if getattr(array.type, "tz", None) is None:
            at_us = _localized(at_us, plan.zone, tally)
    else:
        raise rows.wrong_type("at", array.type, "timestamps, dates or ISO 8601 text")
    if at_us.size and at_us.min() < EARLIEST_US:
        rows.refuse(at_us < EARLIEST_US, "at", "the time lies before 1970-01-01; remove rows with placeholder dates")
    return frozen(at_us)


def wall_times(rows: Rows, column: str, array: pa.Array, zone: ZoneTable) -> pa.Array:
    """Instants as what the clocks of a zone said, timestamp[us] without a zone; nulls stay.

    Raises
    ------
    BadRows
        If an instant is out of range.
    """
    unit = array.type.unit
    if unit != "ns":
        kind = pa.timestamp("us", tz=array.type.tz)
        array = rows.converted(column, array, methodcaller("cast", kind), "the time is out of range")
    null = as_numpy(array.is_null())
    nothing = as_arrow(np.zeros(1, np.int64))[0]
    ticks = as_numpy(pc.if_else(array.is_valid(), array.cast(pa.int64()), nothing))
    at_us = np.floor_divide(ticks, 1000) if unit == "ns" else ticks
    at_us = at_us + zone.offsets_us[np.searchsorted(zone.transitions_us, at_us, side="right")]
    return as_arrow(at_us.astype(np.int64, copy=False), null).cast(pa.timestamp("us"))


def _to_us(rows: Rows, array: pa.Array) -> npt.NDArray[np.int64]:
    """Microseconds as stored: nanoseconds are cut off, seconds and days checked for overflow."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.date32()).cast(pa.timestamp("us"))
    elif array.type.unit == "ns":
        ticks = as_numpy(array.cast(pa.int64()))
        return np.floor_divide(ticks, 1000)
    unit = pa.timestamp("us", tz=array.type.tz)
    array = rows.converted("at", array, lambda part: part.cast(unit), "the time is out of range")
    ticks = as_numpy(array.cast(pa.int64()))
    return ticks.astype(np.int64, copy=False)


def _parsed_times(rows: Rows, text: pa.Array, zone: ZoneTable, tally: Tally) -> npt.NDArray[np.int64]:
    text = pc.utf8_trim_whitespace(text)
    # A date alone ends in `-01` too, so a zone is looked for only after a time of day.
    zoned = as_numpy(pc.and_(pc.greater(pc.utf8_length(text), 10), pc.match_substring_regex(text, _ZONED)))
    out = np.empty(len(text), np.int64)
    for mask, unit in ((~zoned, pa.timestamp("us")), (zoned, pa.timestamp("us", tz="UTC"))):
        if not mask.any():
            continue
        places = np.flatnonzero(mask)
        part = pc.replace_substring_regex(text.filter(as_arrow(mask)), _TOO_FINE, r"\1")
        cast = rows.converted("at", part, methodcaller("cast", unit), "not an ISO 8601 time", rows=places)
        ticks = as_numpy(cast.cast(pa.int64()))
        out[places] = ticks if unit.tz else _localized(ticks, zone, tally)
    return out


def _localized(wall_us: npt.NDArray[np.int64], zone: ZoneTable, tally: Tally) -> npt.NDArray[np.int64]:
    if not zone.transitions_us.size and not zone.offsets_us[0]:
        return wall_us
    at_us, ambiguous, nonexistent = localize(frozen(wall_us), zone.transitions_us, zone.offsets_us)
    tally.times_ambiguous += int(ambiguous)
    tally.times_nonexistent += int(nonexistent)
    return at_us
