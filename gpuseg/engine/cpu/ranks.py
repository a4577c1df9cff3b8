"""Ranks of ids: each distinct id's place in the ascending order of integers or of UTF-8 bytes."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


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
    encoded = ids.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks().chunk(0)
    values = encoded.dictionary
    order = pc.sort_indices(values)
    places = order.to_numpy()
    ranks_of_code = np.empty(places.size, np.int32)
    ranks_of_code[places] = np.arange(places.size, dtype=np.int32)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    return ranks_of_code[codes], values.take(order)


def sorted_runs(ids: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], Any]:
    """Offsets between the runs of equal ids in a column that is already sorted, and the id of each run."""
    if pa.types.is_integer(ids.type):
        values = ids.to_numpy()
        starts = _changes(values)
        offsets = np.append(starts, values.size).astype(np.int64)
        return offsets, pa.array(values[starts])
    ranks, distinct = rank_ids(ids)
    return np.searchsorted(ranks, np.arange(len(distinct) + 1)).astype(np.int64), distinct


@nb.njit(cache=True, nogil=True)
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
