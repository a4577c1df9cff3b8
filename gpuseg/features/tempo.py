"""The rhythm of purchases: active days and the gaps between them."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature, sqrt


def declare(context: Context) -> Sequence[Feature]:
    """Active days, the time they span, and mean and spread of the gaps between them.

    A gap is the number of days from one active day to the next. `gap_days_mean` is null below two active days,
    `gap_days_std` (the sample standard deviation, as pandas and cuDF define it) below three.
    """
    cells = context.table("purchases.cells")
    tenure = cells.max("day") - cells.min("day")
    n_gaps = cells.count_days() - 1
    # The variance's numerator n * sum(x^2) - sum(x)^2 is an exact integer, so it cannot cancel.
    variance = (n_gaps * cells.squared_gaps() - tenure * tenure) / (n_gaps * (n_gaps - 1))
    return [
        *(
            Feature(
                "n_active_days",
                cells.count_days(window=window),
                "days with a purchase",
                "shopped on {value} days",
                "days",
            ).over(window)
            for window in context.spans
        ),
        Feature(
            "tenure_days",
            tenure,
            "days from first to last purchase",
            "{value} days from first to last purchase",
            "days",
        ),
        Feature("gap_days_mean", tenure / n_gaps, "days between purchases", "buys every {value} days", "days"),
        Feature(
            "gap_days_std",
            sqrt(variance),
            "spread of the days between purchases",
            "time between purchases varies by {value} days",
            "days",
        ),
    ]


FAMILY = Family("tempo", "purchases", declare)
