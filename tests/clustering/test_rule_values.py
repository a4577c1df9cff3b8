"""What conditions mean: SQL's three-valued logic, with SQLite as the judge."""

import sqlite3
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuseg.clustering.rule_values import matches
from gpuseg.rule_language import parse_condition

NULL = float("nan")


def held(text, **columns):
    arrays = {name: np.array(values, np.float64) for name, values in columns.items()}
    found = matches(parse_condition(text), arrays)
    assert found.dtype == np.bool_
    assert found.shape == next(iter(arrays.values())).shape
    return found.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", [False, True, False]),
        ("not a > 1", [True, False, False]),
        ("a != 1", [False, True, False]),
        ("a = a", [True, True, False]),
        ("a is null", [False, False, True]),
        ("a is not null", [True, True, False]),
        ("a > 1 or a is null", [False, True, True]),
        ("a > 1 or a <= 1", [True, True, False]),
        ("a in (1, 3)", [True, False, False]),
        ("a not in (1, 3)", [False, True, False]),
        ("a between 2 and 3", [False, True, False]),
        ("a not between 2 and 3", [True, False, False]),
        ("a + 1 = 3", [False, True, False]),
        ("2 > 1 or a > 1", [True, True, True]),
        ("2 > 1 and a > 1", [False, True, False]),
        ("1 > 2 or not a = a", [False, False, False]),
    ],
)
def test_null_is_neither_one_nor_the_other(text, expected):
    assert held(text, a=[1, 2, NULL]) == expected


def test_a_list_with_null_refuses_nobody_for_certain():
    assert held("a not in (1, b)", a=[1, 2, 2], b=[NULL, NULL, 3]) == [False, False, True]


@pytest.mark.parametrize("text", ["a / b > 0", "not a / b > 0", "a / b = 0", "0 / b is not null", "1 / (b * 2) != 7"])
def test_a_division_by_zero_is_null(text):
    assert held(text, a=[1, 0, -1], b=[0, 0, -0.0]) == [False] * 3


@pytest.mark.parametrize("text", ["a * a", "a + a", "a * -1 - a", "a / 1e-300"])
def test_what_is_too_large_is_null(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert held(f"{text} is null", a=[1e308 * 1.5, -1e308 * 1.5, 1.0]) == [True, True, False]


def test_what_is_too_large_stays_null():
    assert held("1 / (a * a) = 0 or a * a > 5", a=[1e200]) == [False]


def test_columns_are_left_alone():
    column = np.array([1.0, NULL, 3.0])
    before = column.copy()
    matches(parse_condition("-a + 1 > 0 or a is null"), {"a": column})
    np.testing.assert_array_equal(column, before)


def test_no_rows():
    assert held("a > 1 and (a < 2 or a is null)", a=[]) == []


def test_whole_numbers_beyond_2_to_the_53_have_neighbours():
    assert held("a = 9007199254740993", a=[2.0**53, 2.0**53 + 2]) == [True, False]


NUMBERS = st.sampled_from(["0.0", "1.0", "2.0", "3.5", "0.25", "10.0"])
FEATURES = st.sampled_from(["a", "b", '"c d"', "`c d`"])


def deeper_values(inner):
    chain = st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda found: " ".join(found))
    return st.one_of(chain, chain.map("({})".format), inner.map("- {}".format))


VALUES = st.recursive(NUMBERS | FEATURES, deeper_values, max_leaves=4)
PREDICATES = st.one_of(
    st.builds("{} {} {}".format, VALUES, st.sampled_from(["=", "==", "!=", "<>", "<", "<=", ">", ">="]), VALUES),
    st.builds("{} {} {} and {}".format, VALUES, st.sampled_from(["between", "not Between"]), VALUES, VALUES),
    st.builds("{} {} ({}, {})".format, VALUES, st.sampled_from(["in", "NOT IN"]), VALUES, VALUES),
    st.builds("{} {}".format, VALUES, st.sampled_from(["is null", "is not NULL"])),
)


def deeper_conditions(inner):
    return st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or", "AND", "Or"]), inner),
        inner.map("({})".format),
        inner.map("not {}".format),
    )


# A condition must name a feature; what is added is true of every row.
CONDITIONS = st.recursive(PREDICATES, deeper_conditions, max_leaves=8).map(
    "({}) and (a is null or a is not null)".format
)
CELLS = st.sampled_from([None, 0.0, -0.0, 1.0, -1.0, 2.0, 3.5, 0.25, 10.0, 7.0])
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12)


@settings(max_examples=500, deadline=None)
@given(CONDITIONS, ROWS)
def test_sqlite_agrees(text, rows):
    connection = sqlite3.connect(":memory:")
    connection.execute('create table t (place integer, a real, b real, "c d" real)')
    connection.executemany("insert into t values (?, ?, ?, ?)", [(i, *row) for i, row in enumerate(rows)])
    expected = [place for (place,) in connection.execute(f"select place from t where {text} order by place")]
    connection.close()
    columns = np.array(rows, np.float64).T
    found = matches(parse_condition(text), dict(zip(("a", "b", "c d"), columns, strict=True)))
    assert np.flatnonzero(found).tolist() == expected
