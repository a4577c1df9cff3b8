"""Money as exact integers: floats, integers, decimals and decimal text to minor units."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.cpu.checks import checked, is_text, one_array, wrong_type
from gpuseg.engine.cpu.reading import Chunk
from gpuseg.errors import InvalidValueError

_EXACT = 2**53
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"


def minor_amounts(chunk: Chunk, scale: int) -> tuple[npt.NDArray[np.int64], int]:
    """Amounts of a chunk in minor units, and how many were finer than that and rounded half to even.

    Raises
    ------
    InvalidValueError
        If an amount is not finite, not a number, or too large.
    SchemaError
        If the column's type cannot hold amounts.
    """
    array = one_array(chunk.table["amount"])
    kind = array.type
    if pa.types.is_floating(kind):
        return _from_floats(chunk, array, scale)
    if pa.types.is_integer(kind):
        return _from_decimals(chunk, array.cast(pa.decimal128(38, 0)), scale)
    if pa.types.is_decimal(kind):
        return _from_decimals(chunk, array, scale)
    if is_text(kind):
        return _from_decimals(chunk, _decimal_text(chunk, array.cast(pa.string())), scale)
    raise wrong_type(chunk, "amount", kind, "numbers or decimal text")


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
    cast = checked(chunk, "amount", exact, minor, reason)
    return as_numpy(cast), rounded


def _decimal_text(chunk: Chunk, text: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(text)
    good = pc.match_substring_regex(text, _NUMBER)
    if not pc.all(good).as_py() and len(text):
        row = int(pc.index(good, False).as_py())
        raise InvalidValueError(
            f"{chunk.place(row, 'amount')}: not a finite decimal number such as 1234.50 (no thousands separators)"
        )
    return checked(
        chunk,
        "amount",
        text,
        lambda part: part.cast(pa.decimal256(60, 24)),
        "the amount has more than 36 digits or more than 24 decimals",
    )
