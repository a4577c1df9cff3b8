"""Figures as exact integers: floats, integers, decimals and decimal text to fixed-point units."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.cpu.checks import Rows, is_text, one_array, or_nothing
from gpuseg.vocabulary import Column

_EXACT = 2**53
_FIGURES = "numbers or decimal text"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_LONGEST = as_arrow(np.array([70], np.int32))[0]


def minor_amounts(rows: Rows, scale: int) -> tuple[npt.NDArray[np.int64], int]:
    """Amounts in minor units, and how many were finer than that and rounded half to even.

    Raises
    ------
    BadRows
        If an amount is not finite, not a number, or too large.
    SchemaError
        If the column's type cannot hold amounts.
    """
    return _fixed_point(rows, one_array(rows.table["amount"]), "amount", "the amount", scale)


def known_numbers(rows: Rows, column: Column, scale: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """An optional figure times `scale`, rounded half to even and 0 where it is missing, and where it is known.

    Raises
    ------
    BadRows
        If a figure is infinite, not a number, out of the column's bounds, or not whole where it must be; NaN counts as
        missing.
    SchemaError
        If the column's type cannot hold figures.
    """
    array = or_nothing(one_array(rows.table[column.name]))
    kind = array.type
    if not (is_text(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise rows.wrong_type(column.name, kind, _FIGURES)
    known = ~as_numpy(array.is_null())
    if pa.types.is_floating(array.type):
        known &= ~np.isnan(as_numpy(array))
    if not known.all():
        # A zero stands in; neither a scalar nor a cast of null can be converted in every type.
        array = pc.if_else(as_arrow(known), array, pa.scalar(_zero(array.type), array.type))
    if is_text(array.type):
        array = _decimal_text(rows, array.cast(pa.string()), column.name, "the figure")
    values, _ = _fixed_point(rows, array, column.name, "the figure", scale)
    beyond = _beyond(array, column)
    if beyond.any():
        least, most = (f"{bound:g}" for bound in (column.least, column.most))
        raise rows.bad(np.flatnonzero(beyond & known), column.name, f"the figure is not between {least} and {most}")
    if column.whole:
        rows.refuse(known & _broken(array), column.name, "the figure is not a whole number")
    return np.where(known, values, 0), known


def _broken(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Where figures have a fraction."""
    if pa.types.is_floating(array.type):
        figures = as_numpy(array).astype(np.float64, copy=False)
        return np.asarray(figures != np.rint(figures))
    if pa.types.is_decimal(array.type):
        return as_numpy(pc.not_equal(pc.round(array), array))
    return np.zeros(len(array), np.bool_)


def _beyond(array: pa.Array, column: Column) -> npt.NDArray[np.bool_]:
    """Where figures lie outside the column's bounds, before any rounding."""
    outside = np.zeros(len(array), np.bool_)
    if pa.types.is_floating(array.type):
        figures = as_numpy(array).astype(np.float64, copy=False)
        return np.asarray((figures < column.least) | (figures > column.most))
    for compare, bound in ((pc.less, column.least), (pc.greater, column.most)):
        if np.isfinite(bound):
            outside |= as_numpy(compare(array, pa.scalar(int(bound))))
    return outside


def _zero(kind: pa.DataType) -> object:
    return "0" if is_text(kind) else 0


def _fixed_point(rows: Rows, array: pa.Array, column: str, what: str, scale: int) -> tuple[npt.NDArray[np.int64], int]:
    kind = array.type
    if pa.types.is_floating(kind):
        return _from_floats(rows, array, column, what, scale)
    if pa.types.is_integer(kind):
        return _from_decimals(rows, array.cast(pa.decimal128(38, 0)), column, what, scale)
    if pa.types.is_decimal(kind):
        return _from_decimals(rows, array, column, what, scale)
    if is_text(kind):
        return _from_decimals(rows, _decimal_text(rows, array.cast(pa.string()), column, what), column, what, scale)
    raise rows.wrong_type(column, kind, _FIGURES)


def _from_floats(rows: Rows, array: pa.Array, column: str, what: str, scale: int) -> tuple[npt.NDArray[np.int64], int]:
    amounts = as_numpy(array).astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        scaled = amounts * scale
    whole = np.rint(scaled)
    good = np.abs(scaled) <= _EXACT
    if not good.all():
        rows.refuse(~np.isfinite(amounts), column, f"{what} is not a finite number")
        rows.refuse(~good, column, f"{what} is larger than 2^53 {_units(column)}")
    # Binary floats miss most decimals by a hair; only a clear remainder is an amount finer than the scale.
    hair = float(np.finfo(amounts.dtype if array.type == pa.float64() else np.float32).eps) * np.abs(scaled)
    rounded = int(np.count_nonzero(np.abs(scaled - whole) > np.maximum(1e-6, hair)))
    return whole.astype(np.int64), rounded


def _from_decimals(
    rows: Rows, array: pa.Array, column: str, what: str, scale: int
) -> tuple[npt.NDArray[np.int64], int]:
    digits = len(str(scale)) - 1
    # Rounding may carry into one more digit than the column has.
    array = array.cast(pa.decimal256(min(76, array.type.precision + 1), array.type.scale))
    exact = pc.round(array, ndigits=digits, round_mode="half_to_even")
    rounded = int(pc.sum(pc.not_equal(exact, array)).as_py() or 0)

    def minor(part: pa.Array) -> pa.Array:
        rescaled = part.cast(pa.decimal256(60, digits))
        return pc.multiply(rescaled, pa.scalar(scale, pa.decimal256(10, 0))).cast(pa.decimal256(71, 0)).cast(pa.int64())

    cast = rows.converted(column, exact, minor, f"{what} is larger than 2^63 {_units(column)}")
    return as_numpy(cast), rounded


def _decimal_text(rows: Rows, text: pa.Array, column: str, what: str) -> pa.Array:
    text = pc.utf8_trim_whitespace(text)
    good = as_numpy(pc.match_substring_regex(text, _NUMBER))
    rows.refuse(~good, column, "not a finite decimal number such as 1234.50 (no thousands separators)")
    reason = f"{what} has more than 36 digits or more than 24 decimals"
    # Beyond what 256 bits hold, Arrow's parser wraps around without a word.
    rows.refuse(as_numpy(pc.greater(pc.utf8_length(text), _LONGEST)), column, reason)
    return rows.converted(column, text, lambda part: part.cast(pa.decimal256(60, 24)), reason)


def _units(column: str) -> str:
    return "minor units" if column == "amount" else "thousandths"
