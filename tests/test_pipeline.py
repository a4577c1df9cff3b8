import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import yaml

import gpuseg
from gpuseg.config import parse_config
from gpuseg.errors import ConfigError, DataError, SchemaError
from gpuseg.pipeline import STAGE_NAMES, execute, preview, read_config
from gpuseg.progress import Progress
from gpuseg.sources.plan import plan_sources
from gpuseg.stage_table import STAGES, stage_keys

PROMISED = ("state", "features", "model", "assignments", "segments.json", "explanations.json")


@pytest.fixture(scope="module")
def lines():
    random = np.random.default_rng(2)
    n = 400
    return pd.DataFrame(
        {
            "profile_id": random.integers(0, 50, n),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 365 * 86_400, n), unit="s"),
            "amount": random.gamma(2, 10, n).round(2),
            "category": random.choice(["Wine", "Bread", "Milk"], n),
        }
    )


def settings(folder, **sections):
    source = {"name": "orders", "kind": "purchases"}
    content = {"run": {"out": str(folder), "as_of": dt.date(2025, 1, 1)}, "sources": [source]}
    content["cluster"] = {"segments": 3}
    for name, section in sections.items():
        content[name] = content.get(name, {}) | section
    return content


def promised(run):
    return {
        path.relative_to(run.path).as_posix(): path.read_bytes()
        for path in sorted(run.path.rglob("*"))
        if path.is_file() and path.relative_to(run.path).parts[0] in PROMISED
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory, lines):
    return gpuseg.run(settings(tmp_path_factory.mktemp("reference")), frames={"orders": lines})


# --- where data comes from does not matter ---


@pytest.mark.parametrize("kind", ["polars", "arrow", "batch", "dict"])
def test_any_frame_gives_the_same_bytes(tmp_path, lines, reference, kind):
    frame = {
        "polars": lambda: pl.from_pandas(lines),
        "arrow": lambda: pa.table(lines),
        "batch": lambda: pa.RecordBatch.from_pandas(lines),
        "dict": lambda: {name: pa.array(lines[name]) for name in lines},
    }[kind]()
    assert promised(gpuseg.run(settings(tmp_path), frames={"orders": frame})) == promised(reference)


def test_a_file_gives_the_same_bytes_as_a_frame(tmp_path, lines, reference):
    lines.to_parquet(tmp_path / "orders.parquet", index=False)
    content = settings(tmp_path / "run")
    content["sources"][0]["uri"] = "orders.parquet"
    (tmp_path / "gpuseg.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert promised(gpuseg.run(tmp_path / "gpuseg.yaml")) == promised(reference)
    assert promised(gpuseg.run(str(tmp_path / "gpuseg.yaml"))) == promised(reference)


def test_a_checked_configuration_is_taken_as_it_is(tmp_path, lines, reference):
    config = parse_config(settings(tmp_path))
    assert read_config(config) is config
    assert promised(gpuseg.run(config, frames={"orders": lines})) == promised(reference)


@pytest.mark.parametrize(
    "change", [{"buckets": 2}, {"buckets": 16}, {"chunk_rows": 1}, {"chunk_rows": 33}, {"engine": "cpu"}]
)
def test_memory_settings_do_not_change_a_result(tmp_path, lines, reference, change):
    run = gpuseg.run(settings(tmp_path, run=change), frames={"orders": lines})
    for table in ("assignments", "features"):
        left, right = (getattr(each, table)().sort_values("profile_id", ignore_index=True) for each in (run, reference))
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert run.segments == reference.segments
    assert run.explanations == reference.explanations
    for name in ("centers", "counts", "means"):
        path = f"model/{name}.npy"
        assert (run.path / path).read_bytes() == (reference.path / path).read_bytes()


def test_the_order_of_rows_does_not_matter(tmp_path, lines, reference):
    shuffled = lines.sample(frac=1, random_state=1)
    assert promised(gpuseg.run(settings(tmp_path), frames={"orders": shuffled})) == promised(reference)


def test_a_split_over_files_does_not_matter(tmp_path, lines, reference):
    for number, part in enumerate(np.array_split(np.arange(len(lines)), 3)):
        lines.iloc[part].to_parquet(tmp_path / f"orders-{number}.parquet", index=False)
    content = settings(tmp_path / "run")
    content["sources"][0]["uri"] = str(tmp_path / "orders-*.parquet")
    assert promised(gpuseg.run(content)) == promised(reference)


def test_the_seed_changes_the_model_alone(tmp_path, lines, reference):
    run = gpuseg.run(settings(tmp_path, run={"seed": 5}), frames={"orders": lines})
    mine, theirs = promised(run), promised(reference)
    for name in mine:
        if name.startswith(("state", "features")):
            assert mine[name] == theirs[name]
    assert mine["model/model.json"] != theirs["model/model.json"]


def test_relative_paths_of_a_mapping_start_at_the_current_folder(tmp_path, lines, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines.to_parquet("orders.parquet", index=False)
    content = settings("here/run")
    content["sources"][0]["uri"] = "orders.parquet"
    assert gpuseg.run(content).path.resolve() == tmp_path / "here" / "run" / "v0001"


# --- mistakes ---


@pytest.mark.parametrize(
    ("frames", "error", "told"),
    [
        (None, ConfigError, "sources.orders: has neither a uri nor a frame"),
        ({}, ConfigError, "sources.orders: has neither a uri nor a frame"),
        ({"order": "lines"}, ConfigError, "frames: 'order' is no source; did you mean orders?"),
        ({"orders": [1, 2]}, SchemaError, "orders: list is no frame"),
        ({"orders": "orders.csv"}, SchemaError, "orders: str is no frame"),
    ],
)
def test_mistakes_with_frames(tmp_path, frames, error, told):
    with pytest.raises(error, match=told):
        gpuseg.run(settings(tmp_path / "run"), frames=frames)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("frames", [["lines"], "orders", 5])
def test_frames_are_a_mapping(tmp_path, frames):
    with pytest.raises(ConfigError, match="frames"):
        gpuseg.run(settings(tmp_path), frames=frames)


def test_a_uri_and_a_frame_are_one_too_many(tmp_path, lines):
    content = settings(tmp_path)
    content["sources"][0]["uri"] = "orders.csv"
    with pytest.raises(ConfigError, match="has both a uri and a frame"):
        gpuseg.run(content, frames={"orders": lines})


def test_a_frame_with_mixed_types(tmp_path, lines):
    mixed = lines.astype({"profile_id": object})
    mixed.loc[3, "profile_id"] = "kowalski"
    with pytest.raises(SchemaError, match=r"orders: .*one type") as caught:
        gpuseg.run(settings(tmp_path), frames={"orders": mixed})
    assert "kowalski" not in str(caught.value)


def test_errors_are_value_errors_too(tmp_path):
    with pytest.raises(ValueError, match="unknown key"):
        gpuseg.run(settings(tmp_path) | {"lense": []})


def test_a_row_of_a_frame_is_named(tmp_path, lines):
    bad = lines.copy()
    bad.loc[bad.index[6], "amount"] = np.inf
    with pytest.raises(DataError, match=r"^orders: frame, row 7, column 'amount'"):
        gpuseg.run(settings(tmp_path), frames={"orders": bad})


# --- stages ---


def test_stages_have_names_and_outputs_of_their_own():
    assert STAGE_NAMES == ("validate", "features", "fit", "assign", "explain", "report")
    outputs = [output for stage in STAGES for output in stage.outputs]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("until", STAGE_NAMES)
def test_stages_run_up_to_the_one_asked_for(tmp_path, lines, until):
    outcome = execute(parse_config(settings(tmp_path)), frames={"orders": lines}, until=until)
    expected = STAGE_NAMES[: STAGE_NAMES.index(until) + 1]
    assert outcome.executed == tuple(record.stage for record in outcome.records) == expected
    assert outcome.version.is_complete is (until == "report")


def test_rules_are_the_same_whether_the_sample_was_at_hand(tmp_path, lines):
    at_once, resumed = (
        parse_config(settings(tmp_path / name, run={"buckets": 3}, cluster={"segments": 4})) for name in ("a", "b")
    )
    whole = execute(at_once, frames={"orders": lines}).version
    execute(resumed, frames={"orders": lines}, until="assign")
    outcome = execute(resumed, frames={"orders": lines}, fresh=False)
    assert outcome.executed == ("explain", "report")
    assert (outcome.version.path / "explanations.json").read_bytes() == (whole.path / "explanations.json").read_bytes()


def test_an_unchanged_frame_is_recognised(tmp_path, lines):
    config = parse_config(settings(tmp_path))
    execute(config, frames={"orders": lines})
    assert execute(config, frames={"orders": lines.copy()}, fresh=False).executed == ()
    other = lines.assign(amount=lines["amount"] + 1)
    assert execute(config, frames={"orders": other}, fresh=False).executed == STAGE_NAMES


def keys(lines, **sections):
    config = parse_config(settings("x", **sections))
    return stage_keys(config, plan_sources(config, {"orders": lines}))


@pytest.mark.parametrize(
    ("sections", "first"),
    [
        ({"run": {"as_of": "2024-12-01"}}, "validate"),
        ({"quality": {"max_null_share": 0.1}}, "validate"),
        ({"features": {"windows_days": [10]}}, "features"),
        ({"features": {"drop": ["n_orders"]}}, "features"),
        ({"features": {"weights": {"n_orders": 2}}}, "features"),
        ({"cluster": {"segments": 4}}, "fit"),
        ({"run": {"seed": 1}}, "fit"),
        ({"matrix": {"clip": 5.0}}, "fit"),
        ({"run": {"name": "y"}}, "report"),
        ({"run": {"chunk_rows": 5}}, None),
        ({"run": {"out": "y"}}, None),
        ({"run": {"engine": "cpu"}}, None),
    ],
)
def test_a_setting_changes_the_keys_from_its_stage_on(lines, sections, first):
    before, after = keys(lines), keys(lines, **sections)
    same = STAGE_NAMES[: STAGE_NAMES.index(first)] if first else STAGE_NAMES
    assert [stage for stage in STAGE_NAMES if before[stage] == after[stage]] == list(same)


def test_weights_change_only_the_fit(lines):
    """With the same features named, another weight leaves the features as they are."""
    before = keys(lines, features={"weights": {"n_orders": 2}})
    after = keys(lines, features={"weights": {"n_orders": 3}})
    assert [stage for stage in STAGE_NAMES if before[stage] == after[stage]] == ["validate", "features"]


class Seen(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def start(self, stage):
        self.told.append(("start", stage))

    def move(self, step):
        self.told.append((step.name, step.done, step.total, step.rows))

    def finish(self, finished):
        assert finished.seconds >= 0
        assert (finished.peak is None) is finished.reused
        self.told.append(("finish", finished.stage, finished.reused, finished.rows))


def test_progress_is_told_in_order(tmp_path, lines):
    seen = Seen()
    config = parse_config(settings(tmp_path, run={"buckets": 3, "chunk_rows": 150}))
    execute(config, frames={"orders": lines}, progress=seen)
    frame = [told for told in seen.told if told[0] in ("start", "finish")]
    assert [told[:2] for told in frame] == [(e, stage) for stage in STAGE_NAMES for e in ("start", "finish")]
    steps = {step: [told[1:] for told in seen.told if told[0] == step] for step in STEPS}
    assert [rows for _, _, rows in steps["read"]] == [0, 150, 300, 400, 400]
    assert steps["read"][-1][0] == steps["read"][-1][1]
    assert steps["reduce"] == [(n, 3, 0) for n in range(4)]
    n_profiles = steps["features"][-1][2]
    assert (
        [told[:2] for told in steps["features"]] == [told[:2] for told in steps["assign"]] == [(n, 3) for n in range(4)]
    )
    n_passes = round(steps["fit"][-1][0])
    assert n_passes > 1
    assert steps["fit"][-1][2] == n_passes * n_profiles
    rows = {told[1]: told[3] for told in frame if told[0] == "finish"}
    assert rows["validate"] == 400
    assert rows["features"] == rows["assign"] == n_profiles
    assert rows["report"] is None

    seen = Seen()
    config = parse_config(settings(tmp_path, run={"buckets": 3}, cluster={"segments": 4}))
    execute(config, frames={"orders": lines}, fresh=False, progress=seen)
    assert [told[1:3] for told in seen.told if told[0] == "finish"][:3] == [
        ("validate", True),
        ("features", True),
        ("fit", False),
    ]


STEPS = ("read", "reduce", "features", "fit", "assign")


def test_a_family_without_its_column_is_named(tmp_path, lines):
    config = parse_config(settings(tmp_path))
    outcome = execute(config, frames={"orders": lines.drop(columns="category")})
    assert outcome.warnings == ["family interests skipped: no purchases source has the column it needs"]


def test_a_preview_writes_nothing_and_tells_the_stages(tmp_path, lines):
    config = parse_config(settings(tmp_path / "run"))
    plan = preview(config, frames={"orders": lines})
    assert not (tmp_path / "run").exists()
    assert plan["version"] == "v0001"
    assert plan["stages"] == dict.fromkeys(STAGE_NAMES, True)
    assert plan["sources"] == [{"name": "orders", "kind": "purchases", "format": "frame", "n_files": 1}]
    assert json.loads(json.dumps(plan)) == plan
    execute(config, frames={"orders": lines}, until="fit")
    plan = preview(config, frames={"orders": lines}, fresh=False)
    assert plan["version"] == "v0001"
    assert [stage for stage, needed in plan["stages"].items() if needed] == ["assign", "explain", "report"]


def test_several_sources_of_a_kind_add_up(tmp_path, lines, reference):
    content = settings(tmp_path)
    content["sources"].append({"name": "more", "kind": "purchases"})
    run = gpuseg.run(content, frames={"orders": lines.iloc[:150], "more": lines.iloc[150:]})
    pd.testing.assert_frame_equal(run.features(), reference.features(), check_exact=True)


def test_nothing_to_build_is_said_with_every_reason(tmp_path, lines):
    content = settings(tmp_path, features={"families": ["browsing", "interests"]})
    with pytest.raises(ConfigError) as caught:
        gpuseg.run(content, frames={"orders": lines.drop(columns="category")})
    assert str(caught.value) == (
        "features.families: nothing to build: family browsing skipped: no source of kind web; "
        "family interests skipped: no purchases source has the column it needs"
    )
    assert not (tmp_path / "CURRENT").exists()


def test_a_slip_among_figures_is_told(tmp_path, lines):
    ages = [str(20 + n % 30) for n in range(50)]
    content = settings(tmp_path, features={"families": ["rfm", "attributes"]})
    content["sources"].append({"name": "people", "kind": "crm", "columns": {"age": "age"}})
    content["cluster"] = {"segments": 2}
    slip = (
        " of 50 values of age are numbers; as the others are not, all count as text: mend them to have it as a figure"
    )
    for wrong, told in ((0, []), (1, [f"people: 49{slip}"]), (5, [f"people: 45{slip}"]), (6, [])):
        people = pd.DataFrame({"profile_id": range(50), "age": ["n/a?"] * wrong + ages[wrong:]})
        outcome = execute(parse_config(content), frames={"orders": lines, "people": people}, until="features")
        assert [line for line in outcome.warnings if "are numbers" in line] == told


def test_attributes_need_behaviour_beside_them(tmp_path, lines):
    people = pd.DataFrame({"profile_id": range(50), "age": [20 + n % 30 for n in range(50)]})
    content = settings(tmp_path, features={"families": ["attributes"]})
    content["sources"].append({"name": "people", "kind": "crm", "columns": {"age": "age"}})
    with pytest.raises(ConfigError) as caught:
        gpuseg.run(content, frames={"orders": lines, "people": people})
    assert str(caught.value) == (
        "features.families: attributes alone tell nothing of behaviour; add a family such as rfm"
    )


def test_a_fit_tells_how_near_its_end_is(tmp_path, lines):
    shares = []

    class Shares(Progress):
        def move(self, step):
            if step.name == "fit":
                shares.append(step.share)

    execute(parse_config(settings(tmp_path)), frames={"orders": lines}, until="fit", progress=Shares())
    assert shares[0] is None
    assert shares[-1] == 1.0
