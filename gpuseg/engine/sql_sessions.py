"""Connections that read: PostgreSQL by ADBC as Arrow, SQLite by Python's own module, others by SQLAlchemy, row by row.

ADBC's driver for SQLite takes a column's type from its first rows and fails at the first value of another type, which
SQLite allows anywhere; so SQLite is read by values. A session is one transaction, which sees one state.
"""

import sqlite3
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote as quote_path

import pyarrow as pa

from gpuseg.engine.databases import Database, asking
from gpuseg.engine.sql_values import arrow_column, arrow_type
from gpuseg.errors import SchemaError

_PEEKED_ROWS = 1_000
_ROWS_AT_ONCE = 1 << 16
_BYTES_PER_ROW = 64
_LEAST_BYTES, _MOST_BYTES = 1 << 16, 16 << 20

RowParts: TypeAlias = Generator[Sequence[Sequence[Any]], None, None]


@dataclass(frozen=True)
class SqlColumn:
    """A column of a result.

    Parameters
    ----------
    type : Arrow type
        Null for one that is not wanted or whose first rows hold nothing.
    expression : str
        The SQL that gives it in a type that can be read.
    """

    type: pa.DataType
    expression: str


@dataclass(frozen=True)
class Asked:
    """A database with the columns that it has for us, in its order; part of a `ReadPlan`."""

    database: Database
    columns: Mapping[str, SqlColumn]


class Session(Protocol):
    """One connection in one transaction."""

    def columns(self, wanted: Collection[str]) -> dict[str, SqlColumn]:
        """All columns that the database has for us, in its order."""
        ...

    def tables(
        self, columns: Mapping[str, SqlColumn], free: Mapping[str, pa.DataType], chunk_rows: int
    ) -> Iterator[pa.Table]:
        """Some columns in tables of bounded size; those in `free` are of that type in all of them."""
        ...


@contextmanager
def session(database: Database) -> Iterator[Session]:
    """Connect, read-only where the database can.

    Raises
    ------
    ConfigError, SchemaError
        From here and from whatever the session is asked, as of `gpuseg.engine.databases.asking`.
    """
    families: dict[str, Any] = {"postgresql": _postgres, "sqlite": _sqlite, "other": _by_sqlalchemy}
    with asking(database), families[database.family](database) as found:
        yield found


def _statement(columns: Mapping[str, SqlColumn], rows: str, quote: Callable[[str], str]) -> str:
    return f"SELECT {', '.join(f'{c.expression} AS {quote(name)}' for name, c in columns.items())} FROM {rows}"


def _refuse_doubles(names: Sequence[str], database: Database) -> None:
    # SQLite calls the second column `a` of a query `a:1`.
    doubles = [name for name in names if names.count(name) > 1 or f"{name}:1" in names]
    if doubles:
        raise SchemaError(f"{database.source}: {database.label}: has more than one column {doubles[0]!r}")


def _doubled(name: str, mark: str = '"') -> str:
    """A name between marks, which stand for themselves where doubled."""
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


_READABLE = {"bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "name"}
_BOUNDED = {"date", "timestamp", "timestamptz"}


class _Postgres:
    def __init__(self, connection: Any, database: Database) -> None:
        self._connection = connection
        self._database = database
        self._rows = database.rows_of(_doubled)

    def columns(self, wanted: Collection[str]) -> dict[str, SqlColumn]:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT q.* FROM {self._rows} WHERE 1 = 0")
            schema = cursor.fetch_record_batch().schema
        _refuse_doubles(schema.names, self._database)
        return {field.name: self._column(field) for field in schema}

    def _column(self, field: pa.Field) -> SqlColumn:
        kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        if not kind:
            raise self._database.fault("needs adbc-driver-postgresql 1.13 or newer; pip install 'gpuseg[sql]'", "uri")
        name = f"q.{_doubled(field.name)}"
        if kind in _READABLE:
            return SqlColumn(field.type, name)
        if kind in _BOUNDED:
            # An infinite time would be read as some other one; it counts as missing.
            return SqlColumn(field.type, f"CASE WHEN isfinite({name}) THEN {name} END")
        return SqlColumn(pa.string(), f"{name}::numeric::text" if kind == "money" else f"{name}::text")

    def tables(
        self, columns: Mapping[str, SqlColumn], free: Mapping[str, pa.DataType], chunk_rows: int
    ) -> Iterator[pa.Table]:
        size = min(max(chunk_rows * _BYTES_PER_ROW, _LEAST_BYTES), _MOST_BYTES)
        options = {"adbc.postgresql.batch_size_hint_bytes": str(size)}
        with self._connection.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute(_statement(columns, self._rows, _doubled))
            for batch in cursor.fetch_record_batch():
                yield pa.Table.from_batches([batch])


@contextmanager
def _postgres(database: Database) -> Iterator[Session]:
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(database.url) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield _Postgres(connection, database)


@dataclass(frozen=True)
class _ByRows:
    """A session whose driver gives values of Python.

    Parameters
    ----------
    database : Database
    quote : callable
        A name as the database takes it for what it is, whatever its letters.
    names : callable
        Names of the columns of a statement.
    ask : callable
        Rows of a statement, at most so many at a time.
    """

    database: Database
    quote: Callable[[str], str]
    names: Callable[[str], list[str]]
    ask: Callable[[str, int], RowParts]

    def columns(self, wanted: Collection[str]) -> dict[str, SqlColumn]:
        rows = self.database.rows_of(self.quote)
        names = self.names(f"SELECT q.* FROM {rows} WHERE 1 = 0")
        _refuse_doubles(names, self.database)
        found = {name: SqlColumn(pa.null(), f"q.{self.quote(name)}") for name in names}
        asked = {name: column for name, column in found.items() if name in wanted}
        if asked:
            with closing(self.ask(_statement(asked, rows, self.quote), _PEEKED_ROWS)) as parts:
                first = next(parts, ())
            for name, values in zip(asked, zip(*first, strict=True), strict=False):
                found[name] = SqlColumn(arrow_type(values), found[name].expression)
        return found

    def tables(
        self, columns: Mapping[str, SqlColumn], free: Mapping[str, pa.DataType], chunk_rows: int
    ) -> Iterator[pa.Table]:
        statement = _statement(columns, self.database.rows_of(self.quote), self.quote)
        n_read = 0
        with closing(self.ask(statement, min(chunk_rows, _ROWS_AT_ONCE))) as parts:
            for part in parts:
                found = {}
                for name, values in zip(columns, zip(*part, strict=True), strict=True):
                    found[name] = arrow_column(values, free.get(name))
                    if found[name] is None:
                        where = f"rows {n_read + 1} to {n_read + len(part)}, column {name!r}"
                        raise SchemaError(
                            f"{self.database.source}: {self.database.label}, {where}: the type is not {free[name]} "
                            "as in the first rows; cast the column in a query"
                        )
                yield pa.table(found)
                n_read += len(part)


@contextmanager
def _sqlite(database: Database) -> Iterator[Session]:
    uri = f"file:{quote_path(database.path)}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN")

        def names(statement: str) -> list[str]:
            return [column[0] for column in connection.execute(statement).description]

        def ask(statement: str, size: int) -> RowParts:
            cursor = connection.execute(statement)
            while part := cursor.fetchmany(size):
                yield part

        # SQLite would take an unknown name between double quotes for a text.
        yield _ByRows(database, lambda name: _doubled(name, "`"), names, ask)


@contextmanager
def _by_sqlalchemy(database: Database) -> Iterator[Session]:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    options: dict[str, Any] = {"no_parameters": True}
    try:
        engine = sqlalchemy.create_engine(database.url, poolclass=NullPool)
        if engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        opened = engine.connect()
    except (ValueError, TypeError):
        # A port that is no number, or a parameter that the driver does not have.
        raise database.fault("the URL is not as SQLAlchemy or the driver wants it", "uri") from None
    with opened:
        connection = opened.execution_options(**options)

        def names(statement: str) -> list[str]:
            with connection.exec_driver_sql(statement) as result:
                assert result.cursor is not None
                return [str(column[0]) for column in result.cursor.description]

        def ask(statement: str, size: int) -> RowParts:
            streaming = connection.execution_options(stream_results=True, yield_per=size)
            with streaming.exec_driver_sql(statement) as result:
                yield from result.partitions(size)

        yield _ByRows(database, engine.dialect.identifier_preparer.quote_identifier, names, ask)
