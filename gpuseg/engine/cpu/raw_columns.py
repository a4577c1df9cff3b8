"""Raw columns in plain form, the same for every format: what is empty is null, and few kinds of type remain."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.file_schemas import plain_type


def plain_column(column: pa.ChunkedArray, empty_type: pa.DataType | None = None) -> pa.ChunkedArray:
    """A column without empty text and without types that only say how values are stored.

    Parameters
    ----------
    column : Arrow chunked array
    empty_type : Arrow type, optional
        Type of a column of Arrow's null type; text where not given.

    Returns
    -------
    Arrow chunked array
        An empty text is null, as it is in CSV. Text may stay a dictionary, whose entries are then neither empty nor
        null; other dictionaries and runs are spread out.
    """
    if pa.types.is_run_end_encoded(column.type):
        column = _each(column, pc.run_end_decode, column.type.value_type)
    if pa.types.is_dictionary(column.type) and not _is_sound_dictionary(column):
        column = _each(column, lambda part: part.dictionary_decode(), column.type.value_type)
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), empty_type or pa.string())])
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _each(column, _empty_to_null, column.type)
    return column


def _each(column: pa.ChunkedArray, change: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([change(part) for part in column.chunks], kind)


def _is_sound_dictionary(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_string(plain_type(column.type)):
        return False
    for part in column.chunks:
        words = part.dictionary.cast(pa.large_string())
        if words.null_count or not np.all(_lengths(words)):
            return False
    return True


def _lengths(text: pa.Array) -> npt.NDArray[Any]:
    """Bytes of each value, shape (n_rows,); anything where it is null."""
    kind = np.int64 if pa.types.is_large_string(text.type) else np.int32
    offsets = text.buffers()[1]
    if offsets is None or not len(text):
        return np.zeros(len(text), kind)
    return np.diff(np.frombuffer(offsets, kind)[text.offset : text.offset + len(text) + 1])


def _empty_to_null(text: pa.Array) -> pa.Array:
    filled = _lengths(text) > 0
    if filled.all():
        return text
    valid = filled & as_numpy(text.is_valid())
    n_null = int(valid.size - np.count_nonzero(valid))
    if n_null == text.null_count:
        return text
    _, offsets, data = text.buffers()
    width = 8 if pa.types.is_large_string(text.type) else 4
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(text.type, len(text), [bits, offsets.slice(text.offset * width), data], n_null)
