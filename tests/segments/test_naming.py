import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.segments.naming import amount_text, name_segments, phrase, pretty, share_text, summary, tastes

NAMED_BY = ("recency_days", "n_orders", "amount_per_order", "amount_sum")


def card(*, tastes=(), distinguishing=(), **effects):
    return {
        "features": {name: {"effect_size": effect, "mean": 1.0} for name, effect in effects.items()},
        "tastes": list(tastes),
        "distinguishing": [{"feature": name, "direction": direction} for name, direction in distinguishing],
    }


@pytest.mark.parametrize(
    ("effects", "name"),
    [
        ({}, "Typical shoppers"),
        ({"recency_days": 0.35}, "Typical shoppers"),
        ({"recency_days": 0.36}, "Fading shoppers"),
        ({"recency_days": 0.91}, "Lapsed shoppers"),
        ({"recency_days": -2.0}, "Typical shoppers"),
        ({"n_orders": 0.5}, "Frequent shoppers"),
        ({"n_orders": 1.0, "amount_sum": 1.0}, "High-value very frequent shoppers"),
        ({"n_orders": -0.5}, "Occasional shoppers"),
        ({"n_orders": -1.0, "recency_days": 1.0}, "Lapsed rare shoppers"),
        ({"amount_per_order": 0.5}, "Big-basket shoppers"),
        ({"amount_per_order": -0.5}, "Small-basket shoppers"),
        ({"n_orders": None, "amount_sum": None}, "Typical shoppers"),
    ],
)
def test_names_say_what_is_clear(effects, name):
    assert name_segments([card(**effects)]) == [name]


def test_a_name_that_is_taken_gets_what_sets_it_apart():
    plain = card(tastes=["Wine"], distinguishing=[("gap_days_mean", "lower")])
    assert name_segments([plain] * 5) == [
        "Typical shoppers",
        "Typical shoppers, keen on Wine",
        "Typical shoppers, less gap days mean",
        "Typical shoppers (2)",
        "Typical shoppers (3)",
    ]


effect = st.one_of(st.none(), st.floats(-3, 3))
cards = st.builds(
    card,
    tastes=st.lists(st.sampled_from(["Wine", "Bread", "a (2)"]), max_size=2),
    distinguishing=st.lists(st.tuples(st.sampled_from(NAMED_BY), st.sampled_from(["higher", "lower"])), max_size=2),
    **dict.fromkeys(NAMED_BY, effect),
)


@given(st.lists(cards, max_size=15))
def test_names_are_distinct(cards):
    names = name_segments(cards)
    assert len(names) == len(cards)
    assert len(set(names)) == len(names)
    assert all(name and name[0].isupper() for name in names)


def feature(name, mean, *, unit="share", saying="{value} of it"):
    return {"name": name, "mean": mean, "unit": unit, "saying": saying}


def test_a_phrase_compares_with_everyone():
    days = feature("recency_days", 40.0, unit="days", saying="last bought {value} days ago")
    assert phrase(days, 123.4) == "last bought 123 days ago (average 40.0)"
    assert phrase(feature("share_x", 0.123, saying="{value} of items from DAIRY {{x}}"), 0.5) == (
        "50% of items from Dairy {x} (average 12%)"
    )
    assert phrase(days, None) == "last bought none days ago (average 40.0)"


def test_a_summary_says_size_value_and_traits():
    plain = {"profile_share": 0.25, "value_share": None, "distinguishing": []}
    assert summary(plain) == "25% of customers. Close to the average customer in every respect."
    traits = [{"phrase": name} for name in "abcd"]
    rich = plain | {"value_share": 0.034, "distinguishing": traits}
    assert summary(rich) == "25% of customers, bringing 3.4% of sales. On average: a; b; c."


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "days", "none"),
        (1234.5, "currency", "1,234.50"),
        (-3, "currency", "-3.00"),
        (12.34, "days", "12.3"),
        (1234.5, "days", "1,234"),
        (0.1234, "share", "12%"),
        (0.01234, "share", "1.2%"),
    ],
)
def test_figures_have_the_digits_they_deserve(value, unit, text):
    assert amount_text(value, unit) == text


@pytest.mark.parametrize(("share", "text"), [(0, "0%"), (1, "100%"), (0.0994, "9.9%"), (0.0996, "10%"), (-0.2, "-20%")])
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
        "n_orders": {"effect_size": 3.0, "mean": 9.0},
    }
    features = [feature(name, 0.1) for name in figures if name != "n_orders"]
    features += [feature("n_orders", 1.0, unit="orders")]
    features[3]["mean"] = 0.45
    assert tastes(figures, features) == ["B", "A"]
