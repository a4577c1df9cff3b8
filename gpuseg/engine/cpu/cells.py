"""The compiled core of `aggregate`: rows of one bucket to day cells and distinct orders.

One pass copies what is needed of every row next to the other rows of its profile (a counting sort of small records,
so that memory is visited out of order once a row), then each profile's few records are sorted by key. Every result is
a sum, minimum or maximum of integers, so neither the order of the rows nor how they were split matters.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from gpuseg.engine.kernels import compiled

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

INSERTION_SORT_UP_TO = 32
_CATEGORY_BITS = np.int64(32)
_LARGEST_SUM = 9.0e18
_KEY, _AT, _FIRST_MEASURE = 0, 1, 2


@compiled
def day_cells(
    ranks: Int32, n_profiles: int, day: Int32, category: Int32, at_us: Int64, measures: Int64
) -> tuple[Int32, Int32, Int32, Int64, Int64, Int64, Int64, bool]:
    """Cells (profile, day, category) in that order, with lines, sums, first and last instant.

    Parameters
    ----------
    ranks : int32 array, shape (n_rows,)
        Profile of each row, as its place among the n_profiles ids.
    n_profiles : int
    day, category, at_us : arrays, shape (n_rows,)
        `category` is a rank, -1 for none; its order is the order of the cells.
    measures : int64 array, shape (n_measures, n_rows)

    Returns
    -------
    profile, day, category : int32 arrays, shape (n_cells,)
    n_lines, first_us, last_us : int64 arrays, shape (n_cells,)
    sums : int64 array, shape (n_measures, n_cells)
    overflow : bool
        Whether the absolute values of a measure of any one profile could add up past int64.
    """
    n_rows, n_measures = ranks.size, measures.shape[0]
    offsets = first_rows(ranks, n_profiles)
    records = np.empty((n_rows, _FIRST_MEASURE + n_measures), np.int64)
    cursor = offsets[:-1].copy()
    for row in range(n_rows):
        place = cursor[ranks[row]]
        cursor[ranks[row]] += 1
        records[place, _KEY] = (np.int64(day[row]) << _CATEGORY_BITS) + np.int64(category[row]) + 1
        records[place, _AT] = at_us[row]
        for measure in range(n_measures):
            records[place, _FIRST_MEASURE + measure] = measures[measure, row]
    profile_out = np.empty(n_rows, np.int32)
    day_out = np.empty(n_rows, np.int32)
    category_out = np.empty(n_rows, np.int32)
    lines_out = np.empty(n_rows, np.int64)
    first_out = np.empty(n_rows, np.int64)
    last_out = np.empty(n_rows, np.int64)
    sums_out = np.empty((n_measures, n_rows), np.int64)
    keys = np.empty(INSERTION_SORT_UP_TO, np.int64)
    places = np.empty(INSERTION_SORT_UP_TO, np.int64)
    mask = (np.int64(1) << _CATEGORY_BITS) - 1
    overflow = False
    cell = -1
    for profile in range(n_profiles):
        low, high = offsets[profile], offsets[profile + 1]
        n = high - low
        overflow |= _could_overflow(records, low, high)
        if n > places.size:
            places = np.empty(n, np.int64)
        order_by_key(records, low, n, keys, places)
        for position in range(n):
            place = places[position]
            key, at = records[place, _KEY], records[place, _AT]
            if position > 0 and key == records[places[position - 1], _KEY]:
                lines_out[cell] += 1
                first_out[cell] = min(first_out[cell], at)
                last_out[cell] = max(last_out[cell], at)
                for measure in range(n_measures):
                    sums_out[measure, cell] += records[place, _FIRST_MEASURE + measure]
                continue
            cell += 1
            profile_out[cell] = profile
            day_out[cell] = key >> _CATEGORY_BITS
            category_out[cell] = (key & mask) - 1
            lines_out[cell] = 1
            first_out[cell] = at
            last_out[cell] = at
            for measure in range(n_measures):
                sums_out[measure, cell] = records[place, _FIRST_MEASURE + measure]
    n_cells = cell + 1
    return (
        profile_out[:n_cells],
        day_out[:n_cells],
        category_out[:n_cells],
        lines_out[:n_cells],
        first_out[:n_cells],
        last_out[:n_cells],
        sums_out[:, :n_cells],
        overflow,
    )


@compiled
def distinct_orders(ranks: Int32, n_profiles: int, keys: Int64, day: Int32) -> tuple[Int32, Int64, Int32]:
    """Distinct (profile, key) in that order, with the day of the first line of each.

    Parameters
    ----------
    ranks : int32 array, shape (n_rows,)
        Profile of each row, as its place among the n_profiles ids.
    n_profiles : int
    keys : int64 array, shape (n_rows,)
        Order id, or a rank that stands for it.
    day : int32 array, shape (n_rows,)

    Returns
    -------
    profile : int32 array, shape (n_orders,)
    key : int64 array, shape (n_orders,)
    day : int32 array, shape (n_orders,)
    """
    n_rows = ranks.size
    offsets = first_rows(ranks, n_profiles)
    records = np.empty((n_rows, 2), np.int64)
    cursor = offsets[:-1].copy()
    for row in range(n_rows):
        place = cursor[ranks[row]]
        cursor[ranks[row]] += 1
        records[place, 0] = keys[row]
        records[place, 1] = day[row]
    profile_out = np.empty(n_rows, np.int32)
    key_out = np.empty(n_rows, np.int64)
    day_out = np.empty(n_rows, np.int32)
    held = np.empty(INSERTION_SORT_UP_TO, np.int64)
    places = np.empty(INSERTION_SORT_UP_TO, np.int64)
    found = -1
    for profile in range(n_profiles):
        low = offsets[profile]
        n = offsets[profile + 1] - low
        if n > places.size:
            places = np.empty(n, np.int64)
        order_by_key(records, low, n, held, places)
        for position in range(n):
            place = places[position]
            key, this_day = records[place, 0], np.int32(records[place, 1])
            if position > 0 and key == key_out[found]:
                day_out[found] = min(day_out[found], this_day)
                continue
            found += 1
            profile_out[found] = profile
            key_out[found] = key
            day_out[found] = this_day
    n_orders = found + 1
    return profile_out[:n_orders], key_out[:n_orders], day_out[:n_orders]


@compiled
def category_counts(profile: Int32, category: Int32, n_lines: Int64, n_categories: int) -> tuple[Int64, Int64]:
    """Lines and profiles of each category; the cells of a profile lie together.

    Parameters
    ----------
    profile, category : int32 arrays, shape (n_cells,)
        As `day_cells` gives them.
    n_lines : int64 array, shape (n_cells,)
    n_categories : int

    Returns
    -------
    n_lines, n_profiles : int64 arrays, shape (n_categories,)
    """
    lines = np.zeros(n_categories, np.int64)
    profiles = np.zeros(n_categories, np.int64)
    latest = np.full(n_categories, -1, np.int32)
    for cell in range(category.size):
        found = category[cell]
        if found < 0:
            continue
        lines[found] += n_lines[cell]
        profiles[found] += latest[found] != profile[cell]
        latest[found] = profile[cell]
    return lines, profiles


@nb.njit(nogil=True)
def first_rows(ranks, n_profiles):  # type: ignore[no-untyped-def]
    """First row of each profile once rows are grouped, and the number of rows."""
    offsets = np.zeros(n_profiles + 1, np.int64)
    for row in range(ranks.size):
        offsets[ranks[row] + 1] += 1
    for profile in range(n_profiles):
        offsets[profile + 1] += offsets[profile]
    return offsets


@nb.njit(nogil=True)
def order_by_key(records, low, n, keys, places):  # type: ignore[no-untyped-def]
    """Fill places[:n] with the places of records[low:low + n] in ascending order of their first column."""
    if n > INSERTION_SORT_UP_TO:
        places[:n] = np.argsort(records[low : low + n, 0], kind="mergesort") + low
        return
    for position in range(n):
        key, left = records[low + position, 0], position
        while left > 0 and keys[left - 1] > key:
            keys[left] = keys[left - 1]
            places[left] = places[left - 1]
            left -= 1
        keys[left] = key
        places[left] = low + position


@nb.njit(nogil=True)
def _could_overflow(records, low, high):  # type: ignore[no-untyped-def]
    for measure in range(_FIRST_MEASURE, records.shape[1]):
        total = 0.0
        for place in range(low, high):
            total += abs(np.float64(records[place, measure]))
        if total > _LARGEST_SUM:
            return True
    return False
