"""The same rows in every format give the same canonical columns, and what is special to one format."""

import csv
import datetime as dt
import gzip
import json
import re
import sys
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuseg.engine import json_lines
from gpuseg.errors import ConfigError, DataError, EmptyDataError, InvalidValueError, SchemaError

FILES = ["parquet", "csv", "csv.gz", "jsonl", "ndjson", "jsonl.gz", "arrow", "ipc", "arrows", "arrows.gz", "feather"]
FRAMES = ["pandas", "polars", "table"]
IDS = [
    "00001",
    "1",
    " 1 ",
    "é",
    "e\u0301",
    "🙂",
    "👩\u200d👧",
    "a,b",
    'q"q',
    "new\nline",
    "\u2028",
    "\\u0041",
    "NA",
    "null",
]
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu"]


def events(rows, *, zone=None, amounts="decimal"):
    """Rows of (profile_id, at, amount, order_id, category) as an Arrow table."""
    ids, times, money, orders, categories = zip(*rows, strict=True)
    kind = {"decimal": pa.decimal128(20, 6), "text": pa.string()}[amounts]
    return pa.table(
        {
            "profile_id": pa.array(ids, pa.string()),
            "at": pa.array(times, pa.timestamp("us", tz=zone)),
            "amount": pa.array([str(value) if amounts == "text" else value for value in money], kind),
            "order_id": pa.array(orders, pa.string()),
            "category": pa.array(categories, pa.string()),
            "ignored": pa.array([[{"deep": number}] for number in range(len(ids))]),
        }
    )


def json_text(table, *, numbers=False, escaped=True):
    """JSON lines: nulls by turns written and left out, amounts as numbers or as text, keys in any order."""
    lines = []
    for place, row in enumerate(table.to_pylist()):
        row["at"] = row["at"].isoformat()
        row["amount"] = f"<{row['amount']}>" if numbers else str(row["amount"])
        if place % 2:
            row = {name: value for name, value in reversed(row.items()) if value is not None}
        text = json.dumps(row, ensure_ascii=escaped)
        lines.append(re.sub(r'"amount": "<([^>]*)>"', r'"amount": \1', text) if numbers else text)
    return "\n".join(lines) + "\n"


def csv_bytes(table, path):
    table = table.drop_columns("ignored")
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            row["at"] = row["at"].isoformat(" ")
            writer.writerow(["" if value is None else value for value in row.values()])
    return path.read_bytes()


def write(folder, kind, table):
    """Write a table as a file of a kind; gives its path."""
    path = folder / f"rows.{kind}"
    content = None
    if kind.startswith("csv"):
        content = csv_bytes(table, folder / "plain")
    elif kind.startswith(("json", "ndjson")):
        content = json_text(table, numbers=kind != "ndjson", escaped=kind != "jsonl.gz").encode()
    elif kind == "parquet":
        pq.write_table(table, path, row_group_size=3)
    elif kind == "feather":
        feather.write_feather(table, path, compression="zstd", chunksize=2)
    else:
        stream = kind.startswith("arrows")
        new = pa.ipc.new_stream if stream else pa.ipc.new_file
        if kind == "ipc":
            coded = table["category"].combine_chunks().dictionary_encode()
            table = table.set_column(4, "category", coded)
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression=None if kind == "ipc" else "lz4")
        with new(sink, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=4)
        content = sink.getvalue().to_pybytes()
    if content is not None:
        path.write_bytes(gzip.compress(content) if kind.endswith(".gz") else content)
    return str(path)


def frame(kind, table):
    if kind == "table":
        return table
    return pl.DataFrame(table) if kind == "polars" else table.to_pandas(types_mapper=pd.ArrowDtype)


@st.composite
def tables(draw):
    texts = st.sampled_from(IDS) | st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=5
    )
    walls = st.datetimes(dt.datetime(2016, 1, 1), dt.datetime(2018, 1, 3))
    money = st.decimals(-(10**6), 10**9, places=6, allow_nan=False, allow_infinity=False)
    row = st.tuples(texts, walls, money, st.none() | texts, st.none() | texts)
    return events(
        draw(st.lists(row, min_size=1, max_size=12)),
        zone=draw(st.sampled_from([None, *ZONES])),
        amounts=draw(st.sampled_from(["decimal", "text"])),
    )


@settings(max_examples=60)
@given(table=tables(), chunk_rows=st.integers(1, 13), source_zone=st.sampled_from(ZONES), block=st.integers(1, 200))
def test_every_format_gives_the_same_bits(
    tmp_path_factory, monkeypatch_block, scan, table, chunk_rows, source_zone, block
):
    folder = tmp_path_factory.mktemp("formats")
    settings = {"timezone": source_zone, "run": {"chunk_rows": chunk_rows}}
    expected = scan(table, **settings)
    monkeypatch_block(block)
    for kind in FILES:
        assert (kind, scan(uri=write(folder, kind, table), **settings)) == (kind, expected)
    for kind in FRAMES:
        assert (kind, scan(frame(kind, table), **settings)) == (kind, expected)


@pytest.fixture(scope="module")
def monkeypatch_block():
    """Sets the size of a block of JSON lines."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda size: patch.setattr(json_lines, "BLOCK_BYTES", size)


@pytest.fixture
def lines(tmp_path, scan):
    """Scans JSON lines, given as text, bytes or objects, and gives the canonical columns."""

    def read(content, **settings):
        if isinstance(content, list):
            content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in content)
        path = tmp_path / "rows.jsonl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return scan(uri=str(path), **settings)[0]

    return read


def line(**changes):
    return {"profile_id": "a", "at": "2017-01-01", "amount": 1} | changes


def raw(name, value):
    """A line with one value written as it stands."""
    return json.dumps(line(**{name: "@"})).replace('"@"', value)


@pytest.mark.parametrize("twist", ["", "\n \n\t\n"], ids=["by Arrow", "line by line"])
def test_json_ids_are_text_unless_integers_are_asked_for(lines, twist):
    content = "".join(raw("profile_id", value) + twist + "\n" for value in ("7", '"7"', "-0", '"007"'))
    assert lines(content)["profile_id"] == ["7", "7", "0", "007"]
    assert lines(content, id_type="int64")["profile_id"] == [7, 7, 0, 7]
    whole = "".join(raw("profile_id", value) + "\n" for value in ("7", "-0", str(2**63 - 1), str(2**70)))
    assert lines(whole)["profile_id"] == ["7", "0", str(2**63 - 1), str(2**70)]
    with pytest.raises(InvalidValueError, match="row 4, column 'profile_id': not a whole number within int64"):
        lines(whole, id_type="int64")


@pytest.mark.parametrize("value", ["7.0", "1e3", "1.0E+2"])
@pytest.mark.parametrize("column", ["profile_id", "order_id"])
def test_fractions_are_no_ids(lines, column, value):
    content = [line(), line(), raw(column, value)]
    reason = f"the value is a number with a fraction or an exponent, but {column} needs text or a whole number"
    with pytest.raises(InvalidValueError, match=rf"^orders: .*rows.jsonl, row 3, column '{column}': {reason}$"):
        lines(content)


@pytest.mark.parametrize("other", ["2", '"0.5"'])
def test_json_amounts_are_exact(lines, other):
    written = ["1.5", "-0", "1E2", "2e-3", "1e0002", "0.1", "99999999999999.9999", '" 1.25 "', '"+.5"', other]
    minor = [15_000, 0, 1_000_000, 20, 1_000_000, 1_000, 999_999_999_999_999_999, 12_500, 5_000]
    found = lines([raw("amount", value) for value in written])["amount_minor"]
    assert found == [*minor, {"2": 20_000}.get(other, 5_000)]
    for value, expected in zip(written, found, strict=True):
        assert lines([raw("amount", value)] * 2)["amount_minor"] == [expected] * 2


def test_lines_may_lack_columns_and_a_key_may_come_late(lines, monkeypatch):
    late = [line(), line(category=None), line(order_id=5), line(category="x")]
    assert lines(late)["category"] == [None, None, None, "x"]
    for block in (1, 40, 200):
        monkeypatch.setattr(json_lines, "BLOCK_BYTES", block)
        monkeypatch.setattr(json_lines, "_PEEKED_LINES", 1)
        found = lines(late)
        assert (found["category"], found["order_id"]) == ([None, None, None, "x"], [None, None, "5", None])
        assert "category" not in lines([line(), line(deep={"category": 1}), line(text='"category": 1')])
        escaped = [line(), json.dumps(line(category="x")).replace("category", "c\\u0061tegory")]
        assert lines(escaped)["category"] == [None, "x"]


def test_every_file_of_json_lines_shares_the_columns(tmp_path, scan):
    for name, rows in {"a": [], "b": [line()], "c": [line(category="x")], "d": []}.items():
        (tmp_path / f"{name}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns, tally = scan(uri=f"{tmp_path}/*.ndjson")
    assert (columns["category"], tally.rows_read) == ([None, "x"], 2)
    with pytest.raises(EmptyDataError, match=r"^orders: the files hold no rows$"):
        scan(uri=f"{tmp_path}/[ad].ndjson")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf@\n@\n",
        b"@\r\n@\r\n",
        b"\n  \n@\n\n\t\r\n@\n\n",
        b" @ \n\t@",
        b'@\n{"other": NaN, "more": -Infinity, "profile_id": "a", "at": "2017-01-01", "amount": 1}\n',
        b'@\n{"other": 1, "other": 2, "profile_id": "a", "at": "2017-01-01", "amount": 1}\n',
        b'@\n{"other": "\\ud800", "profile_id": "a", "at": "2017-01-01", "amount": 1}\n',
        b'{"other": 1, "profile_id": "a", "at": "2017-01-01", "amount": 1}\n'
        b'{"other": ["x"], "profile_id": "a", "at": "2017-01-01", "amount": "1"}\n',
        b'@\n{"other": "}null{", "profile_id": "a", "at": "2017-01-01", "amount": 1}\n',
    ],
    ids=["bom", "crlf", "blank lines", "spaces", "NaN", "doubled", "surrogate", "types", "null"],
)
def test_ways_of_writing_json_lines_that_are_fine(lines, content):
    found = lines(content.replace(b"@", json.dumps(line()).encode()))
    assert (found["profile_id"], found["amount_minor"]) == (["a", "a"], [10_000, 10_000])


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('{"profile_id": "Xanthippe", ', "not valid JSON; an object stands whole on one line"),
        ("null", "no object, where JSON lines hold one object a line"),
        ('"Xanthippe"', "no object, where JSON lines hold one object a line"),
        ("7", "no object, where JSON lines hold one object a line"),
        ("Xanthippe,2017-01-01,1", "not a JSON object; JSON lines hold one object a line (for CSV set format: csv)"),
        ("[1]", "an array, where JSON lines hold one object a line (jq -c '.[]' makes them of an array)"),
        ("@ @", "something follows the first value of the line; JSON lines hold one object a line"),
        ("@ null", "something follows the first value of the line; JSON lines hold one object a line"),
        ("@null@", "something follows the first value of the line; JSON lines hold one object a line"),
        ("@,", "something follows the first value of the line; JSON lines hold one object a line"),
        ('{"x": "\t"}', "not valid JSON; an object stands whole on one line"),
        ('{"x": 01}', "not valid JSON; an object stands whole on one line"),
        ('{"amount": 1, "amount": 2}', "the object names 'amount' more than once"),
        ('{"amount": null, "amount": 2}', "the object names 'amount' more than once"),
    ],
    ids=lambda value: value[:20],
)
@pytest.mark.parametrize("peeked", [1, 1000])
def test_lines_that_hold_no_object(lines, monkeypatch, second, reason, peeked):
    monkeypatch.setattr(json_lines, "_PEEKED_LINES", peeked)
    good = json.dumps(line(category="x", order_id=1))
    with pytest.raises(SchemaError) as caught:
        lines([good, "", second.replace("@", good), good])
    assert str(caught.value).startswith("orders: ")
    assert str(caught.value).endswith(f"rows.jsonl, row 2: {reason}")


def test_values_nested_more_deeply_than_python_allows():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        with pytest.raises(json_lines.BadLineError, match=r"^the values are nested too deeply$"):
            json_lines.parsed_line(b'{"x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("profile_id", '["Xanthippe"]', "the value is an array, but profile_id needs text or a whole number"),
        ("profile_id", '{"x": "Xanthippe"}', "the value is an object, but profile_id needs text or a whole number"),
        ("profile_id", "true", "the value is true or false, but profile_id needs text or a whole number"),
        ("profile_id", "NaN", "the value is NaN or an infinity, but profile_id needs text or a whole number"),
        ("profile_id", '"Xanthippe\\udc00"', "the text holds half of a surrogate pair, which is no character"),
        ("profile_id", '""', "the value is missing; every row needs one"),
        ("profile_id", "null", "the value is missing; every row needs one"),
        (
            "at",
            "1483228800",
            "the value is a whole number, but at needs ISO 8601 text (numbers are not guessed to be "
            "seconds or milliseconds)",
        ),
        ("at", '"Xanthippe"', "not an ISO 8601 time"),
        ("amount", "true", "the value is true or false, but amount needs a number or decimal text"),
        ("amount", "NaN", "not a finite decimal number such as 1234.50 (no thousands separators)"),
        ("amount", "-Infinity", "not a finite decimal number such as 1234.50 (no thousands separators)"),
        ("amount", "1e400", "the amount has more than 36 digits or more than 24 decimals"),
        ("amount", '"1,5"', "not a finite decimal number such as 1234.50 (no thousands separators)"),
        (
            "category",
            "1.5",
            "the value is a number with a fraction or an exponent, but category needs text, a whole "
            "number, true or false",
        ),
    ],
)
def test_json_values_that_a_column_cannot_have(lines, column, value, reason):
    for rest in ([], [line(profile_id=7), line(amount="1")]):
        with pytest.raises(InvalidValueError) as caught:
            lines([line(), raw(column, value), *rest])
        assert str(caught.value).endswith(f"rows.jsonl, row 2, column {column!r}: {reason}")
        assert "Xanthippe" not in str(caught.value)


def test_json_attributes_are_text(lines):
    rows = [{"profile_id": 1, "tier": value} for value in ("gold", 7, True, None, "")]
    rows.append('{"profile_id": 2, "tier": 1.50}')
    crm = {"kind": "crm", "columns": {"tier": "tier"}}
    assert lines(rows, **crm)["tier"] == ["gold", "7", "true", None, None, "1.50"]
    for value, text in ((7, "7"), (False, "false"), ("x", "x")):
        assert lines([{"profile_id": 1, "tier": value}] * 2, **crm)["tier"] == [text] * 2


@pytest.mark.parametrize("mixed", [False, True], ids=["by Arrow", "line by line"])
def test_figures_words_and_consent_of_other_kinds(tmp_path, scan, mixed):
    """Kinds whose columns are numbers and words read the same from JSON lines as from CSV."""
    cells = {
        "profile_id": ["a", "b", "c", "d"],
        "at": ["2017-01-01"] * 4,
        "rating": ["4.5", "3", "", "2.25"],
        "nps": ["9", "", "10", "0"],
        "comment": ["good", "", "7", "very bad"],
        "ok": ["true", "false", "true", "true"],
    }
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in [cells, *(r.values() for r in rows)]), "utf-8")
    text = ""
    for row in rows:
        values = {name: json.dumps(value) for name, value in row.items()}
        values |= {"rating": row["rating"] or "null", "nps": row["nps"] or "null", "ok": row["ok"]}
        text += "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}\n"
    if mixed:
        text = text.replace('"7"', "7").replace('"nps": 9', '"nps": "9"')
    (tmp_path / "a.jsonl").write_text(text, "utf-8")
    settings = {"kind": "feedback", "consent_column": "ok"}
    expected = scan(uri=f"{tmp_path}/a.csv", **settings)
    assert expected[0]["profile_id"] == ["a", "c", "d"]
    assert scan(uri=f"{tmp_path}/a.jsonl", **settings) == expected


def test_columns_that_no_line_has(lines):
    with pytest.raises(SchemaError, match=r"no column 'amount'; it has profile_id, at, amuont; did you mean amuont\?"):
        lines([{"profile_id": "a", "at": "2017-01-01", "amuont": 1}] * 2)
    with pytest.raises(SchemaError) as caught:
        lines([{"Xanthippe": 1.5, "Sokrates": {"x": 2}}])
    assert str(caught.value).endswith("no column 'profile_id'; none of its lines has it")


def test_a_line_that_is_too_long(lines, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 1 << 10)
    assert lines([line(category="x" * 5_000)])["category"] == ["x" * 5_000]
    monkeypatch.setattr(json_lines, "LONGEST_LINE_BYTES", 1 << 10)
    with pytest.raises(SchemaError, match=r"a line is longer than 0 MiB$"):
        lines([line(category="x" * 5_000)])


@pytest.fixture
def whole():
    """A good table of 20 rows."""
    rows = [("a", dt.datetime(2017, 1, 1 + n), Decimal(n), str(n // 2), "é") for n in range(20)]
    return events(rows)


@pytest.mark.parametrize("kind", ["arrow", "arrows", "feather"])
def test_truncated_arrow(tmp_path, scan, whole, kind):
    path = tmp_path / f"rows.{kind}"
    write(tmp_path, kind, whole)
    content = path.read_bytes()
    for kept in [0, 1, 4, 7, 9, 100, *range(len(content) // 3, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:kept])
        with pytest.raises(SchemaError, match=rf"^orders: .*rows\.{kind}: ") as caught:
            scan(uri=str(path))
        assert len(str(caught.value).splitlines()) == 1


def test_an_arrow_stream_that_ends_between_two_batches(tmp_path, scan, whole):
    content = (tmp_path / write(tmp_path, "arrows", whole)).read_bytes()
    for wrong, message in {
        content[:-8]: "the Arrow stream has no end mark (truncated, or never closed)",
        content * 2: "something follows the end of the Arrow stream; one file, one stream",
    }.items():
        (tmp_path / "rows.arrows").write_bytes(wrong)
        with pytest.raises(SchemaError) as caught:
            scan(uri=f"{tmp_path}/rows.arrows")
        assert str(caught.value).endswith(message)


def test_damaged_arrow_is_an_error_or_other_values_and_never_a_crash(tmp_path, scan, whole):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, whole.schema) as writer:
        writer.write_table(whole)
    content = sink.getvalue().to_pybytes()
    refused = 0
    for place in range(8, len(content), 23):
        (tmp_path / "bad.arrow").write_bytes(content[:place] + b"\xff" * 8 + content[place + 8 :])
        try:
            scan(uri=f"{tmp_path}/bad.arrow")
        except DataError:
            refused += 1
    assert refused > 20


def test_dictionaries_that_grow_along_a_stream(tmp_path, scan, whole):
    sink = pa.BufferOutputStream()
    batches = [
        whole.slice(n, 2).set_column(4, "category", pa.array([f"c{n}", None]).dictionary_encode()) for n in range(3)
    ]
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_table(batch)
    (tmp_path / "rows.arrows").write_bytes(sink.getvalue().to_pybytes())
    assert scan(uri=f"{tmp_path}/rows.arrows")[0]["category"] == ["c0", None, "c1", None, "c2", None]


def test_a_large_batch_is_cut(tmp_path, device, plan_of, whole):
    feather.write_feather(whole, tmp_path / "rows.feather")
    batches = list(device.scan(plan_of(uri=f"{tmp_path}/rows.feather", run={"chunk_rows": 3})))
    assert [batch.tally.rows_read for batch in batches] == [3] * 6 + [2]


def test_feather_of_version_1(tmp_path, scan):
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with pytest.raises(SchemaError, match=r"is a Feather file of version 1, not Arrow; write it anew as version 2$"):
        scan(uri=f"{tmp_path}/old.feather")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("parquet", "x.csv", "is a Parquet file, not CSV; set format: parquet"),
        ("parquet", "x.jsonl", "is a Parquet file, not JSON lines; set format: parquet"),
        ("parquet", "x.arrow", "is a Parquet file, not Arrow; set format: parquet"),
        ("arrow", "x.csv", "is an Arrow file, not CSV; set format: arrow"),
        ("arrow", "x.parquet", "is an Arrow file, not Parquet; set format: arrow"),
        ("arrow", "x.ndjson", "is an Arrow file, not JSON lines; set format: arrow"),
        ("arrows", "x.csv", "is an Arrow stream, not CSV; set format: arrow"),
        ("arrows", "x.json", "is an Arrow stream, not JSON lines; set format: arrow"),
        ("jsonl", "x.csv", "is JSON, not CSV; set format: jsonl"),
        ("jsonl.gz", "x.csv.gz", "is JSON, not CSV; set format: jsonl"),
        ("jsonl", "x.arrow", "is neither an Arrow file nor a stream; for CSV set format: csv"),
        ("csv", "x.jsonl", "row 1: not a JSON object; JSON lines hold one object a line (for CSV set format: csv)"),
        ("csv", "x.feather", "is neither an Arrow file nor a stream; for CSV set format: csv"),
        ("arrow", "x.arrow.gz", "an Arrow file cannot be read through gzip; unpack it"),
    ],
)
def test_a_file_named_for_another_format(tmp_path, scan, whole, kind, name, message):
    content = (tmp_path / write(tmp_path, kind, whole)).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name == "x.arrow.gz" else content)
    with pytest.raises(SchemaError) as caught:
        scan(uri=str(tmp_path / name))
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(("kind", "set_format"), [("jsonl.gz", "jsonl"), ("arrows.gz", "arrow"), ("feather", "arrow")])
def test_the_format_may_be_said(tmp_path, scan, whole, kind, set_format):
    expected = scan(whole)
    (tmp_path / "rows.dat").write_bytes((tmp_path / write(tmp_path, kind, whole)).read_bytes())
    assert scan(uri=f"{tmp_path}/rows.dat", format=set_format) == expected


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_csv_of_another_separator(tmp_path, scan, separator):
    (tmp_path / "a.csv").write_text("profile_id,at,amount\nXanthippe,1,2\n".replace(",", separator), encoding="utf-8")
    with pytest.raises(SchemaError, match=r"the header line is separated by .*; a CSV file is separated by commas"):
        scan(uri=f"{tmp_path}/a.csv")


@pytest.mark.parametrize("start", ["\n", "\n\r\n\n", "\ufeff\n", "\r\r"], ids=repr)
@pytest.mark.parametrize("rows", ["", "\n", "\na,2017-01-01,1\n"], ids=repr)
def test_csv_after_blank_lines(tmp_path, scan, start, rows):
    (tmp_path / "a.csv").write_bytes(f"{start}profile_id,at,amount{rows}".encode())
    columns, tally = scan(uri=f"{tmp_path}/a.csv")
    assert tally.rows_read == len(columns.get("profile_id", ())) == int(len(rows) > 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n\n", "the file is empty; a CSV file starts with a header line"),
        ("  \na,b\n", "the header line names no column; a CSV file starts with a header line"),
        ("x" * 200_000, "its first line cannot be read as a CSV header"),
    ],
)
def test_csv_without_a_header(tmp_path, scan, content, message):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(SchemaError) as caught:
        scan(uri=f"{tmp_path}/a.csv")
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows", "csv", "jsonl"])
def test_columns_in_the_names_of_folders(tmp_path, scan, whole, kind):
    for folder, part in (("dept=Caf%C3%A9", whole[:3]), ("dept=__HIVE_DEFAULT_PARTITION__", whole[3:5])):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, kind, part.drop_columns(["category", "order_id"]))
        (tmp_path / folder / "plain").unlink(missing_ok=True)
    uri = f"{tmp_path}/dept=*/rows.{kind}"
    columns, _ = scan(uri=uri, columns={"category": "dept"})
    assert sorted(columns["category"], key=str) == ["Café"] * 3 + [None] * 2
    assert "category" not in scan(uri=uri)[0]
    with pytest.raises(SchemaError, match="no column 'depts'"):
        scan(uri=uri, columns={"category": "depts"})


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "jsonl"])
def test_a_column_of_the_file_goes_before_a_folder(tmp_path, scan, whole, kind):
    (tmp_path / "category=x").mkdir()
    uri = write(tmp_path / "category=x", kind, whole)
    assert scan(uri=uri, columns={"category": "category"})[0]["category"] == ["é"] * 20


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_file_whose_column_holds_nothing(tmp_path, scan, kind):
    def put(name, table):
        write(tmp_path, kind, table)
        (tmp_path / f"rows.{kind}").rename(tmp_path / f"{name}.{kind}")

    rows = [(n, dt.datetime(2017, 1, 1), Decimal(n), n, "x") for n in range(3)]
    table = pa.table(
        dict(zip(["profile_id", "at", "amount", "order_id", "category"], zip(*rows, strict=True), strict=True))
    )
    put("b", table)
    put("a", pa.table({name: pa.nulls(0) for name in table.column_names}))
    put("c", table.set_column(3, "order_id", pa.nulls(3)).set_column(4, "category", pa.nulls(3)))
    columns, _ = scan(uri=f"{tmp_path}/?.{kind}")
    assert columns["profile_id"] == [0, 1, 2] * 2
    assert columns["order_id"] == [0, 1, 2, None, None, None]
    assert columns["category"] == ["x"] * 3 + [None] * 3
    crm = {"kind": "crm", "columns": {"age": "order_id"}}
    assert scan(uri=f"{tmp_path}/?.{kind}", **crm)[0]["age"] == [0, 1, 2, None, None, None]
    put("d", table.set_column(3, "order_id", pa.array(["x", "y", "z"])))
    with pytest.raises(
        SchemaError, match=r"d\..*, column 'order_id': the type is string, but int64 in an earlier file"
    ):
        scan(uri=f"{tmp_path}/?.{kind}", **crm)


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("s3://b/x.csv", "s3fs"),
        ("gs://b/*.csv", "gcsfs"),
        ("abfs://b/x.csv", "adlfs"),
        ("simplecache::s3://b/x.csv", "s3fs"),
    ],
)
def test_a_package_that_is_not_installed(scan, monkeypatch, uri, package):
    # fsspec keeps what it once imported.
    monkeypatch.delitem(
        sys.modules["fsspec.registry"]._registry, uri.partition("://")[0].rpartition("::")[2], raising=False
    )
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"^sources.orders.uri: .* not installed; pip install {package}$") as caught:
        scan(uri=uri)
    assert caught.value.exit_code == 2
