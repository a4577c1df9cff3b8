"""The gates on whole runs: the share itself passes, one row more ends the run with exit code 1 and names the gate."""

import datetime as dt
import json

import pytest
import yaml

from gpuseg.cli import main
from gpuseg.config import load_config
from gpuseg.errors import GateFailed
from gpuseg.pipeline import execute
from gpuseg.sources.ingest import equal_files
from tests.cli.shop import command_line
from tests.trust.worlds import reconciled


@pytest.fixture
def cli(capsys):
    with command_line(capsys) as run:
        yield run


def shop(folder, orders, *, people=None, quality=None, source=None, files=()):
    """A configuration over CSV lines; the other gates stay open."""
    header = "profile_id,at,amount,category"
    (folder / "orders.csv").write_text("\n".join([header, *orders]) + "\n")
    for name, lines in files:
        (folder / name).write_text("\n".join([header, *lines]) + "\n")
    sources = [{"name": "orders", "kind": "purchases", "uri": "orders*.csv", **(source or {})}]
    if people is not None:
        (folder / "people.csv").write_text("\n".join(["profile_id,region", *people]) + "\n")
        sources.append({"name": "people", "kind": "crm", "uri": "people.csv", "columns": {"region": "region"}})
    content = {
        "run": {"out": "out", "as_of": dt.date(2018, 1, 1)},
        "sources": sources,
        "quality": {"max_null_share": 1.0, "min_coverage": 0.0, "max_orphan_share": 1.0, **(quality or {})},
        "cluster": {"segments": 2},
    }
    path = folder / "gpuseg.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def validated(path):
    version = execute(load_config(path), until="validate").version.path
    return json.loads((version / "quality.json").read_text())


def ended(cli, path, told):
    """The run ends with exit code 1 and leaves nothing."""
    said = cli("validate", path, "--json")
    assert (said.code, said.content["error"]["code"]) == (1, "gate-failed")
    assert said.content["error"]["message"].startswith(f"gate {told}")
    assert said.err == f"gpuseg: error[gate-failed] {said.content['error']['message']}\n"
    assert not list((path.parent / "out").glob("v*"))


def lines(n=20, category="x"):
    return [f"P-{i:02d},2017-0{i % 9 + 1}-11 0{i % 9}:00:00,{i}.5,{category}" for i in range(n)]


def test_max_null_share(tmp_path, cli):
    orders = [*lines(19), "P-99,2017-05-05,1,"]
    validated(shop(tmp_path, orders, quality={"max_null_share": 0.05}))
    path = shop(tmp_path, orders, quality={"max_null_share": 0.0499})
    said = cli("validate", path)
    assert (said.code, said.lines) == (
        1,
        [
            "gpuseg: error[gate-failed] gate max_null_share: orders: column 'category' is null in 5.0% of rows, "
            "the limit is 5.0%; mend the data or raise quality.max_null_share"
        ],
    )


def test_null_shares_are_of_all_rows_that_were_looked_at(tmp_path):
    """Repeated rows that are left out do not turn half into all."""
    repeated = ["P-01,2017-05-05,1,"] * 10
    path = shop(tmp_path, [*lines(10), *repeated], quality={"max_null_share": 0.5, "dedupe": True})
    (orders,) = validated(path)["sources"]
    assert (orders["rows_used"], orders["rows_duplicate"], orders["null_counts"]) == (11, 9, {"category": 10})


def test_refused_profiles_do_not_make_a_null_share_of_more_than_one(tmp_path):
    path = shop(
        tmp_path,
        [*lines(10), *["NO,2017-05-05,1,"] * 10],
        people=["P-01,yes", "NO,no"],
        quality={"max_null_share": 0.5},
    )
    content = yaml.safe_load(path.read_text())
    content["sources"][1] |= {"columns": {}, "consent_column": "region", "consent_unknown": "use"}
    path.write_text(yaml.safe_dump(content))
    assert validated(path)["sources"][0]["rows_without_consent"] == 10


def test_min_coverage(tmp_path, cli):
    people = [f"P-{i:02d},north" for i in range(40)]
    record = validated(shop(tmp_path, lines(20), people=people, quality={"min_coverage": 0.5}))
    assert (record["n_profiles"], record["n_with_events"]) == (40, 20)
    path = shop(tmp_path, lines(20), people=[*people, "P-40,north"], quality={"min_coverage": 0.5})
    told = cli("validate", path)
    assert told.code == 1
    assert "gate min_coverage: 48.8% of 41 profiles have events, the least is 50.0%" in told.err


def test_max_age_days(tmp_path, cli):
    orders = ["P-01,2017-12-02 23:59:59,1,x", "P-02,2015-01-01,1,x"]
    validated(shop(tmp_path, orders, source={"max_age_days": 30}))
    path = shop(tmp_path, orders, source={"max_age_days": 29})
    (tmp_path / "out" / "CURRENT").unlink(missing_ok=True)
    told = cli("validate", path)
    assert told.code == 1
    assert "gate max_age_days: orders: the newest event is 30 days older than as_of, the limit is 29" in told.err


def test_what_is_left_out_does_not_make_data_young(tmp_path, cli):
    """A row at as_of, a bad row and the rows of a refused profile are newer than all that is used."""
    orders = ["P-01,2017-06-01,1,x", "P-01,2018-01-01,1,x", "P-02,2017-12-31,much,x", "NO,2017-12-31,1,x"]
    path = shop(
        tmp_path,
        orders,
        people=["P-01,yes", "P-02,yes", "NO,no"],
        source={"max_age_days": 100},
        quality={"on_bad": "quarantine"},
    )
    content = yaml.safe_load(path.read_text())
    content["sources"][1] |= {"columns": {}, "consent_column": "region"}
    path.write_text(yaml.safe_dump(content))
    ended(cli, path, "max_age_days: orders: the newest event is 214 days older than as_of, the limit is 100;")


@pytest.mark.parametrize("dedupe", [False, True])
def test_max_duplicate_share(tmp_path, cli, dedupe):
    orders = [*lines(19), lines(19)[4]]
    quality = {"max_duplicate_share": 0.05, "dedupe": dedupe}
    record = validated(shop(tmp_path, orders, quality=quality))
    (source,) = record["sources"]
    assert (source["rows_duplicate"], source["rows_used"]) == (1, 19 if dedupe else 20)
    assert reconciled(source, dedupe=dedupe)
    counted = "orders: 1 repeated row counted again; quality.dedupe: true counts each once"
    assert record["warnings"] == ([] if dedupe else [counted])
    assert record["notes"] == (["orders: 1 repeated row left out"] if dedupe else [])
    told = cli("validate", shop(tmp_path, [*orders, lines(19)[5]], quality=quality))
    assert told.code == 1
    assert "gate max_duplicate_share: orders: 9.5% of rows repeat another, the limit is 5.0%" in told.err


def test_repeats_are_counted_only_if_asked_for(tmp_path):
    record = validated(shop(tmp_path, [*lines(5), *lines(5)]))
    assert record["sources"][0]["rows_duplicate"] is None
    record = validated(shop(tmp_path, [*lines(5), *lines(5), *lines(5)], quality={"dedupe": True}))
    assert (record["sources"][0]["rows_duplicate"], record["sources"][0]["rows_used"]) == (10, 5)


@pytest.mark.parametrize(
    "change",
    ["P-00,2017-01-11 00:00:01,0.5,x", "P-00,2017-01-11,0.51,x", "P-00,2017-01-11,0.5,y", "P-0,2017-01-11,0.5,x"],
)
def test_rows_that_differ_in_one_column_are_no_repeats(tmp_path, change):
    first = "P-00,2017-01-11,0.5,x"
    record = validated(shop(tmp_path, [first, change, first], quality={"dedupe": True}))
    assert record["sources"][0]["rows_duplicate"] == 1


@pytest.mark.parametrize("buckets", [1, 2, 7])
def test_deduped_state_is_that_of_distinct_rows(tmp_path, buckets):
    seen = []
    for name, orders in (("once", lines(15)), ("often", [*lines(15), *lines(15), *lines(7)])):
        folder = tmp_path / name
        folder.mkdir()
        path = shop(folder, orders, quality={"dedupe": True})
        content = yaml.safe_load(path.read_text())
        content["run"]["buckets"] = buckets
        path.write_text(yaml.safe_dump(content))
        state = execute(load_config(path), until="validate").version.path / "state"
        seen.append({file.relative_to(state): file.read_bytes() for file in state.rglob("*.parquet")})
    assert seen[0] == seen[1]


def test_max_orphan_share(tmp_path, cli):
    (tmp_path / "map.csv").write_text("key,profile_id\n" + "".join(f"P-{i:02d},{i}\n" for i in range(10)))
    source = {"identity": {"uri": "map.csv"}}
    record = validated(shop(tmp_path, lines(20), source=source, quality={"max_orphan_share": 0.5}))
    assert record["sources"][0]["rows_unmatched"] == 10
    assert reconciled(record["sources"][0])
    told = cli("validate", shop(tmp_path, lines(21), source=source, quality={"max_orphan_share": 0.5}))
    assert told.code == 1
    assert (
        "gate max_orphan_share: orders: 52.4% of rows have a key that the identity map lacks, the limit is 50.0%"
        in told.err
    )


def test_a_gate_that_fails_leaves_what_was_current(tmp_path):
    path = shop(tmp_path, lines(20))
    assert main(["run", str(path)]) == 0
    before = (tmp_path / "out" / "CURRENT").read_text()
    path = shop(tmp_path, ["P-01,2001-01-01,1,x"], source={"max_age_days": 10})
    with pytest.raises(GateFailed):
        execute(load_config(path))
    assert (tmp_path / "out" / "CURRENT").read_text() == before
    assert [folder.name for folder in (tmp_path / "out").glob("v*")] == [before.strip()]


# --- the same file twice ---


def test_equal_files_of_a_source_are_named(tmp_path):
    path = shop(tmp_path, lines(9), files=[("orders-b.csv", lines(9)), ("orders-c.csv", [*lines(8), lines(9)[8]])])
    same = "orders: the files orders-b.csv and orders-c.csv and 1 more hold the same bytes; remove all but one"
    assert validated(path)["warnings"] == [same]
    (tmp_path / "orders-c.csv").unlink()
    same = "orders: the files orders-b.csv and orders.csv hold the same bytes; remove all but one"
    assert validated(path)["warnings"] == [same]
    (tmp_path / "orders-b.csv").write_text((tmp_path / "orders.csv").read_text().replace("P-00", "P-10"))
    assert validated(path)["warnings"] == []


def test_only_files_of_equal_size_are_read(tmp_path, monkeypatch):
    names = [str(tmp_path / name) for name in "abcde"]
    for name, content in zip(names, (b"xx", b"xy", b"", b"", b"xx"), strict=True):
        with open(name, "wb") as handle:  # noqa: PTH123
            handle.write(content)
    assert equal_files([*names, "s3://elsewhere/a", str(tmp_path / "missing")]) == [(names[0], names[4])]
    (tmp_path / "a").write_bytes(b"alone")
    (tmp_path / "e").unlink()
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("no two files have one size"))
    (tmp_path / "b").unlink()
    assert equal_files(names) == []


def test_web_rows_that_have_a_page_or_a_word_have_both_said(tmp_path, cli):
    rows = [
        f"P-{i},2017-05-0{i % 9 + 1},{'' if i % 2 else 'add_to_cart'},{'/shop' if i % 2 else ''}" for i in range(20)
    ]
    (tmp_path / "web.csv").write_text("\n".join(["profile_id,at,event,url", *rows]) + "\n")
    path = shop(tmp_path, lines(20), quality={"max_null_share": 0.05})
    content = yaml.safe_load(path.read_text())
    content["sources"].append({"name": "web", "kind": "web", "uri": "web.csv"})
    path.write_text(yaml.safe_dump(content))
    assert validated(path)["sources"][1]["null_counts"] == {"event": 10, "url": 10}
    (tmp_path / "web.csv").write_text(
        "\n".join(["profile_id,at,event", *(row.rsplit(",", 1)[0] for row in rows)]) + "\n"
    )
    said = cli("validate", path)
    assert (said.code, "gate max_null_share: web: column 'event' is null in 50.0% of rows" in said.err) == (1, True)
