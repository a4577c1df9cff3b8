"""Turns raw columns into canonical integer columns, with every value checked on the way."""

from dataclasses import dataclass
from operator import methodcaller
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen
from gpuseg.engine.cpu.amounts import minor_amounts
from gpuseg.engine.cpu.checks import checked, is_text, one_array, wrong_type
from gpuseg.engine.cpu.reading import Chunk
from gpuseg.engine.cpu.times import local_days, localize
from gpuseg.engine.program import IdType, ReadPlan, Tally, ZoneTable
from gpuseg.errors import InvalidValueError
from gpuseg.vocabulary import EARLIEST_US, KINDS

_ZONED = r"([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$"
_TOO_FINE = r"(\.[0-9]{6})[0-9]+"


@dataclass
class Columns:
    """Canonical columns of one chunk: NumPy arrays for integers, Arrow arrays for text and attributes."""

    values: dict[str, Any]
    n_rows: int


def canonical_columns(chunk: Chunk, plan: ReadPlan) -> tuple[Columns, Tally]:
    """Convert one chunk.

    Parameters
    ----------
    chunk : Chunk
        Raw columns under canonical names.
    plan : ReadPlan
        What they should become.

    Returns
    -------
    columns : Columns
        Rows before `as_of`.
    tally : Tally

    Raises
    ------
    InvalidValueError
        If a required value is null, not finite, out of range or of the wrong form; names file, row and column.
    SchemaError
        If a column has a type that cannot hold what it should.
    """
    tally = Tally(rows_read=chunk.table.num_rows)
    for column in KINDS[plan.kind].columns:
        if column.name in chunk.table.column_names:
            _count_nulls(chunk, column.name, tally, required=column.required)
    for name in plan.attributes:
        _count_nulls(chunk, name, tally, required=False)
    values: dict[str, Any] = {"profile_id": keys(chunk, "profile_id", plan.id_type)}
    if plan.kind == "crm":
        values |= {name: _attribute(chunk.table[name]) for name in plan.attributes}
        tally.rows_used = tally.rows_read
        return Columns(values, tally.rows_used), tally
    keep = _times(chunk, plan, values, tally)
    values["amount_minor"], tally.amounts_rounded = minor_amounts(chunk, plan.amount_scale)
    if plan.order_type is not None:
        values["order_id"] = keys(chunk, "order_id", plan.order_type)
    if "category" in chunk.table.column_names:
        values["category"] = _categories(chunk)
    if keep is not None:
        values = {name: _filtered(array, keep) for name, array in values.items()}
    days = values["day"]
    tally.rows_used = len(days)
    if tally.rows_used:
        tally.first_day, tally.last_day = int(days.min()), int(days.max())
    return Columns(values, tally.rows_used), tally


def keys(chunk: Chunk, column: str, wanted: IdType) -> Any:
    """Ids as an int64 array or as a large_string array; nulls, where the column may have them, stay Arrow nulls."""
    array = one_array(chunk.table[column])
    if pa.types.is_dictionary(array.type) and is_text(array.type):
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.large_string()))
    elif pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if wanted == "text":
        if is_text(array.type):
            return array.cast(pa.large_string())
        if pa.types.is_integer(array.type):
            return array.cast(pa.string()).cast(pa.large_string())
        raise wrong_type(chunk, column, array.type, "text or integers")
    if not (pa.types.is_integer(array.type) or is_text(array.type)):
        raise wrong_type(chunk, column, array.type, "integers or text")
    if is_text(array.type):
        # Arrow would take hexadecimal too, and make one profile of `31` and `0x1F`.
        whole = pc.match_substring_regex(array.cast(pa.string()), r"^[+-]?[0-9]+$")
        if not pc.all(whole).as_py() and len(array):
            row = int(pc.index(whole, False).as_py())
            raise InvalidValueError(f"{chunk.place(row, column)}: not a whole number within int64")
    cast = checked(chunk, column, array, lambda part: part.cast(pa.int64()), "not a whole number within int64")
    return cast if cast.null_count else as_numpy(cast)


def _count_nulls(chunk: Chunk, column: str, tally: Tally, *, required: bool) -> None:
    array = chunk.table[column]
    if array.null_count and required:
        row = int(pc.index(array.is_null(), True).as_py())
        raise InvalidValueError(f"{chunk.place(row, column)}: the value is missing; every row needs one")
    tally.null_counts[column] = array.null_count


def _times(chunk: Chunk, plan: ReadPlan, values: dict[str, Any], tally: Tally) -> npt.NDArray[np.bool_] | None:
    array = one_array(chunk.table["at"])
    if is_text(array.type):
        at_us = _parsed_times(chunk, array.cast(pa.string()), plan.zone, tally)
    elif pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        at_us = _to_us(chunk, array)
        if getattr(array.type, "tz", None) is None:
            at_us = _localized(at_us, plan.zone, tally)
    else:
        raise wrong_type(chunk, "at", array.type, "timestamps, dates or ISO 8601 text")
    if at_us.size and at_us.min() < EARLIEST_US:
        row = int(np.argmax(at_us < EARLIEST_US))
        raise InvalidValueError(
            f"{chunk.place(row, 'at')}: the time lies before 1970-01-01; remove rows with placeholder dates"
        )
    at_us = values["at_us"] = frozen(at_us)
    values["day"] = local_days(at_us, plan.run_zone.transitions_us, plan.run_zone.offsets_us)
    keep: npt.NDArray[np.bool_] = at_us < plan.as_of_us
    tally.rows_after_as_of = int(at_us.size - np.count_nonzero(keep))
    return keep if tally.rows_after_as_of else None


def _to_us(chunk: Chunk, array: pa.Array) -> npt.NDArray[np.int64]:
    """Microseconds as stored: nanoseconds are cut off, seconds and days checked for overflow."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.date32()).cast(pa.timestamp("us"))
    elif array.type.unit == "ns":
        ticks = as_numpy(array.cast(pa.int64()))
        return np.floor_divide(ticks, 1000)
    unit = pa.timestamp("us", tz=array.type.tz)
    array = checked(chunk, "at", array, lambda part: part.cast(unit), "the time is out of range")
    ticks = as_numpy(array.cast(pa.int64()))
    return ticks.astype(np.int64, copy=False)


def _parsed_times(chunk: Chunk, text: pa.Array, zone: ZoneTable, tally: Tally) -> npt.NDArray[np.int64]:
    text = pc.utf8_trim_whitespace(text)
    # A date alone ends in `-01` too, so a zone is looked for only after a time of day.
    zoned = as_numpy(pc.and_(pc.greater(pc.utf8_length(text), 10), pc.match_substring_regex(text, _ZONED)))
    out = np.empty(len(text), np.int64)
    for mask, unit in ((~zoned, pa.timestamp("us")), (zoned, pa.timestamp("us", tz="UTC"))):
        if not mask.any():
            continue
        rows = np.flatnonzero(mask)
        part = pc.replace_substring_regex(text.filter(as_arrow(mask)), _TOO_FINE, r"\1")
        cast = checked(chunk, "at", part, methodcaller("cast", unit), "not an ISO 8601 time", rows=rows)
        ticks = as_numpy(cast.cast(pa.int64()))
        out[rows] = ticks if unit.tz else _localized(ticks, zone, tally)
    return out


def _localized(wall_us: npt.NDArray[np.int64], zone: ZoneTable, tally: Tally) -> npt.NDArray[np.int64]:
    if not zone.transitions_us.size and not zone.offsets_us[0]:
        return wall_us
    at_us, ambiguous, nonexistent = localize(frozen(wall_us), zone.transitions_us, zone.offsets_us)
    tally.times_ambiguous += int(ambiguous)
    tally.times_nonexistent += int(nonexistent)
    return at_us


def _attribute(column: pa.ChunkedArray) -> pa.Array:
    """A free column; text in whatever form becomes plain text, so that equal data gives equal files."""
    array = one_array(column)
    if pa.types.is_dictionary(array.type) and is_text(array.type):
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.string()))
    return array.cast(pa.string()) if is_text(array.type) else array


def _categories(chunk: Chunk) -> pa.DictionaryArray:
    array = one_array(chunk.table["category"])
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.string())
    if not is_text(array.type):
        raise wrong_type(chunk, "category", array.type, "text or integers")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.cast(pa.dictionary(pa.int32(), pa.string()))


def _filtered(array: Any, keep: npt.NDArray[np.bool_]) -> Any:
    return array[keep] if isinstance(array, np.ndarray) else array.filter(as_arrow(keep))
