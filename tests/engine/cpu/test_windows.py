"""The compiled reductions over windows, against plain Python."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.arrow import frozen
from gpuseg.engine.cpu import windows

DAYS = st.lists(st.lists(st.integers(-3, 12), max_size=9), min_size=1, max_size=6)
SINCE = st.lists(st.integers(-5, 14), min_size=1, max_size=4, unique=True)


def arrays(days, since):
    runs = np.cumsum([0, *map(len, days)])
    day = np.array([d for mine in days for d in mine], np.int32)
    bounds = np.array([*sorted(since, reverse=True), int(windows.NEVER)])
    return frozen(runs), frozen(day), frozen(bounds)


def plain(days, values, bounds, reduce):
    rows = iter(values)
    held = [[(day, next(rows)) for day in mine] for mine in days]
    return [[reduce([v for d, v in mine if d >= bound]) for mine in held] for bound in bounds.tolist()]


def squared_gaps(days):
    distinct = sorted(set(days))
    return sum((b - a) ** 2 for a, b in itertools.pairwise(distinct))


@given(days=DAYS, since=SINCE, seed=st.integers(0, 99))
def test_rows_in_order_of_days(days, since, seed):
    days = [sorted(mine) for mine in days]
    runs, day, bounds = arrays(days, since)
    values = frozen(np.random.default_rng(seed).integers(-50, 50, day.size))
    starts = windows.first_rows(runs, day, bounds)
    assert (runs[1:] - starts).tolist() == plain(days, day, bounds, len)
    assert windows.sums(runs, starts, values).tolist() == plain(days, values, bounds, sum)
    assert windows.distinct_days(runs, starts, day).tolist() == plain(days, day, bounds, lambda d: len(set(d)))
    assert windows.squared_gaps(runs, starts, day).tolist() == plain(days, day.tolist(), bounds, squared_gaps)
    for sign, extreme in ((1, max), (-1, min)):
        wanted = plain(days, values, bounds, lambda v, of=extreme: of(v, default=windows.NEVER))
        assert windows.extremes(runs, starts, values, sign).tolist() == wanted


@given(days=DAYS, since=SINCE, seed=st.integers(0, 99))
def test_rows_in_any_order(days, since, seed):
    runs, day, bounds = arrays(days, since)
    values = frozen(np.random.default_rng(seed).integers(-50, 50, day.size))
    assert windows.counts_since(runs, day, bounds).tolist() == plain(days, day, bounds, len)
    assert windows.sums_since(runs, day, bounds, values).tolist() == plain(days, values, bounds, sum)
    for sign, extreme in ((1, max), (-1, min)):
        wanted = plain(days, values, bounds, lambda v, of=extreme: of(v, default=windows.NEVER))
        assert windows.extremes_since(runs, day, bounds, values, sign).tolist() == wanted


@given(days=DAYS, since=st.integers(-5, 14), seed=st.integers(0, 99))
def test_slots(days, since, seed):
    runs, day, _ = arrays(days, [since])
    random = np.random.default_rng(seed)
    slot, values = frozen(random.integers(-1, 3, day.size, np.int32)), frozen(random.integers(-50, 50, day.size))
    found = windows.sums_by_slot(runs, day, slot, values, since, 3)
    bound = np.array([since])
    assert found.tolist() == [plain(days, np.where(slot == s, values, 0), bound, sum)[0] for s in range(3)]
