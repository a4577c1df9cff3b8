"""The configuration: every key, every default, and one clear line for every mistake.

A key that is not defined here is refused; nothing is accepted and ignored.
"""

import datetime as dt
import glob
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from gpuseg.config_cluster import ClusterSection
from gpuseg.config_dask import DaskSection
from gpuseg.config_lenses import Lenses, check_lenses
from gpuseg.config_messages import describe_problems
from gpuseg.config_parts import MemorySection, PositiveInt, Section, Share, Weight, known_zone
from gpuseg.config_sources import SourceSection
from gpuseg.config_yaml import read_yaml
from gpuseg.errors import ConfigError

MAX_AMOUNT_SCALE = 10**8
MAX_CLIP = 64.0
MAX_BUCKETS = 4096

# A file of a database that lies at a relative path; `:memory:` is none.
_EMBEDDED = re.compile(r"(?:sqlite|duckdb)(?:\+\w+)?:///(?=[^/:])")
_A_DATE = "must be a date such as 2018-01-01; the window ends at its midnight in run.timezone"


class RunSection(Section):
    """Where a run is kept, up to when it looks, and what it runs on."""

    name: str = Field("run", min_length=1, max_length=100, description="Name shown in the report.")
    out: str = Field(min_length=1, description="Run directory; relative to the configuration file.")
    as_of: dt.date = Field(description="Exclusive end of the observation window, midnight in `timezone`.")
    timezone: str = Field("UTC", description="IANA zone in which days are counted.")
    seed: int = Field(0, ge=0, le=2**32 - 1, strict=True, description="Seed of every random choice.")
    engine: Literal["auto", "cpu", "gpu"] = Field("auto", description="`gpu` never falls back; `auto` says why.")
    executor: Literal["local", "dask"] = Field(
        "local", description="Where buckets are worked on: threads of this process, or workers of a dask cluster."
    )
    amount_scale: int = Field(
        10_000, strict=True, description="Minor units per currency unit; a power of ten up to 10^8."
    )
    buckets: Literal["auto"] | Annotated[int, Field(ge=1, le=MAX_BUCKETS, strict=True)] = Field(
        "auto", description="Partitions of the profiles; `auto` follows from the size of the data."
    )
    chunk_rows: PositiveInt = Field(262_144, description="Rows read at a time.")

    _zone = field_validator("timezone")(known_zone)

    @field_validator("as_of", mode="before")
    @classmethod
    def _a_date(cls, value: Any) -> Any:
        if isinstance(value, dt.datetime) or not isinstance(value, str | dt.date):
            raise ValueError(_A_DATE)
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(_A_DATE) from None

    @field_validator("as_of")
    @classmethod
    def _in_range(cls, value: dt.date) -> dt.date:
        if not dt.date(1970, 1, 2) <= value <= dt.date(2200, 1, 1):
            raise ValueError("must lie between 1970-01-02 and 2200-01-01")
        return value

    @field_validator("out")
    @classmethod
    def _mounted(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a folder of a file system that this machine has mounted, not a URL")
        if "\0" in value:
            raise ValueError("must be a folder; no name holds a NUL character")
        return value

    @field_validator("amount_scale")
    @classmethod
    def _power_of_ten(cls, value: int) -> int:
        valid = [10**power for power in range(9)]
        if value not in valid:
            closest = min(valid, key=lambda candidate: abs(candidate - value))
            raise ValueError(f"must be a power of ten from 1 to {MAX_AMOUNT_SCALE}; nearest valid: {closest}")
        return value


class QualitySection(Section):
    """Gates on the data itself."""

    max_null_share: Share = Field(
        0.05, description="Largest share of nulls in a column; figures and comments of events may be missing."
    )
    min_coverage: Share = Field(0.5, description="Smallest share of all profiles that must have events.")
    max_duplicate_share: Share | None = Field(
        None,
        description="Most events that may repeat another in every column that a run keeps; null does not count them.",
    )
    max_orphan_share: Share = Field(0.5, description="Most rows whose key may be missing in the identity map.")
    dedupe: bool = Field(
        default=False,
        strict=True,
        description="Whether events that repeat another in every column that a run keeps are counted once.",
    )
    on_bad: Literal["fail", "quarantine"] = Field("fail", description="What a row that cannot be used does.")


class PrivacySection(Section):
    """What is promised to the people in the data."""

    group_floor: int = Field(10, ge=1, le=1_000_000, strict=True, description="Smallest group that is described.")
    deny_columns: tuple[str, ...] = Field((), description="Columns that are never read, by either name.")


class FeaturesSection(Section):
    """Which behavioural features are built."""

    windows_days: tuple[PositiveInt, ...] = Field(
        (30, 90, 365), description="Windows that end at `as_of`, at most 36500 days each."
    )
    families: tuple[str, ...] = Field(
        ("rfm", "tempo", "interests", "lifecycle", "engagement", "browsing", "intent", "feedback", "social"),
        min_length=1,
        description="Families; one whose kind of source is absent is skipped, and `attributes` is built only if named.",
    )
    drop: tuple[str, ...] = Field((), description="Features kept out of the clustering.")
    weights: dict[str, Weight] = Field(
        default_factory=dict, description="Factor on a scaled feature, 1 where not given."
    )

    @field_validator("windows_days")
    @classmethod
    def _distinct_windows(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each window may be given once")
        if any(window > 36_500 for window in value):
            raise ValueError("a window may be at most 36500 days")
        return tuple(sorted(value))

    @field_validator("families")
    @classmethod
    def _distinct_families(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each family may be given once")
        return value


class MatrixSection(Section):
    """From features to the float32 matrix."""

    scale: Literal["standard"] = Field("standard", description="Zero mean, unit variance.")
    clip: float = Field(
        6.0, gt=0, le=MAX_CLIP, strict=True, description="Largest distance from the mean, in deviations."
    )


class Config(Section):
    """The whole configuration of a run."""

    version: Literal[1] = Field(1, description="Version of this format.")
    run: RunSection
    sources: tuple[SourceSection, ...] = Field(min_length=1, description="Where the data is; at least one source.")
    quality: QualitySection = QualitySection()
    features: FeaturesSection = FeaturesSection()
    matrix: MatrixSection = MatrixSection()
    cluster: ClusterSection = ClusterSection()
    lenses: Lenses = Field(
        (), description="Further segmentations of the same profiles: ready-made ones by their word, or sections."
    )
    privacy: PrivacySection = PrivacySection()
    memory: MemorySection = MemorySection()
    dask: DaskSection = DaskSection()

    @model_validator(mode="after")
    def _distinct_sources(self) -> "Config":
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"sources: the name {name!r} is used more than once")
        return self

    @model_validator(mode="after")
    def _with_lenses(self) -> "Config":
        check_lenses(self.lenses, self.features.families)
        return self

    @model_validator(mode="after")
    def _with_dask(self) -> "Config":
        if self.run.executor != "dask" and self.dask != DaskSection():
            raise ValueError("dask: has settings, but run.executor is local; set run.executor: dask")
        return self


def load_config(path: str | Path) -> Config:
    """Read and check a YAML configuration; its relative paths become relative to the file's folder.

    Parameters
    ----------
    path : str or Path
        The configuration file.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or says something that cannot be.
    """
    path = Path(path)
    return parse_config(read_yaml(path), base=path.parent)


def parse_config(content: Mapping[str, Any], *, base: Path | None = None) -> Config:
    """Check a configuration that is already a dictionary.

    Parameters
    ----------
    content : mapping
        The sections, as in the YAML file.
    base : Path, optional
        Folder against which relative paths are resolved; the current folder where not given.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        With the key, the offending value, and the nearest valid one.
    """
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(describe_problems(error, Config, content)) from None
    return config if base is None else _rebased(config, base)


def read_config(config: Config | Mapping[str, Any] | str | Path) -> Config:
    """A checked configuration from whatever names it."""
    if isinstance(config, Config):
        return config
    return load_config(config) if isinstance(config, str | Path) else parse_config(config)


def config_schema() -> dict[str, Any]:
    """JSON Schema of the configuration."""
    return Config.model_json_schema()


def as_json(section: BaseModel) -> str:
    """Canonical JSON of a section: sorted keys, no spaces; equal settings give equal text."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def _rebased(config: Config, base: Path) -> Config:
    def absolute(location: str, folder: str) -> str:
        if "://" in location or Path(location).is_absolute():
            return location
        return os.path.normpath(os.path.join(folder, location))  # noqa: PTH118 - a glob is no path

    # Only what the configuration itself says is a glob, not the name of the folder that it lies in.
    escaped = glob.escape(str(base))

    def located(uri: str) -> str:
        if embedded := _EMBEDDED.match(uri):
            return f"{embedded[0]}{os.path.abspath(base / uri[embedded.end() :])}"  # noqa: PTH100 - keeps its parameters
        return absolute(uri, escaped if is_glob(uri) else str(base))

    sources = []
    for source in config.sources:
        changes: dict[str, Any] = {"uri": located(source.uri)} if source.uri else {}
        if source.identity is not None and source.identity.uri:
            uri = located(source.identity.uri)
            changes["identity"] = source.identity.model_copy(update={"uri": uri})
        sources.append(source.model_copy(update=changes))
    run = config.run.model_copy(update={"out": absolute(config.run.out, str(base))})
    dask = config.dask
    if dask.scheduler_file is not None:
        dask = dask.model_copy(update={"scheduler_file": absolute(dask.scheduler_file, str(base))})
    return config.model_copy(update={"run": run, "sources": tuple(sources), "dask": dask})


def is_glob(location: str) -> bool:
    """Whether a location is a pattern rather than the name of one file."""
    return any(mark in location for mark in "*?[")
