"""Checks on raw columns, and the errors that name a file, a row and a column."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.cpu.reading import Chunk
from gpuseg.errors import InvalidValueError, SchemaError

RowNumbers = npt.NDArray[np.int64]


class BadRows(InvalidValueError):
    """Rows of a chunk whose value in one column cannot be used.

    Parameters
    ----------
    message : str
        One line about the first of them.
    rows : int64 array
        Their places among the rows that were looked at.
    column : str
        Canonical name.
    reason : str
    """

    def __init__(self, message: str, rows: RowNumbers, column: str, reason: str) -> None:
        super().__init__(message)
        self.rows = rows
        self.column = column
        self.reason = reason

    def __reduce__(self) -> tuple[type["BadRows"], tuple[Any, ...]]:
        # It may cross processes as what an error comes from.
        return type(self), (str(self), self.rows, self.column, self.reason)


@dataclass(frozen=True)
class Rows:
    """The rows of a chunk that are still good.

    Parameters
    ----------
    chunk : Chunk
    table : pa.Table
    places : int64 array or None
        Place of each row in the chunk; None for all in order.
    find_all : bool
        Whether a check looks for every bad row, not only the first.
    """

    chunk: Chunk
    table: pa.Table
    places: RowNumbers | None = None
    find_all: bool = False

    def bad(self, rows: RowNumbers, column: str, reason: str) -> BadRows:
        """The error for rows that fail a check."""
        first = int(rows[0]) if self.places is None else int(self.places[rows[0]])
        return BadRows(f"{self.chunk.place(first, column)}: {reason}", rows, column, reason)

    def refuse(self, wrong: npt.NDArray[np.bool_], column: str, reason: str) -> None:
        """Raise `BadRows` if any row is wrong."""
        if wrong.any():
            raise self.bad(np.flatnonzero(wrong), column, reason)

    def wrong_type(self, column: str, found: pa.DataType, wanted: str) -> SchemaError:
        """The error for a column whose type cannot hold what it should."""
        chunk = self.chunk
        return SchemaError(
            f"{chunk.source}: {chunk.file}, column {chunk.names[column]!r}: the type is {found}, "
            f"but {column} needs {wanted}"
        )

    def converted(
        self,
        column: str,
        array: pa.Array,
        convert: Callable[[pa.Array], pa.Array],
        reason: str,
        *,
        rows: RowNumbers | None = None,
    ) -> pa.Array:
        """Convert an array; where that fails, find the bad rows by bisection.

        Parameters
        ----------
        column : str
        array : Arrow array
        convert : callable
            Raises an Arrow error where a value cannot be converted.
        reason : str
            What is wrong with such a value.
        rows : int64 array, optional
            Rows that the values belong to; all in order where not given.
        """
        try:
            return convert(array)
        except pa.ArrowException:
            found = np.array(_failing(array, convert, find_all=self.find_all), np.int64)
        raise self.bad(found if rows is None else rows[found], column, reason)


def _failing(array: pa.Array, convert: Callable[[pa.Array], pa.Array], *, find_all: bool) -> list[int]:
    """Places of the values that cannot be converted, ascending; only the first unless all are asked for."""
    found: list[int] = []
    spans = [(0, len(array))]
    while spans:
        low, high = spans.pop()
        try:
            convert(array.slice(low, high - low))
            continue
        except pa.ArrowException:
            if high - low == 1:
                found.append(low)
                if find_all:
                    continue
                break
        middle = (low + high) // 2
        spans += [(middle, high), (low, middle)]
    return found


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The chunks of a column as one array."""
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = combined.chunk(0) if combined.num_chunks == 1 else pa.concat_arrays(combined.chunks)
    return combined


def or_nothing(array: pa.Array) -> pa.Array:
    """An array of nothing but nulls and NaN as text without a value, whatever its type; any other as it is."""
    nothing = array.null_count == len(array)
    if not nothing and pa.types.is_floating(array.type):
        nothing = bool(np.isnan(as_numpy(array)).all())
    return pa.nulls(len(array), pa.string()) if nothing else array


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text, plain or as a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
