"""Turns raw columns into canonical integer columns, with every value checked on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen
from gpuseg.engine.cpu.reading import Chunk
from gpuseg.engine.cpu.times import local_days, localize
from gpuseg.engine.program import IdType, ReadPlan, Tally, ZoneTable
from gpuseg.errors import InvalidValueError, SchemaError
from gpuseg.vocabulary import EARLIEST_US, KINDS

_EXACT = 2**53
_INT64_MAX = 2**63 - 1
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
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
    _amounts(chunk, plan, values, tally)
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
    array = _one_array(chunk.table[column])
    if pa.types.is_dictionary(array.type) and _is_text(array.type):
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.large_string()))
    elif pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if wanted == "text":
        if _is_text(array.type):
            return array.cast(pa.large_string())
        if pa.types.is_integer(array.type):
            return array.cast(pa.string()).cast(pa.large_string())
        raise _wrong_type(chunk, column, array.type, "text or integers")
    if not (pa.types.is_integer(array.type) or _is_text(array.type)):
        raise _wrong_type(chunk, column, array.type, "integers or text")
    if _is_text(array.type):
        # Arrow would take hexadecimal too, and make one profile of `31` and `0x1F`.
        whole = pc.match_substring_regex(array.cast(pa.string()), r"^[+-]?[0-9]+$")
        if not pc.all(whole).as_py() and len(array):
            row = int(pc.index(whole, False).as_py())
            raise InvalidValueError(f"{chunk.place(row, column)}: not a whole number within int64")
    cast = _checked(chunk, column, array, lambda part: part.cast(pa.int64()), "not a whole number within int64")
    return cast if cast.null_count else as_numpy(cast)


def _count_nulls(chunk: Chunk, column: str, tally: Tally, *, required: bool) -> None:
    array = chunk.table[column]
    if array.null_count and required:
        row = int(pc.index(array.is_null(), True).as_py())
        raise InvalidValueError(f"{chunk.place(row, column)}: the value is missing; every row needs one")
    tally.null_counts[column] = array.null_count


def _times(chunk: Chunk, plan: ReadPlan, values: dict[str, Any], tally: Tally) -> npt.NDArray[np.bool_] | None:
    array = _one_array(chunk.table["at"])
    if _is_text(array.type):
        at_us = _parsed_times(chunk, array.cast(pa.string()), plan.zone, tally)
    elif pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        at_us = _to_us(chunk, array)
        if getattr(array.type, "tz", None) is None:
            at_us = _localized(at_us, plan.zone, tally)
    else:
        raise _wrong_type(chunk, "at", array.type, "timestamps, dates or ISO 8601 text")
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
    array = _checked(chunk, "at", array, lambda part: part.cast(unit), "the time is out of range")
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
        cast = _checked(chunk, "at", part, methodcaller("cast", unit), "not an ISO 8601 time", rows=rows)
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


def _amounts(chunk: Chunk, plan: ReadPlan, values: dict[str, Any], tally: Tally) -> None:
    array = _one_array(chunk.table["amount"])
    kind = array.type
    if pa.types.is_floating(kind):
        minor, rounded = _from_floats(chunk, array, plan.amount_scale)
    elif pa.types.is_integer(kind):
        minor, rounded = _from_decimals(chunk, array.cast(pa.decimal128(38, 0)), plan.amount_scale)
    elif pa.types.is_decimal(kind):
        minor, rounded = _from_decimals(chunk, array, plan.amount_scale)
    elif _is_text(kind):
        minor, rounded = _from_decimals(chunk, _decimal_text(chunk, array.cast(pa.string())), plan.amount_scale)
    else:
        raise _wrong_type(chunk, "amount", kind, "numbers or decimal text")
    values["amount_minor"] = minor
    tally.amounts_rounded += rounded


def _from_floats(chunk: Chunk, array: pa.Array, scale: int) -> tuple[npt.NDArray[np.int64], int]:
    amounts = as_numpy(array).astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        scaled = amounts * scale
    whole = np.rint(scaled)
    good = np.abs(scaled) <= _EXACT
    if not good.all():
        row = int(np.argmin(good))
        reason = "larger than 2^53 minor units" if np.isfinite(amounts[row]) else "not a finite number"
        raise InvalidValueError(f"{chunk.place(row, 'amount')}: the amount is {reason}")
    # Binary floats miss most decimals by a hair; only a clear remainder is an amount finer than the scale.
    hair = float(np.finfo(array.type.to_pandas_dtype()).eps) * np.abs(scaled)
    rounded = int(np.count_nonzero(np.abs(scaled - whole) > np.maximum(1e-6, hair)))
    return whole.astype(np.int64), rounded


def _from_decimals(chunk: Chunk, array: pa.Array, scale: int) -> tuple[npt.NDArray[np.int64], int]:
    digits = len(str(scale)) - 1
    # Rounding may carry into one more digit than the column has.
    array = array.cast(pa.decimal256(min(76, array.type.precision + 1), array.type.scale))
    exact = pc.round(array, ndigits=digits, round_mode="half_to_even")
    rounded = int(pc.sum(pc.not_equal(exact, array)).as_py() or 0)

    def minor(part: pa.Array) -> pa.Array:
        rescaled = part.cast(pa.decimal256(60, digits))
        return pc.multiply(rescaled, pa.scalar(scale, pa.decimal256(10, 0))).cast(pa.decimal256(71, 0)).cast(pa.int64())

    reason = "the amount is larger than 2^63 minor units"
    cast = _checked(chunk, "amount", exact, minor, reason)
    return as_numpy(cast), rounded


def _decimal_text(chunk: Chunk, text: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(text)
    good = pc.match_substring_regex(text, _NUMBER)
    if not pc.all(good).as_py() and len(text):
        row = int(pc.index(good, False).as_py())
        raise InvalidValueError(
            f"{chunk.place(row, 'amount')}: not a finite decimal number such as 1234.50 (no thousands separators)"
        )
    return _checked(
        chunk,
        "amount",
        text,
        lambda part: part.cast(pa.decimal256(60, 24)),
        "the amount has more than 36 digits or more than 24 decimals",
    )


def _attribute(column: pa.ChunkedArray) -> pa.Array:
    """A free column; text in whatever form becomes plain text, so that equal data gives equal files."""
    array = _one_array(column)
    if pa.types.is_dictionary(array.type) and _is_text(array.type):
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.string()))
    return array.cast(pa.string()) if _is_text(array.type) else array


def _categories(chunk: Chunk) -> pa.DictionaryArray:
    array = _one_array(chunk.table["category"])
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.string())
    if not _is_text(array.type):
        raise _wrong_type(chunk, "category", array.type, "text or integers")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.cast(pa.dictionary(pa.int32(), pa.string()))


def _filtered(array: Any, keep: npt.NDArray[np.bool_]) -> Any:
    return array[keep] if isinstance(array, np.ndarray) else array.filter(as_arrow(keep))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = combined.chunk(0) if combined.num_chunks == 1 else pa.concat_arrays(combined.chunks)
    return combined


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _wrong_type(chunk: Chunk, column: str, found: pa.DataType, wanted: str) -> SchemaError:
    return SchemaError(
        f"{chunk.source}: {chunk.file}, column {chunk.names[column]!r}: the type is {found}, "
        f"but {column} needs {wanted}"
    )


def _checked(
    chunk: Chunk,
    column: str,
    array: pa.Array,
    convert: Callable[[pa.Array], pa.Array],
    reason: str,
    *,
    rows: npt.NDArray[np.int64] | None = None,
) -> pa.Array:
    """Convert an array; where that fails, find the first bad row by bisection and say which it is."""
    try:
        return convert(array)
    except pa.ArrowException:
        low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(array.slice(low, middle - low))
            low = middle
        except pa.ArrowException:
            high = middle
    row = low if rows is None else int(rows[low])
    raise InvalidValueError(f"{chunk.place(row, column)}: {reason}") from None
