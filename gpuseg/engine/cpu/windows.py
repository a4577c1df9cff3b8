"""Compiled reductions of a state table over windows that end together: those of latest start come first.

The rows of a profile lie together. In the kernels of the first half they are also in order of days, so that a window
is its first row, and each window only adds the rows that the one before it lacks. Those of the second half look at
the day of every row.
"""

import numpy as np
import numpy.typing as npt

from gpuseg.engine.kernels import compiled

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

NEVER = np.int64(-(2**62))
"""Start of the window that holds everything, and the extreme of nothing."""


@compiled
def first_rows(runs: Int64, day: Int32, since: Int64) -> Int64:
    """First row of each window of each profile, shape (n_windows, n_profiles).

    Parameters
    ----------
    runs : int64 array, shape (n_profiles + 1,)
        Offsets between the rows of profiles.
    day : int32 array, shape (n_rows,)
        Ascending within a profile.
    since : int64 array, shape (n_windows,)
        First day of each window, descending.
    """
    out = np.empty((since.size, runs.size - 1), np.int64)
    for profile in range(runs.size - 1):
        row = runs[profile + 1]
        for window in range(since.size):
            if since[window] == NEVER:
                row = runs[profile]
            while row > runs[profile] and day[row - 1] >= since[window]:
                row -= 1
            out[window, profile] = row
    return out


@compiled
def sums(runs: Int64, starts: Int64, column: Int64) -> Int64:
    """Sum of a column over each window, shape (n_windows, n_profiles); `starts` as `first_rows` gives it."""
    out = np.empty(starts.shape, np.int64)
    for profile in range(runs.size - 1):
        stop, value = runs[profile + 1], np.int64(0)
        for window in range(starts.shape[0]):
            for row in range(starts[window, profile], stop):
                value += column[row]
            stop = starts[window, profile]
            out[window, profile] = value
    return out


@compiled
def extremes(runs: Int64, starts: Int64, column: Int64, sign: int) -> Int64:
    """Largest (`sign` 1) or smallest (-1) value in each window, `NEVER` in an empty one; shapes as for `sums`."""
    out = np.empty(starts.shape, np.int64)
    for profile in range(runs.size - 1):
        stop, value = runs[profile + 1], NEVER
        for window in range(starts.shape[0]):
            start = starts[window, profile]
            if start < stop and value == NEVER:
                value = column[start]
            if sign > 0:
                for row in range(start, stop):
                    value = max(value, column[row])
            else:
                for row in range(start, stop):
                    value = min(value, column[row])
            stop = start
            out[window, profile] = value
    return out


@compiled
def distinct_days(runs: Int64, starts: Int64, day: Int32) -> Int64:
    """Number of distinct days in each window; shapes as for `sums`."""
    out = np.empty(starts.shape, np.int64)
    for profile in range(runs.size - 1):
        stop, value = runs[profile + 1], np.int64(0)
        for window in range(starts.shape[0]):
            # Windows begin between days, so the days that a window adds are none of those before.
            start = starts[window, profile]
            value += start < stop
            for row in range(start + 1, stop):
                value += day[row] != day[row - 1]
            stop = start
            out[window, profile] = value
    return out


@compiled
def squared_gaps(runs: Int64, starts: Int64, day: Int32) -> Int64:
    """Sum of the squares of the gaps between successive days in each window; shapes as for `sums`."""
    out = np.empty(starts.shape, np.int64)
    for profile in range(runs.size - 1):
        stop, value = runs[profile + 1], np.int64(0)
        for window in range(starts.shape[0]):
            # Up to the row at `stop`, for the gap to what the window before holds.
            for row in range(starts[window, profile] + 1, min(stop + 1, runs[profile + 1])):
                gap = np.int64(day[row]) - np.int64(day[row - 1])
                value += gap * gap
            stop = starts[window, profile]
            out[window, profile] = value
    return out


@compiled
def counts_since(runs: Int64, day: Int32, since: Int64) -> Int64:
    """Number of rows in each window, shape (n_windows, n_profiles), in whatever order rows are."""
    out = np.zeros((since.size, runs.size - 1), np.int64)
    for profile in range(runs.size - 1):
        for row in range(runs[profile], runs[profile + 1]):
            for window in range(since.size):
                out[window, profile] += day[row] >= since[window]
    return out


@compiled
def sums_since(runs: Int64, day: Int32, since: Int64, column: Int64) -> Int64:
    """Sum of a column over each window, as `counts_since`."""
    out = np.zeros((since.size, runs.size - 1), np.int64)
    for profile in range(runs.size - 1):
        for row in range(runs[profile], runs[profile + 1]):
            for window in range(since.size):
                out[window, profile] += column[row] if day[row] >= since[window] else 0
    return out


@compiled
def extremes_since(runs: Int64, day: Int32, since: Int64, column: Int64, sign: int) -> Int64:
    """Largest (`sign` 1) or smallest (-1) value in each window, `NEVER` in an empty one, as `counts_since`."""
    out = np.full((since.size, runs.size - 1), NEVER, np.int64)
    for profile in range(runs.size - 1):
        for row in range(runs[profile], runs[profile + 1]):
            found = column[row]
            for window in range(since.size):
                value = out[window, profile]
                better = found > value if sign > 0 else found < value
                if day[row] >= since[window] and (value == NEVER or better):
                    out[window, profile] = found
    return out


@compiled
def sums_by_slot(runs: Int64, day: Int32, slot: Int32, weights: Int64, since: int, n_slots: int) -> Int64:
    """Sum of `weights` over the rows of each slot on or after `since`, shape (n_slots, n_profiles); slot -1 is none."""
    out = np.zeros((n_slots, runs.size - 1), np.int64)
    for profile in range(runs.size - 1):
        for row in range(runs[profile], runs[profile + 1]):
            if slot[row] >= 0 and day[row] >= since:
                out[slot[row], profile] += weights[row]
    return out
