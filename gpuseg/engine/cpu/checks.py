"""Checks on raw columns, and the errors that name a file, a row and a column."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.cpu.reading import Chunk
from gpuseg.errors import InvalidValueError, SchemaError


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The chunks of a column as one array."""
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = combined.chunk(0) if combined.num_chunks == 1 else pa.concat_arrays(combined.chunks)
    return combined


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text, plain or as a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def wrong_type(chunk: Chunk, column: str, found: pa.DataType, wanted: str) -> SchemaError:
    """The error for a column whose type cannot hold what it should."""
    return SchemaError(
        f"{chunk.source}: {chunk.file}, column {chunk.names[column]!r}: the type is {found}, "
        f"but {column} needs {wanted}"
    )


def checked(
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
