"""Denied columns are in no file: not their values, not their names."""

import json

import pandas as pd
import pyarrow as pa
import pytest
import yaml

import gpuseg
from gpuseg.errors import ConfigError, SchemaError
from gpuseg.sources.plan import plan_sources
from tests.trust.worlds import TYPES, World, clean_rows, outputs, table_of, traces, write

NAMES = ("cat_file_name", "region_file_name", "comment_file_name", "url_file_name")
VALUES = ("DENIEDCAT", "DENIEDREGION", "DENIEDWORD", "/denied-page")
FILE_NAMES = {
    "orders": {"category": "cat_file_name"},
    "people": {"region": "region_file_name", "tier": "tier"},
    "voices": {"comment": "comment_file_name"},
    "clicks": {"url": "url_file_name"},
}


def rows():
    """Every row holds something denied."""
    found = clean_rows()
    for row in found["orders"]:
        row["category"] = "DENIEDCAT"
    for row in found["people"]:
        row["tier"] = "gold" if row["region"] == "north" else "silver"
        row["region"] = "DENIEDREGION" if row["region"] == "north" else "other"
    for row in found["voices"]:
        row["comment"] = "DENIEDWORD terrible"
    for row in found["clicks"]:
        row["url"] = "/denied-page/checkout"
    return found


def world(folder, form, deny, *, without=()):
    """A world whose denied columns have names of their own; `without`: columns that are not in the data at all."""
    made = World(folder, rows(), form=form)
    for section in made.config["sources"]:
        source, own = section["name"], FILE_NAMES[section["name"]]
        types = {**TYPES[source], **({"tier": pa.string()} if source == "people" else {})}
        table = table_of(source, rows()[source], types)
        table = table.rename_columns([own.get(name, name) for name in table.column_names])
        table = table.drop_columns([name for name in without if name in table.column_names])
        section["columns"] = {name: theirs for name, theirs in own.items() if theirs in table.column_names}
        if form == "frame":
            made.frames[source] = table
        else:
            write(folder / f"{source}.{form}", table)
    made.config["privacy"] = {"deny_columns": list(deny)}
    made.path.write_text(yaml.safe_dump(made.config), encoding="utf-8")
    return made


@pytest.mark.parametrize("form", ["parquet", "csv", "frame"])
@pytest.mark.parametrize("by", ["file", "canonical"])
def test_denied_columns_are_as_if_they_did_not_exist(tmp_path, form, by):
    deny = NAMES if by == "file" else ("category", "region", "comment", "url")
    denied = world(tmp_path / "w", form, deny)
    denied.run()
    # A manifest keeps the configuration, which names what it denies.
    assert traces(denied.out, VALUES) == []
    assert traces(denied.out, NAMES, except_for=["manifest.json"]) == []
    twin = world(tmp_path / "twin", form, (), without=NAMES)
    twin.run()
    mine, theirs = outputs(denied.version), outputs(twin.version)
    assert mine == theirs


def test_the_search_finds_what_is_not_denied(tmp_path):
    """The same world with nothing denied: the search for traces would see them."""
    plain = world(tmp_path / "w", "parquet", ())
    plain.run()
    found = traces(plain.out, [*VALUES[:2], "region_file_name"])
    assert any("purchases.cells" in trace and "DENIEDCAT" in trace for trace in found)
    assert any("people.attributes" in trace and "DENIEDREGION" in trace for trace in found)
    assert any("manifest" in trace and "region_file_name" in trace for trace in found)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_denied_values_stay_out_of_quarantine(tmp_path, form):
    denied = world(tmp_path / "w", form, ["category", "region_file_name", "comment_file_name", "url"])
    denied.config["quality"]["on_bad"] = "quarantine"
    types = {**TYPES["orders"], "amount": pa.string()}
    bad = [row | {"amount": str(row["amount"])} for row in rows()["orders"]]
    bad[3]["amount"] = "much"
    table = table_of("orders", bad, types)
    write(
        tmp_path / "w" / f"orders.{form}",
        table.rename_columns(["cat_file_name" if n == "category" else n for n in table.column_names]),
    )
    denied.path.write_text(yaml.safe_dump(denied.config), encoding="utf-8")
    run = denied.run()
    assert run.quality["sources"][0]["rows_quarantined"] == 1
    assert traces(denied.out, VALUES) == []
    assert traces(denied.out / "v0001" / "quarantine", ["category", *NAMES]) == []


@pytest.mark.parametrize("form", ["parquet", "csv", "frame"])
@pytest.mark.parametrize(
    ("denied", "told"),
    [("amount", "'amount': orders"), ("at", "'at': orders"), ("profile_id", "'profile_id': orders")],
)
def test_a_required_column_cannot_be_denied(tmp_path, form, denied, told):
    made = world(tmp_path / "w", form, [denied])
    with pytest.raises(ConfigError, match=f"^privacy.deny_columns: {told} cannot do without it$"):
        made.run()
    assert not made.out.exists()


def test_a_required_column_cannot_be_denied_by_the_name_of_its_file(config_of):
    config = config_of(
        {"name": "orders", "kind": "purchases", "columns": {"amount": "paid"}},
        sections={"privacy": {"deny_columns": ["paid"]}},
    )
    frame = pd.DataFrame({"profile_id": ["a"], "at": ["2017-01-01"], "paid": [1.0]})
    with pytest.raises(ConfigError, match="'paid': orders cannot do without it") as caught:
        plan_sources(config, {"orders": frame})
    assert caught.value.exit_code == 2


def test_feedback_without_any_column_that_may_be_read_is_refused(config_of):
    config = config_of(
        {"name": "voices", "kind": "feedback"}, sections={"privacy": {"deny_columns": ["rating", "comment"]}}
    )
    frame = pd.DataFrame({"profile_id": ["a"], "at": ["2017-01-01"], "rating": [1.0], "comment": ["x"]})
    with pytest.raises(SchemaError, match="needs at least one of rating, nps, comment"):
        plan_sources(config, {"voices": frame})


def test_only_columns_that_may_be_read_are_planned(tmp_path):
    made = world(tmp_path / "w", "csv", NAMES)
    plans = plan_sources(gpuseg.config.load_config(made.path))
    assert [sorted(plan.columns) for plan in plans.reads] == [
        ["amount", "at", "order_id", "profile_id"],
        ["at", "dwell_ms", "event", "profile_id"],
        ["at", "nps", "profile_id", "rating"],
        ["profile_id", "tier"],
    ]


def test_a_change_of_what_is_denied_runs_everything_again(tmp_path):
    from gpuseg.config import load_config
    from gpuseg.pipeline import STAGE_NAMES, execute

    made = world(tmp_path / "w", "parquet", ())
    execute(load_config(made.path))
    made.config["privacy"] = {"deny_columns": ["category"]}
    made.path.write_text(yaml.safe_dump(made.config), encoding="utf-8")
    outcome = execute(load_config(made.path), fresh=False)
    assert outcome.executed == STAGE_NAMES
    assert traces(outcome.version.path, ["DENIEDCAT"]) == []
    assert json.loads((outcome.version.path / "quality.json").read_text())["format"] == 1
