import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.segments.figures import amount_text, singular
from gpuseg.segments.phrases import compare, distinguishing, phrase, short_phrase, stem_of


def feature(name, mean, median=None, *, unit="orders", label="IT"):
    return {"name": name, "mean": mean, "median": median, "unit": unit, "label": label}


def figure(effect, mean, median=None, n_known=None):
    return {"effect_size": effect, "mean": mean, "median": median, "n_known": n_known}


def said(name, mine, overall, *, unit="orders", label="IT"):
    given = feature(name, overall, unit=unit, label=label)
    found = compare(given, figure(1.0 if mine > overall else -1.0, mine))
    return phrase(given, found)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("n_orders", 155.0, 63.1), "order 2.5 times as often as the average customer (155 orders against 63.1)"),
        (("n_orders", 85.0, 63.0), "order 35% more often than the average customer (85 orders against 63)"),
        (("n_orders", 12.0, 63.0), "order 81% less often than the average customer (12 orders against 63)"),
        (
            ("n_orders_30d", 10.0, 5.0),
            "order twice as often in the last 30 days as the average customer (10 orders against 5)",
        ),
        (
            ("n_orders_30d", 0.0, 5.0),
            "hardly order in the last 30 days, unlike the average customer (0 orders against 5)",
        ),
        (("n_active_days", 3.0, 51.6), "shop on 94% fewer days than the average customer (3 days against 51.6)"),
        (("recency_days", 147.0, 22.0), "last bought 147 days ago, against 22 for the average customer"),
        (("gap_days_mean", 3.4, 14.8), "buy every 3.4 days, against 14.8 for the average customer"),
        (
            ("gap_days_std", 3.0, 13.0),
            "buy more regularly: intervals vary by 3 days, against 13 for the average customer",
        ),
    ],
)
def test_differences_in_words(words, text):
    assert said(*words) == text


def test_categories_and_what_has_no_words_of_its_own():
    assert said("share_DAIRY", 0.5, 0.12, unit="share") == (
        "buy more of Dairy: 50% of items, against 12% for the average customer"
    )
    assert said("age", 30.0, 45.5, label="age") == "differ in age: 30, against 45.5 for the average customer"
    gold = said("tier=GOLD", 0.8, 0.25, unit="share")
    assert gold == "are more often tier Gold: 80%, against 25% for the average customer"
    network = said("share_on_tiktok", 0.8, 0.25, unit="share")
    assert network == "are more on TikTok: 80% of social actions, against 25% for the average customer"
    assert said("sentiment_mean", -0.25, 0.31) == (
        "write harsher comments: tone -0.25 on a scale from -1 to 1, against 0.31 for the average customer"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("intent_score", 6.3, 2.1), "show 3 times as much recent interest in buying as the average customer"),
        (
            ("nps_score", -0.31, 0.25),
            "have a net promoter score of -0.31 on a scale from -1 to 1, against 0.25 for the average customer",
        ),
        (
            ("n_social_actions", 1.0, 8.0),
            "are active on social networks 88% less often than the average customer (1 time against 8)",
        ),
        (("n_contacts", 1.0, 2.0), "get 50% fewer messages than the average customer (1 message against 2)"),
        (("visit_recency_days", 1.0, 30.0), "last visited 1 day ago, against 30 for the average customer"),
        (("rating_mean", 3.1, 4.2), "give worse ratings: 3.1, against 4.2 for the average customer"),
    ],
)
def test_nothing_is_said_in_points(words, text):
    units = {"visit_recency_days": "days"}
    assert said(*words, unit=units.get(words[0], "score")) == text


def test_people_are_called_what_they_are():
    rows = [feature("n_social_actions", 10.0), feature("share_on_tiktok", 0.2, unit="share")]
    figures = {"n_social_actions": figure(1.0, 30.0), "share_on_tiktok": figure(2.0, 0.8)}
    told = [trait["phrase"] for trait in distinguishing(figures, rows)]
    assert told == [
        "are more on TikTok: 80% of social actions, against 20% for the average follower",
        "are active on social networks 3 times as often as the average follower (30 times against 10)",
    ]


def test_responses_are_told_only_as_a_share_of_messages():
    """Whoever is sent less answers less; only the rate says something of them."""
    rows = [feature("n_contacts", 5.0), feature("n_responses", 2.0), feature("response_share", 0.4, unit="share")]
    figures = {"n_contacts": figure(-1.5, 1.0), "n_responses": figure(-2.0, 0.4), "response_share": figure(0.0, 0.4)}
    assert [trait["feature"] for trait in distinguishing(figures, rows)] == ["n_contacts"]
    figures["response_share"] = figure(1.0, 0.8)
    assert [trait["feature"] for trait in distinguishing(figures, rows)] == ["response_share", "n_contacts"]


def test_one_idea_is_told_once():
    names = ["n_sessions", "n_page_views", "recency_days", "visit_recency_days", "share_A", "share_B", "rating_mean"]
    rows = [feature(name, 10.0, unit="share" if name.startswith("share") else "days") for name in names]
    figures = {name: figure(1.0 + place / 10, 20.0) for place, name in enumerate(names)}
    told = [trait["feature"] for trait in distinguishing(figures, rows)]
    assert told == ["rating_mean", "share_B", "recency_days", "n_page_views"]


def test_figures_that_go_together_are_told_once():
    rows = [feature("amount_sum", 10.0), feature("n_orders", 10.0), feature("rating_mean", 3.0)]
    figures = {"amount_sum": figure(2.0, 30.0), "n_orders": figure(1.5, 30.0), "rating_mean": figure(1.0, 4.0)}
    together = {"amount_sum", "n_orders"}
    told = distinguishing(figures, rows, alike=lambda one, other: {one, other} == together)
    assert [trait["feature"] for trait in told] == ["amount_sum", "rating_mean"]


def test_who_did_nothing_lately_is_away_once():
    rows = [feature("recency_days", 20.0, unit="days"), feature("n_orders_30d", 4.0)]
    figures = {"recency_days": figure(2.0, 90.0), "n_orders_30d": figure(-1.8, 0.0)}
    assert [trait["feature"] for trait in distinguishing(figures, rows)] == ["recency_days"]


def test_messages_that_were_answered_more_than_once():
    assert said("response_share", 0.5, 0.26, unit="share") == (
        "answer 50% of the messages they get, against 26% for the average customer"
    )
    assert said("response_share", 1.6, 0.26, unit="share") == (
        "give 1.6 responses a message, against 0.26 for the average customer"
    )


def test_a_lifetime_figure_goes_before_a_window_that_is_hardly_clearer():
    features = [feature("n_orders", 10.0), feature("n_orders_365d", 9.0)]
    figures = {"n_orders": figure(1.0, 20.0), "n_orders_365d": figure(1.01, 19.0)}
    assert [trait["feature"] for trait in distinguishing(figures, features)] == ["n_orders"]


def test_a_short_phrase_keeps_no_figures_in_brackets():
    given = feature("n_orders", 63.0)
    assert short_phrase(given, compare(given, figure(1.0, 155.0))) == "order 2.5 times as often as the average customer"


def test_a_mean_that_contradicts_the_effect_is_not_told():
    """Logarithms: most buy more than the middle customer, yet without the few who make the average."""
    given = feature("amount_sum", 1861.5, 1210.0, unit="currency")
    assert compare(given, figure(0.4, 1800.0, 1700.0)) is None


@pytest.mark.parametrize(
    "mine",
    [
        figure(1.0, 5.0, 5.0),  # the other way in both
        figure(-1.0, 9.9, 9.9),  # no visible difference
        figure(None, 20.0, 20.0),
        figure(1.0, None, None),
        figure(1.0, 20.0, 20.0, n_known=4),  # most of the segment do not have it
    ],
)
def test_nothing_is_said_where_no_figure_agrees(mine):
    given = feature("n_orders", 10.0, 10.0)
    assert compare(given, mine, n_profiles=10) is None
    assert distinguishing({"n_orders": mine}, [given], n_profiles=10) == []


numbers = st.one_of(st.none(), st.floats(-1e6, 1e6))


@given(
    st.sampled_from(["n_orders", "amount_sum_90d", "recency_days", "share_x", "gap_days_std", "tenure_days", "other"]),
    st.sampled_from(["orders", "currency", "share", "days"]),
    *(numbers, numbers, numbers, numbers, st.floats(-5, 5)),
)
def test_direction_and_figures_always_agree(name, unit, mean, median, overall_mean, overall_median, effect):
    given_feature = feature(name, overall_mean, overall_median, unit=unit)
    found = compare(given_feature, figure(effect, mean, median))
    if found is None:
        return
    assert (found.value > found.overall) == (effect > 0)
    words = phrase(given_feature, found)
    assert amount_text(found.value, unit) != amount_text(found.overall, unit)
    assert amount_text(found.value, unit) in words
    up = any(
        word in words for word in ("more often", "times as", "% more", "buy more of", "longer time", "less regularly")
    )
    down = any(
        word in words for word in ("less often", "hardly", "% less", "buy less of", "shorter time", "more regularly")
    )
    assert not (up and effect < 0)
    assert not (down and effect > 0)


def test_the_clearest_come_first_and_near_synonyms_once():
    names = [
        "n_orders",
        "n_orders_30d",
        "n_active_days",
        "gap_days_mean",
        "amount_sum",
        "n_lines",
        "recency_days",
        "dull",
    ]
    features = [feature(name, 10.0) for name in names]
    effects = [-1.0, -1.5, -1.4, 1.2, -2.0, -1.9, 1.1, 0.2]
    figures = {n: figure(e, 20.0 if e > 0 else 5.0) for n, e in zip(names, effects, strict=True)}
    found = distinguishing(figures, features)
    assert [trait["feature"] for trait in found] == ["amount_sum", "n_active_days", "recency_days"]
    first = found[0]
    assert (first["direction"], first["statistic"], first["value"], first["overall"]) == ("lower", "mean", 5.0, 10.0)
    assert (first["ratio"], first["change"]) == (0.5, -0.5)


def test_windows_in_words():
    assert stem_of("n_orders_30d") == ("n_orders", " in the last 30 days")
    assert stem_of("share_x_30d") == ("share_x_30d", "")
    assert stem_of("tier=a_30d") == ("tier=a_30d", "")


@pytest.mark.parametrize(
    ("text", "unit", "one"),
    [
        ("1 searches, views", "searches", "1 search, views"),
        ("1 days ago", "days", "1 day ago"),
        ("21 days", "days", "21 days"),
    ],
)
def test_one_of_a_thing(text, unit, one):
    assert singular(text, unit) == one
