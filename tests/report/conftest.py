"""Contents of segments.json and quality.json as a run would write them, at any size."""

import random
from typing import Any

import pytest

FEATURES = [
    ("recency_days", "rfm", "days since the last purchase", "days", 24.6, 5.0, "log1p"),
    ("n_orders", "rfm", "number of orders", "orders", 56.1, 40.0, "log1p"),
    ("n_orders_30d", "rfm", "number of orders in the last 30 days", "orders", 4.2, 3.0, "log1p"),
    ("amount_sum", "rfm", "total spent", "currency", 1861.5, 1120.33, "log1p"),
    ("amount_sum_90d", "rfm", "total spent in the last 90 days", "currency", 455.2, 260.0, "log1p"),
    ("amount_per_order", "rfm", "spent per order", "currency", 33.18, 28.9, "log1p"),
    ("tenure_days", "tempo", "days from first to last purchase", "days", 318.4, 345.0, "none"),
    ("gap_days_mean", "tempo", "mean days between active days", "days", 11.9, 7.3, "log1p"),
    ("gap_days_std", "tempo", "spread of the days between active days", "days", 10.2, 6.1, "log1p"),
    ("share_grocery", "interests", "share of lines in grocery", "share", 0.61, 0.63, "none"),
    ("share_drug_gm", "interests", "share of lines in drug and general goods", "share", 0.121, 0.11, "none"),
    ("share_produce", "interests", "share of lines in produce", "share", 0.092, 0.08, "none"),
    ("share_other", "interests", "share of lines in other categories", "share", 0.004, 0.0, "none"),
]
SEGMENTS = [
    ("Occasional small-basket shoppers", 800, 0.12, [0.2, -0.6, -0.5, -0.7, -0.5, -0.4, 0.2, 0.4, 0.3]),
    ("Frequent big-basket shoppers", 444, 0.47, [-0.6, 1.4, 1.5, 1.8, 1.7, 0.9, 0.5, -0.8, -0.7]),
    ("Steady weekly shoppers", 520, 0.25, [-0.5, 0.6, 0.4, 0.5, 0.4, 0.0, 0.5, -0.5, -0.5]),
    ("Fresh-food top-up shoppers", 310, 0.09, [-0.2, 0.3, 0.2, -0.2, -0.2, -0.6, 0.3, -0.3, -0.2]),
    ("Monthly stock-up shoppers", 275, 0.06, [0.1, -0.4, -0.4, 0.1, 0.0, 1.3, 0.1, 0.3, 0.2]),
    ("Lapsed shoppers", 120, 0.01, [3.4, -1.0, -0.9, -1.1, -1.0, -0.2, -2.6, 1.9, 2.2]),
]
PHRASES = {
    "higher": "has 2.3 times the {} of the average customer",
    "lower": "has a third of the {} of the average customer",
}


def feature(row: tuple[Any, ...]) -> dict[str, Any]:
    name, family, label, unit, mean, median, transform = row
    return {
        **{"name": name, "family": family, "label": label, "unit": unit, "mean": mean, "median": median},
        **{"std": mean * 0.8, "transform": transform, "used": True, "weight": 1.0},
    }


def make_segment(number: int, row: tuple[Any, ...], features: list[dict[str, Any]], n: int) -> dict[str, Any]:
    name, size, value_share, effects = row
    rng = random.Random(number)
    effects = [*effects, *(round(rng.gauss(0, 0.5), 3) for _ in features[len(effects) :])][: len(features)]
    own = {}
    for f, effect in zip(features, effects, strict=True):
        median = max(f["median"] * (1 + effect * (0.3 if effect < 0 else 1.1)), 0.0)
        own[f["name"]] = {"mean": median * 1.2, "median": median, "effect_size": effect}
    strongest = sorted(zip(features, effects, strict=True), key=lambda pair: -abs(pair[1]))[:4]
    distinguishing = []
    for f, effect in strongest:
        direction = "higher" if effect > 0 else "lower"
        phrase = PHRASES[direction].format(f["label"])
        distinguishing.append({"feature": f["name"], "direction": direction, "effect_size": effect, "phrase": phrase})
    ratio = value_share / (size / n)
    return {
        **{"segment_id": number, "name": name, "n_profiles": size, "profile_share": size / n},
        "headline": f"{name} come to the shop in a manner of their own.",
        "summary": f"{name} come to the shop in a manner of their own. Half of them came in the last week.",
        "who": "Half of them came in the last week.",
        "does": "They come and buy.",
        "worth": "They are worth what they spend.",
        "actions": [{"text": "Consider asking them.", "because": "they know"}],
        "value_per_profile": value_share * 4596039.58 / size,
        "value_ratio": ratio,
        "value_change": ratio - 1,
        "value_sum": value_share * 4596039.58,
        "value_share": value_share,
        "features": own,
        "distinguishing": distinguishing,
    }


def make_segments(*, n_segments: int = 6, n_features: int = 13, n_points: int = 2469) -> dict[str, Any]:
    """Build a segments.json: the six segments of a grocer, or as many as asked for."""
    features = [feature(row) for row in FEATURES[:n_features]]
    for number in range(len(features), n_features):
        features.append(
            feature(
                (
                    f"share_category_{number}",
                    "interests",
                    f"share of lines in category {number}",
                    "share",
                    0.01,
                    0.0,
                    "none",
                )
            )
        )
    rows = list(SEGMENTS)
    while len(rows) < n_segments:
        rows.append((f"{rows[len(rows) % 6][0]}, group {len(rows)}", 60, 0.01, SEGMENTS[len(rows) % 6][3]))
    rows = rows[:n_segments]
    n = sum(row[1] for row in rows)
    rng = random.Random(7)
    points = []
    for _ in range(n_points):
        number = rng.choices(range(n_segments), [row[1] for row in rows])[0]
        x, y = rows[number][3][1] * 2 + number // 6, rows[number][3][0] + rows[number][3][5] + number % 5 / 2
        points.append([rng.gauss(x, 0.6), rng.gauss(y, 0.5), number])
    tried = [
        (2, 0.31, 0.2),
        (3, 0.27, 0.14),
        (4, 0.29, 0.1),
        (5, 0.305, 0.06),
        (6, 0.342, 0.05),
        (7, 0.33, 0.004),
        (8, 0.28, 0.003),
    ]
    return {
        **{"format": 1, "method": "kmeans", "as_of": "2018-01-01", "timezone": "America/New_York"},
        **{"n_profiles": n, "n_assigned": n, "n_no_data": 0, "n_segments": n_segments},
        **{"value_feature": "amount_sum", "value_total": 4596039.58, "value_per_profile": 4596039.58 / n},
        "choice": {
            **{"requested": "auto", "segments": n_segments},
            "reason": f"{n_segments} segments have the highest silhouette of those with 1% of customers in each.",
            "candidates": [
                {
                    "segments": k,
                    "silhouette": s,
                    "smallest_share": share,
                    "inertia": 9000.4 / k,
                    "accepted": share >= 0.01,
                }
                for k, s, share in tried
            ],
        },
        "features": features,
        "segments": [make_segment(i, row, features, n) for i, row in enumerate(rows)],
        "projection": {"method": "pca", "explained_variance_share": [0.41, 0.18], "points": points},
    }


def make_quality() -> dict[str, Any]:
    orders = {
        **{"name": "orders", "kind": "purchases", "n_files": 1, "rows_read": 1469307, "rows_used": 1469000},
        **{"rows_after_as_of": 307, "amounts_rounded": 0, "times_ambiguous": 12, "times_nonexistent": 0},
        **{"null_counts": {"category": 3, "order_id": 0}, "first_day": "2017-01-01", "last_day": "2017-12-31"},
        **{"purpose": "segmentation", "lawful_basis": "legitimate_interests"},
    }
    households = {
        **{"name": "households", "kind": "crm", "n_files": 2, "rows_read": 801, "rows_used": 801},
        **{"rows_after_as_of": 0, "amounts_rounded": 0, "times_ambiguous": 0, "times_nonexistent": 0},
        **{"null_counts": {}, "first_day": None, "last_day": None, "purpose": "segmentation", "lawful_basis": None},
    }
    return {
        "sources": [orders, households],
        "n_profiles": 2469,
        "profiles_per_source": {"orders": 2469, "households": 801},
        "warnings": ["households covers 801 of 2,469 customers (32%), below min_coverage 0.5."],
        "notes": [],
    }


def make_explanations(segments: dict[str, Any]) -> dict[str, Any]:
    """Build an explanations.json for a segments.json."""
    rule = {"conditions": [], "text": "at least 15 orders, and last bought 9 days ago or less", "n_profiles": 300}
    return {
        "format": 1,
        "surrogate": {
            **{"max_depth": 4, "n_leaves": 9, "fidelity": 0.914, "n_profiles": 2469, "n_held_out": 617},
            "segments": [
                {
                    **{"segment_id": entry["segment_id"], "precision": 0.93, "coverage": 0.88},
                    "rules": [rule | {"precision": 0.95 - part / 50, "coverage": 0.5} for part in range(3)],
                }
                for entry in segments["segments"]
            ],
        },
        "baseline": {
            **{"method": "rfm_quintiles", "n_groups": 6, "n_profiles": 2469},
            "features": [
                {
                    **{"feature": f["name"], "label": f["label"], "unit": f["unit"]},
                    **{"segments": 0.71 - number / 50, "baseline": 0.52 - number / 50},
                }
                for number, f in enumerate(segments["features"])
            ],
            **{"segments_mean": 0.473, "baseline_mean": 0.334, "better": [], "worse": []},
            "finding": "the segments tell customers apart better than RFM scores",
        },
    }


PROVENANCE = {"gpuseg": "0.1.0", "Engine": "cpu, 2 threads", "Seed": "0", "Created": "2026-01-05 10:00 UTC"}


@pytest.fixture
def segments() -> dict[str, Any]:
    return make_segments()


@pytest.fixture
def quality() -> dict[str, Any]:
    return make_quality()


@pytest.fixture
def provenance() -> dict[str, str]:
    return dict(PROVENANCE)


@pytest.fixture
def build() -> Any:
    """Builder of segments.json for other numbers of segments, features and points."""
    return make_segments


@pytest.fixture
def explanations(segments: dict[str, Any]) -> dict[str, Any]:
    return make_explanations(segments)
