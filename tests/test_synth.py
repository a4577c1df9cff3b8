import datetime as dt
import zoneinfo
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from gpuseg import synth
from gpuseg.config import load_config
from gpuseg.errors import ConfigError
from gpuseg.synth import SYNTH_KINDS, SynthSpec, synthesize
from gpuseg.vocabulary import KINDS

EVENT_KINDS = ("web", "social", "purchases", "feedback")
TIME = {"purchases": "ordered_at", "web": "ts", "social": "ts", "feedback": "ts"}
HEAVY_TAILED = ["recency_days", "n_orders", "n_lines", "amount_sum", "amount_per_order", "n_active_days"]
HEAVY_TAILED += ["tenure_days", "gap_days_mean", "gap_days_std"]


def read(out: Path, kind: str) -> pd.DataFrame:
    return pd.concat([pq.read_table(path).to_pandas() for path in sorted(out.glob(f"{kind}*.parquet"))])


def utc(times: pd.Series) -> pd.Series:
    return times if times.dt.tz else times.dt.tz_localize("UTC")


def file_bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def features(purchases: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    lines = purchases.assign(
        day=utc(purchases["ordered_at"]).dt.tz_convert(synth.TIMEZONE).dt.tz_localize(None).dt.normalize()
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


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    spec = SynthSpec(2_000, 40_001, seed=7, rows_per_file=5_000)
    out = tmp_path_factory.mktemp("synth") / "new" / "folder"
    return spec, out, synthesize(spec, out)


def test_event_rows_add_up_exactly_and_the_summary_says_so(everything):
    spec, out, summary = everything
    rows = {kind: len(read(out, kind)) for kind in SYNTH_KINDS}
    assert summary.rows == rows
    assert sum(rows[kind] for kind in EVENT_KINDS) == spec.n_events
    assert rows["web"] > rows["purchases"] > rows["social"] > rows["feedback"] > 0
    names = [name for files in summary.files.values() for name in files]
    assert sorted([*names, "gpuseg.yaml"]) == sorted(path.name for path in out.iterdir())
    assert "purchases-0000.parquet" in names
    assert "truth.parquet" in names


def test_files_hold_at_most_the_rows_asked_for(everything):
    spec, out, summary = everything
    for kind in SYNTH_KINDS:
        rows = [pq.read_metadata(out / name).num_rows for name in summary.files[kind]]
        assert max(rows) <= spec.rows_per_file
        assert min(rows) > 0
    assert len(summary.files["web"]) > 1


def test_column_types(everything):
    _, out, _ = everything
    schemas = {kind: pq.read_schema(out / f"{kind}-0000.parquet") for kind in SYNTH_KINDS}
    us, utc_us, text = pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.string()
    types = {kind: dict(zip(schema.names, schema.types, strict=True)) for kind, schema in schemas.items()}
    assert types["purchases"] == {
        "customer_id": pa.int64(),
        "ordered_at": us,
        "order_number": pa.int64(),
        "department": text,
        "line_amount": pa.float64(),
    }
    assert types["web"] | {"ts": utc_us, "url": text, "dwell_ms": pa.int32()} == types["web"]
    assert types["feedback"] | {"rating": pa.int32(), "nps": pa.int32(), "comment": text} == types["feedback"]
    assert types["crm"]["signup_date"] == pa.date32()
    assert types["crm"]["marketing_consent"] == pa.bool_()
    assert pq.read_schema(out / "truth.parquet").field("segment").type == pa.int32()


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


def test_other_kinds_hold_plausible_values(everything):
    _, out, _ = everything
    web, feedback, crm = read(out, "web"), read(out, "feedback"), read(out, "crm")
    assert set(web["event"]) == {"page_view", "add_to_cart", "purchase"}
    assert (web.loc[web["event"] == "purchase", "url"] == "/checkout").all()
    assert web["url"].str.match(r"/(cart|checkout|search\?q=\w+|shop/\w+(/\d{3})?)?$").all()
    assert (web["dwell_ms"] > 0).all()
    assert set(feedback["rating"].dropna()) == {1, 2, 3, 4, 5}
    assert set(feedback["nps"].dropna()) == set(range(11))
    assert feedback[["rating", "nps", "comment"]].isna().any().all()
    assert feedback.loc[feedback["comment"].str.startswith("Love", na=False), "nps"].dropna().ge(9).all()
    assert crm["age"].dropna().between(18, 95).all()
    assert 0 < crm["age"].isna().mean() < 0.05
    assert crm["customer_id"].is_unique
    assert 0.85 < len(crm) / 2_000 < 0.95
    assert crm["region"].nunique() == 5


def test_web_times_cluster_in_sessions(everything):
    _, out, _ = everything
    gaps = read(out, "web").sort_values(["customer_id", "ts"]).groupby("customer_id")["ts"].diff().dropna()
    assert (gaps < pd.Timedelta(minutes=5)).mean() > 0.6
    assert (gaps > pd.Timedelta(hours=12)).mean() > 0.05


def test_rows_are_in_no_useful_order(everything):
    _, out, _ = everything
    for kind in EVENT_KINDS:
        table = pq.read_table(out / f"{kind}-0000.parquet").to_pandas()
        for column in ("customer_id", TIME[kind]):
            rank = table[column].rank()
            assert abs(np.corrcoef(rank, np.arange(len(rank)))[0, 1]) < 0.1


def test_truth_has_every_profile_once_with_planned_sizes(everything):
    spec, out, summary = everything
    truth = read(out, "truth")
    assert sorted(truth["customer_id"]) == list(range(1, spec.n_profiles + 1))
    sizes = truth.groupby("segment_name").size()
    assert sizes.to_dict() == summary.segments
    assert truth.groupby("segment")["segment_name"].nunique().tolist() == [1] * spec.n_segments
    assert sizes.max() / spec.n_profiles == pytest.approx(0.35, abs=0.01)
    assert sizes.min() / spec.n_profiles >= 0.06


def test_the_configuration_loads_and_names_real_columns(everything):
    spec, out, summary = everything
    config = load_config(out / summary.config)
    assert config.run.as_of == spec.as_of
    assert config.run.seed == spec.seed
    assert config.run.timezone == "America/New_York"
    assert [source.kind for source in config.sources] == [kind for kind in SYNTH_KINDS if kind in KINDS]
    for source in config.sources:
        assert source.uri == str(out / f"{source.kind}-*.parquet")
        assert set(source.columns.values()) <= set(pq.read_schema(out / f"{source.kind}-0000.parquet").names)
        required = {column.name for column in KINDS[source.kind].columns if column.required}
        assert required <= set(source.columns)


def test_no_configuration_where_no_kind_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(synth, "KINDS", {})
    summary = synthesize(SynthSpec(10, 50), tmp_path / "out")
    assert summary.config is None
    assert not (tmp_path / "out" / "gpuseg.yaml").exists()


@pytest.mark.parametrize("id_type", ["int64", "text"])
def test_equal_specs_give_equal_bytes_on_any_number_of_cores(tmp_path, id_type):
    spec = SynthSpec(300, 6_000, seed=3, id_type=id_type)
    cores = pa.cpu_count()
    try:
        for name, count in (("one", 1), ("many", 4)):
            pa.set_cpu_count(count)
            synthesize(spec, tmp_path / name)
    finally:
        pa.set_cpu_count(cores)
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "many")
    synthesize(SynthSpec(300, 6_000, seed=4, id_type=id_type), tmp_path / "other")
    assert file_bytes(tmp_path / "one") != file_bytes(tmp_path / "other")


def test_text_ids_survive_a_dictionary_larger_than_a_page(tmp_path):
    synthesize(SynthSpec(100_000, 0, id_type="text"), tmp_path / "out")
    truth = read(tmp_path / "out", "truth")
    assert sorted(truth["customer_id"]) == [f"C-{number:07d}" for number in range(1, 100_001)]


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


@pytest.mark.parametrize("n_profiles", [5, 37, 100, 700])
def test_many_small_blocks_keep_every_promise(tmp_path, monkeypatch, n_profiles):
    monkeypatch.setattr(synth, "BLOCK_EVENTS", 64)
    monkeypatch.setattr(synth, "BLOCK_PROFILES", 7)
    spec = SynthSpec(n_profiles, 1_003, kinds=("purchases",), rows_per_file=97)
    summary = synthesize(spec, tmp_path / "out")
    lines = read(tmp_path / "out", "purchases")
    assert len(lines) == 1_003
    assert lines["customer_id"].nunique() == n_profiles
    assert (lines.groupby("order_number")["ordered_at"].nunique() == 1).all()
    assert lines.groupby("order_number").size().max() <= 6
    assert sum(summary.segments.values()) == n_profiles
    assert min(summary.segments.values()) >= 1


@pytest.mark.parametrize("n_events", [0, 1, 50, 101, 500])
@pytest.mark.parametrize("kinds", [SYNTH_KINDS, ("crm", "purchases"), EVENT_KINDS, ("social", "web"), ("feedback",)])
def test_no_profile_is_left_without_a_row(tmp_path, monkeypatch, n_events, kinds):
    monkeypatch.setattr(synth, "BLOCK_PROFILES", 9)
    if "crm" not in kinds and n_events < 101:
        with pytest.raises(ConfigError, match="a profile needs an event or a CRM row"):
            SynthSpec(101, n_events, kinds=kinds)
        return
    summary = synthesize(SynthSpec(101, n_events, kinds=kinds), tmp_path / "out")
    frames = {kind: read(tmp_path / "out", kind) for kind in kinds}
    seen = {customer for frame in frames.values() for customer in frame["customer_id"]}
    assert seen == set(range(1, 102))
    assert sum(rows for kind, rows in summary.rows.items() if kind != "crm") == n_events
    assert set(summary.rows) == set(kinds)


def test_progress_ends_with_every_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(synth, "BLOCK_PROFILES", 40)
    calls = []
    synthesize(SynthSpec(100, 500), tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(40, 100), (80, 100), (100, 100)]


def test_a_failure_leaves_no_unfinished_file(tmp_path, monkeypatch):
    monkeypatch.setattr(synth, "BLOCK_PROFILES", 40)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(SynthSpec(100, 500), tmp_path / "out", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="the folder is not empty"):
        synthesize(SynthSpec(10, 50), tmp_path)
    with pytest.raises(ConfigError, match="cannot be used as a folder"):
        synthesize(SynthSpec(10, 50), tmp_path / "kept.txt")
    assert file_bytes(tmp_path) == {"kept.txt": b"mine"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_profiles": 0}, "n_profiles: 0: must be from 1 .*; nearest valid: 1"),
        ({"n_events": -1}, "n_events: -1: .*nearest valid: 0"),
        ({"n_events": 1.5}, "n_events: 1.5: must be a whole number"),
        ({"seed": -1}, "seed: -1: .*nearest valid: 0"),
        ({"seed": 2**32}, "seed: 4294967296: .*nearest valid: 4294967295"),
        ({"n_segments": 9}, "n_segments: 9: must be from 2 to 8; nearest valid: 8"),
        ({"n_segments": 1}, "n_segments: 1: must be from 2 to 8; nearest valid: 2"),
        ({"n_profiles": 4}, "n_segments: 5: must be at most n_profiles, 4"),
        ({"kinds": ("purchase",)}, "kinds: 'purchase': must be one of .*did you mean purchases"),
        ({"kinds": ()}, "kinds: name at least one"),
        ({"kinds": ("web", "web")}, "kinds: .* each once"),
        ({"kinds": ("crm",)}, "crm has no events"),
        ({"id_type": "int"}, "id_type: 'int': .*did you mean int64"),
        ({"as_of": dt.date(1960, 1, 1)}, "as_of: '1960-01-01': must be a date from 1970-01-02"),
        ({"as_of": "2026-01-01"}, "as_of: '2026-01-01': must be a date"),
        ({"history_days": 0}, "history_days: 0: .*nearest valid: 1"),
        ({"history_days": 10**6}, "history_days: 1000000: .*nearest valid: 20454"),
        ({"rows_per_file": 0}, "rows_per_file: 0: .*nearest valid: 1"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(wrong, message):
    with pytest.raises(ConfigError, match=message) as caught:
        SynthSpec(**({"n_profiles": 100, "n_events": 1_000} | wrong))
    assert "\n" not in str(caught.value)


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
