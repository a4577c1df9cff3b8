import json
from types import SimpleNamespace

import numpy as np
import pytest

from gpuseg.engine.arrow import as_arrow
from gpuseg.segments.rules import LEARNED_SHARE, LEAST_PROFILES, MOST_LEARNED, rules_text, surrogate_rules
from tests.segments.test_conditions import GAP, ORDERS, RECENCY, SPEND, WINE

ITEMS = {item["name"]: item for item in (RECENCY, ORDERS, GAP, SPEND, WINE)}


def table(columns, labels):
    import pyarrow as pa

    arrays = {name: as_arrow(values, np.isnan(values)) for name, values in columns.items()}
    return pa.table(arrays | {"segment_id": as_arrow(np.asarray(labels, np.int32))})


def model(columns, n_segments, seed=0):
    items = [ITEMS.get(name, WINE | {"name": name}) for name in columns]
    return SimpleNamespace(
        published=tuple(items), transform=SimpleNamespace(features=list(columns)), seed=seed, n_segments=n_segments
    )


def figures(n, seed=0):
    """Columns as purchases have them: days, counts, a long tail, a gap that not everybody has."""
    random = np.random.default_rng(seed)
    orders = random.geometric(0.1, n).astype(float)
    return {
        "recency_days": random.integers(1, 365, n).astype(float),
        "n_orders": orders,
        "gap_days_mean": np.where(orders > 1, random.gamma(2, 9, n), np.nan),
        "amount_sum": random.lognormal(5, 1, n).round(2),
    }


def found(columns, labels, n_segments=None):
    labels = np.asarray(labels)
    return surrogate_rules(table(columns, labels), model(columns, n_segments or int(labels.max()) + 1))


def obeys(rule, columns, row):
    """Whether a profile meets all conditions, read from the JSON alone."""
    for condition in rule["conditions"]:
        value = columns[condition["feature"]][row]
        if np.isnan(value):
            if not condition["or_unknown"]:
                return False
        elif bool(value <= condition["value"]) is (condition["operator"] == ">"):
            return False
    return True


@pytest.fixture(scope="module")
def noisy():
    """Three segments that rules can mostly tell, and the rules."""
    columns = figures(1500)
    labels = np.where(columns["recency_days"] > 120, 2, (columns["amount_sum"] > 150).astype(int))
    labels = np.where(np.isnan(columns["gap_days_mean"]) & (labels == 0), 2, labels)
    random = np.random.default_rng(1)
    labels = np.where(random.random(1500) < 0.1, random.integers(0, 3, 1500), labels)
    return columns, labels, found(columns, labels)


def test_planted_rules_are_found_in_words():
    columns = figures(4000)
    labels = np.where(columns["recency_days"] > 120, 2, (columns["n_orders"] > 10).astype(int))
    told = found(columns, labels)
    assert told["fidelity"] == 1.0
    assert [rule["text"] for segment in told["segments"] for rule in segment["rules"]] == [
        "last bought at most 120 days ago; and at most 10 orders",
        "last bought at most 120 days ago; and more than 10 orders",
        "last bought more than 120 days ago",
    ]
    assert (told["n_leaves"], told["max_depth"]) == (3, 2)
    assert all(segment["precision"] == segment["coverage"] == 1.0 for segment in told["segments"])


def test_every_profile_meets_the_conditions_of_one_rule(noisy):
    columns, _, told = noisy
    rules = [rule for segment in told["segments"] for rule in segment["rules"]]
    assert len(rules) == told["n_leaves"]
    for row in range(1500):
        assert sum(obeys(rule, columns, row) for rule in rules) == 1


def test_figures_are_those_of_the_held_out_profiles(noisy):
    columns, labels, told = noisy
    held_out = range(int(1500 * LEARNED_SHARE), 1500)
    assert (told["n_profiles"], told["n_held_out"]) == (1500, len(held_out))
    right = 0
    for segment in told["segments"]:
        number, mine = segment["segment_id"], {row for row in held_out if labels[row] == segment["segment_id"]}
        together = set()
        for rule in segment["rules"]:
            rows = {row for row in held_out if obeys(rule, columns, row)}
            assert rule["n_profiles"] == len(rows)
            assert rule["precision"] == pytest.approx(len(rows & mine) / len(rows))
            assert rule["coverage"] == pytest.approx(len(rows & mine) / len(mine))
            together |= rows
        assert segment["precision"] == pytest.approx(len(together & mine) / len(together)), number
        assert segment["coverage"] == pytest.approx(len(together & mine) / len(mine))
        assert [rule["coverage"] for rule in segment["rules"]] == sorted(
            (rule["coverage"] for rule in segment["rules"]), reverse=True
        )
        right += len(together & mine)
    assert told["fidelity"] == pytest.approx(right / len(held_out))
    assert 0.8 < told["fidelity"] < 1


def test_a_feature_has_at_most_one_bound_on_each_side(noisy):
    for segment in noisy[2]["segments"]:
        for rule in segment["rules"]:
            bounds = [(condition["feature"], condition["operator"]) for condition in rule["conditions"]]
            assert len(set(bounds)) == len(bounds)
            assert all(condition["text"] for condition in rule["conditions"])


def test_thresholds_have_few_digits():
    random = np.random.default_rng(3)
    columns = {"amount_sum": random.lognormal(6, 2, 20_000), "share_WINE": random.random(20_000)}
    labels = (columns["amount_sum"] > 283.6517).astype(int) + (columns["share_WINE"] > 0.6034)
    told = found(columns, labels)
    assert told["fidelity"] > 0.95
    for segment in told["segments"]:
        for rule in segment["rules"]:
            for condition in rule["conditions"]:
                assert len(f"{condition['value']:g}".replace(".", "").strip("0")) <= 3


def test_unknown_values_are_part_of_rules():
    columns = figures(3000)
    labels = np.isnan(columns["gap_days_mean"]).astype(int)
    columns.pop("n_orders")
    told = found(columns, labels)
    assert told["fidelity"] == 1.0
    texts = [[rule["text"] for rule in segment["rules"]] for segment in told["segments"]]
    assert texts == [["days between purchases known"], ["days between purchases unknown"]]
    for row in range(100):
        assert obeys(told["segments"][labels[row]]["rules"][0], columns, row)


def test_or_unknown_is_said_only_where_somebody_is():
    columns = figures(3000)
    slow = ~(columns["gap_days_mean"] <= 20)
    told = found({"gap_days_mean": columns["gap_days_mean"]}, slow.astype(int))
    assert [segment["rules"][0]["text"] for segment in told["segments"]] == [
        "buys every 20 days or more often",
        "buys less often than every 20 days (or unknown)",
    ]
    known = np.nan_to_num(columns["gap_days_mean"], nan=50.0)
    told = found({"gap_days_mean": known}, slow.astype(int))
    assert not any("unknown" in rule["text"] for segment in told["segments"] for rule in segment["rules"])


@pytest.mark.parametrize(("orders", "n_leaves"), [(50, 2), (25, 3)], ids=["0.2% of the profiles", "2%"])
def test_a_leaf_must_be_worth_its_words(orders, n_leaves):
    columns = figures(20_000)
    labels = (columns["recency_days"] > 120) | (columns["n_orders"] > orders)
    assert found(columns, labels)["n_leaves"] == n_leaves


def test_equal_work_gives_equal_rules_and_they_are_json(noisy):
    columns, labels, told = noisy
    assert found(columns, labels) == told
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_too_little_to_learn_from():
    few = {name: values[: LEAST_PROFILES - 1] for name, values in figures(100).items()}
    assert found(few, few["recency_days"] > 100, 2) is None
    assert found(figures(200), np.zeros(200), 2) is None


def test_a_segment_that_is_not_seen_has_no_rules_and_no_figures():
    columns = figures(500)
    told = found(columns, columns["recency_days"] > 100, 3)
    assert told["segments"][2] == {"segment_id": 2, "precision": None, "coverage": None, "rules": []}


def test_of_many_profiles_most_are_held_out():
    n = MOST_LEARNED * 2
    recency = np.tile(np.arange(1.0, 101.0), n // 100 + 1)[:n]
    told = found({"recency_days": recency}, recency > 40)
    assert told["n_held_out"] == n - MOST_LEARNED
    assert told["fidelity"] == 1.0


def test_only_features_of_the_matrix_take_part(planted):
    used = {
        condition["feature"]
        for segment in planted.explanations["surrogate"]["segments"]
        for rule in segment["rules"]
        for condition in rule["conditions"]
    }
    assert used
    assert used <= set(planted.model.transform.features)


def test_rules_as_text(noisy):
    told = noisy[2]
    text = rules_text(told, {0: "Zero", 1: "One", 2: "Two"})
    assert text.startswith(f"These rules give the right segment to {told['fidelity']:.0%} of 300 profiles")
    for segment, name in zip(told["segments"], ("Zero", "One", "Two"), strict=True):
        assert f"\n{segment['segment_id']}  {name} (right for {segment['precision']:.0%}, covers " in text
        assert all(f"  - {rule['text']} (right for " in text for rule in segment["rules"])
    unseen = told | {"segments": [{"segment_id": 0, "precision": None, "coverage": None, "rules": []}]}
    assert rules_text(unseen, {0: "Zero"}).endswith("\n\n0  Zero\n  no rule")
    assert rules_text(None, {}) == "No rules: they need at least 50 profiles."
