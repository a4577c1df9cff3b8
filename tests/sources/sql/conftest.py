"""A PostgreSQL server for the tests of databases, and tables in every kind of database."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.sources.sql.places import PASSWORD, Server, binaries, postgres_server, put


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server of one's own; where none is installed its tests are skipped, or fail where it is required."""
    programs = binaries()
    if programs is None:
        if os.environ.get("GPUSEG_REQUIRE_POSTGRES") == "1":
            pytest.fail("GPUSEG_REQUIRE_POSTGRES=1, but there is no PostgreSQL server; `make services`", pytrace=False)
        pytest.skip("no PostgreSQL server is installed; `make services` installs one")
    with postgres_server(programs) as found:
        yield found


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The password as PostgreSQL's own clients take it, and nothing else that they would take from this machine."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


@pytest.fixture
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., dict[str, dict[str, str]]]:
    """Puts tables into a database of a kind; gives the keys of a source for each."""

    def store(form: str, **tables: pa.Table | Mapping[str, Any]) -> dict[str, dict[str, str]]:
        server = request.getfixturevalue("server") if form.startswith("postgresql") else None
        found = {name: table if isinstance(table, pa.Table) else pa.table(table) for name, table in tables.items()}
        return put(form, found, tmp_path, server)

    return store


@pytest.fixture
def asked(server: Server, scan: Callable[..., Any]) -> Callable[..., Any]:
    """Scans a query of PostgreSQL as the reader."""

    def ask(query: str, **settings: Any) -> Any:
        return scan(uri=server.url(), query=query, **settings)

    return ask
