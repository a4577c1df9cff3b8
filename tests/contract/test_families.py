"""Every feature family against its plain twin; a family without a test here fails."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from gpuseg.config import FeaturesSection
from gpuseg.features.algebra import Context
from gpuseg.features.registry import FAMILIES, declare_features
from tests.twins import Line, feature_rows, seen_lines

AS_OF = dt.date(2018, 1, 1)
WINDOWS = (1, 30, 90)
ZONE, SOURCE_ZONE = "America/New_York", "UTC"
TESTED: dict[str, object] = {}


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


def built(device, plan_of, lines, families):
    """The families' features of all lines, and what they are declared as."""
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


def check_purchases(device, plan_of, family, columns):
    """A family over purchases: exactly these columns, each value that of the twin."""
    table, declared, twin = built(device, plan_of, lines_of(seed=len(family)), (family,))
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


def rfm(device, plan_of):
    columns = ["recency_days", *spans("n_orders", "n_lines", "amount_minor", "amount_sum"), "amount_per_order"]
    assert check_purchases(device, plan_of, "rfm", columns) == set()


def tempo(device, plan_of):
    columns = [*spans("n_active_days"), "tenure_days", "gap_days_mean", "gap_days_std"]
    assert check_purchases(device, plan_of, "tempo", columns) == {"gap_days_mean", "gap_days_std"}


def interests(device, plan_of):
    seen = seen_lines(lines_of(seed=len("interests")), as_of=AS_OF, zone=ZONE, source_zone=SOURCE_ZONE)
    counts = {}
    for one in seen:
        counts[one.line.category] = counts.get(one.line.category, 0) + 1
    counts.pop(None)
    assert len(counts) > 20
    top = sorted(counts, key=lambda text: (-counts[text], text))[:20]
    assert "other" in top
    columns = [*(f"share_{text}" for text in top if text != "other"), "share_other"]
    assert check_purchases(device, plan_of, "interests", columns) == set()


TESTED.update({"rfm": rfm, "tempo": tempo, "interests": interests})


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_family(device, plan_of, family):
    assert family in TESTED, f"the family {family} has no contract test; add one to TESTED"
    TESTED[family](device, plan_of)


def test_nothing_is_tested_that_is_not_there():
    assert set(TESTED) <= set(FAMILIES)


@pytest.mark.parametrize("seed", [11, 12])
def test_all_families_together(device, plan_of, seed):
    table, _, twin = built(device, plan_of, lines_of(seed), tuple(FAMILIES))
    found = {row.pop("profile_id"): row for row in table.to_pylist()}
    assert found == twin
