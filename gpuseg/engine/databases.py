"""Databases as places of rows: what is asked of one, and what is told of its errors.

A message of a database may quote a value, and a URL may hold a password, so neither is passed on: an error is told by
its SQLSTATE, or by a reason of the fixed list below.
"""

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from gpuseg.errors import ConfigError, GpusegError, SchemaError, SourceUnavailableError

_AWAY = "away"
_MISSING = "needs a package that is not installed; pip install 'gpuseg[sql]'"


@dataclass(frozen=True)
class Database:
    """What to ask of which database; holds no secret.

    Parameters
    ----------
    source : str
        Name of the source, for messages.
    uri : str or None
    uri_env : str or None
        Environment variable that holds the URL, where `uri` is None. Its value is read for every connection anew.
    query, table : str or None
        One of the two.
    """

    source: str
    uri: str | None
    uri_env: str | None
    query: str | None
    table: str | None

    @property
    def label(self) -> str:
        """What stands for a file's name in messages."""
        return "the query" if self.table is None else f"table {self.table}"

    @property
    def url(self) -> str:
        """The whole URL, which may hold a password.

        Raises
        ------
        ConfigError
            If the environment variable holds no URL.
        """
        if self.uri is not None:
            return self.uri
        found = os.environ.get(self.uri_env or "", "").strip()
        if "://" not in found:
            problem = "holds no URL" if found else "is not set"
            raise ConfigError(f"sources.{self.source}.uri_env: the environment variable {self.uri_env} {problem}")
        return found

    @property
    def family(self) -> Literal["postgresql", "sqlite", "other"]:
        """What it is spoken to with: ADBC, Python's own SQLite, or SQLAlchemy."""
        scheme = self.url.partition("://")[0].lower()
        if scheme in ("postgresql", "postgres"):
            return "postgresql"
        return "sqlite" if scheme == "sqlite" else "other"

    @property
    def path(self) -> str:
        """File of an SQLite database.

        Raises
        ------
        ConfigError
            If the URL names none.
        """
        _, _, rest = self.url.partition("://")
        path = rest.partition("?")[0][1:]
        if not rest.startswith("/") or path in ("", ":memory:"):
            raise self.fault("names no file; write sqlite:///shop.db, or sqlite:////data/shop.db from the root", "uri")
        return path

    def fault(self, problem: str, key: str = "") -> ConfigError:
        """The error for a wrong setting: `uri`, or else what is asked."""
        named = "query" if self.table is None else "table"
        if key == "uri":
            named = "uri" if self.uri_env is None else "uri_env"
        return ConfigError(f"sources.{self.source}.{named}: {problem}")

    def rows_of(self, quote: Callable[[str], str]) -> str:
        """What stands behind FROM, under the alias q."""
        if self.table is not None:
            return f"{'.'.join(quote(part) for part in self.table.split('.'))} q"
        # A line of its own, so that a comment at the end of a query ends before the bracket.
        return f"({(self.query or '').strip().rstrip(';')}\n) q"


@contextmanager
def asking(database: Database) -> Iterator[None]:
    """Turn what a database or its driver raises into one line without a value and without a secret.

    Raises
    ------
    ConfigError
        If the query or the URL is at fault, or a package is missing.
    SourceUnavailableError
        If the database gives no answer, does not let this user in or read, or breaks off.
    SchemaError
        For everything else.
    """
    try:
        yield
    except GpusegError:
        raise
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        own = name.startswith("adbc") or name in ("", "sqlalchemy")
        raise database.fault(_MISSING if own else f"needs the package {name}, which is not installed", "uri") from None
    except (*_driver_errors(), OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _told(database, error) from None


def _driver_errors() -> tuple[type[Exception], ...]:
    """Errors of those drivers that are loaded."""
    found: list[type[Exception]] = [sqlite3.Error]
    if "adbc_driver_manager" in sys.modules:
        from adbc_driver_manager import Error

        found.append(Error)
    if "sqlalchemy" in sys.modules:
        from sqlalchemy.exc import SQLAlchemyError

        found.append(SQLAlchemyError)
    return tuple(found)


def _told(database: Database, error: Exception) -> GpusegError:
    code, text = _code(error), str(error).lower()
    words = _STATES.get(code) or _STATES.get(code[:2])
    reason, key = next((found for sign, found in _REASONS.items() if re.search(sign, text)), ("", ""))
    if words is not None and (code in _STATES or not reason):
        reason, key = f"{words} (SQLSTATE {code})", _blamed(code)
    if type(error).__name__ in ("ArgumentError", "NoSuchModuleError"):
        reason, key = (
            "SQLAlchemy knows no such database; its URL is wrong, or the package of its dialect missing",
            "uri",
        )
    if not reason:
        cause = type(getattr(error, "orig", None) or error).__name__
        named = " ".join(filter(None, [cause, code]))
        reason = f"the database gave an error ({named}); ask it there for the whole message, which may quote values"
    if key == _AWAY:
        return SourceUnavailableError(f"{database.source}: {database.label}: {reason}")
    if key:
        return database.fault(reason, key)
    return SchemaError(f"{database.source}: {database.label}: {reason}")


def _code(error: Exception) -> str:
    """SQLSTATE, or what the driver has in its place."""
    cause = getattr(error, "orig", None) or error
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        if found := getattr(cause, name, None):
            return str(found)
    first = cause.args[0] if cause.args else None
    if isinstance(first, int) or (isinstance(first, str) and re.fullmatch(r"[0-9A-Z]{5}", first)):
        return str(first)
    return ""


def _blamed(code: str) -> str:
    """What a SQLSTATE blames: the statement, the place and whom it lets in, or ("") what the database holds."""
    if code in ("0A000", "25006") or (code.startswith("42") and code not in ("42P01", "42501", "42S02")):
        return "query"
    return _AWAY if code == "42501" or code[:2] in ("08", "28", "53", "57", "58") else ""


_TOO_LARGE = "a figure is too large for the type that it has in the query; cast it to a wider one"
_SUBQUERY = "a subquery gives more than one row"
_STATES = {
    "08": "connection exception",
    "0A": "feature not supported",
    "21000": _SUBQUERY,
    "22": "data exception",
    "22003": _TOO_LARGE,
    "22008": "a date or time does not exist",
    "22012": "division by zero",
    "22P02": "a value cannot be cast to the type that is asked for",
    "25": "invalid transaction state",
    "25006": "the query writes, but the connection only reads",
    "28": "invalid authorization",
    "28P01": "the password was refused",
    "3D": "no such database",
    "3F": "no such schema",
    "40": "transaction rolled back",
    "42": "syntax error or access rule violation",
    "42501": "no permission to read it",
    "42601": "syntax error",
    "42702": "ambiguous column",
    "42703": "undefined column",
    "42883": "undefined function or operator",
    "42P01": "no such table",
    "42S02": "no such table",
    "53": "the server has too little room or too many connections",
    "54": "program limit exceeded",
    "55": "object not in prerequisite state",
    "57": "operator intervention",
    "57014": "the statement was cancelled (a statement timeout?)",
    "58": "system error of the server",
    "XX": "internal error of the server",
}
_LOST = "the connection was lost; nothing of what was read is kept"
# What a message says, as a pattern in lower case, to the reason and what is at fault: a setting, the place and whom it
# lets in, or ("") what the database holds. The first that fits is told.
_REASONS: dict[str, tuple[str, str]] = {
    r"password authentication failed": ("the password was refused", _AWAY),
    r"no password supplied": ("a password is needed: by PGPASSWORD, ~/.pgpass or uri_env", _AWAY),
    r"access denied|login failed": ("access was denied", _AWAY),
    r"permission denied": ("no permission to read it", _AWAY),
    r"pg_hba.conf": ("the server does not admit this user from here", _AWAY),
    r"role .* does not exist": ("the server has no such user", _AWAY),
    r"database .* does not exist|unknown database": ("the server has no such database", ""),
    r"connection refused|is the server running": ("cannot connect: nothing listens there", _AWAY),
    r"translate host name|name or service not known|getaddrinfo": ("cannot connect: the host is not known", _AWAY),
    r"timeout expired|timed out": ("cannot connect: no answer in time", _AWAY),
    r"certificate|ssl error|server does not support ssl": ("cannot connect: TLS failed", _AWAY),
    r"terminating connection|closed the connection|connection .*lost|gone away|could not receive data": (_LOST, _AWAY),
    r"cancell?ing statement": ("the statement was cancelled (a statement timeout?)", _AWAY),
    r"no route to host|network is unreachable": ("cannot connect: no way to the host", _AWAY),
    r"too many (?:connections|clients)": ("the server has too many connections", _AWAY),
    r"invalid uri|invalid connection option|invalid port|for connection option": (
        "the URL is not as libpq wants it",
        "uri",
    ),
    r"read-only transaction": ("the query writes, but the connection only reads", "query"),
    r"division by zero": ("division by zero", ""),
    r"date/time field value out of range": ("a date or time does not exist", ""),
    r"out of range|numeric field overflow": (_TOO_LARGE, ""),
    r"more than one row returned by a subquery": (_SUBQUERY, ""),
    r"invalid input syntax": ("a value cannot be cast to the type that is asked for", ""),
    r"no such table|table .* does(?: not|n't) exist": ("no such table", ""),
    r"no such (?:column|function)": ("undefined column or function", "query"),
    r"syntax error|incomplete input|error in your sql": ("syntax error", "query"),
    r"not a database": ("the file is no SQLite database", ""),
    r"malformed": ("the database file is damaged", ""),
    r"database is locked": ("the database is locked by a writer", _AWAY),
    r"could not decode to utf-8": ("a text is not UTF-8", ""),
    r"unable to open database file": ("the database file cannot be opened", _AWAY),
    r"failed to connect|connection failed|could not connect|can't connect": ("cannot connect", _AWAY),
}
