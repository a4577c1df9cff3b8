"""PostgreSQL: one state, the rows of messages, lost connections, and the ways of passwords."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.errors import ConfigError, InvalidValueError, SchemaError, SourceUnavailableError
from gpuseg.sources.plan import plan_sources
from tests.sources.sql.places import PASSWORD, READER
from tests.trust.worlds import World, clean_rows, outputs, table_of, traces

GOOD = "1 as profile_id, timestamp '2017-01-01' as at, 1.5 as amount"


@pytest.mark.parametrize(("expression", "reason"), [("'NaN'::numeric", "not a finite"), ("null::numeric", "missing")])
def test_a_bad_value_is_named_by_row_and_column(asked, expression, reason):
    rows = f"select {GOOD} from generate_series(1, 5) union all select 1, timestamp '2017-01-01', {expression}"
    with pytest.raises(InvalidValueError, match=rf"^orders: the query, row 6, column 'amount': .*{reason}"):
        asked(rows, run={"chunk_rows": 2})


def test_names_are_taken_as_they_are(server, scan):
    """Capitals, blanks, quotes and words of SQL are no trouble, nor are a comment and a semicolon at the end."""
    server.execute(
        'create table "Odd" ("Select" int, "a b" date, "q""q" numeric, "é" text, "%s" text)',
        """insert into "Odd" values (1, '2017-01-01', 2, 'x:y', 'never read')""",
        f'grant select on "Odd" to {READER}',
    )
    mapped = {"profile_id": "Select", "at": "a b", "amount": 'q"q', "category": "é"}
    for scheme in ("postgresql", "postgresql+psycopg"):
        for place in ({"table": "Odd"}, {"query": "select * from \"Odd\" where 'a:b%s' <> '%' -- all of it;"}):
            columns, _ = scan(uri=server.url(scheme=scheme), columns=mapped, **place)
            assert (columns["amount_minor"], columns["category"]) == ([20_000], ["x:y"])


def test_only_the_columns_that_are_read_are_asked_for(server, scan):
    """A column that may not be read is no trouble as long as nobody asks for it."""
    server.execute(
        "create table partly (profile_id int, at date, amount int, category text, secret text)",
        "insert into partly values (1, '2017-01-01', 2, 'x', 'y')",
        f"grant select (profile_id, at, amount) on partly to {READER}",
        "create view open as select profile_id, at, amount, category from partly",
        f"grant select on open to {READER}",
    )
    with pytest.raises(
        SourceUnavailableError, match=r"^orders: table partly: no permission to read it \(SQLSTATE 42501\)$"
    ):
        scan(uri=server.url(), table="partly")
    assert scan(uri=server.url(), query="select profile_id, at, amount from partly")[1].rows_read == 1
    assert scan(uri=server.url(), table="open")[0]["category"] == ["x"]


def _plan(config_of, server, query, **run):
    source = {"name": "orders", "kind": "purchases", "uri": server.url(), "query": query}
    return plan_sources(config_of(source, **run)).reads[0]


def test_a_reader_sees_one_state_while_others_write(config_of, server):
    server.execute(
        "create table busy (profile_id int, at date, amount int)",
        "insert into busy select n, '2017-01-01', 1 from generate_series(1, 20000) n",
        f"grant select on busy to {READER}",
    )
    chunks = read_chunks(_plan(config_of, server, "select * from busy order by profile_id", chunk_rows=1_000))
    first = next(chunks)
    server.execute("delete from busy where profile_id > 10000", "insert into busy values (0, '2017-01-01', 1)")
    rest = list(chunks)
    seen = [id_ for chunk in (first, *rest) for id_ in chunk.table["profile_id"].to_pylist()]
    assert seen == list(range(1, 20_001))
    assert [chunk.first_row for chunk in rest][:2] == [1_001, 2_001]
    again = read_chunks(_plan(config_of, server, "select * from busy"))
    assert sum(chunk.table.num_rows for chunk in again) == 10_001


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_the_transaction_is_read_only_and_repeatable(server, scan, scheme):
    """Whatever the query calls: it cannot write even where the user may."""
    server.execute("create table if not exists written (n int)", f"grant all on written to {READER}")
    server.execute(
        "create or replace function sneak() returns int language plpgsql as "
        "$$ begin insert into written values (1); return 1; end $$"
    )
    settings = "current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')"
    columns, _ = scan(uri=server.url(scheme=scheme), query=f"select {GOOD}, {settings} as category")
    assert columns["category"] == ["repeatable read on"]
    with pytest.raises(ConfigError, match=r"^sources.orders.query: the query writes, but the connection only reads"):
        scan(uri=server.url(scheme=scheme), query=f"select {GOOD}, sneak() as order_id")


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_connection_that_is_lost_midway(config_of, server, scheme):
    query = f"select {GOOD}, pg_backend_pid() as order_id from generate_series(1, 3000000)"
    source = {"name": "orders", "kind": "purchases", "uri": server.url(scheme=scheme), "query": query}
    chunks = read_chunks(plan_sources(config_of(source, chunk_rows=1_000)).reads[0])
    process = next(chunks).table["order_id"][0].as_py()
    with server.connected() as connection:
        connection.execute("select pg_terminate_backend(%s)", [process])
    with pytest.raises(SourceUnavailableError, match=r"^orders: the query: ") as caught:
        list(chunks)
    assert len(str(caught.value).splitlines()) == 1
    assert "the connection was lost" in str(caught.value) or "SQLSTATE 57" in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        ("selec 1", ConfigError, r"sources\.orders\.query: syntax error \(SQLSTATE 42601\)"),
        ("select nope", ConfigError, r"sources\.orders\.query: undefined column \(SQLSTATE 42703\)"),
        ("select * from nope", SchemaError, r"orders: the query: no such table \(SQLSTATE 42P01\)"),
        (
            "select * from pg_authid",
            SourceUnavailableError,
            r"orders: the query: no permission to read it \(SQLSTATE 42501\)",
        ),
        ("select 1 as a, 2 as a", SchemaError, r"orders: the query: has more than one column 'a'"),
        (
            "select 1 as profile_id, date '2017-01-01' as at",
            SchemaError,
            r"orders: the query: no column 'amount'; it has profile_id, at",
        ),
        (
            f"select {GOOD}, ('Xanthippe' || n)::int as order_id from generate_series(1, 3) n",
            SchemaError,
            r"orders: the query: a value cannot be cast to the type that is asked for.*",
        ),
        (
            f"select {GOOD}, 1 / (n - 3) as order_id from generate_series(1, 3) n",
            SchemaError,
            r"orders: the query: division by zero.*",
        ),
        (
            f"select {GOOD}, 2147483647 + n as order_id from generate_series(1, 3) n",
            SchemaError,
            r"orders: the query: a figure is too large for the type that it has in the query; cast it to a wider one.*",
        ),
        (
            f"select {GOOD}, (n * 1000)::numeric(3, 0) as order_id from generate_series(1, 3) n",
            SchemaError,
            r"orders: the query: a figure is too large for the type that it has in the query; cast it to a wider one.*",
        ),
        (
            f"select {GOOD}, (select n from generate_series(1, 2)) as order_id from generate_series(1, 3) n",
            SchemaError,
            r"orders: the query: a subquery gives more than one row.*",
        ),
        (
            "with gone as (delete from pg_class returning *) select * from gone",
            ConfigError,
            r"sources\.orders\.query: feature not supported \(SQLSTATE 0A000\)",
        ),
        ("select 1; drop table x", ConfigError, r"sources\.orders\.query: syntax error \(SQLSTATE 42601\)"),
        ("set work_mem = 1", ConfigError, r"sources\.orders\.query: syntax error \(SQLSTATE 42601\)"),
    ],
)
def test_what_the_database_refuses(server, scan, scheme, query, kind, message):
    with pytest.raises(kind, match=rf"^{message}$") as caught:
        scan(uri=server.url(scheme=scheme), query=query)
    assert type(caught.value) is kind
    assert "Xanthippe" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_where_one_cannot_connect(server, scan, scheme, monkeypatch):
    url = server.url(scheme=scheme)
    places = {
        url.replace(READER, "nobody"): (SourceUnavailableError, "the password was refused"),
        url.replace("/postgres", "/nowhere"): (SchemaError, "the server has no such database"),
        url.replace(str(server.port), "1"): (SourceUnavailableError, "cannot connect: nothing listens there"),
        url.replace("127.0.0.1", "host.invalid"): (SourceUnavailableError, "cannot connect: the host is not known"),
    }
    for uri, (kind, reason) in places.items():
        with pytest.raises(kind, match=rf"^orders: table x: {reason}") as caught:
            scan(uri=uri, table="x")
        assert type(caught.value) is kind
    for wrong, reason in ((f"{PASSWORD}x", "the password was refused"), ("", "a password is needed")):
        monkeypatch.setenv("PGPASSWORD", wrong)
        with pytest.raises(SourceUnavailableError, match=rf"^orders: table x: {reason}") as caught:
            scan(uri=url, table="x")
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("port", ["abc", "99999"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_port_that_is_none(server, scan, scheme, port):
    uri = server.url(scheme=scheme).replace(str(server.port), port)
    with pytest.raises(ConfigError, match=r"^sources\.orders\.uri: the URL is not as (libpq|SQLAlchemy)") as caught:
        scan(uri=uri, table="x")
    assert port not in str(caught.value)


def test_an_empty_table_is_called_a_table(server, gpuseg, tmp_path):
    server.execute("create table nothing (profile_id int, at date, amount int)", f"grant select on nothing to {READER}")
    path = tmp_path / "gpuseg.yaml"
    for place, told in (("table: nothing", "table nothing holds"), ("query: select * from nothing", "the query gives")):
        source = f"{{name: orders, kind: purchases, uri: '{server.url()}', {place}}}"
        path.write_text(f"run: {{out: out, as_of: 2018-01-01}}\nsources: [{source}]\n", encoding="utf-8")
        found = gpuseg("run", path)
        assert (found.code, found.err) == (3, f"gpuseg: error[empty-data] orders: {told} no rows\n")


def test_the_password_file_of_postgresql(server, scan, monkeypatch, tmp_path):
    monkeypatch.delenv("PGPASSWORD")
    secrets = tmp_path / "secrets"
    secrets.write_text(f"127.0.0.1:{server.port}:*:{READER}:{PASSWORD}\n", encoding="utf-8")
    secrets.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(secrets))
    assert scan(uri=server.url(), query=f"select {GOOD}")[1].rows_read == 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_url_in_the_environment_leaves_no_trace(tmp_path, stored, server, monkeypatch, gpuseg, scheme):
    """Neither in what is written nor in what is said, whether all goes well or not."""
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("SHOP_URL", server.url(scheme=scheme, password=PASSWORD))
    rows = clean_rows()
    places = stored("postgresql", **{name: table_of(name, mine) for name, mine in rows.items()})
    hidden = {name: {"uri": None, "uri_env": "SHOP_URL", "table": place["table"]} for name, place in places.items()}
    world = World(tmp_path / "hidden", rows, sources=hidden, run={"buckets": 4})
    for path in world.folder.glob("*.parquet"):
        path.unlink()
    told = gpuseg("-v", "run", world.path)
    assert told.code == 0
    expected = World(tmp_path / "files", rows, run={"buckets": 4})
    expected.run()
    assert outputs(world.version) == outputs(expected.version)
    monkeypatch.setenv("SHOP_URL", server.url(scheme=scheme, password=f"{PASSWORD}x"))
    refused = gpuseg("run", world.path)
    assert refused.code == 4
    monkeypatch.setenv("SHOP_URL", f"{scheme}://{READER}:{PASSWORD}@127.0.0.1:1/postgres")
    away = gpuseg("run", world.path)
    assert away.code == 4
    # The digits of a port alone may be those of an order.
    secrets = [PASSWORD, f":{server.port}", f"port={server.port}", "127.0.0.1"]
    assert traces(world.folder, secrets) == []
    assert not any(secret in said.out + said.err for said in (told, refused, away) for secret in secrets)


def test_a_dry_run_reads_no_row(server, gpuseg, tmp_path):
    """The columns are checked, the query is not carried out."""
    query = f"select {GOOD}, 1 / (n - 1) as order_id from generate_series(1, 3) n"
    source = f"{{name: orders, kind: purchases, uri: '{server.url()}', query: '{query.replace(chr(39), chr(39) * 2)}'}}"
    path = tmp_path / "gpuseg.yaml"
    path.write_text(f"run: {{out: out, as_of: 2018-01-01}}\nsources: [{source}]\n", encoding="utf-8")
    told = gpuseg("--json", "run", path, "--dry-run")
    assert told.code == 0
    assert told.content["sources"] == [{"name": "orders", "kind": "purchases", "format": "sql", "n_files": 1}]
    assert told.content["n_buckets"] == 64
    assert "read orders (purchases, sql): rows of a database" in gpuseg("run", path, "--dry-run").out
    assert gpuseg("run", path).code == 3
    path.write_text(path.read_text(encoding="utf-8").replace("as amount", "as amuont"), encoding="utf-8")
    told = gpuseg("run", path, "--dry-run")
    assert (told.code, "did you mean amuont?" in told.err) == (3, True)


def test_single_stages_take_what_is_committed_and_run_reads_anew(server, gpuseg, tmp_path):
    server.execute(
        "create table grown (profile_id int, at timestamp, amount numeric)",
        "insert into grown select n % 20, timestamp '2017-01-01' + n * interval '1 day', n "
        "from generate_series(1, 200) n",
        f"grant select on grown to {READER}",
    )
    source = f"{{name: orders, kind: purchases, uri: '{server.url()}', table: grown}}"
    path = tmp_path / "gpuseg.yaml"
    path.write_text(f"run: {{out: out, as_of: 2018-01-01}}\nsources: [{source}]\ncluster: {{segments: 2}}\n", "utf-8")
    assert gpuseg("--json", "run", path).code == 0
    server.execute("insert into grown values (99, '2017-06-01', 5)")
    plan = gpuseg("--json", "run", path, "--dry-run", "--resume").content
    assert not any(plan["stages"].values())
    plan = gpuseg("--json", "run", path, "--dry-run").content
    assert all(plan["stages"].values())
    path.write_text(path.read_text("utf-8").replace("table: grown", "query: select * from grown"), "utf-8")
    plan = gpuseg("--json", "run", path, "--dry-run", "--resume").content
    assert plan["stages"]["validate"]


def test_readers_of_several_threads_do_not_meet(config_of, server):
    plan = _plan(config_of, server, f"select {GOOD}, n as order_id from generate_series(1, 50000) n", chunk_rows=10_000)
    sums = []

    def read():
        sums.append(sum(sum(chunk.table["order_id"].to_pylist()) for chunk in read_chunks(plan)))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [50_000 * 50_001 // 2] * 3


_PEAK = """
import resource, sys
from gpuseg.config import parse_config
from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.sources.plan import plan_sources
query = (
    "select n % 1000 as profile_id, timestamp '2017-01-01' + n * interval '1 second' as at, n / 100.0 as amount, "
    f"'order number ' || n as order_id from generate_series(1, {sys.argv[2]}) n"
)
source = {"name": "orders", "kind": "purchases", "uri": sys.argv[1], "query": query}
plan = plan_sources(parse_config({"run": {"out": "x", "as_of": "2018-01-01"}, "sources": [source]})).reads[0]
rows = sum(chunk.table.num_rows for chunk in read_chunks(plan))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_memory_does_not_grow_with_the_result(server, scheme):
    """Three million rows need no more than three hundred thousand; together they are some 200 MB."""
    peaks = []
    for n in (300_000, 3_000_000):
        command = [sys.executable, "-c", _PEAK, server.url(scheme=scheme), str(n)]
        root = Path(__file__).parents[3]
        told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
        rows, peak = map(int, told.stdout.split())
        assert rows == n
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 48
