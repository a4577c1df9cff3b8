"""Lines that cannot be read are set apart with their place and the reason, and never with what they hold."""

import json

import pytest

import gpuseg
from gpuseg.errors import DataError, SchemaError
from tests.trust.test_quarantine import ORDERS, config_file, csv_source, good_orders
from tests.trust.worlds import outputs, quarantined, reconciled, traces

NAMES = ("profile_id", "at", "amount")


def lines_source(folder, name, kind, lines, **section):
    (folder / f"{name}.jsonl").write_bytes(b"\n".join([*lines, b""]))
    return {"name": name, "kind": kind, "uri": str(folder / f"{name}.jsonl"), **section}


def good_lines(n=30):
    return [json.dumps(dict(zip(NAMES, line.split(","), strict=True))).encode() for line in good_orders(n)]


HEAD = '{"profile_id": "SECRET", "at": "2017-05-05", '
BROKEN = {
    "cut off": ((HEAD + '"amount": ').encode(), None, "not valid JSON"),
    "no object": (b"SECRET", None, "not a JSON object"),
    "array": (b'["SECRET"]', None, "an array"),
    "latin-1": ((HEAD + '"amount": "SECRETé"}').encode("latin-1"), None, "not UTF-8 text"),
    "deep": (b"[" * 100_000, None, "nested too deeply"),
    "wrong form": ((HEAD + '"amount": [31337]}').encode(), "amount", "the value is an array"),
    "twice": ((HEAD + '"amount": 1, "amount": 31337}').encode(), "amount", "more than once"),
}


@pytest.mark.parametrize("chunk_rows", [1, 4, 262_144])
def test_broken_json_lines_are_set_apart(tmp_path, chunk_rows):
    good = good_lines()
    lines, wanted = [], {}
    for number, (line, column, reason) in enumerate(BROKEN.values()):
        lines += [good[2 * number], b"", line, good[2 * number + 1]]
        wanted[3 * number + 2] = (column, reason)
    run = gpuseg.run(
        config_file(tmp_path, [lines_source(tmp_path, "orders", "purchases", lines)], chunk_rows=chunk_rows)
    )
    rows = quarantined(run.path, "orders")
    assert [row["row"] for row in rows] == sorted(wanted)
    for row in rows:
        column, reason = wanted[row["row"]]
        assert row["column"] == column
        assert reason in row["reason"]
        assert row["file"] == str(tmp_path / "orders.jsonl")
        assert row["value_amount"] is None
        assert row["value_profile_id"] == ("SECRET" if column else None)
    assert traces(run.path, ["31337"]) == []
    record = run.quality["sources"][0]
    assert (record["rows_quarantined"], record["rows_used"]) == (len(BROKEN), 2 * len(BROKEN))
    assert reconciled(record)
    twin = tmp_path / "twin"
    twin.mkdir()
    clean = gpuseg.run(
        config_file(twin, [lines_source(twin, "orders", "purchases", good[: 2 * len(BROKEN)])], chunk_rows=chunk_rows)
    )
    assert outputs(run.path) == outputs(clean.path)


@pytest.mark.parametrize("case", BROKEN)
def test_without_quarantine_they_end_the_run(tmp_path, case):
    source = lines_source(tmp_path, "orders", "purchases", [*good_lines(3), BROKEN[case][0]])
    with pytest.raises(DataError, match=r"orders\.jsonl, row 4") as caught:
        gpuseg.run(config_file(tmp_path, [source], {"on_bad": "fail"}))
    assert BROKEN[case][2] in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_file_without_one_object_is_an_error(tmp_path):
    source = lines_source(tmp_path, "orders", "purchases", [b"SECRET", b"SECRET"])
    with pytest.raises(SchemaError, match="row 1: not a JSON object"):
        gpuseg.run(config_file(tmp_path, [source]))


def csv_world(folder, lines, **run):
    source = {"name": "orders", "kind": "purchases", "uri": str(folder / "orders.csv")}
    (folder / "orders.csv").write_bytes(b"\n".join([ORDERS.encode(), *lines, b""]))
    return config_file(folder, [source], **run)


@pytest.mark.parametrize("blocks", [64, 8 << 20])
@pytest.mark.parametrize("chunk_rows", [1, 4, 262_144])
def test_broken_csv_rows_are_set_apart(tmp_path, monkeypatch, chunk_rows, blocks):
    monkeypatch.setattr("gpuseg.engine.cpu.csv_reading._BLOCK_BYTES", blocks)
    good = [line.encode() for line in good_orders()]
    short, long, latin = b"SECRET,31337", b"SECRET,2017-05-05,31337,31337", "a,2017-05-05,31337é".encode("latin-1")
    both = "é,2017-05-05,é".encode("latin-1")
    lines = [
        short,
        *good[:9],
        b"",
        latin,
        long,
        short,
        *good[9:20],
        both,
        *good[20:],
        b'"multi\nline",2017-05-05,x',
        long,
    ]
    run = gpuseg.run(csv_world(tmp_path, lines, chunk_rows=chunk_rows))
    found = [(row["row"], row["column"], row["reason"][:8]) for row in quarantined(run.path, "orders")]
    text = "not UTF-8 text"[:8]
    assert found == [
        (1, None, "2 fields"),
        (11, "amount", text),
        (12, None, "4 fields"),
        (13, None, "2 fields"),
        (25, "profile_id", text),
        (36, "amount", "not a finite"[:8]),
        (37, None, "4 fields"),
    ]
    assert traces(run.path, ["31337", "SECRET"]) == []
    record = run.quality["sources"][0]
    assert (record["rows_read"], record["rows_used"], record["rows_quarantined"]) == (37, 30, 7)
    twin = tmp_path / "twin"
    twin.mkdir()
    assert outputs(run.path) == outputs(gpuseg.run(csv_world(twin, good, chunk_rows=chunk_rows)).path)


def test_a_file_of_broken_rows_alone(tmp_path):
    with pytest.raises(gpuseg.errors.EmptyDataError, match=r"no row of 2 is left: 2 quarantined"):
        gpuseg.run(csv_world(tmp_path, [b"SECRET,1", b"SECRET,1"]))


def test_a_latin_header_is_an_error(tmp_path):
    (tmp_path / "orders.csv").write_bytes("profile_id,at,amount,größe\na,2017-05-05,1,2\n".encode("latin-1"))
    source = {"name": "orders", "kind": "purchases", "uri": str(tmp_path / "orders.csv")}
    with pytest.raises(SchemaError, match="not UTF-8 text; convert the file to UTF-8"):
        gpuseg.run(config_file(tmp_path, [source]))


@pytest.mark.parametrize("unknown", ["refuse", "use"])
def test_a_broken_row_of_a_consent_table_is_no_yes(tmp_path, unknown):
    """Nor does it hide a no: who says yes in a row that is set apart has not clearly said it."""
    people = [f"P-{i:02d},yes,north" for i in range(30)]
    people[3] = "P-03,yes,é"
    people[4] = "P-04,yes"
    people[5] = "P-05,no,é"
    (tmp_path / "people.csv").write_bytes("\n".join(["profile_id,ok,region", *people, ""]).encode("latin-1"))
    crm = {"name": "people", "kind": "crm", "uri": str(tmp_path / "people.csv"), "columns": {"region": "region"}}
    crm |= {"consent_column": "ok", "consent_unknown": unknown}
    run = gpuseg.run(config_file(tmp_path, [csv_source(tmp_path, "orders", "purchases", ORDERS, good_orders()), crm]))
    names = run.assignments()["profile_id"].tolist()
    assert not {"P-03", "P-05"} & set(names)
    assert ("P-04" in names) == (unknown == "use")
    (row,) = quarantined(run.path, "people")
    assert (row["row"], row["column"], row["value_profile_id"]) == (5, None, None)
    told = "people: 1 row set apart; a refusal that could not be read may be among them"
    assert any(warning.startswith(told) for warning in run.quality["warnings"]) == (unknown == "use")
