"""The compiled core of `aggregate`: rows of one bucket to day cells and distinct orders.

Rows are grouped by profile with a counting sort, then each profile's few rows are sorted by key; every result is a
sum, minimum or maximum of integers, so neither the order of the rows nor how they were split matters.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

_INSERTION_SORT_BELOW = 32
_CATEGORY_BITS = np.int64(32)
_LARGEST_SUM = 9.0e18


@nb.njit(cache=True, nogil=True)
def group_by_rank(ranks: Int32, n_profiles: int) -> tuple[Int64, Int64]:
    """Row order by profile rank, and the offsets between profiles."""
    offsets = np.zeros(n_profiles + 1, np.int64)
    for row in range(ranks.size):
        offsets[ranks[row] + 1] += 1
    for profile in range(n_profiles):
        offsets[profile + 1] += offsets[profile]
    cursor = offsets[:-1].copy()
    order = np.empty(ranks.size, np.int64)
    for row in range(ranks.size):
        order[cursor[ranks[row]]] = row
        cursor[ranks[row]] += 1
    return order, offsets


@nb.njit(nogil=True)
def _sort_pairs(keys, values, low, high):  # type: ignore[no-untyped-def]
    """Sort keys[low:high] ascending, ties by value, moving values along."""
    if high - low > _INSERTION_SORT_BELOW:
        by_value = np.argsort(values[low:high])
        held_keys, held_values = keys[low:high][by_value], values[low:high][by_value]
        by_key = np.argsort(held_keys, kind="mergesort")
        keys[low:high] = held_keys[by_key]
        values[low:high] = held_values[by_key]
        return
    for right in range(low + 1, high):
        key, value, left = keys[right], values[right], right
        while left > low and (keys[left - 1] > key or (keys[left - 1] == key and values[left - 1] > value)):
            keys[left] = keys[left - 1]
            values[left] = values[left - 1]
            left -= 1
        keys[left] = key
        values[left] = value


@nb.njit(cache=True, nogil=True)
def day_cells(
    order: Int64, offsets: Int64, day: Int32, category: Int32, at_us: Int64, amount_minor: Int64
) -> tuple[Int32, Int32, Int32, Int64, Int64, Int64, Int64]:
    """Cells (profile, day, category) in that order, with lines, sum, first and last instant.

    Parameters
    ----------
    order, offsets : int64 arrays
        From `group_by_rank`.
    day, category, at_us, amount_minor : arrays, shape (n_rows,)
        `category` is a rank, -1 for none; its order is the order of the cells.

    Returns
    -------
    profile, day, category : int32 arrays, shape (n_cells,)
    n_lines, amount_minor, first_us, last_us : int64 arrays, shape (n_cells,)
    """
    n_rows = order.size
    profile_out = np.empty(n_rows, np.int32)
    day_out = np.empty(n_rows, np.int32)
    category_out = np.empty(n_rows, np.int32)
    lines_out = np.empty(n_rows, np.int64)
    amount_out = np.empty(n_rows, np.int64)
    first_out = np.empty(n_rows, np.int64)
    last_out = np.empty(n_rows, np.int64)
    keys = np.empty(n_rows, np.int64)
    rows = order.copy()
    for place in range(n_rows):
        row = order[place]
        keys[place] = (np.int64(day[row]) << _CATEGORY_BITS) + np.int64(category[row]) + 1
    cell = -1
    for profile in range(offsets.size - 1):
        low, high = offsets[profile], offsets[profile + 1]
        _sort_pairs(keys, rows, low, high)
        for place in range(low, high):
            row = rows[place]
            at = at_us[row]
            if place > low and keys[place] == keys[place - 1]:
                lines_out[cell] += 1
                amount_out[cell] += amount_minor[row]
                first_out[cell] = min(first_out[cell], at)
                last_out[cell] = max(last_out[cell], at)
                continue
            cell += 1
            profile_out[cell] = profile
            day_out[cell] = day[row]
            category_out[cell] = category[row]
            lines_out[cell] = 1
            amount_out[cell] = amount_minor[row]
            first_out[cell] = at
            last_out[cell] = at
    n = cell + 1
    return (
        profile_out[:n],
        day_out[:n],
        category_out[:n],
        lines_out[:n],
        amount_out[:n],
        first_out[:n],
        last_out[:n],
    )


@nb.njit(cache=True, nogil=True)
def distinct_orders(order: Int64, offsets: Int64, keys: Int64, day: Int32) -> tuple[Int32, Int64, Int32]:
    """Distinct (profile, key) in that order, with the day of the first line of each.

    Parameters
    ----------
    order, offsets : int64 arrays
        From `group_by_rank`.
    keys : int64 array, shape (n_rows,)
        Order id, or a rank that stands for it.
    day : int32 array, shape (n_rows,)

    Returns
    -------
    profile : int32 array, shape (n_orders,)
    key : int64 array, shape (n_orders,)
    day : int32 array, shape (n_orders,)
    """
    n_rows = order.size
    profile_out = np.empty(n_rows, np.int32)
    key_out = np.empty(n_rows, np.int64)
    day_out = np.empty(n_rows, np.int32)
    sorted_keys = keys[order]
    days = day[order].astype(np.int64)
    found = -1
    for profile in range(offsets.size - 1):
        low, high = offsets[profile], offsets[profile + 1]
        # Ties sort by day, so the first row of a key holds the day of its first line.
        _sort_pairs(sorted_keys, days, low, high)
        for place in range(low, high):
            if place > low and sorted_keys[place] == sorted_keys[place - 1]:
                continue
            found += 1
            profile_out[found] = profile
            key_out[found] = sorted_keys[place]
            day_out[found] = days[place]
    n = found + 1
    return profile_out[:n], key_out[:n], day_out[:n]


@nb.njit(cache=True, nogil=True)
def sum_overflows(ranks: Int32, n_profiles: int, amount_minor: Int64) -> bool:
    """Whether the absolute amounts of any one profile could add up past int64."""
    totals = np.zeros(n_profiles, np.float64)
    for row in range(ranks.size):
        totals[ranks[row]] += abs(np.float64(amount_minor[row]))
    return bool(n_profiles and totals.max() > _LARGEST_SUM)
