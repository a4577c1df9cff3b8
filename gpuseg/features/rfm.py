"""Recency, frequency and monetary value of purchases."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature, window_words


def declare(context: Context) -> Sequence[Feature]:
    """How recently, how often and for how much a profile bought.

    An order counts on the day of its first line. `amount_sum` is `amount_minor` in currency units.
    """
    cells, orders = context.table("purchases.cells"), context.table("purchases.orders")
    features = [Feature("recency_days", context.as_of_day - cells.max("day"), "days since the last purchase", "days")]
    for suffix, window in context.spans().items():
        when = window_words(window)
        amount = cells.sum("amount_minor", window=window)
        features += [
            Feature(f"n_orders{suffix}", orders.count(window=window), f"orders{when}", "orders"),
            Feature(f"n_lines{suffix}", cells.sum("n_lines", window=window), f"items bought{when}", "items"),
            Feature(f"amount_minor{suffix}", amount, f"spend{when}, minor units", "minor units", in_matrix=False),
            Feature(f"amount_sum{suffix}", amount / context.amount_scale, f"spend{when}", "currency"),
        ]
    per_order = cells.sum("amount_minor") / context.amount_scale / orders.count()
    features.append(Feature("amount_per_order", per_order, "spend per order", "currency"))
    return features


FAMILY = Family("rfm", "purchases", declare)
