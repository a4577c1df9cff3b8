"""Bad rows are set apart with their place and the reason; the run goes on and ends with exit code 6."""

import datetime as dt
import json
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuseg
from gpuseg.cli import main
from gpuseg.config import load_config
from gpuseg.errors import EmptyDataError, IntegrityError, InvalidValueError
from gpuseg.pipeline import STAGE_NAMES, execute
from tests.cli.shop import command_line
from tests.trust.worlds import (
    TYPES,
    World,
    clean_rows,
    mixed,
    outputs,
    quarantined,
    reconciled,
    table_of,
    traces,
    write,
)

APART = {"on_bad": "quarantine"}
DAY = "2017-05-05"
LATE, OLD = "2019-01-01", "2001-01-01"
AGAIN = "an earlier row describes the same profile; a crm source needs one row per profile"


@pytest.fixture
def cli(capsys):
    with command_line(capsys) as run:
        yield run


def csv_source(folder, name, kind, header, lines, **section):
    (folder / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return {"name": name, "kind": kind, "uri": str(folder / f"{name}.csv"), **section}


def good_orders(n=30):
    return [f"P-{i:02d},2017-03-{i % 28 + 1:02d} 10:00:00,{i + 1}.25" for i in range(n)]


def config_file(folder, sources, quality=(), **run):
    path = folder / "gpuseg.yaml"
    content = {
        "run": {"out": "out", "as_of": dt.date(2018, 1, 1), **run},
        "sources": sources,
        "quality": {"max_null_share": 1.0, "min_coverage": 0.0, **APART, **dict(quality)},
        "cluster": {"segments": 2},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


# --- every kind of bad value ---

ORDERS = "profile_id,at,amount"
MISSING = "the value is missing; every row needs one"
NOT_DECIMAL = "not a finite decimal number such as 1234.50 (no thousands separators)"
BAD_ORDERS = {
    "no amount": (f"X,{DAY},", "amount", MISSING),
    "nan amount": (f"X,{DAY},nan", "amount", NOT_DECIMAL),
    "inf amount": (f"X,{DAY},-inf", "amount", NOT_DECIMAL),
    "text amount": (f"X,{DAY},much", "amount", NOT_DECIMAL),
    "comma amount": (f'X,{DAY},"1,5"', "amount", NOT_DECIMAL),
    "huge amount": (f"X,{DAY},1e30", "amount", "the amount is larger than 2^63 minor units"),
    "long amount": (f"X,{DAY},1e60", "amount", "the amount has more than 36 digits or more than 24 decimals"),
    "no id": (f",{DAY},1", "profile_id", MISSING),
    "no time": ("X,,1", "at", MISSING),
    "no such day": ("X,2017-02-30,1", "at", "not an ISO 8601 time"),
    "text time": ("X,yesterday,1", "at", "not an ISO 8601 time"),
    "placeholder": (
        "X,1900-01-01,1",
        "at",
        "the time lies before 1970-01-01; remove rows with placeholder dates",
    ),
    "id and amount": (f",{DAY},nan", "profile_id", MISSING),
    "all three": (",never,nan", "at", "not an ISO 8601 time"),
}


@pytest.mark.parametrize("chunk_rows", [1, 4, 262_144])
def test_every_kind_of_bad_purchase(tmp_path, chunk_rows):
    good = good_orders()
    lines, wanted = [], {}
    for number, (line, column, reason) in enumerate(BAD_ORDERS.values()):
        lines += [good[number * 2], f"Z,{LATE},1", f"Z,{OLD},1", line, good[number * 2 + 1]]
        wanted[len(lines) - 1] = (column, reason)
    source = csv_source(tmp_path, "orders", "purchases", ORDERS, lines, retention_days=400)
    run = gpuseg.run(config_file(tmp_path, [source], chunk_rows=chunk_rows))
    rows = quarantined(run.path, "orders")
    assert {row["row"]: (row["column"], row["reason"]) for row in rows} == wanted
    assert [row["row"] for row in rows] == sorted(wanted)
    assert {row["file"] for row in rows} == {str(tmp_path / "orders.csv")}
    for row in rows:
        cells = [row[f"value_{name}"] or "" for name in ("profile_id", "at", "amount")]
        assert ",".join(cells) == lines[row["row"] - 1].replace('"', "")
    record = run.quality["sources"][0]
    n = len(BAD_ORDERS)
    assert (record["rows_quarantined"], record["rows_used"]) == (n, 2 * n)
    assert (record["rows_after_as_of"], record["rows_past_retention"]) == (n, n)
    assert reconciled(record)
    assert f"orders: {n} rows quarantined left out" in run.quality["warnings"]
    twin = tmp_path / "twin"
    twin.mkdir()
    clean = gpuseg.run(config_file(twin, [csv_source(twin, "orders", "purchases", ORDERS, good[: 2 * n])]))
    assert outputs(run.path) == outputs(clean.path)


BAD_OTHERS = {
    "negative dwell": ("web", "profile_id,at,dwell_ms", f"X,{DAY},-1", "dwell_ms", "between 0 and 8.64e"),
    "endless dwell": ("web", "profile_id,at,dwell_ms", f"X,{DAY},86400001", "dwell_ms", "between 0 and 8.64e"),
    "text dwell": ("web", "profile_id,at,dwell_ms", f"X,{DAY},long", "dwell_ms", "not a finite decimal"),
    "nps 11": ("feedback", "profile_id,at,nps", f"X,{DAY},11", "nps", "not between 0 and 10"),
    "nps -1": ("feedback", "profile_id,at,nps", f"X,{DAY},-1", "nps", "not between 0 and 10"),
    "inf rating": ("feedback", "profile_id,at,rating", f"X,{DAY},inf", "rating", "not a finite decimal"),
    "no social id": ("social", "profile_id,at,action", f",{DAY},like", "profile_id", "missing"),
    "no crm id": ("crm", "profile_id,region", ",north", "profile_id", "missing"),
}


@pytest.mark.parametrize("case", BAD_OTHERS)
def test_every_kind_of_bad_row_of_other_kinds(tmp_path, case):
    kind, header, bad, column, reason = BAD_OTHERS[case]
    fine = {"web": f"P-01,{DAY},5", "feedback": f"P-01,{DAY},5", "social": f"P-01,{DAY},like", "crm": "P-01,north"}
    columns = {"columns": {"region": "region"}} if kind == "crm" else {}
    sources = [
        csv_source(tmp_path, "orders", "purchases", ORDERS, good_orders()),
        csv_source(tmp_path, "more", kind, header, [fine[kind], bad], **columns),
    ]
    run = gpuseg.run(config_file(tmp_path, sources))
    (row,) = quarantined(run.path, "more")
    assert (row["row"], row["column"]) == (2, column)
    assert reason in row["reason"]
    assert [row[f"value_{name}"] or "" for name in header.split(",")] == bad.split(",")
    record = run.quality["sources"][1]
    assert (record["rows_read"], record["rows_used"], record["rows_quarantined"]) == (2, 1, 1)


@pytest.mark.parametrize(
    "bad", ["abc", "1.0", "0x1F", "+7", "9223372036854775808", "-9223372036854775809", "1e3", " 7"]
)
def test_ids_that_are_no_int64(tmp_path, bad):
    good = [line.replace("P-", "") for line in good_orders()]
    source = csv_source(tmp_path, "orders", "purchases", ORDERS, [*good, f'"{bad}",{DAY},1'], id_type="int64")
    run = gpuseg.run(config_file(tmp_path, [source]))
    (row,) = quarantined(run.path, "orders")
    assert (row["row"], row["column"], row["value_profile_id"]) == (31, "profile_id", bad)
    assert row["reason"] == "not a whole number within int64"


US = pa.timestamp("us")
TYPED = {
    "nan": ("amount", pa.array([1.0, float("nan"), 2.0]), "nan"),
    "inf": ("amount", pa.array([1.0, float("inf"), 2.0]), "inf"),
    "beyond 2^53": ("amount", pa.array([1.0, 1e300, 2.0]), "1e+300"),
    "huge integer": ("amount", pa.array([1, 2**62, 2]), str(2**62)),
    "unsigned id": ("profile_id", pa.array([1, 2**64 - 1, 2], pa.uint64()), str(2**64 - 1)),
    "beyond all years": ("at", pa.array([10**9, 2**62, 10**9], pa.timestamp("s")), None),
    "before 1970": ("at", pa.array([10**15, -1, 10**15], US), "1969-12-31 23:59:59.999999"),
    "no time": ("at", pa.array([10**18, None, 10**18], pa.timestamp("ns")), None),
    "far past": ("at", pa.array([10**15, -(2**62), 10**15], US), None),
    "zoned": ("at", pa.array([10**15, -(2**62), 10**15], pa.timestamp("us", tz="America/New_York")), None),
    "old date": ("at", pa.array([17_000, -25_567, 17_000], pa.date32()), "1900-01-01"),
    "one nanosecond early": ("at", pa.array([10**18, -1, 10**18], pa.timestamp("ns")), "1969-12-31 23:59:59.999999999"),
}


@pytest.mark.parametrize("case", TYPED)
def test_bad_values_of_other_types(device, plan_of, case):
    column, values, text = TYPED[case]
    frame = pa.table(
        {"profile_id": pa.array([1, 2, 3]), "at": pa.array([10**15] * 3, US), "amount": pa.array([1.0, 2.0, 3.0])}
    )
    frame = frame.set_column(frame.column_names.index(column), column, values)
    plan = plan_of(frame)
    assert not plan.quarantine
    batches = list(device.scan(replace(plan, quarantine=True)))
    (rejected,) = [batch.rejected for batch in batches if batch.rejected is not None]
    assert rejected["row"].to_pylist() == [2]
    assert rejected["column"].to_pylist() == [column]
    if text is not None:
        assert rejected[f"value_{column}"].to_pylist() == [text]
    with pytest.raises(InvalidValueError, match=rf"row 2, column '{column}'") as caught:
        list(device.scan(plan))
    assert type(caught.value) is InvalidValueError


# --- the wrong rows are never taken ---


def test_bad_rows_behind_filtered_rows_are_the_bad_ones(tmp_path):
    """Rows after `as_of`, past retention and without consent lie before each bad row."""
    rows = clean_rows()
    extra = []
    for number in range(6):
        extra += [
            {"profile_id": "LATE", "at": dt.datetime(2019, 1, 1), "amount": 1.0, "allowed": "yes"},
            {"profile_id": "EXPIRED", "at": dt.datetime(2012, 1, 1), "amount": 1.0, "allowed": "yes"},
            {"profile_id": "REFUSED", "at": dt.datetime(2017, 1, 1), "amount": None, "allowed": "no"},
            {"profile_id": f"BAD-{number}", "at": dt.datetime(2017, 6, 6), "amount": None, "allowed": "yes"},
        ]
    rows["orders"] = [*extra, *rows["orders"]]
    sources = {"orders": {"consent_column": "allowed", "retention_days": 365}}
    for chunk_rows in (1, 7, 262_144):
        world = World(
            tmp_path / str(chunk_rows),
            rows,
            sources=sources,
            sections={"quality": APART},
            run={"chunk_rows": chunk_rows},
        )
        run = world.run()
        found = quarantined(run.path, "orders")
        assert [(row["value_profile_id"], row["row"]) for row in found] == [
            (f"BAD-{number}", 4 * number + 4) for number in range(6)
        ]
        assert traces(run.path, ["LATE", "EXPIRED", "REFUSED"]) == []
        assert [s["rows_quarantined"] for s in run.quality["sources"]] == [6, 0, 0, 0]


# --- profiles described twice ---


@pytest.mark.parametrize("buckets", [1, 7])
@pytest.mark.parametrize("chunk_rows", [1, 262_144])
def test_the_first_row_of_a_profile_holds(tmp_path, buckets, chunk_rows):
    folder = tmp_path / "crm"
    folder.mkdir()
    (folder / "a.csv").write_text("profile_id,region\nP-01,north\nP-02,south\nP-01,NEVER\n")
    (folder / "b.csv").write_text("profile_id,region\nP-03,south\nP-02,NEVER\nP-01,NEVER\n,lost\n")
    people = {"name": "people", "kind": "crm", "uri": str(folder / "*.csv"), "columns": {"region": "region"}}
    sources = [csv_source(tmp_path, "orders", "purchases", ORDERS, good_orders()), people]
    run = gpuseg.run(config_file(tmp_path, sources, buckets=buckets, chunk_rows=chunk_rows))
    found = [
        (row["file"][-5:], row["row"], row["column"], row["reason"], row["value_profile_id"], row["value_region"])
        for row in quarantined(run.path, "people")
    ]
    assert found == [
        ("a.csv", 3, "profile_id", AGAIN, "P-01", "NEVER"),
        ("b.csv", 2, "profile_id", AGAIN, "P-02", "NEVER"),
        ("b.csv", 3, "profile_id", AGAIN, "P-01", "NEVER"),
        ("b.csv", 4, "profile_id", MISSING, None, "lost"),
    ]
    record = run.quality["sources"][1]
    assert (record["rows_read"], record["rows_used"], record["rows_quarantined"]) == (7, 3, 4)
    assert traces(run.path / "state", ["NEVER"]) == []


def test_a_profile_described_twice_ends_a_run_that_fails_on_bad_rows(tmp_path):
    sources = [
        csv_source(tmp_path, "orders", "purchases", ORDERS, good_orders()),
        csv_source(tmp_path, "people", "crm", "profile_id,region", ["P-01,north", "P-01,south"]),
    ]
    with pytest.raises(InvalidValueError, match=r"row 1 and .*row 2 describe the same profile"):
        gpuseg.run(config_file(tmp_path, sources, {"on_bad": "fail"}))


# --- counts, whatever the reasons ---

REASONS = ("used", "late", "expired", "refused", "bad amount", "bad time", "bad id", "unknown key", "twice", "crm no")


def lines_of(reasons):
    lines = []
    for number, reason in enumerate(reasons):
        who, at, amount, ok = f"K-{number % 5}", f"2017-06-{number % 28 + 1:02d} 00:00:{number:02d}", str(number), "yes"
        if reason == "late":
            at = f"{LATE} 00:00:00"
        elif reason == "expired":
            at = f"{OLD} 00:00:00"
        elif reason == "refused":
            ok, amount = "", "x"
        elif reason == "bad amount":
            amount = "x"
        elif reason == "bad time":
            at = "x"
        elif reason == "bad id":
            who = ""
        elif reason == "unknown key":
            who = "K-unknown"
        elif reason == "crm no":
            who, amount = "K-no", ("x", "1")[number % 2]
        elif reason == "twice" and lines:
            lines.append(f"K-0,2017-07-07 00:00:{number:02d},7,yes")
            lines.append(f"K-0,2017-07-07 00:00:{number:02d},7,yes")
            continue
        lines.append(f"{who},{at},{amount},{ok}")
    return lines


@settings(max_examples=12)
@given(
    reasons=st.lists(st.sampled_from(REASONS), max_size=25),
    chunk_rows=st.integers(1, 9),
    dedupe=st.booleans(),
)
def test_counts_and_outputs_do_not_depend_on_how_rows_are_read(tmp_path_factory, reasons, chunk_rows, dedupe):
    folder = tmp_path_factory.mktemp("mix")
    (folder / "map.csv").write_text("key,profile_id\n" + "".join(f"K-{i},P-{i:02d}\n" for i in range(30)) + "K-no,NO\n")
    identity = {"uri": str(folder / "map.csv")}
    lines = [line.replace("P-0", "K-").replace("P-", "K-") + ",yes" for line in good_orders(12)] + lines_of(reasons)
    orders = csv_source(
        folder,
        "orders",
        "purchases",
        f"{ORDERS},ok",
        lines,
        consent_column="ok",
        retention_days=400,
        identity=identity,
    )
    said = ["P-00,yes", "NO,no", "P-00,yes", ",no", ",yes"]
    people = csv_source(folder, "people", "crm", "profile_id,ok", said, consent_column="ok", consent_unknown="use")
    seen = []
    for buckets, rows in ((1, 262_144), (2, chunk_rows), (7, 1)):
        quality = {"dedupe": dedupe, "max_duplicate_share": 1.0, "max_orphan_share": 1.0}
        path = config_file(folder, [orders, people], quality, buckets=buckets, chunk_rows=rows)
        outcome = execute(load_config(path), until="validate")
        version = outcome.version.path
        record = json.loads((version / "quality.json").read_text())
        apart = {
            name: quarantined(version, name)
            for name in ("orders", "people")
            if (version / "quarantine").exists() and (version / "quarantine" / f"{name}.parquet").exists()
        }
        seen.append((record, apart))
        assert all(reconciled(source, dedupe=dedupe) for source in record["sources"])
        assert [source["rows_quarantined"] for source in record["sources"]] == [
            len(apart.get(name, ())) for name in ("orders", "people")
        ]
        assert traces(version, ["K-no", "NO,"]) == []
    assert seen[0] == seen[1] == seen[2]
    counts, orders_record = Counter(reasons), seen[0][0]["sources"][0]
    doubled = sum(1 for number, reason in enumerate(reasons) if reason == "twice" and number)
    assert orders_record["rows_read"] == 12 + len(reasons) + doubled
    assert orders_record["rows_after_as_of"] == counts["late"]
    assert orders_record["rows_past_retention"] == counts["expired"]
    assert orders_record["rows_without_consent"] == counts["refused"] + counts["crm no"]
    assert orders_record["rows_unmatched"] == counts["unknown key"]
    assert orders_record["rows_quarantined"] == counts["bad amount"] + counts["bad time"] + counts["bad id"]
    assert orders_record["rows_duplicate"] == doubled
    assert seen[0][0]["sources"][1]["rows_without_consent"] == 2
    assert seen[0][0]["sources"][1]["rows_quarantined"] == 2


# --- how a run ends ---


@pytest.fixture
def bad(tmp_path):
    """A configuration whose run sets two rows apart."""
    lines = [*good_orders(), f"MARKED-1,{DAY},never", f",{DAY},1"]
    return config_file(tmp_path, [csv_source(tmp_path, "orders", "purchases", ORDERS, lines)])


def test_exit_code_6_in_words_and_in_json(bad, cli):
    told = cli("run", bad, "--json")
    assert told.code == 6
    assert told.content["ok"] is True
    assert (told.content["complete"], told.content["rows_quarantined"]) == (True, 2)
    assert told.content["stages"]["validate"]["rows_quarantined"] == 2
    assert "gpuseg: warning: orders: 2 rows quarantined left out" in told.lines
    assert any(line.startswith("gpuseg: 2 bad rows were set apart in ") for line in told.lines)
    assert "MARKED" not in told.out + told.err
    plain = cli("run", bad)
    assert plain.code == 6
    assert plain.out.startswith("30 profiles in 2 segments")


def test_committed_stages_keep_the_exit_code(bad, cli):
    assert cli("validate", bad).code == 6
    assert cli("features", bad).code == 6
    told = cli("run", bad, "--resume", "--json")
    assert (told.code, told.content["executed"]) == (6, list(STAGE_NAMES[2:]))
    again = cli("run", bad, "--resume", "--json")
    assert (again.code, again.content["executed"], again.content["rows_quarantined"]) == (6, [], 2)
    bad.write_text(bad.read_text().replace("segments: 2", "segments: 3"))
    taken = cli("run", bad, "--resume", "--json")
    assert (taken.code, taken.content["executed"]) == (6, list(STAGE_NAMES[2:]))
    rows = quarantined(bad.parent / "out" / taken.content["version"], "orders")
    assert [row["row"] for row in rows] == [31, 32]


def test_mended_data_end_with_0_and_no_quarantine(bad, cli):
    assert cli("run", bad).code == 6
    (bad.parent / "orders.csv").write_text("\n".join([ORDERS, *good_orders()]) + "\n")
    told = cli("run", bad, "--resume", "--json")
    assert (told.code, told.content["rows_quarantined"]) == (0, 0)
    assert not (bad.parent / "out" / told.content["version"] / "quarantine").exists()


def test_verify_covers_the_rows_set_apart(bad, cli):
    assert cli("run", bad).code == 6
    out = bad.parent / "out"
    assert cli("verify", out).code == 0
    path = out / "v0001" / "quarantine" / "orders.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    told = cli("verify", out)
    assert told.code == 5
    assert "quarantine/orders.parquet: differs" in told.err
    bad.write_text(bad.read_text().replace("segments: 2", "segments: 3"))
    with pytest.raises(IntegrityError, match=r"quarantine/orders\.parquet: differs"):
        execute(load_config(bad), fresh=False)
    path.unlink()
    assert "quarantine/orders.parquet: the file is missing" in cli("verify", out).err


def test_a_file_of_bad_rows_only_is_an_error(tmp_path, cli):
    source = csv_source(tmp_path, "orders", "purchases", ORDERS, [f"MARKED-{i},{DAY},x" for i in range(9)])
    path = config_file(tmp_path, [source])
    with pytest.raises(EmptyDataError, match=r"^orders: no row of 9 is left: 9 quarantined$"):
        gpuseg.run(path)
    told = cli("run", path)
    assert (told.code, told.err) == (3, "gpuseg: error[empty-data] orders: no row of 9 is left: 9 quarantined\n")
    assert traces(tmp_path / "out", ["MARKED"]) == []


def test_without_quarantine_a_bad_row_ends_the_run(bad, cli):
    bad.write_text(bad.read_text().replace("on_bad: quarantine", "on_bad: fail"))
    told = cli("run", bad)
    assert told.code == 3
    assert "row 31, column 'amount'" in told.err or "row 32, column 'profile_id'" in told.err
    assert "MARKED" not in told.err
    assert not list((bad.parent / "out").glob("v*"))


def test_good_data_have_no_quarantine(tmp_path):
    world = World(tmp_path / "w", mixed(clean_rows(), {}), sections={"quality": APART})
    world.run()
    assert not (world.version / "quarantine").exists()
    assert main(["verify", str(world.out)]) == 0
    plain = World(tmp_path / "p", clean_rows())
    plain.run()
    assert outputs(plain.version) == outputs(world.version)


def test_types_of_files_do_not_matter_to_what_is_set_apart(tmp_path):
    """Text amounts in Parquet and in CSV are set apart alike."""
    found = []
    for form in ("parquet", "csv"):
        folder = tmp_path / form
        folder.mkdir()
        rows = [row | {"amount": str(row["amount"])} for row in clean_rows()["orders"]]
        rows[5]["amount"], rows[9]["amount"], rows[11]["profile_id"] = "x", None, None
        write(folder / f"orders.{form}", table_of("orders", rows, {**TYPES["orders"], "amount": pa.string()}))
        source = {"name": "orders", "kind": "purchases", "uri": str(folder / f"orders.{form}")}
        run = gpuseg.run(config_file(folder, [source]))
        found.append([(row["row"], row["column"], row["reason"]) for row in quarantined(run.path, "orders")])
    assert found[0] == found[1]
    assert [row for row, _, _ in found[0]] == [6, 10, 12]
