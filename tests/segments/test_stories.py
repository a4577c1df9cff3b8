import re

import pytest

from gpuseg.segments.facts import facts_of
from gpuseg.segments.phrases import distinguishing
from gpuseg.segments.stories import story

FEATURES = {
    "recency_days": ("days", "rfm", 20.0),
    "n_orders": ("orders", "rfm", 20.0),
    "amount_sum": ("currency", "rfm", 600.0),
    "amount_per_order": ("currency", "rfm", 30.0),
    "gap_days_mean": ("days", "tempo", 15.0),
    "tenure_days": ("days", "tempo", 300.0),
    "share_WINE": ("share", "interests", 0.1),
    "response_share": ("share", "engagement", 0.2),
    "tier=gold": ("share", "attributes", 0.2),
}
ROWS = [
    {"name": n, "unit": u, "family": f, "mean": m, "median": m, "saying": "{value}", "label": n}
    for n, (u, f, m) in FEATURES.items()
]


def told(*, value_ratio=1.0, tastes=(), drop=(), **changed):
    figures = {n: {"mean": m, "median": m, "effect_size": 0.0, "n_known": 100} for n, (_, _, m) in FEATURES.items()}
    for name, (value, effect) in changed.items():
        figures[name] |= {"mean": value, "median": value, "effect_size": effect}
    rows = [row for row in ROWS if row["name"] not in drop]
    figures = {row["name"]: figures[row["name"]] for row in rows}
    has_value = value_ratio is not None
    card = {
        "n_profiles": 100,
        "profile_share": 0.25,
        "value_share": 0.25 * value_ratio if has_value else None,
        "value_per_profile": 600.0 * value_ratio if has_value else None,
        "value_ratio": value_ratio,
        "features": figures,
        "tastes": list(tastes),
        "distinguishing": distinguishing(figures, rows, n_profiles=100),
    }
    crowd = {"features": {n: {"mean": m, "n_known": 10**6} for n, (_, _, m) in FEATURES.items()}, "n_profiles": 10**6}
    return story(card, rows, facts_of([card, crowd])[0])


def test_a_story_of_good_customers():
    found = told(value_ratio=2.3, n_orders=(50.0, 1.2), gap_days_mean=(3.4, -1.2), recency_days=(2.0, -0.8))
    assert found["headline"] == "25% of customers bring 57% of sales; they typically buy every 3.4 days."
    assert found["who"] == (
        "Half of them bought in the last 2 days. Their first and last purchase typically lie 300 days apart."
    )
    assert found["does"] == "Typically: 50 orders in all, 3.4 days between purchases, 30.00 per order."
    assert found["worth"] == "1,380.00 each, 2.3 times the average of 600.00."
    assert found["summary"] == f"{found['headline']} {found['does']}"
    assert found["actions"][0]["text"].startswith("Consider service and early access")


def test_what_far_outweighs_all_about_buying_makes_the_headline():
    loud = told(value_ratio=2.3, n_orders=(50.0, 1.2), response_share=(0.9, 2.9))
    assert loud["headline"].endswith("; they respond to 90% of messages, against 20% for the average customer.")
    assert [action["text"] for action in loud["actions"]][1] == "Consider testing new offers here first."
    quiet = told(value_ratio=2.3, n_orders=(50.0, 1.2), response_share=(0.4, 1.3))
    assert quiet["headline"].endswith("; they typically buy every 15 days.")


def test_a_story_of_lapsed_customers():
    found = told(value_ratio=0.1, n_orders=(2.0, -1.5), recency_days=(144.0, 2.0))
    assert (
        found["headline"]
        == "25% of customers bring only 2.5% of sales; half of them have not bought for 144 days or more."
    )
    assert found["worth"] == "60.00 each, 90% below the average of 600.00."
    assert [action["because"] for action in found["actions"]] == [
        "half of them have not bought for 144 days or more",
        "their typical member placed 2 orders",
    ]


def test_tastes_people_and_answers_are_told():
    found = told(tastes=["Wine"], share_WINE=(0.5, 1.4), response_share=(0.6, 1.0), **{"tier=gold": (0.8, 1.5)})
    assert "They buy more of Wine: 50% of items, against 10% for the average customer." in found["does"]
    assert "They respond to 60% of messages, against 20% for the average customer." in found["does"]
    assert found["who"].endswith("More often than others: tier gold (80% against 20%).")
    assert any("Wine" in action["text"] for action in found["actions"])


@pytest.mark.parametrize("drop", [(), *[(name,) for name in FEATURES], tuple(FEATURES)[:6], tuple(FEATURES)])
@pytest.mark.parametrize("value_ratio", [None, -0.5, 0.3, 1.0, 2.5])
def test_whatever_is_missing_there_is_a_headline_and_one_or_two_suggestions(drop, value_ratio):
    found = told(value_ratio=value_ratio, drop=drop)
    assert found["headline"].startswith("25% of customers")
    assert found["headline"].endswith(".")
    assert 1 <= len(found["actions"]) <= 2
    assert all(action["text"].startswith("Consider ") for action in found["actions"])
    assert (found["worth"] == "") == (value_ratio is None)
    assert not re.search(r"None|nan|\{|\}", " ".join(str(part) for part in found.values() if isinstance(part, str)))


def test_the_average_segment_says_so():
    assert told(value_ratio=None, drop=("gap_days_mean",))["headline"] == (
        "25% of customers; they are close to the average customer in every respect."
    )
