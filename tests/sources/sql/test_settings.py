"""What a configuration may say of a database, and packages that are not there."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from gpuseg.config import parse_config
from gpuseg.errors import ConfigError
from gpuseg.sources.databases import _place
from gpuseg.sources.plan import plan_sources
from tests.sources.sql.places import put_sqlite
from tests.sources.sql.test_sqlite import ROWS

URL = "postgresql://reader@db.example/shop"
SECRET = "uri: holds a password, key or signature; give it by uri_env, or by the database's own means"


def config(**source):
    sources = [{"name": "orders", "kind": "purchases", **source}]
    return parse_config({"run": {"out": "x", "as_of": "2018-01-01"}, "sources": sources}, base=Path("/shop [1]"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (URL, URL),
        ("sqlite:///a/b.db", "sqlite:////shop [1]/a/b.db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("sqlite+pysqlite:///a.db?x=1", "sqlite+pysqlite:////shop [1]/a.db?x=1"),
        ("duckdb:///../a.db", "duckdb:////a.db"),
        ("duckdb:///:memory:", "duckdb:///:memory:"),
        ("mysql+pymysql://reader@db.example/shop", "mysql+pymysql://reader@db.example/shop"),
    ],
)
def test_relative_files_start_at_the_configuration(given, expected):
    (source,) = config(uri=given, table="t", identity={"uri": given, "query": "select 1"}).sources
    assert source.uri == source.identity.uri == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"uri": URL}, "uri: a database's URL needs a query or a table to read"),
        ({"uri_env": "X"}, "uri_env: a database's URL needs a query or a table to read"),
        ({"uri": "a.csv", "uri_env": "X", "table": "t"}, "uri_env: give uri or uri_env, not both"),
        ({"uri": URL, "query": "select 1", "table": "t"}, "table: give query or table, not both"),
        ({"uri": "a.csv", "query": "select 1"}, "query: 'a.csv' is no database's URL such as postgresql://"),
        ({"table": "t"}, "table: needs the database's URL as uri or uri_env"),
        ({"uri": URL, "table": "t", "format": "csv"}, "format: a database has none; leave it out"),
        ({"uri": URL, "table": "a b"}, "table: 'a b' is no name such as visits or web.visits; a query may quote any"),
        ({"uri": URL, "table": "a.b.c.d"}, "table: 'a.b.c.d' is no name"),
        ({"uri": "postgresql://reader:Xanthippe@h/d", "table": "t"}, SECRET),
        ({"uri": "postgresql://reader:Xan/thippe@h/d", "table": "t"}, SECRET),
        ({"uri": "postgresql://reader:Xan:thi@ppe@h/d", "query": "select 1"}, SECRET),
        ({"uri": f"{URL}?password=Xanthippe", "table": "t"}, SECRET),
        ({"uri": f"{URL}?sslmode=require&sslpassword=Xanthippe", "table": "t"}, SECRET),
        ({"uri": "mssql+pyodbc:///?odbc_connect=Xanthippe", "table": "t"}, SECRET),
        ({"uri": "vertica+odd://reader:Xan/thippe@h/d", "table": "t"}, SECRET),
    ],
)
def test_settings_that_cannot_be(given, message):
    for place, section in (("sources.orders", given), ("sources.orders.identity", {"identity": given})):
        with pytest.raises(ConfigError) as caught:
            config(**section if "identity" in section else {"uri": None, **given})
        assert str(caught.value).startswith(f"{place}.{message}")
        assert "Xanthippe" not in str(caught.value)


def test_files_take_no_query_and_need_none():
    assert not config(uri="postgresql.csv").sources[0].in_database
    assert config(uri="s3://bucket/sqlite.csv").sources[0].uri == "s3://bucket/sqlite.csv"


@pytest.mark.parametrize(
    ("uri", "hidden", "message"),
    [
        (URL, "adbc_driver_postgresql", "needs a package that is not installed; pip install 'gpuseg[sql]'"),
        ("mysql+pymysql://h/d", "sqlalchemy", "needs a package that is not installed; pip install 'gpuseg[sql]'"),
        ("mysql+pymysql://h/d", "pymysql", "needs the package pymysql, which is not installed"),
        ("nothing://h/d", "", "SQLAlchemy knows no such database; "),
    ],
)
def test_packages_that_are_not_installed(monkeypatch, uri, hidden, message):
    if hidden:
        monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(ConfigError) as caught:
        plan_sources(config(uri=uri, table="t"))
    assert str(caught.value).startswith(f"sources.orders.uri: {message}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the environment variable SHOP_URL is not set"),
        ("Xanthippe", "the environment variable SHOP_URL holds no URL"),
        ("nothing://u:Xanthippe@h/d", "SQLAlchemy knows no such database; "),
        ("postgresql://u:Xanthippe@h/d?nonsense=1", "the URL is not as libpq wants it"),
        ("postgresql+psycopg://u:Xanthippe@h:port/d", "the URL is not as SQLAlchemy or the driver wants it"),
    ],
)
def test_what_an_environment_variable_holds_is_never_shown(monkeypatch, value, message):
    if value is None:
        monkeypatch.delenv("SHOP_URL", raising=False)
    else:
        monkeypatch.setenv("SHOP_URL", value)
    with pytest.raises(ConfigError) as caught:
        plan_sources(config(uri_env="SHOP_URL", table="t"))
    assert str(caught.value).startswith(f"sources.orders.uri_env: {message}")
    assert "Xanthippe" not in str(caught.value)


def test_a_fingerprint_knows_the_place_and_no_secret(monkeypatch, tmp_path):
    for name in ("a.db", "b.db"):
        put_sqlite(tmp_path / name, {"t": pa.table(ROWS)})
    found = {}
    for name, key in (("a.db", "1"), ("a.db", "0"), ("b.db", "1")):
        monkeypatch.setenv("SHOP_URL", f"sqlite+pysqlite:///{tmp_path}/{name}?check_same_thread={key}")
        found[name, key] = plan_sources(config(uri_env="SHOP_URL", table="t")).fingerprints["orders"]
    assert found["a.db", "1"] == found["a.db", "0"] != found["b.db", "1"]
    assert str(tmp_path) not in found["a.db", "1"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mysql://u:one@h/d", "mysql://v:t/w@o@h/d", True),
        ("mysql://u:one@h/d?x=1", "mysql://h/d", True),
        ("mysql://h/d", "mysql://h/e", False),
        ("mysql://h/d", "mysql://h:1/d", False),
        ("mysql://h/d", "mariadb://h/d", False),
    ],
)
def test_what_of_a_url_is_a_place(one, other, same):
    assert (_place(one) == _place(other)) is same
