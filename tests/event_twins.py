"""Plain twins of the features over events and attributes: lists and Decimal, no NumPy and no word tables.

They follow the docstrings of `gpuseg.features`. What a word or a page means is written down here by hand.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from tests.twins import EPOCH, epoch_day, localized

FUNNEL = ("other", "view", "search", "product", "cart", "checkout", "purchase")
WEB_WORDS = {
    "page_view": "view",
    " Page View ": "view",
    "searchSubmitted": "other",
    "SEARCH": "search",
    "product-viewed": "product",
    "Add to cart": "cart",
    "begin_checkout": "checkout",
    "order_completed": "purchase",
    "remove_from_cart": "other",
    "hovered": "other",
}
PAGES = {
    "https://shop.example/": None,
    "https://shop.example/Products/17?from=/cart": "product",
    "/suche": "search",
    "https://shop.example/basket#thanks": "cart",
    "https://shop.example/checkout/order-confirmation": "purchase",
    "https://shop.example/purchase/cart/product": "cart",
    "https://shop.example/carts": None,
    "https://[broken/cart": None,
    "cart": "cart",
}
SOCIAL_WORDS = {"like": "react", "Comment": "create", "re-post": "other", "repost": "create", "unfollow": "other"}
CONTACT_WORDS = {
    "Email Sent": "contact",
    "sms_sent": "contact",
    "opened": "response",
    "Redeemed": "response",
    "bounce": "other",
    "wrote back": "other",
}
GAP_US = 30 * 60 * 1_000_000
HALF_LIFE_DAYS = 14
POINTS = {"search": 1, "product": 1, "cart": 3, "checkout": 5}


@dataclass(frozen=True)
class Event:
    """One row of a dated source; `wall` is what the clock on the wall of the source's zone shows."""

    profile: int | str
    wall: dt.datetime
    values: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class Instant:
    """An event that counts."""

    event: Event
    at_us: int
    day: int

    def __getitem__(self, name: str) -> Any:
        return self.event.values[name]


@dataclass(frozen=True)
class Session:
    """One visit, in the columns of the state."""

    day: int
    n_lines: int
    first_us: int
    span_us: int
    depth: int
    n_carts: int
    n_purchases: int


def instants(events: Sequence[Event], *, as_of: dt.date, zone: str, source_zone: str) -> list[Instant]:
    """Events before midnight of `as_of` in `zone`, in order of time."""
    end, _ = localized(dt.datetime.combine(as_of, dt.time()), zone)
    timed = [(localized(event.wall, source_zone)[0], event) for event in events]
    found = [Instant(event, at_us, epoch_day(at_us, zone)) for at_us, event in timed if at_us < end]
    return sorted(found, key=lambda instant: instant.at_us)


def end_day(as_of: dt.date) -> int:
    """Epoch day of `as_of`."""
    return as_of.toordinal() - EPOCH.toordinal()


def web_class(word: str | None, page: str | None, own: Mapping[str, str]) -> str:
    """Class of a web event; `own` are the source's words, "*" for all others and for none."""
    if word is None:
        found = own.get("*", "view")
    elif word in own:
        found = own[word]
    else:
        # A word that stands in the tables keeps its class; "*" is for those that do not.
        known = word in WEB_WORDS and word not in ("hovered", "searchSubmitted")
        found = WEB_WORDS[word] if known else own.get("*", "other")
    named = None if page is None else PAGES[page]
    if found != "other" and named is not None:
        found = max(found, named, key=FUNNEL.index)
    return found


def sessions_of(events: Sequence[Instant]) -> list[Session]:
    """Sessions of one profile's events in order of time."""
    groups: list[list[Instant]] = []
    for instant in events:
        if groups and instant.at_us - groups[-1][-1].at_us <= GAP_US:
            groups[-1].append(instant)
        else:
            groups.append([instant])
    return [
        Session(
            group[0].day,
            len(group),
            group[0].at_us,
            group[-1].at_us - group[0].at_us,
            max(FUNNEL.index(instant["class"]) for instant in group),
            int(any(instant["class"] == "cart" for instant in group)),
            int(any(instant["class"] == "purchase" for instant in group)),
        )
        for group in groups
    ]


def _ratio(numerator: int, denominator: int) -> float | None:
    return None if denominator == 0 else numerator / denominator


def _since_last(events: Sequence[Any], end: int) -> int | None:
    return end - max(event.day for event in events) if events else None


def _windowed(
    name: str, events: Sequence[Any], end: int, windows: Sequence[int], amount: Callable[[Any], int]
) -> dict[str, int]:
    spans = {"": math.inf} | {f"_{days}d": days for days in sorted(windows)}
    return {
        f"{name}{suffix}": sum(amount(event) for event in events if event.day >= end - days)
        for suffix, days in spans.items()
    }


def browsing(events: Sequence[Instant], end: int, windows: Sequence[int]) -> dict[str, Any]:
    """The family browsing."""
    visits = sessions_of(events)
    dwells = [int(instant["dwell_ms"]) for instant in events if instant["dwell_ms"] is not None]
    return {
        **_windowed("n_sessions", visits, end, windows, lambda visit: 1),
        **_windowed("n_page_views", events, end, windows, lambda instant: 1),
        "visit_recency_days": _since_last(visits, end),
        "pages_per_session": _ratio(len(events), len(visits)),
        "session_seconds_mean": _ratio(sum(visit.span_us for visit in visits), len(visits) * 1_000_000),
        "dwell_seconds_mean": _ratio(sum(dwells), len(dwells) * 1000),
        "funnel_depth_mean": _ratio(sum(visit.depth for visit in visits), len(visits)),
        "cart_share": _ratio(sum(visit.n_carts for visit in visits), len(visits)),
        "purchase_share": _ratio(sum(visit.n_purchases for visit in visits), len(visits)),
    }


def decayed_weight(age_days: int) -> int:
    """2^20 halved every 14 days, to the nearest whole number."""
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(2) ** (20 - Decimal(age_days) / HALF_LIFE_DAYS)
        return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


def intent(events: Sequence[Instant], end: int, windows: Sequence[int]) -> dict[str, Any]:
    """The family intent."""
    score = sum(POINTS.get(instant["class"], 0) * decayed_weight(end - 1 - instant.day) for instant in events)
    counts = _windowed("n_intent_events", events, end, windows, lambda instant: int(instant["class"] in POINTS))
    return {"intent_score": score / 2**20, **counts}


def social(events: Sequence[Instant], end: int, windows: Sequence[int], networks: Sequence[str]) -> dict[str, Any]:
    """The family social, with these networks."""
    on = Counter(instant["network"] for instant in events)
    created = sum(SOCIAL_WORDS.get(instant["action"]) == "create" for instant in events)
    return {
        **_windowed("n_social_actions", events, end, windows, lambda instant: 1),
        "social_recency_days": _since_last(events, end),
        "created_share": _ratio(created, len(events)),
        **{f"share_on_{network}": _ratio(on[network], len(events)) for network in networks},
    }


def largest(values: Sequence[str | None], most: int) -> list[str]:
    """The most frequent values that are there, ties by their bytes."""
    counts = Counter(value for value in values if value is not None)
    return sorted(counts, key=lambda value: (-counts[value], value.encode()))[:most]


def engagement(events: Sequence[Instant], end: int, windows: Sequence[int]) -> dict[str, Any]:
    """The family engagement."""
    classes = [(instant, CONTACT_WORDS.get(instant["event"] or "sms_sent", "other")) for instant in events]
    sent = [instant for instant, name in classes if name == "contact"]
    answers = [instant for instant, name in classes if name == "response"]
    return {
        **_windowed("n_contacts", sent, end, windows, lambda instant: 1),
        **_windowed("n_responses", answers, end, windows, lambda instant: 1),
        "n_contact_days": len({instant.day for instant in events}),
        "response_share": _ratio(len(answers), len(sent)),
    }


def feedback(
    events: Sequence[Instant], end: int, windows: Sequence[int], tone: Callable[[str], Decimal]
) -> dict[str, Any]:
    """The family feedback; `tone` gives the score of a comment, -1 to 1 in ten-thousandths."""
    ratings = [Decimal(instant["rating"]) for instant in events if instant["rating"] is not None]
    milli = [int((rating * 1000).to_integral_value(rounding=ROUND_HALF_EVEN)) for rating in ratings]
    points = [instant["nps"] for instant in events if instant["nps"] is not None]
    tones = [int(tone(text) * 10_000) for i in events if (text := i["comment"]) is not None and text.strip()]
    return {
        **_windowed("n_feedback", events, end, windows, lambda instant: 1),
        "rating_mean": _ratio(sum(milli), len(milli) * 1000),
        "nps_score": _ratio(sum(p >= 9 for p in points) - sum(p <= 6 for p in points), len(points)),
        "sentiment_mean": _ratio(sum(tones), len(tones) * 10_000),
    }


def attributes(rows: Mapping[Any, Mapping[str, Any]], profile: Any, as_of: dt.date) -> dict[str, Any]:
    """The family attributes over CRM rows by profile; dates, booleans and figures by type, other text by its words."""
    mine = rows.get(profile, {})
    found: dict[str, Any] = {}
    for name in next(iter(rows.values())):
        column, value = [row[name] for row in rows.values()], mine.get(name)
        known = [each for each in column if each is not None]
        if all(isinstance(each, dt.date) for each in known):
            there = value.date() if isinstance(value, dt.datetime) else value
            found[f"{name}_days"] = None if value is None else float((as_of - there).days)
        elif all(not isinstance(each, str) or _is_figure(each) for each in known):
            found[name] = None if value is None else float(value)
        else:
            top = [each for each in largest(column, 10) if each != "other"]
            found |= {f"{name}={each}": None if value is None else int(value == each) for each in top}
            if set(known) - set(top):
                found[f"{name}=other"] = None if value is None else int(value not in top)
    return found


def _is_figure(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False
