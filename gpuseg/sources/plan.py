"""From configuration to reading plans: every file's columns and types are checked before a row is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from gpuseg.config import Config, SourceSection
from gpuseg.config_messages import nearest
from gpuseg.engine.opening import file_schema
from gpuseg.engine.program import IdType, ReadPlan
from gpuseg.errors import ConfigError, SchemaError
from gpuseg.sources.frames import frame_fingerprint, frame_table
from gpuseg.sources.locate import locate
from gpuseg.sources.zones import midnight_us, zone_table
from gpuseg.vocabulary import KINDS

_BUCKET_BYTES = 16 << 20
_MAX_AUTO_BUCKETS = 256
_FIGURE = re.compile(r"^\s*[+-]?[0-9][0-9.,:/ TZ+-]*$")


@dataclass(frozen=True)
class Plans:
    """Everything needed to read a run's sources.

    Parameters
    ----------
    reads : tuple of ReadPlan
        One a source, in the order of the configuration.
    n_buckets : int
    fingerprints : mapping of str to str
        Source name to a text that changes when its data does.
    n_bytes : int
        Stored size of all files.
    """

    reads: tuple[ReadPlan, ...]
    n_buckets: int
    fingerprints: Mapping[str, str]
    n_bytes: int


@dataclass(frozen=True)
class _Found:
    """One source with its files or frame, and the types of each file's columns."""

    section: SourceSection
    format: Literal["parquet", "csv", "frame"]
    files: tuple[str, ...]
    frame: Any
    schemas: tuple[Mapping[str, pa.DataType], ...]
    columns: Mapping[str, str]
    fingerprint: str
    n_bytes: int


def plan_sources(config: Config, frames: Mapping[str, Any] | None = None) -> Plans:
    """Find every source, check its columns, and settle the types of ids.

    Parameters
    ----------
    config : Config
    frames : mapping of str to frame, optional
        Frames from Python by source name, for sources without a `uri`.

    Raises
    ------
    ConfigError
        If a source has neither `uri` nor frame, or ids are asked for in two types.
    DataError
        If no file matches, a file cannot be read, a column is missing, or ids have more than one type.
    """
    if frames is not None and not isinstance(frames, Mapping):
        raise ConfigError(f"frames: {type(frames).__name__} is no mapping of source name to frame")
    frames = dict(frames or {})
    unknown = sorted(set(frames) - {source.name for source in config.sources})
    if unknown:
        raise ConfigError(f"frames: {unknown[0]!r} is no source{nearest(unknown[0], [s.name for s in config.sources])}")
    found = [_find(source, frames.get(source.name)) for source in config.sources]
    id_type = _common_type(found, "profile_id")
    order_type = _common_type(found, "order_id") if any("order_id" in f.columns for f in found) else None
    until = config.run.as_of.year
    run_zone = zone_table(config.run.timezone, until)
    reads = tuple(
        ReadPlan(
            source=f.section.name,
            kind=f.section.kind,
            format=f.format,
            files=f.files,
            frame=f.frame,
            columns=dict(f.columns),
            id_type=id_type,
            order_type=order_type if "order_id" in f.columns else None,
            zone=zone_table(f.section.timezone, until),
            run_zone=run_zone,
            as_of_us=midnight_us(config.run.as_of, config.run.timezone),
            amount_scale=config.run.amount_scale,
            chunk_rows=config.run.chunk_rows,
        )
        for f in found
    )
    n_bytes = sum(f.n_bytes for f in found)
    auto = min(_MAX_AUTO_BUCKETS, max(1, -(-n_bytes // _BUCKET_BYTES)))
    n_buckets = auto if config.run.buckets == "auto" else config.run.buckets
    return Plans(reads, n_buckets, {f.section.name: f.fingerprint for f in found}, n_bytes)


def _find(source: SourceSection, frame: Any) -> _Found:
    if (source.uri is None) == (frame is None):
        problem = "has neither a uri nor a frame" if frame is None else "has both a uri and a frame"
        raise ConfigError(f"sources.{source.name}: {problem}; give one")
    if frame is not None:
        table = frame_table(frame, source.name)
        schema = {field.name: field.type for field in table.schema}
        files: tuple[str, ...] = ("frame",)
        columns = _columns(source, "frame", schema)
        kept = table.select(list(dict.fromkeys(columns.values())))
        return _Found(source, "frame", files, kept, (schema,), columns, frame_fingerprint(kept), kept.nbytes)
    located = locate(source)
    schemas = tuple(file_schema(file, located.format, source.name) for file in located.files)
    columns = _columns(source, located.files[0], schemas[0])
    for file, schema in zip(located.files[1:], schemas[1:], strict=True):
        for name in columns.values():
            _require(source, file, name, schema)
    file_format: Literal["parquet", "csv"] = "parquet" if located.format == "parquet" else "csv"
    return _Found(
        source,
        file_format,
        located.files,
        None,
        schemas,
        columns,
        located.fingerprint,
        located.n_bytes,
    )


def _columns(source: SourceSection, file: str, schema: Mapping[str, pa.DataType]) -> dict[str, str]:
    """Canonical to the file's names: those given, required ones under their own name, optional ones if there."""
    columns: dict[str, str] = {}
    for column in KINDS[source.kind].columns:
        name = source.columns.get(column.name, column.name)
        if column.required or column.name in source.columns:
            _require(source, file, name, schema, column.name)
        if name in schema:
            columns[column.name] = name
    for canonical, name in source.columns.items():
        if canonical not in columns:
            _require(source, file, name, schema, canonical)
            columns[canonical] = name
    return columns


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
    return f"it has {', '.join(found[:20])}{', …' if len(found) > 20 else ''}{nearest(name, found)}"


def _common_type(found: Sequence[_Found], column: str) -> IdType:
    """One type for a key column over every file of every source that has it."""
    seen: dict[IdType, str] = {}
    for f in found:
        if column not in f.columns:
            continue
        wanted = f.section.id_type if column == "profile_id" else "auto"
        for file, schema in zip(f.files, f.schemas, strict=True):
            kind = schema[f.columns[column]]
            type_: IdType = _key_type(f.section.name, file, f.columns[column], kind) if wanted == "auto" else wanted
            place = f"{f.section.name}: {file}, column {f.columns[column]!r}"
            seen.setdefault(type_, place)
    if len(seen) == 2 and column == "profile_id":
        raise SchemaError(
            f"{seen['text']} is text, but {seen['int64']} holds integers; profile ids need one type: "
            "set id_type: text or id_type: int64 on every source"
        )
    return "text" if "text" in seen else "int64"


def _key_type(source: str, file: str, column: str, kind: pa.DataType) -> IdType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "int64"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    raise SchemaError(
        f"{source}: {file}, column {column!r}: ids are {kind}, but must be integers or text; convert the column"
    )
