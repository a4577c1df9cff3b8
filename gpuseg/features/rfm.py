"""Recency, frequency and monetary value of purchases."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature


def declare(context: Context) -> Sequence[Feature]:
    """How recently, how often and for how much a profile bought.

    An order counts on the day of its first line. `amount_sum` is `amount_minor` in currency units.
    """
    cells, orders = context.table("purchases.cells"), context.table("purchases.orders")
    recency = context.as_of_day - cells.max("day")
    per_order = cells.sum("amount_minor") / context.amount_scale / orders.count()
    return [
        Feature("recency_days", recency, "days since the last purchase", "last bought {value} days ago", "days"),
        *(feature.over(window) for window in context.spans for feature in _volume(context, window)),
        Feature("amount_per_order", per_order, "spend per order", "{value} per order", "currency"),
    ]


def _volume(context: Context, window: int | None) -> Sequence[Feature]:
    """Orders, lines and spend of one span of time."""
    cells, orders = context.table("purchases.cells"), context.table("purchases.orders")
    n_orders, lines = orders.count(window=window), cells.sum("n_lines", window=window)
    minor = cells.sum("amount_minor", window=window)
    return [
        Feature("n_orders", n_orders, "orders", "{value} orders", "orders"),
        Feature("n_lines", lines, "items bought", "{value} items bought", "items"),
        Feature(
            "amount_minor",
            minor,
            "minor units spent",
            "spent {value} minor units",
            "minor units",
            in_matrix=False,
        ),
        Feature("amount_sum", minor / context.amount_scale, "spend", "spent {value}", "currency"),
    ]


FAMILY = Family("rfm", "purchases", declare)
