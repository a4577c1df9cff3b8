import datetime as dt

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from gpuseg.synth import SYNTH_KINDS, SynthSpec, synthesize
from gpuseg.synth.spec import TIMEZONE
from tests.synth.written import read, utc

HEAVY_TAILED = ["recency_days", "n_orders", "n_lines", "amount_sum", "amount_per_order", "n_active_days"]
HEAVY_TAILED += ["tenure_days", "gap_days_mean", "gap_days_std"]


def features(purchases: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    lines = purchases.assign(
        day=utc(purchases["ordered_at"]).dt.tz_convert(TIMEZONE).dt.tz_localize(None).dt.normalize()
    )
    of = lines.groupby("customer_id")
    days = lines[["customer_id", "day"]].drop_duplicates().sort_values(["customer_id", "day"])
    days["gap"] = days.groupby("customer_id")["day"].diff().dt.days
    of_days = days.groupby("customer_id")
    figures = pd.DataFrame(
        {
            "recency_days": (pd.Timestamp(as_of) - of["day"].max()).dt.days,
            "n_orders": of["order_number"].nunique(),
            "n_lines": of.size(),
            "amount_sum": of["line_amount"].sum(),
            "n_active_days": of_days.size(),
            "tenure_days": (of["day"].max() - of["day"].min()).dt.days,
            "gap_days_mean": of_days["gap"].mean().fillna(0),
            "gap_days_std": of_days["gap"].std(ddof=0).fillna(0),
        }
    )
    figures["amount_per_order"] = figures["amount_sum"] / figures["n_orders"]
    figures[HEAVY_TAILED] = np.log1p(figures[HEAVY_TAILED].clip(lower=0))
    shares = pd.crosstab(lines["customer_id"], lines["department"], normalize="index").add_prefix("share_")
    matrix = figures.join(shares)
    return (matrix - matrix.mean()) / matrix.std()


def test_truth_has_every_profile_once_with_planned_sizes(everything):
    spec, out, summary = everything
    truth = read(out, "truth")
    assert sorted(truth["customer_id"]) == list(range(1, spec.n_profiles + 1))
    sizes = truth.groupby("segment_name").size()
    assert sizes.to_dict() == summary.segments
    assert truth.groupby("segment")["segment_name"].nunique().tolist() == [1] * spec.n_segments
    assert sizes.max() / spec.n_profiles == pytest.approx(0.35, abs=0.01)
    assert sizes.min() / spec.n_profiles >= 0.06


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("n_events", "kinds", "n_segments", "least"),
    [
        (100_000, SYNTH_KINDS, 5, 0.9),
        (20_000, ("purchases",), 5, 0.8),
        (20_000, ("purchases",), 2, 0.8),
        (20_000, ("purchases",), 8, 0.8),
    ],
)
def test_planted_segments_can_be_found_again(tmp_path, seed, n_events, kinds, n_segments, least):
    spec = SynthSpec(2_000, n_events, seed=seed, kinds=kinds, n_segments=n_segments)
    synthesize(spec, tmp_path / "out")
    matrix = features(read(tmp_path / "out", "purchases"), spec.as_of)
    truth = read(tmp_path / "out", "truth").set_index("customer_id").loc[matrix.index, "segment"]
    found = KMeans(n_segments, n_init=5, random_state=0).fit_predict(matrix)
    assert adjusted_rand_score(truth, found) >= least
