"""What a source consists of: its files, its frame or its rows in a database, and the columns that are read of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from gpuseg.config_messages import nearest
from gpuseg.config_sources import SourceSection
from gpuseg.engine.file_schemas import file_schemas
from gpuseg.engine.sql_sessions import Asked
from gpuseg.errors import ConfigError, SchemaError
from gpuseg.sources.databases import locate_rows
from gpuseg.sources.frames import frame_fingerprint, frame_table
from gpuseg.sources.locate import Located, locate
from gpuseg.vocabulary import KINDS

_FIGURE = re.compile(r"^\s*[+-]?[0-9][0-9.,:/ TZ+-]*$")


@dataclass(frozen=True)
class Found:
    """One source with its files, frame or database, and the types of each file's columns.

    Parameters
    ----------
    section : SourceSection
    format : str
        As of `ReadPlan`.
    files : tuple of str
        Paths or URLs, or one label.
    frame : Arrow table or None
    schemas : tuple of mapping
        One a file: column to type.
    columns : mapping of str to str
        Canonical name to the source's name, of what is read.
    fingerprint : str
        Changes when the data does, as far as that can be told.
    n_bytes : int or None
        Stored size; None where a server keeps it to itself.
    asked : Asked or None
        The database.
    located : Located or None
        The files as they were found.
    """

    section: SourceSection
    format: Literal["parquet", "csv", "jsonl", "arrow", "frame", "sql"]
    files: tuple[str, ...]
    frame: Any
    schemas: tuple[Mapping[str, pa.DataType], ...]
    columns: Mapping[str, str]
    fingerprint: str
    n_bytes: int | None
    asked: Asked | None = None
    located: Located | None = None


def find_source(source: SourceSection, frame: Any, deny: Sequence[str]) -> Found:
    """Find a source and check its columns; no row of a file is read.

    Parameters
    ----------
    source : SourceSection
    frame : frame or None
        From Python, where the source says no place.
    deny : sequence of str
        Names of columns that are never read.

    Raises
    ------
    ConfigError, DataError
    """
    if source.is_located == (frame is not None):
        problem = "has neither a uri nor a frame" if frame is None else "has both a uri and a frame"
        raise ConfigError(f"sources.{source.name}: {problem}; give one")
    if frame is not None:
        table = frame_table(frame, source.name)
        schema = {field.name: field.type for field in table.schema}
        columns = _columns(source, "frame", schema, deny)
        consent = [] if source.consent_column is None else [source.consent_column]
        kept = table.select(list(dict.fromkeys([*columns.values(), *consent])))
        return Found(source, "frame", ("frame",), kept, (schema,), columns, frame_fingerprint(kept), kept.nbytes)
    named = [*source.columns.values(), *filter(None, [source.consent_column])]
    own = [source.columns.get(name, name) for name in KINDS[source.event_kind].column_names]
    wanted = dict.fromkeys([*own, *named])
    if source.in_database:
        rows = locate_rows(source, source.name, [name for name in wanted if name not in deny])
        types, label = {name: column.type for name, column in rows.asked.columns.items()}, rows.asked.database.label
        columns = _columns(source, label, types, deny)
        return Found(source, "sql", (label,), None, (types,), columns, rows.fingerprint, rows.n_bytes, rows.asked)
    located = locate(source)
    by_file = file_schemas(located.files, located.format, source.name, wanted=wanted, named=named)
    files, schemas = tuple(by_file), tuple(by_file.values())
    columns = _columns(source, files[0], schemas[0], deny)
    for file, there in by_file.items():
        for name in (*columns.values(), *filter(None, [source.consent_column])):
            _require(source, file, name, there)
    mark, n_bytes = located.fingerprint, located.n_bytes
    return Found(source, located.format, files, None, schemas, columns, mark, n_bytes, located=located)


def _columns(
    source: SourceSection, file: str, schema: Mapping[str, pa.DataType], deny: Sequence[str]
) -> dict[str, str]:
    """Canonical to the file's names: those given, required ones under their own name, optional ones if there."""
    kind = KINDS[source.event_kind]
    columns: dict[str, str] = {}
    for column in kind.columns:
        name = source.columns.get(column.name, column.name)
        if column.required or column.name in source.columns:
            _require(source, file, name, schema, column.name)
        if name in schema and not _denied(column.name, name, deny):
            columns[column.name] = name
        elif column.required:
            raise ConfigError(f"privacy.deny_columns: {name!r}: {source.name} cannot do without it")
    for canonical, name in source.columns.items():
        if canonical not in kind.column_names:
            _require(source, file, name, schema, canonical)
            if not _denied(canonical, name, deny):
                columns[canonical] = name
    if source.consent_column is not None:
        _require(source, file, source.consent_column, schema)
    if kind.one_of and not any(name in columns for name in kind.one_of):
        raise SchemaError(
            f"{source.name}: {file}: a source of kind {source.kind} needs at least one of {', '.join(kind.one_of)}; "
            f"{_columns_there(kind.one_of[0], list(schema))}"
        )
    return columns


def _denied(canonical: str, name: str, deny: Sequence[str]) -> bool:
    return canonical in deny or name in deny


def _require(
    source: SourceSection, file: str, name: str, schema: Mapping[str, pa.DataType], canonical: str = ""
) -> None:
    if name not in schema:
        wanted = f" (for {canonical})" if canonical and canonical != name else ""
        raise SchemaError(f"{source.name}: {file}: no column {name!r}{wanted}; {_columns_there(name, list(schema))}")


def _columns_there(name: str, found: list[str]) -> str:
    """The columns of a file, for a message; without a header they would be somebody's data, and are not shown."""
    if any(_FIGURE.match(column) for column in found):
        return "its first line holds figures: a CSV file starts with a header line"
    if not found:
        return "none of its lines has it"
    return f"it has {', '.join(found[:20])}{', …' if len(found) > 20 else ''}{nearest(name, found)}"
