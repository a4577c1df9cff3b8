"""Recency, frequency and monetary value of purchases."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature, window_words


def declare(context: Context) -> Sequence[Feature]:
    """How recently, how often and for how much a profile bought.

    An order counts on the day of its first line. `amount_sum` is `amount_minor` in currency units.
    """
    cells, orders = context.table("purchases.cells"), context.table("purchases.orders")
    recency = context.as_of_day - cells.max("day")
    per_order = cells.sum("amount_minor") / context.amount_scale / orders.count()
    return [
        Feature("recency_days", recency, "days since the last purchase", "last bought {value} days ago", "days"),
        *(feature for suffix, window in context.spans().items() for feature in _volume(context, suffix, window)),
        Feature("amount_per_order", per_order, "spend per order", "{value} per order", "currency"),
    ]


def _volume(context: Context, suffix: str, window: int | None) -> Sequence[Feature]:
    """Orders, lines and spend of one span of time."""
    cells, orders = context.table("purchases.cells"), context.table("purchases.orders")
    when = window_words(window)
    minor = cells.sum("amount_minor", window=window)
    lines = cells.sum("n_lines", window=window)
    return [
        Feature(f"n_orders{suffix}", orders.count(window=window), f"orders{when}", f"{{value}} orders{when}", "orders"),
        Feature(f"n_lines{suffix}", lines, f"items bought{when}", f"{{value}} items bought{when}", "items"),
        Feature(
            f"amount_minor{suffix}",
            minor,
            f"spend{when}, minor units",
            f"spent {{value}} minor units{when}",
            "minor units",
            in_matrix=False,
        ),
        Feature(
            f"amount_sum{suffix}",
            minor / context.amount_scale,
            f"spend{when}",
            f"spent {{value}}{when}",
            "currency",
        ),
    ]


FAMILY = Family("rfm", "purchases", declare)
