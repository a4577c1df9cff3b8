import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.config import FeaturesSection, MatrixSection
from gpuseg.matrix.transform import GRID, ColumnTransform, MatrixTransform, feature_values, fit_transform_of

FAMILY = {"f": ["a"]}


def fit(table, families=None, *, clip=6.0, **features):
    section = FeaturesSection(**features)
    return fit_transform_of(
        table, families or {"f": table.column_names}, matrix=MatrixSection(clip=clip), features=section
    )


def normal(n=500, seed=0):
    return np.random.default_rng(seed).normal(10, 3, n)


def test_zero_mean_and_unit_variance():
    table = pa.table({"a": normal(), "b": normal(seed=1) * 50 + 7})
    rows = fit(table, {"one": ["a"], "two": ["b"]}).apply(table)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-6)


def test_values_by_hand():
    table = pa.table({"a": pa.array([1.0, 2.0, 3.0, 4.0, None])})
    transform = fit(table)
    (column,) = transform.columns
    assert (column.transform, column.fill, column.center) == ("none", 2.5, 2.5)
    assert column.spread == math.sqrt((2.25 + 0.25 + 0.25 + 2.25) / 5)
    expected = [(value - 2.5) / column.spread for value in (1.0, 2.0, 3.0, 4.0, 2.5)]
    np.testing.assert_allclose(transform.apply(table)[:, 0], expected, atol=0.5 / GRID, rtol=0)


def test_nulls_take_the_median_of_what_is_known():
    known = [1.0, 2.0, 3.0, 4.0, 100.0]
    transform = fit(pa.table({"a": pa.array([*known, None, None])}))
    assert transform.columns[0].fill == 3.0
    both = transform.apply(pa.table({"a": pa.array([None, 3.0])}))
    assert both[0, 0] == both[1, 0]


def test_integers_and_their_nulls():
    table = pa.table({"a": pa.array([1, 2, None, 9])})
    assert fit(table).columns[0].fill == 2.0
    assert feature_values(table, "a").tolist()[:2] == [1.0, 2.0]
    assert math.isnan(feature_values(table, "a")[2])


def skewness(values):
    gaps = values - values.mean()
    return (gaps**3).mean() / (gaps**2).mean() ** 1.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.random.default_rng(0).lognormal(size=500), "log1p"),
        (np.random.default_rng(1).exponential(100, 500), "log1p"),
        (normal(), "none"),
        (-np.random.default_rng(0).lognormal(size=500), "none"),
        (np.random.default_rng(2).uniform(size=500), "none"),
    ],
    ids=["lognormal", "exponential", "normal", "left tail", "uniform"],
)
def test_the_logarithm_is_for_long_right_tails(values, expected):
    assert (skewness(values) > 1) == (expected == "log1p")
    assert fit(pa.table({"a": values})).columns[0].transform == expected


def test_the_logarithm_only_where_it_helps():
    rare = np.zeros(1_000)
    rare[:3] = -1.0
    rare[3:9] = 1.0
    plain, logged = skewness(rare), skewness(np.copysign(np.log1p(np.abs(rare)), rare))
    assert plain > 1
    assert abs(logged) == pytest.approx(plain)
    chosen = fit(pa.table({"a": rare})).columns[0].transform
    assert chosen == ("log1p" if abs(logged) < plain else "none")


def test_the_logarithm_of_negative_values_is_minus_that_of_positive_ones():
    column = ColumnTransform("a", "log1p", 0.0, 0.0, 1.0, 64.0, 1.0)
    rows = MatrixTransform((column,), ()).apply(pa.table({"a": [-9.0, 0.0, 9.0]}))[:, 0]
    np.testing.assert_allclose(rows, [-math.log(10), 0, math.log(10)], atol=0.5 / GRID, rtol=1e-7)


def test_features_without_spread_are_left_out():
    n = 50
    table = pa.table(
        {
            "same": np.full(n, 3.7),
            "hair": 1e9 + np.tile([0.0, 1e-6], n // 2),
            "nothing": pa.nulls(n, pa.float64()),
            "one known": pa.array([5.0] + [None] * (n - 1)),
            "good": normal(n),
        }
    )
    transform = fit(table)
    assert transform.features == ["good"]
    assert transform.constant == ("same", "hair", "nothing", "one known")


@pytest.mark.parametrize("clip", [0.5, 6.0, 64.0])
def test_outliers_are_clipped(clip):
    sample = pa.table({"a": normal()})
    transform = fit(sample, clip=clip)
    rows = transform.apply(pa.table({"a": [1e15, -1e15, 1e300, None]}))
    assert rows[:, 0].tolist()[:3] == [clip, -clip, clip]


def test_columns_that_tell_the_same_share_their_say():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=400), rng.normal(size=400)
    table = pa.table({"a": one, "b": other, "c": other * 2 + 1, "d": -other, "e": other + 5, "same": np.ones(400)})
    families = {"one": ["a"], "four": ["b", "c", "d", "e", "same"]}
    weights = [column.weight for column in fit(table, families).columns]
    assert weights == pytest.approx([1.0, 0.5, 0.5, 0.5, 0.5])
    rows = fit(table, families).apply(table)
    np.testing.assert_allclose(rows.var(axis=0), [1, 0.25, 0.25, 0.25, 0.25], atol=1e-5)
    # All of it lies along one axis, of the variance of the single column.
    assert np.linalg.eigvalsh(np.cov(rows[:, 1:].T))[-1] == pytest.approx(1.0, rel=0.01)
    weighted = fit(table, families, weights={"b": 3.0}, drop=("e", "d"))
    assert weighted.features == ["a", "b", "c"]
    assert [column.weight for column in weighted.columns] == pytest.approx([1.0, 3 / math.sqrt(2), 1 / math.sqrt(2)])


def test_unrelated_columns_have_at_most_twice_the_variance_of_one():
    # Columns without any correlation: the rows of a Hadamard matrix.
    signs = np.array([[1.0]])
    for _ in range(4):
        signs = np.block([[signs, signs], [signs, -signs]])
    table = pa.table({name: signs[place + 1] for place, name in enumerate("abcdefg")})
    for names, variance in (("bc", 2.0), ("bcd", 2.0), ("bcdefg", 2.0)):
        columns = fit(table, {"one": ["a"], "many": list(names)}).columns
        assert columns[0].weight == pytest.approx(1.0)
        assert sum(column.weight**2 for column in columns[1:]) == pytest.approx(variance)
    alone = fit(table, {"many": list("bcd")}).columns
    assert [column.weight for column in alone] == pytest.approx([1.0, 1.0, 1.0])


# Features are counts, days, shares and money of at least 1e-8; below that, cubes of spreads run out of exponents.
VALUES = st.floats(-1e12, 1e12).map(lambda value: round(value, 9)) | st.integers(-5, 5).map(float)


@given(
    values=st.lists(VALUES | st.none(), min_size=3, max_size=40),
    clip=st.floats(0.01, 64.0),
    weight=st.floats(1e-3, 64.0),
)
def test_every_value_lies_on_the_grid(values, clip, weight):
    sample = pa.table({"a": pa.array(values, pa.float64()), "b": pa.array(range(len(values)), pa.float64())})
    transform = fit(sample, clip=clip, weights={"b": weight})
    rows = transform.apply(sample).astype(np.float64)
    assert np.isfinite(rows).all()
    assert (rows * GRID == np.rint(rows * GRID)).all()
    for position, column in enumerate(transform.columns):
        assert np.abs(rows[:, position]).max() <= column.clip * column.weight * (1 + 2**-23) + 1 / GRID


@given(values=st.lists(VALUES, min_size=3, max_size=40))
def test_json_keeps_every_bit(values):
    sample = pa.table({"a": values, "b": range(len(values)), "same": [1.0] * len(values)})
    transform = fit(sample, {"f": ["a", "b", "same"]}, weights={"b": 1 / 3})
    again = MatrixTransform.from_dict(json.loads(json.dumps(transform.as_dict())))
    assert again == transform
    assert again.apply(sample).tobytes() == transform.apply(sample).tobytes()


@given(seed=st.integers(0, 1000), cut=st.integers(0, 100))
def test_rows_do_not_depend_on_the_rows_beside_them(seed, cut):
    table = pa.table({"a": np.random.default_rng(seed).lognormal(2, 3, 100), "b": normal(100, seed)})
    transform = fit(table)
    parts = [transform.apply(table.slice(0, cut)), transform.apply(table.slice(cut))]
    assert np.concatenate(parts).tobytes() == transform.apply(table).tobytes()


def test_applying_leaves_the_table_as_it_is():
    values = np.array([1.0, np.nan, 300.0, 2.0])
    table = pa.table({"a": pa.array(values)})
    fit(table).apply(table)
    np.testing.assert_array_equal(table["a"].to_numpy(), values)


def test_columns_of_any_place_and_chunks():
    table = pa.table({"a": normal(9), "b": normal(9, 1)})
    transform = fit(table)
    other = (
        pa.concat_tables([table.slice(0, 4), table.slice(4)]).select(["b", "a"]).append_column("c", pa.array(range(9)))
    )
    assert transform.apply(other).tobytes() == transform.apply(table).tobytes()
    assert transform.apply(table.slice(0, 0)).shape == (0, 2)
