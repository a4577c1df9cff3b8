"""Ranks of ids: each distinct id's place in the ascending order of integers or of UTF-8 bytes."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.kernels import compiled

_DENSE = 8
"""Numbers in the range of ids, for every row, up to which a table with a place for each is the fastest."""


def rank_ids(ids: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], Any]:
    """Rank of each row's id and the distinct ids in order.

    Parameters
    ----------
    ids : int64 or large_string Arrow array, shape (n_rows,), no nulls

    Returns
    -------
    ranks : int32 array, shape (n_rows,)
    distinct : Arrow array, shape (n_ids,)
        Ascending: integers by value, text by UTF-8 bytes.
    """
    if pa.types.is_integer(ids.type):
        values = as_numpy(ids)
        low, high = _extent(values)
        if high - low < _DENSE * len(values):
            ranks, distinct = _ranks_in_range(values, low, high - low + 1)
            return ranks, as_arrow(distinct)
        codes, distinct = _distinct_codes(values)
        order = np.argsort(distinct)
        ranks_of_code = np.empty(order.size, np.int32)
        ranks_of_code[order] = np.arange(order.size, dtype=np.int32)
        return ranks_of_code.take(codes), as_arrow(distinct.take(order))
    encoded = ids.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks().chunk(0)
    values = encoded.dictionary
    sorted_places = pc.sort_indices(values)
    ranks_of_code = np.empty(len(values), np.int32)
    ranks_of_code[as_numpy(sorted_places)] = np.arange(len(values), dtype=np.int32)
    return ranks_of_code.take(as_numpy(encoded.indices)), values.take(sorted_places)


def _extent(values: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Smallest and largest value, of any size; of nothing, a range of nothing."""
    return (int(values.min()), int(values.max())) if values.size else (0, -1)


def sorted_runs(ids: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], Any]:
    """Offsets between the runs of equal ids in a column that is already sorted, and the id of each run."""
    if pa.types.is_integer(ids.type):
        values = as_numpy(ids)
        starts = _changes(values)
        offsets = np.append(starts, values.size).astype(np.int64)
        return offsets, as_arrow(values[starts])
    ranks, distinct = rank_ids(ids)
    return np.searchsorted(ranks, np.arange(len(distinct) + 1)).astype(np.int64), distinct


@compiled
def _changes(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    n = 0
    for row in range(values.size):
        if row == 0 or values[row] != values[row - 1]:
            n += 1
    starts = np.empty(n, np.int64)
    n = 0
    for row in range(values.size):
        if row == 0 or values[row] != values[row - 1]:
            starts[n] = row
            n += 1
    return starts


@compiled
def _ranks_in_range(
    values: npt.NDArray[np.int64], low: int, n_places: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Rank of each value and the distinct values, by a table with a place for every number of their range."""
    rank_of = np.zeros(n_places, np.int32)
    for row in range(values.size):
        rank_of[values[row] - low] = 1
    n = 0
    for place in range(n_places):
        here = rank_of[place]
        rank_of[place] = n
        n += here
    ranks = np.empty(values.size, np.int32)
    distinct = np.empty(n, np.int64)
    for row in range(values.size):
        rank = rank_of[values[row] - low]
        ranks[row] = rank
        distinct[rank] = values[row]
    return ranks, distinct


@compiled
def _distinct_codes(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Code of each value, in order of first sight, and the value of each code; open addressing, at most half full."""
    codes = np.empty(values.size, np.int32)
    distinct = np.empty(1024, np.int64)
    bits = 11
    table = np.full(1 << bits, -1, np.int32)
    n = 0
    for row in range(values.size):
        value = values[row]
        slot = _slot(value, bits)
        while table[slot] >= 0 and distinct[table[slot]] != value:
            slot = (slot + 1) & (table.size - 1)
        if table[slot] < 0:
            if n == distinct.size:
                grown = np.empty(2 * n, np.int64)
                grown[:n] = distinct
                distinct = grown
                bits += 1
                table = np.full(1 << bits, -1, np.int32)
                for code in range(n):
                    slot = _slot(distinct[code], bits)
                    while table[slot] >= 0:
                        slot = (slot + 1) & (table.size - 1)
                    table[slot] = code
                slot = _slot(value, bits)
                while table[slot] >= 0:
                    slot = (slot + 1) & (table.size - 1)
            table[slot] = n
            distinct[n] = value
            n += 1
        codes[row] = table[slot]
    return codes, distinct[:n].copy()


@nb.njit(inline="always")
def _slot(value, bits):  # type: ignore[no-untyped-def]
    """Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    return np.int64((np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
