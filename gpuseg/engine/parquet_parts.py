"""Which parts of a Parquet file elsewhere are fetched together, so that requests are few and memory is bounded."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow.parquet as pq

_FETCHED_BYTES = 64 << 20
_BUFFER_BYTES = 4 << 20


def fetch_plan(
    metadata: pq.FileMetaData, columns: Sequence[str], wanted: Iterable[int]
) -> list[tuple[list[int], dict[str, Any]]]:
    """Row groups to read in turn, with options of `pyarrow.parquet.ParquetFile`.

    Row groups whose column chunks are at most 64 MiB together are fetched ahead, neighbouring chunks in one request.
    A larger row group is read page by page, 4 MiB of each column at a time.

    Parameters
    ----------
    metadata : FileMetaData
    columns : sequence of str
        Those that will be read.
    wanted : iterable of int
        Numbers of the row groups.

    Returns
    -------
    list of (list of int, dict)
    """
    plan: list[tuple[list[int], dict[str, Any]]] = []
    held = _FETCHED_BYTES + 1
    for number in wanted:
        size = _bytes_of(metadata.row_group(number), columns)
        if held + size <= _FETCHED_BYTES:
            plan[-1][0].append(number)
            held += size
        else:
            plan.append(([number], {"pre_buffer": True} if size <= _FETCHED_BYTES else {"buffer_size": _BUFFER_BYTES}))
            held = size
    return plan


def row_group_parts(metadata: pq.FileMetaData, n_bytes: int) -> list[tuple[int, int, int]]:
    """Runs of row groups of at most so many stored bytes, or of one that is larger.

    Returns
    -------
    list of (int, int, int)
        The first row group of each run, the first after it, and the number of its first row, counted from 1.
    """
    found: list[tuple[int, int, int]] = []
    low, row, next_row, held = 0, 1, 1, 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size = sum(group.column(place).total_compressed_size for place in range(group.num_columns))
        if held and held + size > n_bytes:
            found.append((low, number, row))
            low, row, held = number, next_row, 0
        held += size
        next_row += group.num_rows
    return [*found, (low, metadata.num_row_groups, row)]


def _bytes_of(group: pq.RowGroupMetaData, columns: Sequence[str]) -> int:
    chunks = (group.column(place) for place in range(group.num_columns))
    own = tuple(f"{name}." for name in columns)
    return sum(chunk.total_compressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(own))
