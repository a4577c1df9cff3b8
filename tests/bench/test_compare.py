import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def table():
    index = pd.Index([1, 2, 3], name="profile_id")
    return pd.DataFrame(
        {"n_lines": [4, 5, 6], "share_toys": [0.25, 0.0, 1.0], "gap_days_std": [1.5, np.nan, 3.0]}, index
    )


@pytest.fixture
def compare(load):
    return load("compare")


def test_equal_tables_pass_in_any_order_of_rows_and_columns(compare, table):
    other = table.iloc[[2, 0, 1], [1, 0, 2]]
    other["share_toys"] *= 1 + 1e-12
    found = compare.compare_tables(table, other)
    assert (found["n_profiles"], found["n_columns"]) == (3, 3)
    assert 0 < found["largest_relative_difference"] < 1e-11


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        ("n_lines", 2, 7),
        ("share_toys", 1, 0.25 + 1e-9),
        ("share_toys", 2, 1e-300),
        ("share_toys", 1, np.inf),
        ("gap_days_std", 2, 0.0),
        ("gap_days_std", 1, np.nan),
    ],
)
def test_a_different_value_is_found(compare, table, column, row, value):
    other = table.copy()
    other.loc[row, column] = value
    for pair in ((table, other), (other, table)):
        with pytest.raises(compare.MismatchError, match=f"column {column}: 1 of 3 profiles differ"):
            compare.compare_tables(*pair)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="n_lines"), "column n_lines: missing from gpuseg"),
        (lambda t: t.assign(n_days=1), "column n_days: missing from naive"),
        (lambda t: t.astype({"n_lines": "float64"}), "column n_lines: int64 in naive, float64 in gpuseg"),
        (lambda t: t.rename({3: 4}), "the sides have different profiles"),
        (lambda t: t.iloc[:2], "the sides have different profiles"),
        (lambda t: t.iloc[[0, 1, 2, 2]], "a profile has more than one row"),
    ],
)
def test_a_different_shape_is_found(compare, table, change, message):
    with pytest.raises(compare.MismatchError, match=message):
        compare.compare_tables(table, change(table))
