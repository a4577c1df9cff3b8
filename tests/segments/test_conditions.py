from math import inf, nan

import numpy as np
import pytest

from gpuseg.segments.conditions import Interval, conditions, figure_text, interval_text, rule_text, said

ORDERS = {"name": "n_orders", "label": "orders", "saying": "{value} orders", "unit": "orders", "dtype": "int64"}
RECENCY = {
    "name": "recency_days",
    "label": "days since the last purchase",
    "saying": "last bought {value} days ago",
    "unit": "days",
    "dtype": "int64",
}
GAP = {
    "name": "gap_days_mean",
    "label": "days between purchases",
    "saying": "buys every {value} days",
    "unit": "days",
    "dtype": "float64",
}
SPEND = {"name": "amount_sum", "label": "spend", "saying": "spent {value}", "unit": "currency", "dtype": "float64"}
WINE = {
    "name": "share_WINE",
    "label": "share of items from WINE",
    "saying": "{value} of items from WINE",
    "unit": "share",
    "dtype": "float64",
}

HOME = {
    "name": "home_ownership=Renter",
    "label": "home ownership: Renter",
    "saying": "{value} with home ownership Renter",
    "unit": "share",
    "dtype": "int64",
}


def test_intervals_narrow():
    whole = Interval()
    assert whole.below(5.0, unknown=True).below(9.0, unknown=False) == Interval(upper=5.0, unknown=False)
    assert whole.above(5.0, unknown=True).above(2.0, unknown=True) == Interval(lower=5.0)
    assert whole.above(2.0, unknown=True).below(5.0, unknown=True) == Interval(2.0, 5.0)


def test_bounds_are_above_and_at_most():
    values = np.array([1.0, 2.0, 3.0, 5.0, 6.0, nan])
    assert Interval(2.0, 5.0).holds(values).tolist() == [False, False, True, True, False, True]
    assert Interval(2.0, 5.0, unknown=False).holds(values).tolist() == [False, False, True, True, False, False]
    assert Interval().holds(values).all()
    assert Interval().above(inf, unknown=True).holds(values).tolist() == [False] * 5 + [True]
    assert Interval().below(inf, unknown=False).holds(values).tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("item", "interval", "text"),
    [
        (RECENCY, Interval(30.0, 90.0, unknown=False), "last bought 31 to 90 days ago"),
        (RECENCY, Interval(upper=30.0, unknown=False), "last bought at most 30 days ago"),
        (RECENCY, Interval(lower=30.0, unknown=False), "last bought more than 30 days ago"),
        (RECENCY, Interval(0.0, 1.0, unknown=False), "last bought 1 day ago"),
        (ORDERS, Interval(upper=0.0, unknown=False), "no orders"),
        (ORDERS, Interval(upper=1.0, unknown=False), "at most 1 order"),
        (ORDERS, Interval(upper=21.0, unknown=False), "at most 21 orders"),
        (ORDERS, Interval(lower=1200.0, unknown=True), "more than 1,200 orders (or unknown)"),
        (GAP, Interval(upper=7.5, unknown=False), "buys every 7.5 days or more often"),
        (GAP, Interval(lower=7.5, unknown=True), "buys less often than every 7.5 days (or unknown)"),
        (GAP, Interval(7.5, 30.0, unknown=False), "buys every 7.5 to 30 days"),
        (SPEND, Interval(12.5, 200.0, unknown=False), "spent between 12.50 and 200"),
        (WINE, Interval(lower=0.125, unknown=False), "more than 12.5% of items from Wine"),
    ],
)
def test_intervals_in_words(item, interval, text):
    assert interval_text(item, interval) == text
    assert rule_text([item], [interval]) == text


def test_a_condition_for_each_bound():
    found = conditions(RECENCY, Interval(30.0, 90.0, unknown=False), floor=-5.0)
    common = {"feature": "recency_days", "label": RECENCY["label"], "unit": "days", "or_unknown": False}
    assert found == [
        common | {"operator": ">", "value": 30.0, "text": "last bought more than 30 days ago"},
        common | {"operator": "<=", "value": 90.0, "text": "last bought at most 90 days ago"},
    ]
    assert conditions(RECENCY, Interval(), floor=-5.0) == []


def test_known_and_unknown_are_conditions_too():
    (known,) = conditions(GAP, Interval().below(inf, unknown=False), floor=0.0)
    assert (known["operator"], known["value"], known["or_unknown"]) == (">", 0.0, False)
    assert known["text"] == "days between purchases known"
    (unknown,) = conditions(GAP, Interval().above(inf, unknown=True), floor=0.0)
    assert (unknown["operator"], unknown["value"], unknown["or_unknown"]) == ("<=", 0.0, True)
    assert unknown["text"] == "days between purchases unknown"


def test_a_rule_in_words():
    bounds = [
        Interval(upper=30.0, unknown=False),
        Interval(lower=4.0, unknown=False),
        Interval().above(inf, unknown=True),
    ]
    assert rule_text([RECENCY, ORDERS, GAP], bounds) == (
        "last bought at most 30 days ago; more than 4 orders; and days between purchases unknown"
    )
    assert rule_text([GAP], [Interval(unknown=False)]) == "days between purchases known"
    assert rule_text([GAP], [Interval()]) == rule_text([], []) == "everyone"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "days", "unknown"),
        (0.07, "share", "7%"),
        (0.075, "share", "7.5%"),
        (1234567.0, "orders", "1,234,567"),
        (29.5, "days", "29.5"),
        (1500.0, "currency", "1,500"),
        (0.5, "currency", "0.50"),
    ],
)
def test_figures_keep_their_digits(value, unit, text):
    assert figure_text(value, unit) == text


def test_a_single_one_is_singular():
    assert said(RECENCY, 1, "1") == "last bought 1 day ago"
    assert said(ORDERS, 1, "1") == "1 order"
    assert said(ORDERS, 1.1, "1.1") == "1.1 orders"
    assert said(ORDERS, 2001, "2,001") == "2,001 orders"
    assert said(SPEND, 1, "1") == "spent 1"


def item(name, unit, *, dtype="int64"):
    return {"name": name, "label": name, "saying": "{value} of something", "unit": unit, "dtype": dtype}


@pytest.mark.parametrize(
    ("name", "unit", "value", "text"),
    [
        ("n_social_actions", "times", 0, "not active on social networks"),
        ("n_social_actions_30d", "times", 3, "active 3 times on social networks in the last 30 days"),
        ("n_contacts_90d", "times", 1, "got 1 message in the last 90 days"),
        ("n_contacts", "times", 0, "got no messages"),
        ("n_responses", "times", 1, "responded 1 time"),
        ("n_intent_events", "times", 0, "no searches, product views, carts or checkouts"),
        ("intent_score", "points", 5, "recent interest in buying: 5 points"),
        ("amount_sum_30d", "currency", 0, "spent nothing in the last 30 days"),
        ("unheard_of", "times", 0, "0 of something"),
    ],
)
def test_plain_words(name, unit, value, text):
    assert said(item(name, unit), value, str(value)) == text


def test_plain_words_of_shares():
    assert said(WINE, 0.0, "0%") == "no items from Wine"
    assert said(WINE, 0.2, "20%") == "20% of items from Wine"
    odd = WINE | {"name": "share_a{b}", "saying": "{value} of items from a{{b}}"}
    assert said(odd, 0.0, "0%") == "no items from a{b}"
    assert said(odd, 0.5, "50%") == "50% of items from a{b}"
    here = WINE | {"name": "share_on_tiktok", "saying": "{value} of social actions on tiktok"}
    assert said(here, 0.5, "50%") == "50% of social actions on TikTok"


def test_plain_words_of_bounds():
    sent = item("n_contacts_365d", "times")
    assert interval_text(sent, Interval(lower=1.0, unknown=False)) == "got more than 1 message in the last 365 days"
    assert interval_text(sent, Interval(upper=0.0, unknown=False)) == "got no messages in the last 365 days"
    assert interval_text(sent, Interval(2.0, 5.0, unknown=False)) == "got 3 to 5 messages in the last 365 days"


def test_an_attribute_is_a_value_or_is_not():
    assert said(HOME, 1, "100%") == "home ownership is Renter"
    assert said(HOME, 0, "0%") == "home ownership is not Renter"
    assert interval_text(HOME, Interval(lower=0.0, unknown=False)) == "home ownership is Renter"
    assert interval_text(HOME, Interval(upper=0.0)) == "home ownership is not Renter (or unknown)"
    assert rule_text([HOME], [Interval(unknown=False)]) == "home ownership known"
    share = HOME | {"name": "share_a=b", "saying": "{value} of items from a=b", "dtype": "float64"}
    assert interval_text(share, Interval(lower=0.0, unknown=False)) == "more than 0% of items from a=b"
