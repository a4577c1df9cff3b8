"""Which parts of a Parquet file elsewhere are fetched together, so that requests are few and memory is bounded."""

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

_FETCHED_BYTES = 64 << 20
_BUFFER_BYTES = 4 << 20


def fetch_plan(metadata: pq.FileMetaData, columns: Sequence[str]) -> list[tuple[list[int], dict[str, Any]]]:
    """Row groups to read in turn, with options of `pyarrow.parquet.ParquetFile`.

    Row groups whose column chunks are at most 64 MiB together are fetched ahead, neighbouring chunks in one request.
    A larger row group is read page by page, 4 MiB of each column at a time.

    Parameters
    ----------
    metadata : FileMetaData
    columns : sequence of str
        Those that will be read.

    Returns
    -------
    list of (list of int, dict)
    """
    plan: list[tuple[list[int], dict[str, Any]]] = []
    held = _FETCHED_BYTES + 1
    for number in range(metadata.num_row_groups):
        size = _bytes_of(metadata.row_group(number), columns)
        if held + size <= _FETCHED_BYTES:
            plan[-1][0].append(number)
            held += size
        else:
            plan.append(([number], {"pre_buffer": True} if size <= _FETCHED_BYTES else {"buffer_size": _BUFFER_BYTES}))
            held = size
    return plan


def _bytes_of(group: pq.RowGroupMetaData, columns: Sequence[str]) -> int:
    chunks = (group.column(place) for place in range(group.num_columns))
    own = tuple(f"{name}." for name in columns)
    return sum(chunk.total_compressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(own))
