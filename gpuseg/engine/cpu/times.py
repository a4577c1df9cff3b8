"""Instants and days from raw times, by searching a zone's transition table; compiled."""

import numpy as np
import numpy.typing as npt

from gpuseg.engine.kernels import compiled
from gpuseg.vocabulary import DAY_US

_MOST_COUNTED = 16


@compiled
def localize(
    wall_us: npt.NDArray[np.int64], transitions_us: npt.NDArray[np.int64], offsets_us: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], int, int]:
    """Instants of wall-clock times in a zone, and how many were ambiguous and how many never existed.

    An ambiguous time takes its first reading, a nonexistent one the instant at which clocks jumped.

    Parameters
    ----------
    wall_us : int64 array, shape (n,)
        Microseconds since 1970-01-01T00:00 of the wall clock.
    transitions_us, offsets_us : int64 arrays
        As in `ZoneTable`.

    Returns
    -------
    at_us : int64 array, shape (n,)
        Microseconds UTC.
    n_ambiguous, n_nonexistent : int
    """
    n_transitions = transitions_us.size
    # The wall clock just before each transition; ascending, since offsets move by hours and transitions by months.
    before = transitions_us + offsets_us[:-1]
    out = np.empty_like(wall_us)
    n_ambiguous = 0
    n_nonexistent = 0
    for row in range(wall_us.size):
        wall = wall_us[row]
        index = np.searchsorted(before, wall, side="right") if n_transitions else 0
        at = wall - offsets_us[index]
        if index > 0 and at < transitions_us[index - 1]:
            at = transitions_us[index - 1]
            n_nonexistent += 1
        elif index < n_transitions and wall >= transitions_us[index] + offsets_us[index + 1]:
            n_ambiguous += 1
        out[row] = at
    return out, n_ambiguous, n_nonexistent


@compiled
def local_days(
    at_us: npt.NDArray[np.int64], transitions_us: npt.NDArray[np.int64], offsets_us: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """Epoch day of each instant in a zone."""
    out = np.empty(at_us.size, np.int32)
    if not at_us.size:
        return out
    # Few clock changes lie between the first and the last instant; counting those passed beats a search.
    first = np.searchsorted(transitions_us, at_us.min(), side="right")
    last = np.searchsorted(transitions_us, at_us.max(), side="right")
    for row in range(at_us.size):
        at = at_us[row]
        index = first
        if last - first <= _MOST_COUNTED:
            for transition in range(first, last):
                index += at >= transitions_us[transition]
        else:
            index += np.searchsorted(transitions_us[first:last], at, side="right")
        out[row] = (at + offsets_us[index]) // DAY_US
    return out
