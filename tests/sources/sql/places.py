"""The same tables in every kind of database, and a PostgreSQL server of one's own."""

import datetime as dt
import itertools
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

FORMS = ("sqlite", "postgresql", "sqlite+pysqlite", "postgresql+psycopg", "duckdb")
READER, PASSWORD = "reader", "s3cr3t-Xanthippe"
_SQL_TYPES = {
    pa.string(): "text",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on the loopback; its users are `postgres` and `reader`, both with a password."""

    port: int

    def url(self, *, user: str = READER, password: str | None = None, scheme: str = "postgresql") -> str:
        secret = "" if password is None else f":{password}"
        return f"{scheme}://{user}{secret}@127.0.0.1:{self.port}/postgres"

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection of the owner, each statement a transaction."""
        import psycopg

        url = self.url(user="postgres", password=PASSWORD)
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            yield connection

    def execute(self, *statements: str) -> None:
        with self.connected() as connection:
            for statement in statements:
                connection.execute(statement)


def binaries() -> Path | None:
    """Folder of the server's programs, the newest of several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parents[1].name))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return None if there is None else Path(there).resolve().parent


@contextmanager
def postgres_server(programs: Path) -> Iterator[Server]:
    """A fresh server in a temporary folder, stopped and removed at the end."""
    # The path of a socket may have 107 bytes, fewer than pytest's own folders have.
    folder = Path(tempfile.mkdtemp(prefix="gpuseg-pg-"))
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        # The server refuses to run as root.
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        owner = {"user": "postgres", "group": "postgres", "extra_groups": []}

    def call(*command: str) -> None:
        told = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"LC_ALL": "C.UTF-8"}, **owner)
        assert told.returncode == 0, told.stdout + told.stderr

    secret = folder / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    secret.chmod(0o644)
    data, with_password = str(folder / "data"), ["--auth-host=scram-sha-256", f"--pwfile={secret}"]
    try:
        call(str(programs / "initdb"), "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync", *with_password)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync=off"
        call(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            server = Server(port)
            server.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            call(str(programs / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def put(form: str, tables: Mapping[str, pa.Table], folder: Path, server: Server | None) -> dict[str, dict[str, str]]:
    """Put tables into a database of a kind, and say for each where it is, as a source does."""
    if form.startswith("postgresql"):
        assert server is not None
        schema = f"s{next(_numbers)}"
        with server.connected() as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
            for name, table in tables.items():
                connection.execute(f'CREATE TABLE {schema}."{name}" ({_columns(table)})')
                rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
                marks = ", ".join(["%s"] * table.num_columns)
                with connection.cursor() as cursor:
                    cursor.executemany(f'INSERT INTO {schema}."{name}" VALUES ({marks})', rows)
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {READER}")
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}")
        return {name: {"uri": server.url(scheme=form), "table": f"{schema}.{name}"} for name in tables}
    path = folder / f"{form.replace('+', '-')}-{next(_numbers)}.db"
    if form == "duckdb":
        _put_duckdb(path, tables)
    else:
        put_sqlite(path, tables)
    return {name: {"uri": f"{form}:///{path}", "table": name} for name in tables}


def put_sqlite(path: Path, tables: Mapping[str, pa.Table]) -> None:
    """Times and decimals as text, which is what SQLite has for them."""
    with closing(sqlite3.connect(path)) as connection:
        for name, table in tables.items():
            connection.execute(f'CREATE TABLE "{name}" ({_columns(table, exact="text")})')
            rows = zip(*([_plain(value) for value in column.to_pylist()] for column in table.columns), strict=True)
            marks = ", ".join("?" * table.num_columns)
            connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)
        connection.commit()


def _put_duckdb(path: Path, tables: Mapping[str, pa.Table]) -> None:
    import duckdb

    with closing(duckdb.connect(str(path))) as connection:
        for name, table in tables.items():
            connection.register("given", table)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')
            connection.unregister("given")


def _columns(table: pa.Table, exact: str = "numeric") -> str:
    kinds = [_SQL_TYPES.get(field.type, exact) for field in table.schema]
    return ", ".join(f'"{name}" {kind}' for name, kind in zip(table.column_names, kinds, strict=True))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, dt.date | Decimal) else value
