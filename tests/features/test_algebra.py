import datetime as dt

import pytest

from gpuseg.engine.expression import Reduction, attributes_of, leaves, reductions_of
from gpuseg.features.algebra import Attribute, Context, Feature, at_most, sqrt

CONTEXT = Context(as_of=dt.date(2018, 1, 1), windows_days=(30, 365), amount_scale=100)


def test_a_context_knows_its_day_and_its_windows():
    assert CONTEXT.as_of_day == 17_532
    assert CONTEXT.spans == (None, 30, 365)


def test_a_window_is_the_days_before_as_of():
    table = CONTEXT.table("t")
    assert table.sum("a", window=30) == Reduction("t", "sum", "a", 17_502)
    assert table.sum("a", category="x") == Reduction("t", "sum", "a", None, "x")
    assert table.count(window=1).since_day == 17_531
    assert table.count_days() == Reduction("t", "count_distinct", "day")
    assert table.min("day") == Reduction("t", "min", "day")
    assert table.max("day") == Reduction("t", "max", "day")
    assert table.squared_gaps() == Reduction("t", "sum_squared_gaps", "day")


def test_equal_reductions_are_one():
    table = CONTEXT.table("t")
    assert len({table.sum("a"), table.sum("a"), table.sum("a", window=30), table.count()}) == 3


def test_leaves_come_in_reading_order():
    total, city = CONTEXT.table("t").sum("a"), Attribute("crm.attributes", "city", "x")
    tree = sqrt(total * 2) - at_most(city, total) / 3
    assert list(leaves(tree)) == [total, city, total]
    assert list(reductions_of(tree)) == [total, total]
    assert list(attributes_of(tree)) == [city]


@pytest.mark.parametrize(("divisor", "dtype"), [(None, "int64"), (2, "float64")])
def test_the_type_of_a_feature_follows_from_its_expression(divisor, dtype):
    total = CONTEXT.table("t").sum("a")
    words = {"label": "spend", "saying": "spent {value}", "unit": "currency"}
    assert Feature("x", total if divisor is None else total / divisor, **words).dtype == dtype
    assert Feature("x", sqrt(total), **words).dtype == "float64"


def test_a_feature_of_a_window_is_named_and_worded_so():
    orders = Feature("n_orders", CONTEXT.table("t").count(), "orders", "{value} orders", "orders", in_matrix=False)
    assert orders.over(None) == orders
    month = orders.over(30)
    assert (month.name, month.label) == ("n_orders_30d", "orders in the last 30 days")
    assert month.saying == "{value} orders in the last 30 days"
    assert (month.expression, month.unit, month.in_matrix) == (orders.expression, "orders", False)
