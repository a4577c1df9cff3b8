import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.segments.facts import DECIDING, facts_of, state
from gpuseg.segments.figures import amount_text, pretty, share_text
from gpuseg.segments.naming import name_segments, tastes
from tests.segments.means import means_of

# What everyone does, in a segment large enough to make the average.
EVERYONE = {
    "recency_days": 20.0,
    "n_orders": 20.0,
    "gap_days_mean": 15.0,
    "tenure_days": 300.0,
    "amount_per_order": 30.0,
    "share_Wine": 0.1,
}


def figure(value, effect=0.0, *, known=100):
    return {"mean": value, "median": value, "effect_size": effect, "n_known": known}


def card(*, n=100, value_ratio=1.0, drop=(), **changed):
    figures = {name: figure(value) for name, value in EVERYONE.items()}
    figures |= {name: figure(*pair) for name, pair in changed.items()}
    kept = {name: row for name, row in figures.items() if name not in drop}
    return {"features": kept, "n_profiles": n, "value_ratio": value_ratio}


CROWD = {"features": {n: figure(v, known=10_000) for n, v in EVERYONE.items()}, "n_profiles": 10_000, "value_ratio": 1}


def names_of(cards):
    return name_segments(cards, means_of(cards))


def named(one):
    return names_of([CROWD, one])[1]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"gap_days_mean": (7.0, -0.5)}, "Weekly regulars"),
        ({"gap_days_mean": (1.0, -1.5)}, "Daily regulars"),
        ({"gap_days_mean": (30.0, 0.9), "value_ratio": 0.2}, "Monthly light spenders"),
        ({"gap_days_mean": (3.4, -1.2), "value_ratio": 2.3}, "Twice-weekly big spenders"),
        ({"gap_days_mean": (80.0, 2.0)}, "Occasional shoppers"),
        ({"gap_days_mean": (400.0, 2.0)}, "Rare shoppers"),
        ({"gap_days_mean": (7.0, -0.5), "amount_per_order": (90.0, 1.2)}, "Weekly big-basket regulars"),
        ({"gap_days_mean": (7.0, -0.5), "share_Wine": (0.5, 1.2)}, "Weekly Wine fans"),
        ({"recency_days": (150.0, 2.0), "n_orders": (1.0, -2.0), "drop": ("gap_days_mean",)}, "Lapsed one-time buyers"),
        ({"recency_days": (150.0, 2.0), "n_orders": (3.0, -2.0)}, "Lapsed few-time buyers"),
        ({"recency_days": (150.0, 2.0)}, "Lapsed fortnightly shoppers"),
        ({"recency_days": (30.0, 0.5)}, "Fading fortnightly shoppers"),
        ({"n_orders": (1.0, -2.0), "drop": ("gap_days_mean",)}, "One-time buyers"),
        ({"recency_days": (5.0, -0.5), "tenure_days": (40.0, -2.0)}, "New fortnightly shoppers"),
        ({"response_share": (0.5, 1.0), "gap_days_mean": (7.0, -0.1)}, "Weekly regulars"),
        ({"value_ratio": 0.5}, "Fortnightly modest spenders"),
        ({"value_ratio": 4.0}, "Fortnightly top spenders"),
        ({"value_ratio": 4.0, "share_Wine": (0.5, 1.2)}, "Fortnightly top-spending Wine fans"),
        ({"value_ratio": 0.2, "share_Wine": (0.5, 1.2)}, "Fortnightly light-spending Wine fans"),
        (
            {"value_ratio": 4.0, "share_Wine": (0.5, 1.2), "recency_days": (30.0, 0.5)},
            "Fading top-spending Wine fans",
        ),
        ({"recency_days": (150.0, 2.0), "value_ratio": 1.6}, "Lapsed fortnightly big spenders"),
        ({"recency_days": (150.0, 2.0), "value_ratio": 0.2}, "Lapsed fortnightly shoppers"),
        ({"value_ratio": 2.0, "amount_per_order": (90.0, 1.2)}, "Fortnightly big spenders"),
    ],
)
def test_names_say_what_is_clear(changed, name):
    assert named(card(**changed)) == name


def test_a_name_claims_nothing_that_the_figures_contradict():
    """A strong effect whose mean lies on the other side of everyone's, as logarithms allow, gives no word."""
    plain = named(card())
    assert named(card(amount_per_order=(29.0, 1.5))) == plain
    assert named(card(share_Wine=(0.09, 1.5))) == plain
    assert "Lapsed" not in named(card(recency_days=(19.0, 2.0)))


def test_a_social_network_is_no_category():
    assert "fans" not in named(card(**{"share_on_tiktok": (0.9, 2.0)}))


def test_the_lifecycle_family_decides_where_it_is_there():
    shares = {"is_new": (0.1, 0.0), "is_at_risk": (0.1, 0.0), "is_lapsed": (0.1, 0.0)}
    crowd = CROWD | {"features": CROWD["features"] | {name: figure(0.1, known=10_000) for name in shares}}
    for name, word in (("is_new", "New"), ("is_at_risk", "Fading"), ("is_lapsed", "Lapsed")):
        assert names_of([crowd, card(**shares | {name: (0.6, 0.0)})])[1] == f"{word} fortnightly shoppers"
    quiet = card(**shares, recency_days=(150.0, 2.0), gap_days_mean=(7.0, -1.0))
    assert names_of([crowd, quiet])[1] == "Weekly regulars"


def test_a_long_wait_that_the_own_rhythm_explains_is_no_lapse():
    slow = card(recency_days=(60.0, 1.2), gap_days_mean=(55.0, 1.5))
    assert named(slow) == "Occasional shoppers"


def test_a_figure_that_few_have_names_nobody():
    rarely = card()
    rarely["features"]["gap_days_mean"] = figure(7.0, -2.0, known=20)
    assert "eekly" not in named(rarely)


@pytest.mark.parametrize("missing", [*DECIDING, "share_Wine"])
def test_any_feature_may_be_missing(missing):
    assert named(card(drop=(missing,)))


def social(network, share, effect, *, n=10.0, n_effect=0.0, away=20.0, away_effect=0.0):
    names = {"n_social_actions": figure(n, n_effect), "social_recency_days": figure(away, away_effect)}
    names |= {f"share_on_{each}": figure(0.1, -0.5) for each in ("facebook", "tiktok", "Blip", "x" * 30)}
    return {"features": names | {f"share_on_{network}": figure(share, effect)}, "n_profiles": 100, "value_ratio": None}


def test_social_events_alone_give_followers_of_networks():
    crowd = social("facebook", 0.3, 0.0)
    crowd |= {"features": {n: f | {"n_known": 10_000} for n, f in crowd["features"].items()}, "n_profiles": 10_000}
    cards = [
        crowd,
        social("facebook", 0.7, 0.8, n=4.0, n_effect=-0.5),
        social("facebook", 0.7, 0.8, away=200.0, away_effect=1.5),
        social("tiktok", 0.7, 2.0, n=40.0, n_effect=1.5),
        social("Blip", 0.7, 2.0),
        social("x" * 30, 0.7, 2.0, n=2.0, n_effect=-1.2),
    ]
    assert names_of(cards) == [
        "Typical followers",
        "Occasional Facebook followers",
        "Quiet Facebook followers",
        "Active TikTok followers",
        "Blip followers",
        "Rare followers",
    ]


def test_a_figure_that_differs_goes_before_a_number():
    def visits(n, seconds, effect):
        shown = {"n_sessions": figure(n), "dwell_seconds_mean": figure(seconds, effect)}
        return {"features": shown, "n_profiles": 100, "value_ratio": None}

    assert names_of([visits(9.0, 20.0, 0.0), visits(9.0, 30.0, 0.4), visits(9.0, 10.0, -0.4)]) == [
        "Typical visitors",
        "Typical visitors, slower reading",
        "Typical visitors, faster reading",
    ]
    between = names_of([visits(9.0, 20.0, 0.0), visits(9.0, 40.0, 0.8), visits(9.0, 30.0, 0.4)])
    assert between[2] == "Typical visitors, faster reading"
    assert names_of([visits(9.0, 20.0, 0.0)] * 2)[1] == "Typical visitors 2"


def test_a_trait_that_both_have_tells_nobody_apart():
    baskets = {"amount_per_order": (33.0, 0.3)}
    first, second = card(**baskets), card(**baskets, n_orders=(23.0, 0.2))
    crowd = {"features": CROWD["features"], "n_profiles": 10_000, "value_ratio": 1}
    assert names_of([first, second, crowd])[:2] == ["Fortnightly shoppers", "Fortnightly shoppers, more orders"]


def test_a_name_does_not_contradict_the_average_on_the_card():
    """Most come weekly, yet a few very long gaps make the average two months."""
    skewed = card()
    skewed["features"]["gap_days_mean"] = {"mean": 55.0, "median": 7.0, "effect_size": 0.5, "n_known": 100}
    assert named(skewed) == "Occasional shoppers"


def test_without_purchases_visits_name_a_segment():
    often = {"features": {"n_sessions": figure(30.0, 1.2)}, "n_profiles": 100, "value_ratio": None}
    seldom = {"features": {"n_sessions": figure(3.0, -0.5)}, "n_profiles": 100, "value_ratio": None}
    assert names_of([often, seldom]) == ["Frequent visitors", "Occasional visitors"]


@pytest.mark.parametrize(
    ("feature", "effect", "words"),
    [
        ("response_share", 1.0, "campaign-responsive"),
        ("response_share", -1.0, "campaign-shy"),
        ("intent_score", 1.0, "ready-to-buy"),
        ("rating_mean", -1.0, "dissatisfied"),
        ("sentiment_mean", 1.0, "satisfied"),
        ("n_social_actions", 1.0, "socially active"),
        ("n_sessions", 1.0, "much-browsing"),
    ],
)
def test_other_families_name_segments_too(feature, effect, words):
    crowd = CROWD | {"features": CROWD["features"] | {feature: figure(0.5, known=10_000)}}
    mine = card(**{feature: (0.5 + 0.2 * effect, effect)})
    assert names_of([crowd, mine])[1] == f"Fortnightly {words} shoppers"


def test_filled_carts_that_are_not_bought():
    crowd = CROWD | {
        "features": CROWD["features"] | {n: figure(0.3, known=9_999) for n in ("cart_share", "purchase_share")}
    }
    mine = card(cart_share=(0.6, 1.0), purchase_share=(0.1, -0.6))
    assert names_of([crowd, mine])[1] == "Fortnightly cart-abandoning shoppers"


def test_people_come_after_behaviour_and_only_where_needed():
    crowd = CROWD | {"features": CROWD["features"] | {"tier=gold": figure(0.2, known=10_000)}}
    gold = card(**{"tier=gold": (0.8, 1.5)})
    assert names_of([crowd, gold])[1] == "Fortnightly shoppers, mostly gold"
    weekly = card(**{"tier=gold": (0.8, 1.5), "gap_days_mean": (7.0, -1.0)})
    assert names_of([crowd, weekly])[1] == "Weekly regulars"


def test_equal_names_get_what_tells_them_apart():
    weaker = card(amount_per_order=(33.0, 0.3))
    assert names_of([CROWD, weaker, card(), card()]) == [
        "Fortnightly shoppers",
        "Fortnightly big-basket shoppers",
        "Fortnightly shoppers 2",
        "Fortnightly shoppers 3",
    ]


def test_long_and_strange_categories_stay_out_of_names():
    for category in ("x" * 40, "a b c d", "12", "a\nb", ""):
        assert "fans" not in named(card(**{f"share_{category}": (0.9, 2.0)}))


effect = st.one_of(st.none(), st.floats(-3, 3))
value = st.one_of(st.none(), st.floats(0, 400))
NAMES = (*EVERYONE, "share_Bread & Rolls", "response_share", "rating_mean", "n_sessions", "tier=gold", "gap_days_std")
figures = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        lambda mean, median, effect, known: {"mean": mean, "median": median, "effect_size": effect, "n_known": known},
        *(value, value, effect, st.integers(0, 50)),
    ),
)
cards = st.builds(
    lambda features, ratio: {"features": features, "n_profiles": 50, "value_ratio": ratio},
    *(figures, st.one_of(st.none(), st.floats(-1, 9))),
)


@given(st.lists(cards, max_size=12))
def test_names_are_distinct_and_short(cards):
    names = names_of(cards)
    assert len(set(names)) == len(names) == len(cards)
    assert all(name[0].isupper() and len(name.split()) <= 10 for name in names)
    assert all(len(name.split(",")[0].split()) <= 5 or name.rpartition(" ")[2].isdigit() for name in names)
    assert names_of(cards) == names


@given(st.lists(cards, min_size=1, max_size=5))
def test_states_keep_their_word(cards):
    for facts in facts_of(cards, means_of(cards)):
        now = state(facts)
        if now in ("lapsed", "fading"):
            assert facts.high("recency_days")
        if now == "one-time":
            assert facts.median("n_orders") <= 1
        if now == "new":
            assert facts.low("tenure_days")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "days", "none"),
        (1234.5, "currency", "1,234.50"),
        (-3, "currency", "-3.00"),
        (12.34, "days", "12.3"),
        (12.0, "days", "12"),
        (1234.5, "days", "1,234"),
        (0.1234, "share", "12%"),
        (0.01234, "share", "1.2%"),
    ],
)
def test_figures_have_the_digits_they_deserve(value, unit, text):
    assert amount_text(value, unit) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        *[(0, "0%"), (1, "100%"), (0.05, "5%"), (0.0994, "9.9%"), (0.0996, "10%"), (-0.2, "-20%")],
        *[(0.0001, "under 0.1%"), (0.9999, "over 99.9%"), (0.996, "99.6%")],
    ],
)
def test_shares(share, text):
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("DRUG GM", "Drug GM"), ("Wine", "Wine"), ("KÄSE-THEKE", "Käse-Theke"), ("", ""), ("a  B", "a  B")],
)
def test_shouting_is_softened(text, shown):
    assert pretty(text) == shown


def test_tastes_are_clear_and_ordered():
    figures = {
        "share_A": {"effect_size": 0.6, "mean": 0.3},
        "share_B": {"effect_size": 2.0, "mean": 0.9},
        "share_faint": {"effect_size": 0.4, "mean": 0.9},
        "share_common": {"effect_size": 0.9, "mean": 0.5},
        "share_other": {"effect_size": 3.0, "mean": 0.9},
        "share_constant": {"effect_size": None, "mean": 0.9},
        "response_share": {"effect_size": 3.0, "mean": 0.9},
        "n_orders": {"effect_size": 3.0, "mean": 9.0},
    }
    features = [{"name": name, "mean": 0.1, "unit": "share"} for name in figures if name != "n_orders"]
    features += [{"name": "n_orders", "mean": 1.0, "unit": "orders"}]
    features[3]["mean"] = 0.45
    assert tastes(figures, features) == ["B", "A"]
