"""NumPy and Arrow columns over the same memory.

Arrow's own conversions import pandas, which costs half a second of every start; these do not.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


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
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_boolean(column.type):
        column, kind = column.cast(pa.uint8()), np.dtype(np.bool_)
    else:
        kind = np.dtype(column.type.to_pandas_dtype())
    if column.null_count:
        column = pc.fill_null(column, float("nan"))
    buffer = column.buffers()[1]
    if buffer is None or not len(column):
        return frozen(np.empty(0, kind))
    return frozen(np.frombuffer(buffer, kind)[column.offset : column.offset + len(column)])


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
