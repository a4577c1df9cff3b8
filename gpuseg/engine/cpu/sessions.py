"""The compiled cut of a profile's rows into sessions."""

import numpy as np
import numpy.typing as npt

from gpuseg.engine.cpu.cells import INSERTION_SORT_UP_TO, first_rows, order_by_key
from gpuseg.engine.kernels import compiled

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]


@compiled
def sessions(
    ranks: Int32, n_profiles: int, day: Int32, at_us: Int64, marks: Int64, gap_us: int
) -> tuple[Int32, Int32, Int64, Int64, Int64, Int64]:
    """Sessions in order of (profile, first instant); one ends where more than `gap_us` pass without a row.

    Parameters
    ----------
    ranks : int32 array, shape (n_rows,)
        Profile of each row, as its place among the n_profiles ids.
    n_profiles : int
    day : int32 array, shape (n_rows,)
    at_us, marks : int64 arrays, shape (n_rows,)
        Instant and bits of each row.
    gap_us : int

    Returns
    -------
    profile, day : int32 arrays, shape (n_sessions,)
        `day` is that of the first row.
    n_lines, first_us, last_us, marks : int64 arrays, shape (n_sessions,)
        `marks` are the bits of all rows together.
    """
    n_rows = ranks.size
    offsets = first_rows(ranks, n_profiles)
    records = np.empty((n_rows, 3), np.int64)
    cursor = offsets[:-1].copy()
    for row in range(n_rows):
        place = cursor[ranks[row]]
        cursor[ranks[row]] += 1
        records[place, 0] = at_us[row]
        records[place, 1] = day[row]
        records[place, 2] = marks[row]
    profile_out = np.empty(n_rows, np.int32)
    day_out = np.empty(n_rows, np.int32)
    lines_out = np.empty(n_rows, np.int64)
    first_out = np.empty(n_rows, np.int64)
    last_out = np.empty(n_rows, np.int64)
    marks_out = np.empty(n_rows, np.int64)
    keys = np.empty(INSERTION_SORT_UP_TO, np.int64)
    places = np.empty(INSERTION_SORT_UP_TO, np.int64)
    found = -1
    for profile in range(n_profiles):
        low = offsets[profile]
        n = offsets[profile + 1] - low
        if n > places.size:
            places = np.empty(n, np.int64)
        order_by_key(records, low, n, keys, places)
        for position in range(n):
            place = places[position]
            at = records[place, 0]
            if position > 0 and at - last_out[found] <= gap_us:
                lines_out[found] += 1
                last_out[found] = at
                marks_out[found] |= records[place, 2]
                continue
            found += 1
            profile_out[found] = profile
            day_out[found] = records[place, 1]
            lines_out[found] = 1
            first_out[found] = at
            last_out[found] = at
            marks_out[found] = records[place, 2]
    n_sessions = found + 1
    return (
        profile_out[:n_sessions],
        day_out[:n_sessions],
        lines_out[:n_sessions],
        first_out[:n_sessions],
        last_out[:n_sessions],
        marks_out[:n_sessions],
    )
