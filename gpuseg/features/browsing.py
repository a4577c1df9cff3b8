"""Visits to web pages and apps, cut into sessions."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature

_SECOND_US = 1_000_000


def declare(context: Context) -> Sequence[Feature]:
    """Sessions, their length, how far they lead, and how many reach the cart or end in a purchase.

    A session ends after 30 minutes without an event, the rule of Google Analytics. Depth is 1 for a view, 2 for a
    search, 3 for a product, 4 for the cart, 5 for the checkout and 6 for a purchase, 0 for anything else.
    """
    sessions, cells = context.table("web.sessions"), context.table("web.cells")
    n_sessions = sessions.count()
    features = []
    for window in context.spans:
        visits, pages = sessions.count(window=window), cells.sum("n_lines", window=window)
        features += [
            Feature("n_sessions", visits, "visits", "visited {value} times", "visits").over(window),
            Feature("n_page_views", pages, "pages and events", "opened {value} pages", "pages").over(window),
        ]
    features += [
        Feature(
            "visit_recency_days",
            context.as_of_day - sessions.max("day"),
            "days since the last visit",
            "last visited {value} days ago",
            "days",
        ),
        Feature(
            "pages_per_session", cells.sum("n_lines") / n_sessions, "pages per visit", "{value} pages a visit", "pages"
        ),
        Feature(
            "session_seconds_mean",
            sessions.sum("span_us") / (n_sessions * _SECOND_US),
            "seconds from first to last event of a visit",
            "visits last {value} seconds",
            "seconds",
        ),
    ]
    if context.has("web", "dwell_ms"):
        features.append(
            Feature(
                "dwell_seconds_mean",
                cells.sum("dwell_ms") / (cells.sum("n_dwells") * 1000),
                "seconds on a page",
                "stays {value} seconds on a page",
                "seconds",
            )
        )
    return [
        *features,
        Feature(
            "funnel_depth_mean",
            sessions.sum("depth") / n_sessions,
            "how far visits lead, from 1 (a view) to 6 (a purchase)",
            "visits reach step {value} of 6 on average",
            "steps",
        ),
        Feature(
            "cart_share",
            sessions.sum("n_carts") / n_sessions,
            "share of visits that fill the cart",
            "fills the cart in {value} of visits",
            "share",
        ),
        Feature(
            "purchase_share",
            sessions.sum("n_purchases") / n_sessions,
            "share of visits that end in a purchase",
            "buys in {value} of visits",
            "share",
        ),
    ]


FAMILY = Family("browsing", "web", declare)
