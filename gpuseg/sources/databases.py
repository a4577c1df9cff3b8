"""Finds the rows of a source that lies in a database: its columns, and what tells whether it was changed."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gpuseg.config_sources import LocatedSection
from gpuseg.engine.databases import Database
from gpuseg.engine.sql_sessions import Asked, session
from gpuseg.errors import EmptyDataError


@dataclass(frozen=True)
class LocatedRows:
    """Rows of a database before any is read.

    Parameters
    ----------
    asked : Asked
    n_bytes : int or None
        Size of the database's file; None where it is served, and nobody says.
    fingerprint : str
        What is asked, with a digest of the place without its secrets; of a file also size and times.
    """

    asked: Asked
    n_bytes: int | None
    fingerprint: str


def locate_rows(source: LocatedSection, name: str, wanted: Collection[str]) -> LocatedRows:
    """Ask a database for the names and types of a result's columns.

    Parameters
    ----------
    source : LocatedSection
        With a `query` or a `table`.
    name : str
        Name of the source, for messages.
    wanted : collection of str
        Columns that would be read. A database that gives values without saying their types is asked for the first rows
        of these.

    Raises
    ------
    ConfigError
        If the URL or the query is wrong, or a package is missing.
    EmptyDataError
        If there is no such file.
    SourceUnavailableError
        If the database cannot be reached, or does not let this user in.
    SchemaError
        If it refuses what is asked for another reason.
    """
    given = {key: getattr(source, key) for key in ("uri", "uri_env", "query", "table")}
    database = Database(name, **given)
    mark, n_bytes = _mark(database) if database.family == "sqlite" else ("", None)
    with session(database) as opened:
        columns = opened.columns(wanted)
    parts = [f"{database.label} {database.query or ''}", _place(database.url), mark]
    return LocatedRows(Asked(database, columns), n_bytes, "\n".join(parts))


def _place(url: str) -> str:
    """Digest of scheme, host and path: what stands before the last @ and after ? may be secret."""
    scheme, _, rest = url.partition("://")
    return hashlib.sha256(f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}".encode()).hexdigest()


def _mark(database: Database) -> tuple[str, int]:
    """Marks and size of an SQLite database and of its log, which holds what is not in the file yet."""
    path = Path(database.path)
    if not path.is_file():
        shown = f"{database.uri!r}" if database.uri_env is None else f"the URL in {database.uri_env}"
        raise EmptyDataError(f"{database.source}: no database file at {shown}")
    marks, n_bytes = [], 0
    for file in (path, path.with_name(f"{path.name}-wal")):
        # A reader alone may leave an empty log behind, and as root touches when the log's inode was changed.
        if file.is_file() and (found := file.stat()).st_size:
            inode_changed = found.st_ctime_ns if file == path else ""
            marks.append(f"{found.st_size}:{found.st_mtime_ns}:{inode_changed}:{found.st_ino}")
            n_bytes += found.st_size
    return " ".join(marks), n_bytes
