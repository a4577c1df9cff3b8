"""From configuration to reading plans: every file's columns and types are checked before a row is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa

from gpuseg.config import Config
from gpuseg.config_messages import nearest
from gpuseg.config_sources import SourceSection
from gpuseg.engine.file_schemas import file_schemas, plain_type
from gpuseg.engine.program import CONSENT, IdType, ReadPlan
from gpuseg.errors import ConfigError, SchemaError
from gpuseg.features.algebra import EPOCH
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
    identities : mapping of str to ReadPlan
        Source name to the plan of its identity map, whose `target` is the profile id.
    """

    reads: tuple[ReadPlan, ...]
    n_buckets: int
    fingerprints: Mapping[str, str]
    n_bytes: int
    identities: Mapping[str, ReadPlan] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """One source with its files or frame, and the types of each file's columns."""

    section: SourceSection
    format: Literal["parquet", "csv", "jsonl", "arrow", "frame"]
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
    deny = config.privacy.deny_columns
    found = [_find(source, frames.get(source.name), deny) for source in config.sources]
    maps = {s.name: _find(_identity(s), None, ()) for s in config.sources if s.identity is not None}
    _check_deny(config, found, maps)
    order_type = _common_type([_typed(f, "order_id") for f in found if "order_id" in f.columns]) or "text"
    id_type = _id_type(found, maps)
    reads, identities = [], {}
    for f in found:
        name, key_type = f.section.name, id_type
        if name in maps:
            key_type = _common_type([_typed(f, "profile_id"), _typed(maps[name], "profile_id")]) or "text"
            identities[name] = _read_plan(config, maps[name], id_type=key_type, key_type=key_type, order_type=None)
        order = order_type if "order_id" in f.columns else None
        reads.append(_read_plan(config, f, id_type=id_type, key_type=key_type, order_type=order))
    everything = [*found, *maps.values()]
    n_bytes = sum(f.n_bytes for f in everything)
    auto = min(_MAX_AUTO_BUCKETS, max(1, -(-n_bytes // _BUCKET_BYTES)))
    n_buckets = auto if config.run.buckets == "auto" else config.run.buckets
    marks = {f.section.name: f.fingerprint for f in found}
    marks |= {name: f"{marks[name]} {f.fingerprint}" for name, f in maps.items()}
    return Plans(tuple(reads), n_buckets, marks, n_bytes, identities)


def _read_plan(
    config: Config, found: _Found, *, id_type: IdType, key_type: IdType, order_type: IdType | None
) -> ReadPlan:
    section, run = found.section, config.run
    columns = dict(found.columns)
    if section.consent_column is not None:
        columns[CONSENT] = section.consent_column
    as_of_day = (run.as_of - EPOCH).days
    return ReadPlan(
        source=section.name,
        kind=section.event_kind,
        format=found.format,
        files=found.files,
        frame=found.frame,
        columns=columns,
        id_type=id_type,
        key_type=key_type,
        order_type=order_type,
        zone=zone_table(section.timezone, run.as_of.year),
        run_zone=zone_table(run.timezone, run.as_of.year),
        as_of_us=midnight_us(run.as_of, run.timezone),
        amount_scale=run.amount_scale,
        chunk_rows=run.chunk_rows,
        words=dict(section.events),
        oldest_day=None if section.retention_days is None else as_of_day - section.retention_days,
        quarantine=config.quality.on_bad == "quarantine",
        consent_words=section.consent_words,
        consent_unknown=section.consent_unknown or "refuse",
    )


def _identity(source: SourceSection) -> SourceSection:
    """The identity map of a source, as a source of its own."""
    given = source.identity
    assert given is not None
    columns = {"profile_id": given.key, "target": given.profile_id}
    return SourceSection(name=source.name, kind="crm", uri=given.uri, format=given.format, columns=columns)


def _find(source: SourceSection, frame: Any, deny: Sequence[str]) -> _Found:
    if (source.uri is None) == (frame is None):
        problem = "has neither a uri nor a frame" if frame is None else "has both a uri and a frame"
        raise ConfigError(f"sources.{source.name}: {problem}; give one")
    if frame is not None:
        table = frame_table(frame, source.name)
        schema = {field.name: field.type for field in table.schema}
        columns = _columns(source, "frame", schema, deny)
        consent = [] if source.consent_column is None else [source.consent_column]
        kept = table.select(list(dict.fromkeys([*columns.values(), *consent])))
        return _Found(source, "frame", ("frame",), kept, (schema,), columns, frame_fingerprint(kept), kept.nbytes)
    located = locate(source)
    named = [*source.columns.values(), *filter(None, [source.consent_column])]
    own = [source.columns.get(name, name) for name in KINDS[source.event_kind].column_names]
    wanted = dict.fromkeys([*own, *named])
    by_file = file_schemas(located.files, located.format, source.name, wanted=wanted, named=named)
    files, schemas = tuple(by_file), tuple(by_file.values())
    columns = _columns(source, files[0], schemas[0], deny)
    for file, there in by_file.items():
        for name in (*columns.values(), *filter(None, [source.consent_column])):
            _require(source, file, name, there)
    return _Found(source, located.format, files, None, schemas, columns, located.fingerprint, located.n_bytes)


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


def _check_deny(config: Config, found: Sequence[_Found], maps: Mapping[str, _Found]) -> None:
    """Refuse a denied name that no source knows, which may be a slip of the pen, and one that is needed."""
    known = {name for f in (*found, *maps.values()) for schema in f.schemas for name in schema}
    known |= {name for f in found for name in (*KINDS[f.section.event_kind].column_names, *f.section.columns)}
    for name in config.privacy.deny_columns:
        if name not in known:
            raise ConfigError(
                f"privacy.deny_columns: {name!r} is no column of any source{nearest(name, sorted(known))}"
            )
        for section in config.sources:
            if section.consent_column == name:
                raise ConfigError(f"privacy.deny_columns: {name!r}: {section.name} needs it as its consent_column")
            if section.name in maps and name in maps[section.name].columns.values():
                raise ConfigError(f"privacy.deny_columns: {name!r}: the identity map of {section.name} needs it")


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


@dataclass(frozen=True)
class _Typed:
    """A key column of one source: the type wanted of it, and that of each file."""

    source: str
    column: str
    wanted: str
    files: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]


def _typed(found: _Found, column: str) -> _Typed:
    name = found.columns[column]
    wanted = found.section.id_type if column == "profile_id" else "auto"
    return _Typed(found.section.name, name, wanted, found.files, tuple(schema[name] for schema in found.schemas))


def _id_type(found: Sequence[_Found], maps: Mapping[str, _Found]) -> IdType:
    """The type of profile ids: that of the sources' own, or of what their identity maps lead to."""
    columns = [
        replace(_typed(maps[f.section.name], "target"), wanted=f.section.id_type)
        if f.section.name in maps
        else _typed(f, "profile_id")
        for f in found
    ]
    return _common_type(columns, one=True) or "text"


def _common_type(columns: Sequence[_Typed], *, one: bool = False) -> IdType | None:
    """The type that holds every value of the columns; `one`: they must all have it already."""
    seen: dict[IdType, str] = {}
    for c in columns:
        for file, kind in zip(c.files, c.kinds, strict=True):
            type_ = _key_type(c.source, file, c.column, kind) if c.wanted == "auto" else _as_id_type(c.wanted)
            if type_ is not None:
                seen.setdefault(type_, f"{c.source}: {file}, column {c.column!r}")
    if len(seen) == 2 and one:
        raise SchemaError(
            f"{seen['text']} is text, but {seen['int64']} holds integers; profile ids need one type: "
            "set id_type: text or id_type: int64 on every source"
        )
    return "text" if "text" in seen else "int64" if seen else None


def _as_id_type(name: str) -> IdType:
    return "int64" if name == "int64" else "text"


def _key_type(source: str, file: str, column: str, kind: pa.DataType) -> IdType | None:
    kind = plain_type(kind)
    if pa.types.is_null(kind):
        return None
    if pa.types.is_integer(kind):
        return "int64"
    if pa.types.is_string(kind):
        return "text"
    raise SchemaError(
        f"{source}: {file}, column {column!r}: ids are {kind}, but must be integers or text; convert the column"
    )
