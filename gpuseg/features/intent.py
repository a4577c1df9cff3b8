"""Signs that a purchase is near: searches, product views, carts and checkouts, the recent ones most."""

from collections.abc import Sequence

from gpuseg.features.algebra import DECAY_UNIT, Context, Expression, Family, Feature, window_words

HALF_LIFE_DAYS = 14
POINTS = {"search": 1, "product": 1, "cart": 3, "checkout": 5}
"""What one event of a class is worth on the day before `as_of`."""


def declare(context: Context) -> Sequence[Feature]:
    """Points of high-intent events, of which each halves every 14 days, and how many events there were."""
    cells = context.table("web.cells")
    score: Expression | None = None
    for name, points in POINTS.items():
        term = cells.decayed("n_lines", half_life_days=HALF_LIFE_DAYS, category=name) * points
        score = term if score is None else score + term
    assert score is not None
    features = [
        Feature(
            "intent_score",
            score / DECAY_UNIT,
            f"points of recent intent, halved every {HALF_LIFE_DAYS} days",
            "shows intent worth {value} points",
            "points",
        )
    ]
    for suffix, window in context.spans().items():
        n_events: Expression | None = None
        for name in POINTS:
            count = cells.sum("n_lines", window=window, category=name)
            n_events = count if n_events is None else n_events + count
        assert n_events is not None
        words = window_words(window)
        features.append(
            Feature(
                f"n_intent_events{suffix}",
                n_events,
                f"searches, product views, carts and checkouts{words}",
                f"showed interest {{value}} times{words}",
                "times",
            )
        )
    return features


FAMILY = Family("intent", "web", declare)
