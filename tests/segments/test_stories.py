import re

import pytest

from gpuseg.segments.facts import facts_of
from gpuseg.segments.phrases import distinguishing
from gpuseg.segments.stories import story
from tests.segments.means import means_of

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


def facts_among(cards):
    return facts_of(cards, means_of(cards))


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
    return story(card, rows, facts_among([card, crowd])[0])


def test_a_story_of_good_customers():
    found = told(value_ratio=2.3, n_orders=(50.0, 1.2), gap_days_mean=(3.4, -1.2), recency_days=(2.0, -0.8))
    assert found["headline"] == "25% of customers bring 57% of sales; they buy every 3.4 days on average."
    # When they last bought, and how often, stands among the differences.
    assert found["who"] == "Their first and last purchase lie 300 days apart on average."
    assert found["does"] == "On average: 30.00 per order."
    assert found["worth"] == "1,380.00 each on average, 2.3 times the 600.00 of the average customer."
    assert found["summary"] == f"{found['headline']} {found['does']}"
    assert found["actions"][0]["text"].startswith("Consider service and early access")


def test_what_far_outweighs_all_about_buying_makes_the_headline():
    loud = told(value_ratio=2.3, n_orders=(50.0, 1.2), response_share=(0.9, 2.9))
    assert loud["headline"].endswith(
        "; they answer 90% of the messages they get, against 20% for the average customer."
    )
    assert [action["text"] for action in loud["actions"]][1] == "Consider testing new offers here first."
    quiet = told(value_ratio=2.3, n_orders=(50.0, 1.2), response_share=(0.4, 0.8))
    assert quiet["headline"].endswith("; they buy every 15 days on average.")


def test_a_story_of_lapsed_customers():
    found = told(value_ratio=0.1, n_orders=(2.0, -1.5), recency_days=(144.0, 2.0))
    assert found["headline"] == "25% of customers bring only 2.5% of sales; on average they last bought 144 days ago."
    assert found["worth"] == "60.00 each on average, 90% below the 600.00 of the average customer."
    assert [action["because"] for action in found["actions"]] == [
        "on average they last bought 144 days ago",
        "at least half of them placed no more than 2 orders",
    ]


def test_tastes_and_people_are_told():
    found = told(tastes=["Wine", "Beer"], share_WINE=(0.5, 1.4), **{"tier=gold": (0.8, 0.6)}, response_share=(0.6, 1.0))
    assert found["headline"].endswith("; they buy more of Wine than the average customer.")
    assert found["does"].endswith("Bought clearly more than by others: Wine and Beer.")
    assert any("Wine" in action["text"] for action in found["actions"])
    # Its tier stands among the differences.
    assert "gold" not in found["who"]


def test_what_they_are_sent_makes_no_headline():
    extra = {"name": "n_contacts", "unit": "times", "family": "engagement", "mean": 5.0, "median": 5.0}
    rows = [*ROWS, extra | {"saying": "{value}", "label": "messages"}]
    figures = {row["name"]: {"mean": row["mean"], "effect_size": 0.0, "n_known": 100} for row in rows}
    figures["n_contacts"] = {"mean": 1.0, "effect_size": -2.0, "n_known": 100}
    card = {"n_profiles": 100, "profile_share": 0.25, "value_share": None, "features": figures, "tastes": []}
    card["distinguishing"] = distinguishing(figures, rows, n_profiles=100)
    found = story(card, rows, facts_among([card])[0])
    assert [trait["feature"] for trait in card["distinguishing"]] == ["n_contacts"]
    assert found["headline"] == "25% of customers; they buy every 15 days on average."


def test_followers_are_no_customers():
    rows = [
        {"name": n, "unit": u, "family": "social", "mean": m, "median": m, "saying": "{value}", "label": n}
        for n, u, m in (("n_social_actions", "times", 9.0), ("social_recency_days", "days", 40.0))
    ]
    figures = {"n_social_actions": (3.0, -0.5), "social_recency_days": (200.0, 1.5)}
    figures = {n: {"mean": m, "median": m, "effect_size": e, "n_known": 100} for n, (m, e) in figures.items()}
    card = {"n_profiles": 100, "profile_share": 0.25, "value_share": None, "features": figures, "tastes": []}
    card["distinguishing"] = distinguishing(figures, rows, n_profiles=100)
    everyone = {row["name"]: {"mean": row["mean"], "n_known": 10**6} for row in rows}
    found = story(card, rows, facts_among([card, {"features": everyone, "n_profiles": 10**6}])[0])
    assert found["headline"] == "25% of followers; on average they were last active on social networks 200 days ago."
    assert "customer" not in " ".join(str(part) for part in found.values())
    assert found["actions"][0]["text"] == "Consider one good reason to come back, and silence if it fails."


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


@pytest.mark.parametrize(("value_ratio", "advised"), [(0.8, True), (0.94, True), (0.96, False), (1.0, False)])
def test_who_spends_about_the_average_is_not_told_to_spend_less(value_ratio, advised):
    reasons = [action["because"] for action in told(value_ratio=value_ratio)["actions"]]
    assert any("less than the average" in reason for reason in reasons) is advised
