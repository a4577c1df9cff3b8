"""SQLite: values of any type in any column, its file's marks, and what may be wrong with the file."""

import datetime as dt
import sqlite3
from contextlib import closing

import pyarrow as pa
import pytest

from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.errors import ConfigError, EmptyDataError, InvalidValueError, SchemaError, SourceUnavailableError
from gpuseg.sources.plan import plan_sources
from tests.sources.sql.places import put_sqlite

SCHEMES = ("sqlite", "sqlite+pysqlite")
ROWS = {"profile_id": ["a", "b"], "at": [dt.datetime(2017, 1, 1), dt.datetime(2017, 1, 2)], "amount": [1.5, 2.5]}


@pytest.fixture
def database(tmp_path):
    """Makes a database by statements; gives its path."""

    def make(*statements, name="shop.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
            connection.commit()
        return tmp_path / name

    return make


@pytest.fixture
def amounts(database, scan):
    """Minor units of amounts that are stored one by one in a column without a type."""

    def read(*values, scheme="sqlite", **run):
        rows = [("insert into t values (?, '2017-01-01', ?)", (n, value)) for n, value in enumerate(values)]
        path = database("drop table if exists t", "create table t (profile_id integer, at, amount)", *rows)
        return scan(uri=f"{scheme}:///{path}", table="t", run=run)

    return read


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("chunk_rows", [1, 2, 262_144])
def test_values_of_several_types_in_one_column(amounts, scheme, chunk_rows):
    """The first thousand rows are whole numbers, as a driver that guesses types by them would go on to believe."""
    values = [1] * 1_100 + [2.5, "3.25", 2**53 + 1, "123456789012345.67"]
    several = chunk_rows if chunk_rows > 2 else chunk_rows * 400
    columns, tally = amounts(*values, scheme=scheme, chunk_rows=several, amount_scale=100)
    assert columns["amount_minor"][1_099:] == [100, 250, 325, (2**53 + 1) * 100, 12_345_678_901_234_567]
    assert tally.amounts_rounded == 0


def test_whole_numbers_beside_floats_stay_exact(amounts):
    assert amounts(2**53 + 1, 0.5, amount_scale=100)[0]["amount_minor"] == [(2**53 + 1) * 100, 50]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Xanthippe", "not a finite decimal number"),
        (float("inf"), "not a finite number"),
    ],
)
def test_a_bad_value_is_named_by_row_and_column(amounts, value, reason):
    with pytest.raises(InvalidValueError, match=rf"^orders: table t, row 3, column 'amount': .*{reason}") as caught:
        amounts(1.5, 2.5, value, 3.5, chunk_rows=2)
    assert "Xanthippe" not in str(caught.value)


def test_a_blob_is_no_figure(amounts):
    with pytest.raises(SchemaError, match=r"table t, column 'amount': the type is binary, but amount needs numbers"):
        amounts(b"\x00\xff")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ids_are_integers_where_the_first_rows_are(database, scan, scheme):
    path = database("create table t (profile_id, at, amount)", "insert into t values (7, '2017-01-01', 1)")
    uri = f"{scheme}:///{path}"
    assert scan(uri=uri, table="t")[0]["profile_id"] == [7]
    assert scan(uri=uri, table="t", id_type="text")[0]["profile_id"] == ["7"]
    database(*["insert into t values (8, '2017-01-01', 1)"] * 1_000, "insert into t values ('x', '2017-01-01', 1)")
    with pytest.raises(InvalidValueError, match=r"row 1002, column 'profile_id': not a whole number within int64"):
        scan(uri=uri, table="t")
    assert scan(uri=uri, table="t", id_type="text")[0]["profile_id"][-2:] == ["8", "x"]


def test_attributes_are_text_whatever_is_stored(database, scan):
    values = [(1, 44, 1.5, "gold"), (2, None, None, ""), (3, "x", 2, b"\x00")]
    rows = [("insert into t values (?, ?, ?, ?)", row) for row in values]
    path = database("create table t (profile_id integer, age, height, tier)", *rows)
    columns, _ = scan(
        uri=f"sqlite:///{path}", table="t", kind="crm", columns={"age": "age", "height": "height", "tier": "tier"}
    )
    assert (columns["age"], columns["height"]) == (["44", None, "x"], ["1.5", None, "2"])
    assert columns["tier"] == ["gold", None, "00"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_names_are_taken_as_they_are(database, scan, scheme):
    path = database(
        'create table "Odd" ("Select" int, "a b" text, "q""q`" numeric, "é" text)',
        """insert into "Odd" values (1, '2017-01-01', 2, 'x')""",
    )
    mapped = {"profile_id": "Select", "at": "a b", "amount": 'q"q`', "category": "é"}
    for place in ({"table": "Odd"}, {"query": "select * from Odd where 'a:b%s' <> '%' -- all of it;"}):
        columns, _ = scan(uri=f"{scheme}:///{path}", columns=mapped, **place)
        assert (columns["amount_minor"], columns["category"]) == ([20_000], ["x"])


def test_a_column_that_goes_between_planning_and_reading_is_no_text(database, config_of):
    """SQLite takes an unknown name between double quotes for a text, and would give it for every row."""
    path = database("create table t (profile_id, at, amount, category)", "insert into t values (1, '2017-01-01', 1, 1)")
    source = {"name": "orders", "kind": "purchases", "uri": f"sqlite:///{path}", "table": "t"}
    plan = plan_sources(config_of(source)).reads[0]
    database("alter table t drop column category")
    with pytest.raises(ConfigError, match=r"^sources.orders.table: undefined column or function$"):
        list(read_chunks(plan))


@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        ("selec 1", ConfigError, "sources.orders.query: syntax error"),
        ("select nope", ConfigError, "sources.orders.query: undefined column or function"),
        ("select * from nope", SchemaError, "orders: the query: no such table"),
        ("select 1 as a, 2 as a", SchemaError, "orders: the query: has more than one column 'a'"),
        (
            "select 1 as profile_id, '2017-01-01' as at",
            SchemaError,
            "orders: the query: no column 'amount'; it has",
        ),
        ("delete from t", ConfigError, "sources.orders.query: syntax error"),
        ("select 1; drop table t", ConfigError, "sources.orders.query: "),
    ],
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_the_database_refuses(database, scan, scheme, query, kind, message):
    path = database("create table t (n)")
    with pytest.raises(kind) as caught:
        scan(uri=f"{scheme}:///{path}", query=query)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (0,)


def test_files_that_are_no_database(tmp_path, scan, database):
    with pytest.raises(EmptyDataError, match=rf"^orders: no database file at 'sqlite:///{tmp_path}/none.db'$"):
        scan(uri=f"sqlite:///{tmp_path}/none.db", table="t")
    (tmp_path / "x.db").write_bytes(b"profile_id,at,amount\n" * 100)
    with pytest.raises(SchemaError, match=r"^orders: table t: the file is no SQLite database$"):
        scan(uri=f"sqlite:///{tmp_path}/x.db", table="t")
    for uri in ("sqlite://", "sqlite:///:memory:", "sqlite:///"):
        with pytest.raises(ConfigError, match=r"^sources.orders.uri: names no file; write sqlite:///shop.db"):
            scan(uri=uri, table="t")
    path = database("create table t (profile_id, at, amount)", *["insert into t values (1, '2017-01-01', 1)"] * 3_000)
    content = path.read_bytes()
    path.write_bytes(content[:8_192] + b"\xff" * 8_192 + content[16_384:])
    with pytest.raises(SchemaError, match=r"^orders: table t: the database file is damaged$"):
        scan(uri=f"sqlite:///{path}", table="t")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_that_is_not_utf_8_is_not_quoted(database, scan, scheme):
    path = database(
        "create table t (profile_id, at, amount)",
        "insert into t values (cast(x'58616e74686970706eff' as text), '2017-01-01', 1)",
    )
    with pytest.raises(SchemaError, match=r"^orders: table t: a text is not UTF-8$") as caught:
        scan(uri=f"{scheme}:///{path}", table="t")
    assert "Xanth" not in str(caught.value)


def test_a_database_that_a_writer_keeps_to_itself(database, scan, monkeypatch):
    path = database("create table t (profile_id, at, amount)")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: connect(*given, timeout=0, **options))
    with closing(connect(path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        with pytest.raises(SourceUnavailableError, match=r"^orders: table t: the database is locked by a writer$"):
            scan(uri=f"sqlite:///{path}", table="t")


def fingerprint(config_of, path, **place):
    source = {"name": "orders", "kind": "purchases", "uri": f"sqlite:///{path}", **(place or {"table": "t"})}
    return plan_sources(config_of(source)).fingerprints["orders"]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_fingerprint_changes_when_and_only_when_the_database_does(database, config_of, mode):
    """With a write-ahead log a commit leaves the database's own file as it was."""
    path = database("create table t (profile_id, at, amount)", "insert into t values (1, '2017-01-01', 1)")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute(f"pragma journal_mode = {mode}")
        before = fingerprint(config_of, path)
        assert fingerprint(config_of, path) == before
        writer.execute("insert into t values (2, '2017-01-01', 1)")
        writer.commit()
        after = fingerprint(config_of, path)
        assert after != before
        assert fingerprint(config_of, path) == after
        assert fingerprint(config_of, path, query="select * from t") != after


def test_a_reader_sees_one_state_while_others_write(database, config_of):
    path = database("pragma journal_mode = wal", "create table t (profile_id, at, amount)")
    database(*[f"insert into t values ({n}, '2017-01-01', 1)" for n in range(300)])
    source = {"name": "orders", "kind": "purchases", "uri": f"sqlite:///{path}", "table": "t"}
    chunks = read_chunks(plan_sources(config_of(source, chunk_rows=10)).reads[0])
    first = next(chunks)
    database("delete from t where profile_id > 100")
    assert first.table.num_rows + sum(chunk.table.num_rows for chunk in chunks) == 300


def test_a_relative_file_lies_beside_the_configuration(tmp_path, gpuseg, monkeypatch):
    (tmp_path / "data [1]").mkdir()
    put_sqlite(tmp_path / "data [1]" / "shop.db", {"lines": pa.table(ROWS)})
    path = tmp_path / "gpuseg.yaml"
    source = "{name: orders, kind: purchases, uri: 'sqlite:///data [1]/shop.db', table: lines}"
    path.write_text(f"run: {{out: out, as_of: 2018-01-01}}\nsources: [{source}]\n", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    told = gpuseg("--json", "features", path)
    assert told.code == 0
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/data [1]/none.db")
    path.write_text(path.read_text("utf-8").replace("uri: 'sqlite:///data [1]/shop.db'", "uri_env: SHOP_URL"), "utf-8")
    told = gpuseg("features", path)
    assert told.code == 3
    assert told.err.strip().endswith("orders: no database file at the URL in SHOP_URL")


def test_the_database_is_not_written_to(database, scan):
    path = database("create table t (profile_id, at, amount)", "insert into t values (1, '2017-01-01', 1)")
    content, listing = path.read_bytes(), sorted(path.parent.iterdir())
    scan(uri=f"sqlite:///{path}", table="t")
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (content, listing)
