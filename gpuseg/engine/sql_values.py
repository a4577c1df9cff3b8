"""Values of Python, as database drivers give them, as Arrow columns; no exact figure becomes a float."""

import datetime as dt
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow, text_arrow

_EXACT = 2**53
_WALL = pa.timestamp("us")
_INSTANT = pa.timestamp("us", tz="UTC")
_FIRST_DAY = dt.date(1970, 1, 1).toordinal()


def arrow_type(values: Sequence[Any]) -> pa.DataType:
    """The type that holds some values: text where they are of several types, or exact decimals.

    Parameters
    ----------
    values : sequence
        Of Python; None for null.

    Returns
    -------
    Arrow type
        int64, float64, bool, date32, timestamp (microseconds, with or without zone), binary, text; null for no value.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.null()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64() if _within(values, 2**63 - 1) else pa.string()
    if kinds <= {int, float}:
        return pa.float64() if kinds == {float} or _within(values, _EXACT) else pa.string()
    if kinds == {dt.date}:
        return pa.date32()
    if kinds == {dt.datetime}:
        zoned = {value.tzinfo is not None for value in values if value is not None}
        return pa.string() if len(zoned) == 2 else _INSTANT if zoned == {True} else _WALL
    return pa.binary() if kinds <= {bytes, bytearray, memoryview} else pa.string()


def free_type(kind: pa.DataType) -> pa.DataType:
    """The type of a free column, the same in all batches: figures are spelt out, as they are in CSV."""
    keeps = pa.types.is_boolean(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return kind if keeps else pa.string()


def arrow_column(values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array | None:
    """Values as an Arrow array.

    Parameters
    ----------
    values : sequence
    kind : Arrow type, optional
        Type that is wanted; that of the values where not given.

    Returns
    -------
    Arrow array or None
        An empty text stands for null, as everywhere; None where a value does not fit the wanted type.
    """
    found = arrow_type(values)
    kind = found if kind is None else kind
    if pa.types.is_null(found):
        return pa.nulls(len(values), kind)
    if pa.types.is_string(kind):
        return text_arrow(["" if value is None else _spelt(value) for value in values])
    if found != kind:
        return None
    if pa.types.is_binary(kind):
        return pa.array([None if value is None else bytes(value) for value in values], kind)
    null = np.fromiter((value is None for value in values), np.bool_, len(values))
    return as_arrow(_ticks(values, kind), null).cast(kind)


def _ticks(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Values of one type as figures; anything where they are None."""
    if pa.types.is_date(kind):
        return np.array([0 if value is None else value.toordinal() - _FIRST_DAY for value in values], np.int32)
    if kind == _INSTANT:
        values = [None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None) for value in values]
    if pa.types.is_timestamp(kind):
        return np.array(values, "datetime64[us]").astype(np.int64)
    zeros = [0 if value is None else value for value in values] if None in values else values
    return np.array(zeros, kind.to_pandas_dtype())


def _within(values: Sequence[Any], most: int) -> bool:
    whole = [value for value in values if type(value) is int]
    return not whole or (max(whole) <= most and min(whole) >= -most)


def _spelt(value: Any) -> str:
    """A value as CSV would hold it; empty for what is not a number."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
