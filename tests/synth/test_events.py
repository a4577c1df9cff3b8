import datetime as dt
import zoneinfo

import numpy as np
import pandas as pd
import pytest

from gpuseg.synth import SynthSpec, synthesize
from tests.synth.written import EVENT_KINDS, TIME, read, utc


def test_purchases_look_like_orders(everything):
    _, out, _ = everything
    lines = read(out, "purchases")
    orders = lines.groupby("order_number")
    assert orders.size().between(1, 6).all()
    assert (orders["customer_id"].nunique() == 1).all()
    assert (orders["ordered_at"].nunique() == 1).all()
    assert np.array_equal(np.sort(lines["order_number"].unique()), np.arange(1, len(orders) + 1))
    cents = lines["line_amount"] * 100
    assert np.allclose(cents, np.rint(cents), atol=1e-6)
    assert 0.02 < (lines["line_amount"] < 0).mean() < 0.04
    assert (lines["line_amount"] != 0).all()
    assert lines["department"].nunique() == 12


def test_web_times_cluster_in_sessions(everything):
    _, out, _ = everything
    gaps = read(out, "web").sort_values(["customer_id", "ts"]).groupby("customer_id")["ts"].diff().dropna()
    assert (gaps < pd.Timedelta(minutes=5)).mean() > 0.6
    assert (gaps > pd.Timedelta(hours=12)).mean() > 0.05


@pytest.mark.parametrize(
    ("as_of", "history_days"),
    [
        (dt.date(2026, 1, 1), 365),
        (dt.date(2024, 7, 1), 200),
        (dt.date(2024, 3, 10), 1),
        (dt.date(2024, 3, 11), 1),
        (dt.date(2024, 11, 4), 2),
        (dt.date(1970, 1, 2), 1),
    ],
)
def test_every_event_lies_in_the_window(tmp_path, as_of, history_days):
    spec = SynthSpec(400, 8_000, as_of=as_of, history_days=history_days)
    synthesize(spec, tmp_path / "out")
    zone = zoneinfo.ZoneInfo("America/New_York")
    end = pd.Timestamp(dt.datetime.combine(as_of, dt.time(), zone))
    start = pd.Timestamp(dt.datetime.combine(as_of - dt.timedelta(days=history_days), dt.time(), zone))
    for kind in EVENT_KINDS:
        times = utc(read(tmp_path / "out", kind)[TIME[kind]])
        assert times.min() >= start
        assert times.max() < end


def test_web_and_feedback_hold_plausible_values(everything):
    _, out, _ = everything
    web, feedback = read(out, "web"), read(out, "feedback")
    assert set(web["event"]) == {"page_view", "add_to_cart", "purchase"}
    assert (web.loc[web["event"] == "purchase", "url"] == "/checkout").all()
    assert web["url"].str.match(r"/(cart|checkout|search\?q=\w+|shop/\w+(/\d{3})?)?$").all()
    assert (web["dwell_ms"] > 0).all()
    assert set(feedback["rating"].dropna()) == {1, 2, 3, 4, 5}
    assert set(feedback["nps"].dropna()) == set(range(11))
    assert feedback[["rating", "nps", "comment"]].isna().any().all()
    assert feedback.loc[feedback["comment"].str.startswith("Love", na=False), "nps"].dropna().ge(9).all()
