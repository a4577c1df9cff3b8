"""From configuration to reading plans: every file's columns and types are checked before a row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from gpuseg.config import Config
from gpuseg.config_messages import nearest
from gpuseg.config_sources import SourceSection
from gpuseg.engine.file_schemas import plain_type
from gpuseg.engine.program import CONSENT, IdType, ReadPlan
from gpuseg.errors import ConfigError, SchemaError
from gpuseg.features.algebra import EPOCH
from gpuseg.sources.found import Found, find_source
from gpuseg.sources.locate import Located
from gpuseg.sources.zones import midnight_us, zone_table
from gpuseg.vocabulary import KINDS

# Bytes of stored data for a bucket, and the most buckets of that size: none is free, so large data has larger ones.
_BUCKET_SIZES = ((16 << 20, 256), (64 << 20, 1024))
# For data whose size nobody says; a guess from its rows would change, and with it what counts as committed.
_UNKNOWN_BUCKETS = 64


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
        Stored size of all files; servers of databases do not tell theirs.
    identities : mapping of str to ReadPlan
        Source name to the plan of its identity map, whose `target` is the profile id.
    located : tuple of Located
        The files of sources and identity maps as they were found, for `gpuseg.sources.locate.check_unchanged`.
    """

    reads: tuple[ReadPlan, ...]
    n_buckets: int
    fingerprints: Mapping[str, str]
    n_bytes: int
    identities: Mapping[str, ReadPlan] = field(default_factory=dict)
    located: tuple[Located, ...] = ()


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
    unknown = sorted(set(frames := frames or {}) - {source.name for source in config.sources})
    if unknown:
        raise ConfigError(f"frames: {unknown[0]!r} is no source{nearest(unknown[0], [s.name for s in config.sources])}")
    deny = config.privacy.deny_columns
    found = [find_source(source, frames.get(source.name), deny) for source in config.sources]
    maps = {s.name: find_source(_identity(s), None, ()) for s in config.sources if s.identity is not None}
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
    sizes = [f.n_bytes for f in everything]
    n_bytes = sum(size for size in sizes if size is not None)
    auto = max(_UNKNOWN_BUCKETS if None in sizes else 1, buckets_for(n_bytes))
    n_buckets = auto if config.run.buckets == "auto" else config.run.buckets
    marks = {f.section.name: f.fingerprint for f in found}
    marks |= {name: f"{marks[name]} {f.fingerprint}" for name, f in maps.items()}
    return Plans(tuple(reads), n_buckets, marks, n_bytes, identities, tuple(f.located for f in everything if f.located))


def buckets_for(n_bytes: int) -> int:
    """How many buckets data of so many stored bytes gets by itself."""
    return max(min(most, -(-n_bytes // size)) for size, most in _BUCKET_SIZES)


def _read_plan(
    config: Config, found: Found, *, id_type: IdType, key_type: IdType, order_type: IdType | None
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
        asked=found.asked,
    )


def _identity(source: SourceSection) -> SourceSection:
    """The identity map of a source, as a source of its own."""
    given = source.identity
    assert given is not None
    columns = {"profile_id": given.key, "target": given.profile_id}
    located = {key: getattr(given, key) for key in ("uri", "uri_env", "query", "table", "format")}
    return SourceSection(name=source.name, kind="crm", columns=columns, **located)


def _check_deny(config: Config, found: Sequence[Found], maps: Mapping[str, Found]) -> None:
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


@dataclass(frozen=True)
class _Typed:
    """A key column of one source: the type wanted of it, and that of each file."""

    source: str
    column: str
    wanted: str
    files: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]


def _typed(found: Found, column: str) -> _Typed:
    name = found.columns[column]
    wanted = found.section.id_type if column == "profile_id" else "auto"
    return _Typed(found.section.name, name, wanted, found.files, tuple(schema[name] for schema in found.schemas))


def _id_type(found: Sequence[Found], maps: Mapping[str, Found]) -> IdType:
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
