"""The hot kernel `aggregate`: day cells and distinct orders against dictionaries."""

import datetime as dt
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.program import PLACE_FILE, PLACE_ROW
from gpuseg.errors import InvalidValueError
from tests.twins import id_order

DAY_US = 86_400_000_000
ROW = ("profile", "at_us", "amount", "order", "category")
TEXTS = ["b", "a", "é", "e\u0301", "🙂", "", "00001", "Z"]


def events_of(rows, *, text=False, order_type=None, codes=None):
    """Rows in the form in which a spill gives them back; `order_type` None leaves the column out."""
    columns = {
        "profile_id": pa.array([row[0] for row in rows], pa.large_string() if text else pa.int64()),
        "at_us": pa.array([row[1] for row in rows], pa.int64()),
        "day": pa.array([row[1] // DAY_US for row in rows], pa.int32()),
        "amount_minor": pa.array([row[2] for row in rows], pa.int64()),
    }
    if order_type is not None:
        columns["order_id"] = pa.array([row[3] for row in rows], order_type)
    if codes is not None:
        columns["category"] = pa.array([-1 if row[4] is None else codes.index(row[4]) for row in rows], pa.int32())
    return pa.table(columns)


def cells_by_dictionary(rows):
    cells = defaultdict(list)
    for profile, at_us, amount, _, category in rows:
        cells[profile, at_us // DAY_US, category].append((at_us, amount))
    return {
        key: (len(kept), sum(amount for _, amount in kept), min(kept)[0], max(kept)[0] - min(kept)[0])
        for key, kept in cells.items()
    }


def orders_by_dictionary(rows, source):
    first = {}
    for profile, at_us, _, order, _ in rows:
        key = (profile, source, order, at_us if order is None else None)
        first[key] = min(first.get(key, at_us), at_us)
    return {key: at_us // DAY_US for key, at_us in first.items()}


def check(device, by_source, *, text=False, order_types=None, codes=("b", "a", "é")):
    codes = list(codes)
    order_types = order_types or {}
    events = {
        source: events_of(rows, text=text, order_type=order_types.get(source), codes=codes)
        for source, rows in by_source.items()
    }
    state = device.aggregate("purchases", events, codes)
    everything = [row for rows in by_source.values() for row in rows]
    cells = [tuple(row.values()) for row in state["purchases.cells"].to_pylist()]
    assert {row[:3]: row[3:] for row in cells} == cells_by_dictionary(everything)
    assert len({row[:3] for row in cells}) == len(cells)
    assert cells == sorted(
        cells, key=lambda row: (id_order(row[0]), row[1], row[2] is not None, (row[2] or "").encode())
    )
    expected = {}
    for source, rows in by_source.items():
        blind = [(*row[:3], row[3] if source in order_types else None, row[4]) for row in rows]
        expected |= orders_by_dictionary(blind, source)
    orders = [tuple(row.values()) for row in state["purchases.orders"].to_pylist()]
    assert {row[:4]: row[4] for row in orders} == expected
    assert len(orders) == len(expected)
    assert orders == sorted(
        orders,
        key=lambda row: (id_order(row[0]), row[1], row[2] is None, id_order(row[3] if row[2] is None else row[2])),
    )
    return state


def rows_of(profiles, orders, categories):
    return st.lists(
        st.tuples(
            profiles,
            st.integers(0, 40).map(lambda step: step * (DAY_US // 8) + step % 3),
            st.integers(-(10**12), 10**12),
            st.none() | orders,
            st.none() | categories,
        ),
        min_size=1,
        max_size=60,
    )


@given(rows=rows_of(st.integers(-3, 3), st.integers(-2, 2), st.sampled_from(["b", "a", "é"])))
def test_integers(device, rows):
    check(device, {"orders": rows}, order_types={"orders": pa.int64()})


@given(rows=rows_of(st.sampled_from(TEXTS), st.sampled_from(TEXTS), st.sampled_from(TEXTS)))
def test_text(device, rows):
    check(device, {"orders": rows}, text=True, order_types={"orders": pa.large_string()}, codes=TEXTS)


@given(rows=rows_of(st.integers(0, 2), st.integers(0, 2), st.just("a")), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(device, rows, seed):
    shuffled = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    one, other = (
        device.aggregate("purchases", {"orders": events_of(r, order_type=pa.int64(), codes=["a"])}, ["a"])
        for r in (rows, shuffled)
    )
    assert one.keys() == other.keys()
    for name, table in one.items():
        assert table.equals(other[name])


@given(
    web=rows_of(st.integers(0, 2), st.integers(0, 2), st.just("a")),
    shop=rows_of(st.integers(0, 2), st.integers(0, 2), st.just("b")),
)
def test_sources_share_cells_but_not_orders(device, web, shop):
    check(device, {"web": web, "shop": shop}, order_types={"web": pa.int64(), "shop": pa.int64()})
    check(device, {"web": web, "shop": shop}, order_types={"shop": pa.int64()})
    check(device, {"web": web, "shop": shop})


@given(codes=st.permutations(TEXTS))
def test_the_order_in_which_categories_arrive_changes_nothing(device, codes):
    rows = [(1, at, 5, None, text) for at, text in enumerate(TEXTS * 2)]
    expected = device.aggregate("purchases", {"orders": events_of(rows, codes=TEXTS)}, TEXTS)["purchases.cells"]
    found = device.aggregate("purchases", {"orders": events_of(rows, codes=list(codes))}, list(codes))
    assert found["purchases.cells"].equals(expected)


def test_one_profile_with_a_hundred_thousand_lines(device):
    rng = np.random.default_rng(3)
    n = 100_000
    at_us = rng.integers(0, 700, n) * (DAY_US // 4)
    amount = rng.integers(-(10**9), 10**9, n)
    order, category = rng.integers(-5_000, 5_000, n), rng.integers(-1, 500, n)
    names = [f"category {number * 7919 % 500:03}" for number in range(500)]
    rows = [
        (7, int(at), int(money), int(key), None if code < 0 else names[code])
        for at, money, key, code in zip(at_us, amount, order, category, strict=True)
    ]
    rows += [(8, 5, 1, 1, None), (6, 5, 1, 1, "category 000")]
    state = check(device, {"orders": rows}, order_types={"orders": pa.int64()}, codes=names)
    assert state["purchases.cells"].num_rows > 50_000


@pytest.mark.parametrize("n", [31, 32, 33, 34, 100])
def test_profiles_around_the_size_at_which_sorting_changes(device, n):
    rng = np.random.default_rng(n)
    rows = [(0, int(at) * DAY_US, 1, int(key), None) for at, key in rng.integers(0, 12, (n, 2))]
    check(device, {"orders": rows}, order_types={"orders": pa.int64()})


def test_days_before_1970_and_extreme_keys_sort(device):
    big = 2**63 - 1
    rows = [
        (profile, at, 1, order, None) for profile in (-big - 1, 0, big) for at in (-DAY_US, 0) for order in (big, -big)
    ]
    check(device, {"orders": rows}, order_types={"orders": pa.int64()})


def test_an_order_counts_on_the_day_of_its_first_line(device):
    rows = [(1, 3 * DAY_US, 5, 9, None), (1, DAY_US + 7, 5, 9, None), (1, 2 * DAY_US, 5, 9, None), (2, 0, 5, 9, None)]
    state = check(device, {"orders": rows}, order_types={"orders": pa.int64()})
    assert state["purchases.orders"]["day"].to_pylist() == [1, 0]


def test_equal_times_without_an_id_are_one_order(device):
    rows = [(1, 5, 1, None, "a"), (1, 5, 2, None, "b"), (1, 6, 3, None, "b"), (2, 5, 4, None, None)]
    assert check(device, {"orders": rows})["purchases.orders"].num_rows == 3


def test_integers_of_state_have_stable_types(device):
    state = check(device, {"orders": [(1, 5, 1, None, "a")]})
    cells = state["purchases.cells"].schema
    assert cells.field("day").type == pa.int32()
    assert cells.field("category").type == pa.dictionary(pa.int32(), pa.string())
    assert {cells.field(name).type for name in ("n_lines", "amount_minor", "first_us", "span_us")} == {pa.int64()}


def test_sums_past_int64_are_refused(device):
    apart = [(1, 5, 2**62, None, None), (2, 5, 2**62, None, None)]
    assert device.aggregate("purchases", {"orders": events_of(apart)}, [])["profiles"].num_rows == 2
    rows = [(1, 5, 2**62, None, None), (1, 6, 2**62, None, None)]
    with pytest.raises(InvalidValueError, match=r"add up to more than 2\^63; lower run.amount_scale"):
        device.aggregate("purchases", {"orders": events_of(rows)}, [])


def attribute_table(profiles, **columns):
    n = len(profiles)
    place = {PLACE_FILE: pa.array(["a.csv"] * n), PLACE_ROW: pa.array(range(1, n + 1), pa.int64())}
    return pa.table({"profile_id": pa.array(profiles), **columns, **place})


def test_attributes_are_ordered_by_profile(device):
    born = pa.array([dt.date(1980, 1, 1), None, dt.date(1990, 1, 1)])
    table = attribute_table(["b", "a", "é"], born=born)
    found = device.aggregate("crm", {"people": table}, [])["people.attributes"]
    assert found.column_names == ["profile_id", "born"]
    assert found.to_pydict() == {
        "profile_id": ["a", "b", "é"],
        "born": [None, dt.date(1980, 1, 1), dt.date(1990, 1, 1)],
    }


def test_two_rows_of_one_profile_are_refused_without_its_id(device):
    table = attribute_table(["xylophone", "b", "c", "xylophone"])
    with pytest.raises(InvalidValueError, match=r"people: a.csv, row 1 and a.csv, row 4 describe the same") as caught:
        device.aggregate("crm", {"people": table}, [])
    assert "xylophone" not in str(caught.value)
