"""Readable cut points: the numbers at which a rule may divide profiles, such as 30 days and not 29.4837."""

from itertools import pairwise
from math import ceil, floor, log10

import numpy as np
import numpy.typing as npt

N_CUTS = 100
_DIGITS = 17
_LEAST_POWER = -300


def readable_cuts(values: npt.NDArray[np.float64], *, whole: bool) -> npt.NDArray[np.float64]:
    """Roundest number between each two neighbouring percentiles of a feature.

    Parameters
    ----------
    values : float64 array, shape (n_profiles,)
        NaN for unknown.
    whole : bool
        Whether all values are whole numbers; then all cuts are.

    Returns
    -------
    float64 array, shape (at most `N_CUTS`,)
        Ascending. Every one has values on both sides, of which those equal to it are below.
    """
    present = values[~np.isnan(values)]
    if not present.size:
        return np.empty(0)
    marks = np.unique(np.quantile(present, np.linspace(0.0, 1.0, N_CUTS + 1), method="inverted_cdf"))
    return np.array([roundest(low, high, whole=whole) for low, high in pairwise(marks.tolist())])


def codes_between(values: npt.NDArray[np.float64], cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Number of cuts below each value, NaN for unknown; it is at most i exactly where the value is at most cut i."""
    codes = np.searchsorted(cuts, values).astype(np.float32)
    codes[np.isnan(values)] = np.nan
    return codes


def roundest(low: float, high: float, *, whole: bool) -> float:
    """Number with the fewest digits from `low` on and below `high`, of several the one nearest the middle.

    A last digit that makes it a multiple of 5 or else of 2 counts as less than another.

    Parameters
    ----------
    low, high : float
        Finite, `low` the smaller, both whole where `whole` is set.
    whole : bool
        Whether it must be a whole number.
    """
    if low <= 0 < high:
        return 0.0
    top = floor(log10(max(abs(low), abs(high))))
    for power in range(top, max(top - _DIGITS, 0 if whole else _LEAST_POWER) - 1, -1):
        for digit in (5, 2, 1):
            found = _multiple(low, high, digit, power)
            if found is not None:
                return found
    return low


def _multiple(low: float, high: float, digit: int, power: int) -> float | None:
    """Multiple of digit * 10^power nearest the middle, where one lies between."""
    step = digit * 10.0**power
    first, last = ceil(low / step), ceil(high / step) - 1
    if first > last:
        return None
    number = min(max(round((low / 2 + high / 2) / step), first), last)
    # Through text, so that it is the float nearest to its decimal digits.
    found = float(f"{number * digit}e{power}")
    return found if low <= found < high else None
