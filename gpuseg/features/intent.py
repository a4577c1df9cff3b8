"""Signs that a purchase is near: searches, product views, carts and checkouts, the recent ones most."""

from collections.abc import Sequence
from functools import reduce
from operator import add

from gpuseg.features.algebra import DECAY_UNIT, Context, Family, Feature

HALF_LIFE_DAYS = 14
POINTS = {"search": 1, "product": 1, "cart": 3, "checkout": 5}
"""What one event of a class is worth on the day before `as_of`."""


def declare(context: Context) -> Sequence[Feature]:
    """Points of high-intent events, of which each halves every 14 days, and how many events there were."""
    cells = context.table("web.cells")
    terms = [
        cells.decayed("n_lines", half_life_days=HALF_LIFE_DAYS, category=name) * points
        for name, points in POINTS.items()
    ]
    features = [
        Feature(
            "intent_score",
            reduce(add, terms) / DECAY_UNIT,
            f"points of recent intent, halved every {HALF_LIFE_DAYS} days",
            "shows intent worth {value} points",
            "points",
        )
    ]
    for window in context.spans:
        counts = [cells.sum("n_lines", window=window, category=name) for name in POINTS]
        features.append(
            Feature(
                "n_intent_events",
                reduce(add, counts),
                "searches, product views, carts and checkouts",
                "showed interest {value} times",
                "times",
            ).over(window)
        )
    return features


FAMILY = Family("intent", "web", declare)
