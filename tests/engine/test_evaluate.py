"""`evaluate`: each operation and each arithmetic, against Python integers and floats."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.expression import Constant, Reduction, is_integer, sqrt
from tests.twins import id_order

CELLS = "purchases.cells"
OPERATIONS = ("sum", "count", "count_distinct", "min", "max", "sum_squared_gaps")


def table_of(rows, *, text=False):
    """Rows of (profile, day, value, category), sorted as the state is."""
    rows = sorted(rows, key=lambda row: (id_order(row[0]), row[1]))
    return pa.table(
        {
            "profile_id": pa.array([row[0] for row in rows], pa.large_string() if text else pa.int64()),
            "day": pa.array([row[1] for row in rows], pa.int32()),
            "value": pa.array([row[2] for row in rows], pa.int64()),
            "category": pa.array([row[3] for row in rows], pa.string()).dictionary_encode(),
        }
    )


def column(device, state, expression):
    return device.evaluate(state, {"it": expression})["it"]


def by_hand(rows, reduction):
    kept = [row for row in rows if reduction.since_day is None or row[1] >= reduction.since_day]
    if reduction.category is not None:
        kept = [row for row in kept if row[3] == reduction.category]
    values = [row[1] if reduction.column == "day" else row[2] for row in kept]
    days = sorted({row[1] for row in kept})
    return {
        "sum": sum(values),
        "count": len(values),
        "count_distinct": len(days),
        "min": min(values, default=None),
        "max": max(values, default=None),
        "sum_squared_gaps": sum((later - earlier) ** 2 for earlier, later in itertools.pairwise(days)),
    }[reduction.operation]


ROWS = st.lists(
    st.tuples(
        st.integers(-3, 3),
        st.integers(0, 9),
        st.integers(-(2**40), 2**40),
        st.sampled_from([None, "a", "b", "other", ""]),
    ),
    min_size=1,
    max_size=50,
)


@given(rows=ROWS, since=st.none() | st.integers(-1, 11), category=st.sampled_from([None, "a", "", "nobody buys it"]))
def test_every_reduction(device, rows, since, category):
    reductions = {}
    for operation in OPERATIONS:
        name = "day" if operation in ("count", "count_distinct", "sum_squared_gaps") else "value"
        reductions[operation] = Reduction(CELLS, operation, name, since)
    # With nothing in the window its value is a test of its own, below.
    if any(all(since is not None and row[1] < since for row in rows if row[0] == p) for p in {r[0] for r in rows}):
        del reductions["sum_squared_gaps"]
    reductions["max day"] = Reduction(CELLS, "max", "day", since)
    if category is not None:
        reductions["part"] = Reduction(CELLS, "sum", "value", since, category)
        reductions["part lines"] = Reduction(CELLS, "count", "day", since, category)
    found = device.evaluate({CELLS: table_of(rows)}, reductions)
    profiles = sorted({row[0] for row in rows})
    assert found["profile_id"].to_pylist() == profiles
    for name, reduction in reductions.items():
        expected = [by_hand([row for row in rows if row[0] == profile], reduction) for profile in profiles]
        assert found[name].to_pylist() == expected, name
        assert found[name].type == pa.int64()


def test_squared_gaps_of_an_empty_window_are_zero(device):
    state = {CELLS: table_of([(1, 3, 5, None), (2, 8, 5, None), (2, 10, 5, None)])}
    assert column(device, state, Reduction(CELLS, "sum_squared_gaps", "day", 6)).to_pylist() == [0, 4]


def test_counts_and_sums_of_an_empty_window_are_zero_and_extremes_null(device):
    state = {CELLS: table_of([(1, 3, 5, "a"), (2, 9, 7, "a")])}
    for operation, expected in (("sum", [0, 7]), ("count", [0, 1]), ("count_distinct", [0, 1]), ("min", [None, 7])):
        assert column(device, state, Reduction(CELLS, operation, "value", 6)).to_pylist() == expected
    assert column(device, state, Reduction(CELLS, "sum", "value", 6, "a")).to_pylist() == [0, 7]


def test_a_window_begins_on_its_first_day(device):
    state = {CELLS: table_of([(1, 5, 1, None), (1, 6, 10, None), (1, 7, 100, None)])}
    assert [column(device, state, Reduction(CELLS, "sum", "value", day)).to_pylist() for day in (5, 6, 7, 8)] == [
        [111],
        [110],
        [100],
        [0],
    ]


def test_profiles_of_all_tables_in_order_with_nulls_where_they_have_none(device):
    cells = table_of([("b", 5, 1, None), ("z", 6, 2, None)], text=True)
    orders = table_of([("a", 5, 10, None), ("b", 7, 20, None), ("é", 7, 30, None)], text=True)
    state = {CELLS: cells, "purchases.orders": orders}
    found = device.evaluate(
        state,
        {
            "sum": Reduction(CELLS, "sum", "value"),
            "last": Reduction(CELLS, "max", "day"),
            "n": Reduction("purchases.orders", "count", "day"),
            "first": Reduction("purchases.orders", "min", "day"),
            "since": Constant(100) - Reduction(CELLS, "max", "day"),
            "mean": Reduction(CELLS, "max", "day") / Reduction("purchases.orders", "count", "day"),
        },
    ).to_pydict()
    assert found == {
        "profile_id": ["a", "b", "z", "é"],
        "sum": [0, 1, 2, 0],
        "last": [None, 5, 6, None],
        "n": [1, 1, 0, 1],
        "first": [5, 7, None, 7],
        "since": [None, 95, 94, None],
        "mean": [None, 5.0, None, None],
    }


VALUE = Reduction(CELLS, "sum", "value")
DAYS = Reduction(CELLS, "sum", "day")


@given(pairs=st.lists(st.tuples(st.integers(-(2**31), 2**31), st.integers(0, 100)), min_size=1, max_size=20))
def test_arithmetic_is_pythons(device, pairs):
    state = {CELLS: table_of([(number, day, value, None) for number, (value, day) in enumerate(pairs)])}
    expressions = {
        "+": (VALUE + DAYS, lambda v, d: v + d),
        "-": (VALUE - DAYS, lambda v, d: v - d),
        "*": (VALUE * DAYS, lambda v, d: v * d),
        "r-": (5 - VALUE, lambda v, d: 5 - v),
        "+5": (VALUE + 5, lambda v, d: v + 5),
        "/": (VALUE / DAYS, lambda v, d: v / d if d else None),
        "/3*d+1": (VALUE / 3 * DAYS + 1, lambda v, d: v / 3 * d + 1),
        "sqrt": (sqrt(VALUE), lambda v, d: math.sqrt(v) if v >= 0 else None),
        "sqrt/": (sqrt(VALUE) / DAYS, lambda v, d: math.sqrt(v) / d if v >= 0 and d else None),
    }
    found = device.evaluate({**state}, {name: expression for name, (expression, _) in expressions.items()})
    for name, (expression, python) in expressions.items():
        assert found[name].to_pylist() == [python(value, day) for value, day in pairs], name
        assert found[name].type == (pa.int64() if is_integer(expression) else pa.float64())


def test_integers_beyond_double_precision_stay_exact(device):
    big = 2**53 + 1
    state = {CELLS: table_of([(1, 1, big, None), (2, 1, -big, None)])}
    assert column(device, state, VALUE + 0).to_pylist() == [big, -big]
    assert column(device, state, VALUE * 2 - VALUE).to_pylist() == [big, -big]
    assert column(device, state, VALUE / 1).to_pylist() == [float(2**53), -float(2**53)]


def test_nulls_spread_through_arithmetic(device):
    state = {CELLS: table_of([(1, 1, 4, None), (2, 9, 4, None)])}
    missing = Reduction(CELLS, "max", "value", 5)
    assert column(device, state, missing + 1).to_pylist() == [None, 5]
    assert column(device, state, VALUE * missing).to_pylist() == [None, 16]
    assert column(device, state, VALUE / missing).to_pylist() == [None, 1.0]
    assert column(device, state, sqrt(missing)).to_pylist() == [None, 2.0]
    assert column(device, state, VALUE / 0).to_pylist() == [None, None]
    assert column(device, state, (VALUE - VALUE) / (VALUE - VALUE)).to_pylist() == [None, None]


def test_categories_that_come_in_chunks_with_their_own_dictionaries(device):
    first, second = table_of([(1, 1, 5, "b"), (1, 2, 6, "a")]), table_of([(2, 1, 7, "a"), (2, 1, 8, None)])
    state = {CELLS: pa.concat_tables([first, second])}
    assert column(device, state, Reduction(CELLS, "sum", "value", None, "a")).to_pylist() == [6, 7]
    assert column(device, state, Reduction(CELLS, "sum", "value", None, "b")).to_pylist() == [5, 0]


def test_other_operations_of_one_category_are_refused(device):
    state = {CELLS: table_of([(1, 1, 5, "a")])}
    with pytest.raises(ValueError, match="of one category is not a reduction"):
        column(device, state, Reduction(CELLS, "max", "value", None, "a"))


def test_many_profiles_with_uneven_rows(device):
    rng = np.random.default_rng(5)
    profile = np.sort(rng.zipf(1.3, 30_000) % 5_000)
    day = rng.integers(0, 400, profile.size)
    order = np.lexsort([day, profile])
    value = rng.integers(-1000, 1000, profile.size)
    table = pa.table(
        {
            "profile_id": profile[order],
            "day": day[order].astype(np.int32),
            "value": value[order],
            "category": [None] * profile.size,
        }
    )
    found = device.evaluate(
        {CELLS: table}, {"sum": Reduction(CELLS, "sum", "value", 100), "n": Reduction(CELLS, "count_distinct", "day")}
    )
    sums = np.bincount(profile[order], weights=np.where(day[order] >= 100, value[order], 0), minlength=5_000)
    pairs = np.unique(np.stack([profile, day]), axis=1)
    distinct = np.bincount(pairs[0], minlength=5_000)
    present = np.unique(profile)
    assert found["profile_id"].to_pylist() == present.tolist()
    assert found["sum"].to_pylist() == sums[present].astype(int).tolist()
    assert found["n"].to_pylist() == distinct[present].tolist()
