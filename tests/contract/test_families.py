"""Every feature family against its plain twin; a family without a test here fails."""

import datetime as dt
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from gpuseg.config import FeaturesSection
from gpuseg.features.algebra import Context
from gpuseg.features.registry import FAMILIES, declare_features
from tests.event_worlds import WINDOWS as EVENT_WINDOWS
from tests.event_worlds import build, config_of_world, expected, frames_of, make_world
from tests.twins import Line, feature_rows, seen_lines

AS_OF = dt.date(2018, 1, 1)
WINDOWS = (1, 30, 90)
ZONE, SOURCE_ZONE = "America/New_York", "UTC"
TESTED: dict[str, Any] = {}
EVENT_FAMILIES = ("browsing", "intent", "social", "feedback", "engagement")


class Lab(NamedTuple):
    """What a family is tested with."""

    engine: Any
    plan_of: Any
    config_of: Any


@pytest.fixture
def lab(engine, plan_of, config_of):
    return Lab(engine, plan_of, config_of)


def lines_of(seed, n_profiles=60, n_categories=25):
    """Purchases of profiles that differ: one line or many, refunds, orders over midnight, lines without a category."""
    rng = np.random.default_rng(seed)
    last = dt.datetime.combine(AS_OF, dt.time()) + dt.timedelta(hours=5)
    lines = []
    for profile in range(n_profiles):
        span = int(rng.choice([1, 40, 400, 4_000])) * 24 * 60
        for order in range(int(rng.choice([1, 2, 3, 12]))):
            begun = last - dt.timedelta(minutes=1 + int(rng.integers(span)))
            for item in range(int(rng.choice([1, 2, 9]))):
                category = None if rng.random() < 0.1 else f"c{min(rng.integers(n_categories, size=2)):02}"
                at = min(begun + dt.timedelta(minutes=item * 10), last - dt.timedelta(microseconds=1))
                amount = Decimal(int(rng.integers(-500, 5_000))) / 100
                lines.append(Line(profile, at, amount, int(order), "other" if category == "c01" else category))
    return lines


def built(lab, lines, families):
    """The families' features of all lines, and what they are declared as."""
    device, plan_of = lab.engine.device, lab.plan_of
    frame = pa.table(
        {
            "profile_id": pa.array([line.profile for line in lines]),
            "at": pa.array([line.wall for line in lines], pa.timestamp("us")),
            "amount": pa.array([str(line.amount) for line in lines]),
            "order_id": pa.array([line.order for line in lines], pa.int64()),
            "category": pa.array([line.category for line in lines], pa.string()),
        }
    )
    run = {"as_of": AS_OF, "timezone": ZONE, "chunk_rows": 10**6}
    (batch,) = device.scan(plan_of(frame, timezone=SOURCE_ZONE, run=run))
    rows, _ = device.partition_to_host(batch, 1)
    texts = rows["category"].dictionary.to_pylist()
    codes = rows["category"].indices.fill_null(-1)
    events = pa.Table.from_batches([rows.set_column(rows.schema.get_field_index("category"), "category", codes)])
    state = device.aggregate("purchases", {"orders": events}, texts)
    seen = seen_lines(lines, as_of=AS_OF, zone=ZONE, source_zone=SOURCE_ZONE)
    counts = {text: sum(one.line.category == text for one in seen) for text in texts}
    largest = sorted(counts, key=lambda text: (-counts[text], text.encode()))
    context = Context(AS_OF, WINDOWS, 10_000, tuple(largest[:20]), has_categories=True)
    declared, _ = declare_features(FeaturesSection(families=families), context, {"purchases"})
    wanted = {name: table for name, table in state.items() if name.startswith("purchases.")}
    table = device.evaluate(wanted, {item.feature.name: item.feature.expression for item in declared})
    return table, declared, feature_rows(seen, as_of=AS_OF, windows=WINDOWS)


def check_purchases(lab, family, columns):
    """A family over purchases: exactly these columns, each value that of the twin."""
    table, declared, twin = built(lab, lines_of(seed=len(family)), (family,))
    assert table.column_names == ["profile_id", *columns]
    assert table["profile_id"].to_pylist() == list(twin)
    for item in declared:
        name = item.feature.name
        assert table[name].to_pylist() == [features[name] for features in twin.values()], name
        assert str(table[name].type).replace("double", "float64") == item.feature.dtype
    nulls = {name for name in columns if table[name].null_count}
    return nulls


def spans(*names):
    return [f"{name}{suffix}" for suffix in ("", "_1d", "_30d", "_90d") for name in names]


def rfm(lab):
    columns = ["recency_days", *spans("n_orders", "n_lines", "amount_minor", "amount_sum"), "amount_per_order"]
    assert check_purchases(lab, "rfm", columns) == set()


def tempo(lab):
    columns = [*spans("n_active_days"), "tenure_days", "gap_days_mean", "gap_days_std"]
    assert check_purchases(lab, "tempo", columns) == {"gap_days_mean", "gap_days_std"}


def interests(lab):
    seen = seen_lines(lines_of(seed=len("interests")), as_of=AS_OF, zone=ZONE, source_zone=SOURCE_ZONE)
    counts = {}
    for one in seen:
        counts[one.line.category] = counts.get(one.line.category, 0) + 1
    counts.pop(None)
    assert len(counts) > 20
    top = sorted(counts, key=lambda text: (-counts[text], text))[:20]
    assert "other" in top
    columns = [*(f"share_{text}" for text in top if text != "other"), "share_other"]
    assert check_purchases(lab, "interests", columns) == set()


def lifecycle(lab):
    stages = ["is_new", "is_active", "is_at_risk", "is_lapsed"]
    assert check_purchases(lab, "lifecycle", [*stages, "overdue_ratio"]) == {"overdue_ratio"}
    found = check_events(lab, ("lifecycle",), seed=5)
    assert all(sum(row[stage] for stage in stages) == 1 for row in found.values())
    for stage in stages:
        assert any(row[stage] for row in found.values())


def check_events(lab, families, *, seed):
    """Families over sources of every kind: exactly the twin's columns, values and profiles."""
    world = make_world(seed)
    config = config_of_world(lab.config_of, world, families=families, engine=lab.engine.device.name)
    made = build(lab.engine, config, frames_of(world))
    twin = expected(world, families)
    assert made.features["profile_id"].to_pylist() == list(twin)
    assert set(made.features.column_names) == {"profile_id", *next(iter(twin.values()))}
    for name, dtype in made.dtypes.items():
        assert made.features[name].to_pylist() == [row[name] for row in twin.values()], name
        assert str(made.features[name].type).replace("double", "float64") == dtype
    return twin


def event_family(family, nulls):
    """The test of a family over events; `nulls` are the columns that some profile has no value of."""

    def check(lab):
        twin = check_events(lab, (family,), seed=3 * len(family))
        assert {name for row in twin.values() for name, value in row.items() if value is None} == nulls

    return check


def attributes(lab):
    """CRM rows of profiles without purchases give no features, and profiles without a row only nulls."""
    twin = check_events(lab, ("lifecycle", "attributes"), seed=8)
    names = {"age", "joined_days", "born_days", "score", "vip", "limit", "city=other", *(f"grade={x}" for x in "AJ")}
    columns = next(iter(twin.values()))
    assert names <= set(columns)
    assert "grade=other" not in columns
    assert len([name for name in columns if name.startswith("city=")]) == 11
    assert any(row["age"] is None and row["city=other"] is None for row in twin.values())


TESTED.update({"rfm": rfm, "tempo": tempo, "interests": interests, "lifecycle": lifecycle, "attributes": attributes})
TESTED.update(
    {
        "browsing": event_family("browsing", {"dwell_seconds_mean"}),
        "intent": event_family("intent", set()),
        "social": event_family("social", set()),
        "feedback": event_family("feedback", {"rating_mean", "nps_score", "sentiment_mean"}),
        "engagement": event_family("engagement", {"response_share"}),
    }
)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_family(lab, family):
    assert family in TESTED, f"the family {family} has no contract test; add one to TESTED"
    TESTED[family](lab)


def test_nothing_is_tested_that_is_not_there():
    assert set(TESTED) <= set(FAMILIES)


@pytest.mark.parametrize("seed", [11, 12])
def test_all_families_of_purchases_together(lab, seed):
    table, _, twin = built(lab, lines_of(seed), tuple(FAMILIES))
    found = {row.pop("profile_id"): row for row in table.to_pylist()}
    assert found == twin


@pytest.mark.parametrize("seed", [21, 22])
def test_profiles_that_only_some_sources_know(lab, seed):
    """Beside other families, a family counts 0 for a profile that its sources do not know, and has no ratio."""
    twin = check_events(lab, (*EVENT_FAMILIES, "lifecycle", "attributes"), seed=seed)
    strangers = [row for row in twin.values() if row["n_sessions"] == 0]
    assert strangers
    for row in strangers:
        assert [row[f"n_page_views_{days}d"] for days in EVENT_WINDOWS] == [0] * len(EVENT_WINDOWS)
        assert row["intent_score"] == 0.0
        assert {row[name] for name in ("visit_recency_days", "cart_share", "session_seconds_mean")} == {None}
    for name in ("n_social_actions", "n_feedback", "n_contacts"):
        assert any(row[name] == 0 for row in twin.values())
    assert any(row["is_new"] is None for row in twin.values())
