"""NumPy and Arrow columns over the same memory.

Arrow's own conversions from Python objects import pandas, which costs every start; these do not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def as_numpy(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """A numeric or boolean column as a read-only NumPy array, without a copy where Arrow allows it.

    Parameters
    ----------
    column : Arrow array
        Integers, floats or booleans; nulls only in floats.

    Returns
    -------
    array, shape (n_rows,)
        NaN for null. Always read-only, so that compiled kernels see one type and compile once.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
    if pa.types.is_boolean(column.type):
        column, kind = column.cast(pa.uint8()), np.dtype(np.bool_)
    else:
        kind = np.dtype(column.type.to_pandas_dtype())
    if not column.null_count:
        return frozen(_values(column, kind))
    return frozen(np.where(_nulls(column), np.nan, _values(column, kind)))


def codes_of(column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
    """Codes of a dictionary column, -1 for null; read-only, shape (n_rows,)."""
    indices = column.indices
    codes = _values(indices, np.dtype(indices.type.to_pandas_dtype())).astype(np.int32, copy=False)
    return frozen(np.where(_nulls(indices), np.int32(-1), codes) if indices.null_count else codes)


def _values(column: pa.Array, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The memory of a column; anything where it is null."""
    buffer = column.buffers()[1]
    if buffer is None or not len(column):
        return np.zeros(len(column), kind)
    return np.frombuffer(buffer, kind)[column.offset : column.offset + len(column)]


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_]:
    # Not pc.fill_null: a Python scalar on its way to Arrow imports pandas.
    return _values(column.is_null().cast(pa.uint8()), np.dtype(np.bool_))


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same array, read-only as those of `as_numpy` are."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_arrow(array: npt.NDArray[Any], null: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """A NumPy array as an Arrow array over the same memory.

    Parameters
    ----------
    array : integer, float or boolean array, shape (n_rows,)
    null : bool array, shape (n_rows,), optional
        Rows that are null.
    """
    array = np.ascontiguousarray(array)
    data = pa.py_buffer(np.packbits(array, bitorder="little") if array.dtype == np.bool_ else array)
    n_null = 0 if null is None else int(np.count_nonzero(null))
    validity = pa.py_buffer(np.packbits(~null, bitorder="little")) if null is not None and n_null else None
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), array.size, [validity, data], n_null)


def text_arrow(words: Sequence[str]) -> pa.Array:
    """Strings as an Arrow array, shape (n_words,)."""
    encoded = [word.encode() for word in words]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(word) for word in encoded], out=offsets[1:])
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )
