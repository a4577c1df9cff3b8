"""The rhythm of purchases: active days and the gaps between them."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature, sqrt, window_words


def declare(context: Context) -> Sequence[Feature]:
    """Active days, the time they span, and mean and spread of the gaps between them.

    A gap is the number of days from one active day to the next. `gap_days_mean` is null below two active days,
    `gap_days_std` (the sample standard deviation, as pandas and cuDF define it) below three.
    """
    cells = context.table("purchases.cells")
    features = [
        Feature(
            f"n_active_days{suffix}",
            cells.count_days(window=window),
            f"days with a purchase{window_words(window)}",
            "days",
        )
        for suffix, window in context.spans().items()
    ]
    tenure = cells.max("day") - cells.min("day")
    n_gaps = cells.count_days() - 1
    # The variance's numerator n * sum(x^2) - sum(x)^2 is an exact integer, so it cannot cancel.
    variance = (n_gaps * cells.squared_gaps() - tenure * tenure) / (n_gaps * (n_gaps - 1))
    return [
        *features,
        Feature("tenure_days", tenure, "days from first to last purchase", "days"),
        Feature("gap_days_mean", tenure / n_gaps, "days between purchases", "days"),
        Feature("gap_days_std", sqrt(variance), "unevenness of the days between purchases", "days"),
    ]


FAMILY = Family("tempo", "purchases", declare)
