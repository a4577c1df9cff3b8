import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.matrix.transform import ColumnTransform, MatrixTransform
from gpuseg.segments.baseline import cut_evenly, eta_squared, rfm_baseline, rfm_score

# Ten profiles in two segments. Quintiles hold two profiles each.
RECENCY = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
ORDERS = [20, 18, 16, 14, 12, 10, 8, 6, 4, 2]
AMOUNT = [100.0, 90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0]
WINE = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
SEGMENT = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
COLUMNS = {"recency_days": RECENCY, "n_orders": ORDERS, "amount_sum": AMOUNT, "share_wine": WINE}


def described(*names):
    units = {"recency_days": "days", "n_orders": "orders", "amount_sum": "currency", "share_wine": "share"}
    return [{"name": name, "label": f"the {name}", "unit": units[name], "in_matrix": True} for name in names]


FEATURES = described(*COLUMNS)


def sample(**columns):
    return pa.table({**COLUMNS, "segment_id": pa.array(SEGMENT, pa.int32()), **columns})


def unchanged(*names):
    """A transformation that only shifts and scales."""
    columns = tuple(ColumnTransform(name, "none", 0.0, 0.0, 1.0, 1000.0, 1.0) for name in names)
    return MatrixTransform(columns, ())


def test_a_hand_computed_example():
    found = rfm_baseline(sample(), FEATURES, 2, transform=unchanged(*COLUMNS))
    # Scores 15, 15, 12, 12, 9, 9, 6, 6, 3, 3: the median falls between two profiles of score 9, which stay together.
    # Recency by segments: means 5 and 6 around 5.5, so 10 * 0.25 of 82.5. Groups of the last four (8.5) and the first
    # six (3.5): 4 * 9 + 6 * 4 = 60 of 82.5, and the same for orders and amounts, which lie on a line with recency.
    # Wine: all of its variance lies between segments; within the groups half of the profiles buy it, so none of it.
    expected = {"recency_days": (2.5 / 82.5, 60 / 82.5), "share_wine": (1.0, 0.0)}
    expected |= dict.fromkeys(("n_orders", "amount_sum"), expected["recency_days"])
    assert [item["feature"] for item in found["features"]] == list(COLUMNS)
    for item in found["features"]:
        assert (item["segments"], item["baseline"]) == pytest.approx(expected[item["feature"]]), item["feature"]
    assert found["features"][0]["label"] == "the recency_days"
    assert found["features"][0]["unit"] == "days"
    assert (found["method"], found["n_groups"], found["n_profiles"]) == ("rfm_quintiles", 2, 10)
    assert found["segments_mean"] == pytest.approx((1 + 3 * 2.5 / 82.5) / 4)
    assert found["baseline_mean"] == pytest.approx(3 * 60 / 82.5 / 4)
    assert found["better"] == ["share_wine"]
    assert sorted(found["worse"]) == ["amount_sum", "n_orders", "recency_days"]
    assert found["finding"] == (
        "The segments account for 27% of the differences between profiles and 2 groups by RFM score for 55%, on "
        "average over 4 features: the segments tell clearly more about 1 of them (the share_wine) and clearly less "
        f"about 3 of them ({', '.join('the ' + name for name in found['worse'])})."
    )
    assert json.loads(json.dumps(found)) == found


def test_scores_by_hand():
    assert rfm_score(sample()).tolist() == [15, 15, 12, 12, 9, 9, 6, 6, 3, 3]


def test_profiles_without_purchases_score_least():
    table = sample(recency_days=[*RECENCY[:-1], None], n_orders=[*ORDERS[:-1], None], amount_sum=[*AMOUNT[:-1], None])
    assert rfm_score(table).tolist() == [15, 15, 12, 12, 9, 9, 6, 6, 3, 3]


def test_equal_values_have_equal_scores():
    table = sample(n_orders=[1] * 10)
    assert rfm_score(table).tolist() == [5 + 3 + 5] * 2 + [4 + 3 + 4] * 2 + [9] * 2 + [7] * 2 + [5] * 2


def test_the_order_of_profiles_does_not_matter():
    draw = np.random.default_rng(0)
    n = 500
    columns = {
        "recency_days": draw.integers(0, 30, n),
        "n_orders": draw.poisson(3, n),
        "amount_sum": draw.gamma(2, 30, n).round(2),
        "share_wine": draw.random(n).round(3),
    }
    table = pa.table({**columns, "segment_id": pa.array(draw.integers(0, 4, n), pa.int32())})
    order = draw.permutation(n)
    first = rfm_baseline(table, FEATURES, 4, transform=unchanged(*COLUMNS))
    assert first == rfm_baseline(table, FEATURES, 4, transform=unchanged(*COLUMNS))
    again = rfm_baseline(table.take(pa.array(order)), FEATURES, 4, transform=unchanged(*COLUMNS))
    for one, other in zip(first["features"], again["features"], strict=True):
        assert one["baseline"] == pytest.approx(other["baseline"], rel=1e-9)
        assert one["segments"] == pytest.approx(other["segments"], rel=1e-9)
    assert (rfm_score(table)[order] == rfm_score(table.take(pa.array(order)))).all()


@pytest.mark.parametrize("missing", ["recency_days", "n_orders", "amount_sum"])
def test_without_recency_orders_or_spend_there_is_none(missing):
    names = [name for name in COLUMNS if name != missing]
    table = sample().drop_columns([missing])
    assert rfm_baseline(table, described(*names), 2, transform=unchanged(*names)) is None


def test_where_nothing_can_be_compared_there_is_none():
    transform = unchanged(*COLUMNS)
    assert rfm_baseline(sample(), FEATURES, 1, transform=transform) is None
    assert rfm_baseline(sample().slice(0, 0), FEATURES, 2, transform=transform) is None
    assert rfm_baseline(sample(), FEATURES, 2, transform=unchanged()) is None
    same = sample(recency_days=[1] * 10, n_orders=[1] * 10, amount_sum=[1.0] * 10)
    assert rfm_baseline(same, FEATURES, 2, transform=transform) is None
    assert rfm_baseline(sample(segment_id=[-1] * 10), FEATURES, 2, transform=transform) is None


def test_profiles_without_a_segment_do_not_count():
    more = pa.concat_tables([sample(), sample(segment_id=pa.array([-1] * 10, pa.int32()))])
    transform = unchanged(*COLUMNS)
    assert rfm_baseline(more, FEATURES, 2, transform=transform) == rfm_baseline(
        sample(), FEATURES, 2, transform=transform
    )


def test_one_outlier_does_not_decide():
    extreme = sample(amount_sum=[2_000.0, *AMOUNT[1:]])
    wide = MatrixTransform(tuple(ColumnTransform(n, "none", 0.0, 0.0, 1.0, 1e6, 1.0) for n in COLUMNS), ())
    raw = rfm_baseline(extreme, FEATURES, 2, transform=wide)
    own = rfm_baseline(extreme, FEATURES, 2)
    assert own["features"][2]["feature"] == raw["features"][2]["feature"] == "amount_sum"
    assert raw["features"][2]["baseline"] < 0.15
    assert own["features"][2]["baseline"] > 0.35


def test_constant_features_and_those_outside_the_matrix_are_left_out():
    features = [*described("recency_days", "n_orders", "amount_sum"), described("share_wine")[0] | {"in_matrix": False}]
    found = rfm_baseline(sample(n_orders=[1] * 10), features, 2)
    assert [item["feature"] for item in found["features"]] == ["recency_days", "amount_sum"]


def test_nothing_clearly_better_is_said():
    by_score = sample(segment_id=pa.array([1] * 6 + [0] * 4, pa.int32()))
    found = rfm_baseline(by_score, FEATURES, 2, transform=unchanged(*COLUMNS))
    assert (found["better"], found["worse"]) == ([], [])
    assert found["finding"].endswith("tell clearly more about none of them and clearly less about none of them.")


@given(values=st.lists(st.integers(3, 15), min_size=1, max_size=60), n_groups=st.integers(1, 12))
def test_groups_are_as_many_as_wanted_in_order_and_never_part_equals(values, n_groups):
    groups = cut_evenly(np.array(values), n_groups)
    assert set(groups) == set(range(min(n_groups, len(set(values)))))
    pairs = sorted(zip(values, groups.tolist(), strict=True))
    assert [group for _, group in pairs] == sorted(groups.tolist())
    assert len(set(pairs)) == len(set(values))


def test_groups_are_as_even_as_ties_allow():
    assert cut_evenly(np.arange(9), 3).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert cut_evenly(np.array([3, 3, 3, 3, 3, 3, 9, 15]), 3).tolist() == [0] * 6 + [1, 2]


def test_eta_squared_by_hand():
    rows = np.array([[1.0, 7.0, 0.0], [2.0, 7.0, 1.0], [5.0, 7.0, 0.0], [6.0, 7.0, 1.0]])
    # Means 1.5 and 5.5 around 3.5: 4 * 4 of 6.25 + 2.25 + 2.25 + 6.25.
    assert eta_squared(rows, np.array([0, 0, 3, 3])).tolist() == pytest.approx([16 / 17, 0.0, 0.0])
