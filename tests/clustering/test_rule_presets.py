"""Ready-made rules say what the features and scores that they are named after say."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuseg.clustering.rule_presets import CELLS, check_preset, lifecycle_rules, rfm_cells, rules_of
from gpuseg.clustering.rule_values import matches
from gpuseg.clustering.rules import RuleSet
from gpuseg.config_rules import RuleSection
from gpuseg.engine.expression import Arithmetic, AtMost, Constant, Reduction
from gpuseg.errors import ClusteringError, ConfigError
from gpuseg.features import lifecycle
from gpuseg.features.algebra import Context

NULL = float("nan")


def held(rules, columns):
    """Who matches which rule, shape (n_rules, n_rows)."""
    return np.array([matches(rule.where, columns) for rule in rules])


# --- the lifecycle ---


def figure(expression, customer):
    """An expression over the first, last and number of days of a customer, in whole numbers."""
    match expression:
        case Constant(value):
            return value
        case Reduction(operation=operation):
            return customer[operation]
        case AtMost(left, right):
            return int(figure(left, customer) <= figure(right, customer))
        case Arithmetic(sign, left, right):
            one, other = figure(left, customer), figure(right, customer)
            return {"+": one + other, "-": one - other, "*": one * other}[sign]


def family_stage(first_day, tenure, n_days):
    as_of = dt.date(2000, 1, 1)
    context = Context(as_of, (), 10_000)
    customer = {"min": context.as_of_day - first_day, "max": context.as_of_day - first_day + tenure}
    customer["count_distinct"] = n_days
    stages = [feature for feature in lifecycle.declare(context) if feature.name.startswith("is_")]
    return [feature.name for feature in stages if figure(feature.expression, customer)]


CUSTOMERS = st.integers(1, 900).flatmap(
    lambda first: st.integers(0, first - 1).flatmap(
        lambda tenure: st.tuples(st.just(first), st.just(tenure), st.integers(2, tenure + 1) if tenure else st.just(1))
    )
)


@settings(max_examples=500, deadline=None)
@given(st.lists(CUSTOMERS, min_size=1, max_size=8))
def test_stages_are_those_of_the_features(customers):
    first, tenure, n_days = (np.array(column, np.float64) for column in zip(*customers, strict=True))
    gaps = np.where(n_days > 1, tenure / np.maximum(n_days - 1, 1), NULL)
    rules = lifecycle_rules()
    matched = held(rules, {"recency_days": first - tenure, "tenure_days": tenure, "gap_days_mean": gaps})
    told = [[f"is_{rule.name.lower().replace(' ', '_')}" for rule, yes in zip(rules, row, strict=True) if yes]
            for row in matched.T]  # fmt: skip
    assert told == [family_stage(*customer) for customer in customers]


@pytest.mark.parametrize(
    ("recency", "tenure", "gap", "stage"),
    [
        (30, 0, NULL, "New"),
        (31, 0, NULL, "Active"),
        (60, 0, NULL, "Active"),
        (61, 0, NULL, "At risk"),
        (180, 0, NULL, "At risk"),
        (181, 0, NULL, "Lapsed"),
        (29, 1, 1, "New"),
        (14, 20, 1, "Active"),
        (15, 20, 1, "At risk"),
        (28, 20, 1, "At risk"),
        (29, 20, 1, "Lapsed"),
        (200, 600, 100, "Active"),
        (201, 600, 100, "At risk"),
        (400, 600, 100, "At risk"),
        (401, 600, 100, "Lapsed"),
    ],
)
def test_limits_of_stages(recency, tenure, gap, stage):
    rules = RuleSet(lifecycle_rules())
    given = {"recency_days": recency, "tenure_days": tenure, "gap_days_mean": gap}
    placed = rules.place({name: np.array([value], np.float64) for name, value in given.items()})
    assert rules.names[placed[0]] == stage


def test_who_never_bought_is_in_no_stage():
    columns = {name: np.array([NULL]) for name in ("recency_days", "tenure_days", "gap_days_mean")}
    assert not held(lifecycle_rules(), columns).any()


# --- RFM cells ---


def score(values, *, small_is_good=False):
    """Score by fifths, one value after the other; equal ones have that of the middle one of them."""
    signed = -values if small_is_good else values
    places = [(np.sum(signed < value) + np.sum(signed <= value)) / 2 / len(values) for value in signed]
    return np.array([1 + sum(place >= part for part in (0.2, 0.4, 0.6, 0.8)) for place in places])


def named(recency, frequency, monetary):
    """Cell of every customer, straight from the scores."""
    worth = (score(frequency) + score(monetary) + 1) // 2
    return [
        next(name for name, (a, b), (c, d) in CELLS if a <= r <= b and c <= w <= d)
        for r, w in zip(score(recency, small_is_good=True), worth, strict=True)
    ]


def customers_of(recency, frequency, monetary):
    columns = {"recency_days": recency, "n_orders": frequency, "amount_sum": monetary}
    return {name: np.array(values, np.float64) for name, values in columns.items()}


def test_every_pair_of_scores_has_one_name():
    pairs = [(r, w) for _, (a, b), (c, d) in CELLS for r in range(a, b + 1) for w in range(c, d + 1)]
    assert sorted(pairs) == [(r, w) for r in range(1, 6) for w in range(1, 6)]
    assert len({name.casefold() for name, _, _ in CELLS}) == len(CELLS)


ROW = st.tuples(st.integers(1, 9), st.integers(1, 5), st.sampled_from([-5.5, 0.0, 0.01, 12.34, 12.35, 100.0, 1e6]))


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=40))
def test_rules_of_cells_are_the_scores(rows):
    columns = customers_of(*zip(*rows, strict=True))
    rules = rfm_cells(columns)
    matched = held(rules, columns)
    assert (matched.sum(axis=0) == 1).all()
    assert [rules[place].name for place in matched.argmax(axis=0)] == named(*columns.values())


def many(seed=0, size=3_000):
    rng = np.random.default_rng(seed)
    frequency = rng.geometric(0.3, size)
    return customers_of(rng.integers(0, 700, size), frequency, np.round(frequency * rng.gamma(2.0, 40.0, size), 2))


def test_cells_of_many_customers():
    columns = many()
    rules = rfm_cells(columns)
    assert [rule.name for rule in rules] == [name for name, _, _ in CELLS]
    matched = held(rules, columns)
    assert (matched.sum(axis=0) == 1).all()
    assert [rules[place].name for place in matched.argmax(axis=0)] == named(*columns.values())


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.lists(ROW, min_size=1, max_size=30))
def test_every_other_customer_is_in_one_cell_too(rows, others):
    rules = rfm_cells(customers_of(*zip(*rows, strict=True)))
    matched = held(rules, customers_of(*zip(*others, strict=True)))
    assert (matched.sum(axis=0) == 1).all()


def test_cells_do_not_depend_on_the_order_of_profiles():
    columns = many()
    order = np.random.default_rng(1).permutation(3_000)
    assert rfm_cells(columns) == rfm_cells({name: values[order] for name, values in columns.items()})


def test_who_never_bought_is_in_no_cell_and_moves_no_limit():
    columns = many()
    none = {"recency_days": NULL, "n_orders": 0.0, "amount_sum": 0.0}
    more = {name: np.append(values, np.full(500, none[name])) for name, values in columns.items()}
    rules = rfm_cells(more)
    assert rules == rfm_cells(columns)
    assert not held(rules, more)[:, 3_000:].any()
    same = customers_of([10.0, 10.0], [1, 1], [5.0, 5.0])
    assert not held(rfm_cells(same), {name: np.array([value]) for name, value in none.items()}).any()


def test_equal_customers_are_one_cell_in_the_middle():
    rules = rfm_cells(customers_of([10] * 4, [1] * 4, [5.0] * 4))
    assert [(rule.name, rule.where.text) for rule in rules] == [("Need attention", "recency_days is not null")]


def test_limits_are_round_numbers():
    columns = customers_of(np.arange(1, 11) * 37, np.arange(1, 11), np.arange(1, 11) * 97.3)
    champions = rfm_cells(columns)[0]
    assert (champions.name, champions.where.text) == (
        "Champions",
        "recency_days <= 80 and ((n_orders > 2 and amount_sum > 800) or (n_orders > 4 and amount_sum > 600)"
        " or (n_orders > 6 and amount_sum > 400) or (n_orders > 8 and amount_sum > 200))",
    )


def test_nobody_has_bought():
    with pytest.raises(ClusteringError, match="rfm_cells needs profiles with purchases, but none of 2 sampled"):
        rfm_cells(customers_of([NULL, NULL], [0, 0], [0, 0]))


# --- what they need ---


@pytest.mark.parametrize(
    ("preset", "names", "message"),
    [
        (
            "rfm_cells",
            ["recency_days", "n_orders"],
            "rfm_cells needs recency_days, n_orders and amount_sum, which family rfm makes of a source of kind "
            "purchases; this run has no amount_sum",
        ),
        (
            "lifecycle",
            [],
            "lifecycle needs recency_days, tenure_days and gap_days_mean, which families rfm and tempo make of a "
            "source of kind purchases; this run has no recency_days, tenure_days or gap_days_mean",
        ),
    ],
)
def test_features_that_are_missing(preset, names, message):
    with pytest.raises(ConfigError) as caught:
        check_preset(preset, names)
    assert str(caught.value) == f"cluster.rules: {message}"


def test_features_that_are_there():
    for preset in ("lifecycle", "rfm_cells"):
        rules = RuleSet(rules_of(preset, many()))
        check_preset(preset, rules.features)
        rules.check(rules.features)


def test_rules_by_what_the_configuration_says():
    assert rules_of("lifecycle", {}) == lifecycle_rules()
    assert rules_of("rfm_cells", many()) == rfm_cells(many())
    (rule,) = rules_of((RuleSection(name="Big", where="amount_sum > 5"),), {})
    assert (rule.name, rule.where.text) == ("Big", "amount_sum > 5")
