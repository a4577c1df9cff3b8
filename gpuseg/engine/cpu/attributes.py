"""Attributes of profiles as columns of figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.expression import Attribute, Expression

_TICKS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Value:
    """One column: int64 or float64, and where it is null (None: nowhere; float64 nulls are NaN)."""

    values: npt.NDArray[Any]
    null: npt.NDArray[np.bool_] | None = None


def attribute_values(
    state: Mapping[str, pa.Table], attributes: Iterable[Attribute], profiles: pa.Array
) -> dict[Expression, Value]:
    """The figures of profiles.

    Parameters
    ----------
    state : mapping of table name to Arrow table
        A table that is absent holds nobody.
    attributes : iterable of Attribute
    profiles : Arrow array, shape (n_profiles,)
        Ids, of the tables' type.

    Returns
    -------
    dict of Attribute to Value, each of shape (n_profiles,)
    """
    places: dict[str, pa.Array] = {}
    found: dict[Expression, Value] = {}
    for attribute in attributes:
        table = state.get(attribute.table)
        if table is None:
            kind = np.float64 if attribute.value is None else np.int64
            found[attribute] = _unknown(len(profiles), kind)
            continue
        if attribute.table not in places:
            places[attribute.table] = pc.index_in(profiles, value_set=table["profile_id"].combine_chunks())
        column = table[attribute.column].take(places[attribute.table]).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
        found[attribute] = _figures(column, attribute)
    return found


def _unknown(n: int, kind: type) -> Value:
    return Value(np.full(n, np.nan) if kind is np.float64 else np.zeros(n, kind), np.ones(n, np.bool_))


def _figures(column: pa.Array, attribute: Attribute) -> Value:
    null = as_numpy(column.is_null())
    some = null if null.any() else None
    if attribute.value is not None:
        same = as_numpy(pc.equal(column.cast(pa.string()), attribute.value).fill_null(fill_value=False))
        return Value(same.astype(np.int64), some)
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("s"))
        ticks = as_numpy(column.cast(pa.int64()).fill_null(0))
        days = np.floor_divide(ticks, 86_400 * _TICKS_PER_SECOND[column.type.unit])
        return Value(np.where(null, np.nan, attribute.as_of_day - days), some)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_string(kind) and attribute.as_of_day:
        dates = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(column), 0, 10).cast(pa.date32())
        days = as_numpy(dates.cast(pa.int32()).cast(pa.float64()))
        return Value(attribute.as_of_day - days, some)
    elif pa.types.is_string(kind):
        column = pc.utf8_trim_whitespace(column)
    elif pa.types.is_decimal(kind):
        # Arrow's own cast to float64 misses the nearest one by a unit in the last place, text does not.
        column = column.cast(pa.string())
    values = as_numpy(column.cast(pa.float64(), safe=False))
    return Value(values, some)
