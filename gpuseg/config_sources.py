"""The section of a configuration that describes one source."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from gpuseg.config_messages import nearest
from gpuseg.config_parts import PositiveInt, Section, known_zone
from gpuseg.vocabulary import KINDS, SOURCE_KINDS

_OPTED_IN = ("opt_in", "opt-in", "optin", "opted_in", "opted-in")
_OPTED_OUT = ("opt_out", "opt-out", "optout", "opted_out", "opted-out")
_TAKEN_BACK = ("denied", "declined", "refused", "rejected", "withdrawn", "revoked")
CLEAR_YES = ("true", "t", "yes", "y", "1", "1.0", "granted", *_OPTED_IN, "consent", "consented")
CLEAR_NO = ("false", "f", "no", "n", "0", "0.0", *_TAKEN_BACK, *_OPTED_OUT, "none", "null", "nan")


_PASSWORD = re.compile(r"://[^/@:]*:[^/@]*@")
_SIGNATURE = re.compile(r"[?&][^=&]*(?:sig|token|secret|passw|pwd|credential|key|odbc_connect)[^=&]*=", re.IGNORECASE)
# A password may hold a slash, which ends the host of any other URL.
_DATABASE_PASSWORD = re.compile(r"://[^@]*:[^@]*@")
_DATABASES = frozenset(
    [
        "postgresql",
        "postgres",
        "sqlite",
        "mysql",
        "mariadb",
        "mssql",
        "oracle",
        "duckdb",
        "snowflake",
        "bigquery",
        "redshift",
        "clickhouse",
        "trino",
        "databricks",
        "cockroachdb",
    ]
)
_TABLE = re.compile(r"[^\s.\"`;]+(\.[^\s.\"`;]+){0,2}")
_URI = "Path, glob or fsspec URL, or a database's URL"
_URI_ENV = "Environment variable that holds a database's URL, password included, in place of `uri`."
_QUERY = "What to ask a database, one SELECT; never with `table`."
_TABLE_MEANING = "Table or view of a database, as in `web.visits`, spelled as the database keeps it."


class LocatedSection(Section):
    """Something in files or in a database, at a `uri` that manifests keep and messages quote: no secret may be in it.

    Subclasses have the keys `uri`, `uri_env`, `query`, `table` and `format`.
    """

    @model_validator(mode="after")
    def _open(self) -> "LocatedSection":
        uri = self._key("uri") or ""
        database = is_database(uri) or self.in_database
        if (_DATABASE_PASSWORD if database else _PASSWORD).search(uri) or ("://" in uri and _SIGNATURE.search(uri)):
            how = "uri_env, or by the database's own means such as PGPASSWORD" if database else "the environment"
            own = "" if database else " or by fsspec's own configuration"
            raise ValueError(f"uri: holds a password, key or signature; give it by {how}{own}")
        return self

    @model_validator(mode="after")
    def _one_place(self) -> "LocatedSection":
        uri, uri_env, query, table = (self._key(name) for name in ("uri", "uri_env", "query", "table"))
        asked = "query" if query is not None else "table"
        if uri is not None and uri_env is not None:
            raise ValueError("uri_env: give uri or uri_env, not both")
        if query is not None and table is not None:
            raise ValueError("table: give query or table, not both")
        if not self.in_database and (uri_env is not None or is_database(uri or "")):
            place = "uri" if uri_env is None else "uri_env"
            raise ValueError(f"{place}: a database's URL needs a query or a table to read")
        if self.in_database and uri is None and uri_env is None:
            raise ValueError(f"{asked}: needs the database's URL as uri or uri_env")
        if self.in_database and uri is not None and "://" not in uri:
            raise ValueError(
                f"{asked}: {uri!r} is no database's URL such as postgresql://host/database or sqlite:///shop.db"
            )
        if self.in_database and self._key("format") != "auto":
            raise ValueError("format: a database has none; leave it out")
        if table is not None and not _TABLE.fullmatch(table):
            raise ValueError(f"table: {table!r} is no name such as visits or web.visits; a query may quote any name")
        return self

    @property
    def in_database(self) -> bool:
        """Whether rows are asked of a database, not read from files."""
        return self._key("query") is not None or self._key("table") is not None

    @property
    def is_located(self) -> bool:
        """Whether it says where it is; otherwise it is a frame from Python."""
        return self._key("uri") is not None or self._key("uri_env") is not None

    def _key(self, name: str) -> str | None:
        found: str | None = getattr(self, name, None)
        return found


def is_database(uri: str) -> bool:
    """Whether a URL is that of a database."""
    return "://" in uri and uri.partition("://")[0].partition("+")[0].lower() in _DATABASES


class IdentitySection(LocatedSection):
    """A table that says which profile each key of a source belongs to."""

    uri: str | None = Field(None, min_length=1, description=f"{_URI}; null where `uri_env` is given.")
    uri_env: str | None = Field(None, min_length=1, description=_URI_ENV)
    query: str | None = Field(None, min_length=1, description=_QUERY)
    table: str | None = Field(None, min_length=1, description=_TABLE_MEANING)
    format: Literal["auto", "parquet", "csv", "jsonl", "arrow"] = Field("auto", description="As of a source.")
    key: str = Field("key", min_length=1, description="Column with the source's keys, each of one profile.")
    profile_id: str = Field("profile_id", min_length=1, description="Column with the profile ids.")

    @model_validator(mode="after")
    def _somewhere(self) -> "IdentitySection":
        if not self.is_located:
            raise ValueError("uri: is required: a path, glob or URL, or uri_env in its place")
        return self


class SourceSection(LocatedSection):
    """One source of one kind: where it is and what its columns are called."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$", description="Name of the source.")
    kind: str = Field(description="One of " + ", ".join(SOURCE_KINDS) + ".")
    uri: str | None = Field(None, min_length=1, description=f"{_URI}; null for a Python frame.")
    uri_env: str | None = Field(None, min_length=1, description=_URI_ENV)
    query: str | None = Field(None, min_length=1, description=_QUERY)
    table: str | None = Field(None, min_length=1, description=_TABLE_MEANING)
    format: Literal["auto", "parquet", "csv", "jsonl", "arrow"] = Field(
        "auto", description="`auto` goes by the file's name."
    )
    timezone: str = Field("UTC", description="IANA zone of times that carry none.")
    id_type: Literal["auto", "int64", "text"] = Field("auto", description="CSV ids are text under `auto`.")
    columns: dict[str, str] = Field(default_factory=dict, description="Canonical name to the file's name.")
    events: dict[str, str] = Field(
        default_factory=dict, description="The source's own words to classes of its kind; `*` for all others."
    )
    identity: IdentitySection | None = Field(None, description="Map from this source's keys to profile ids.")
    consent_column: str | None = Field(
        None, min_length=1, description="Column that says yes where a row may be used; in a crm source, the profile."
    )
    consent_yes: list[str] | None = Field(
        None, min_length=1, description="Further words of the consent column that say yes, such as `ja`."
    )
    consent_unknown: Literal["refuse", "use"] | None = Field(
        None,
        description="What becomes of profiles that a crm source with a consent column lacks; `refuse` where not given.",
    )
    retention_days: PositiveInt | None = Field(None, description="Events older than this are never used.")
    max_age_days: PositiveInt | None = Field(None, description="Most days from the newest event to `as_of`.")
    purpose: str = Field("segmentation", min_length=1, description="Why the data is used; recorded.")
    lawful_basis: (
        Literal["consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"]
        | None
    ) = Field(None, description="Basis under GDPR article 6; recorded.")

    _zone = field_validator("timezone")(known_zone)

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        if value not in SOURCE_KINDS:
            raise ValueError(f"must be one of {', '.join(SOURCE_KINDS)}{nearest(value, SOURCE_KINDS)}")
        return value

    @property
    def event_kind(self) -> str:
        """Key of `gpuseg.vocabulary.KINDS`: a crm source with a time is one of contacts."""
        return "contacts" if self.kind == "crm" and "at" in self.columns else self.kind

    @model_validator(mode="after")
    def _known_columns(self) -> "SourceSection":
        kind = KINDS[self.event_kind]
        for canonical in self.columns:
            if canonical not in kind.column_names and not kind.has_attributes:
                raise ValueError(
                    f"columns: {canonical!r} is no column of kind {self.kind}; it has "
                    f"{', '.join(kind.column_names)}{nearest(canonical, kind.column_names)}"
                )
        return self

    @model_validator(mode="after")
    def _known_events(self) -> "SourceSection":
        classes = KINDS[self.event_kind].class_order
        if self.events and not classes:
            raise ValueError(f"events: a source of kind {self.kind} has no words to sort")
        for word, name in self.events.items():
            if name not in classes:
                raise ValueError(
                    f"events: {word!r}: {name!r} is no class of kind {self.kind}; it has "
                    f"{', '.join(classes)}{nearest(name, classes)}"
                )
        return self

    @property
    def tells_consent(self) -> bool:
        """Whether the source speaks for profiles: a crm source without a time that has a consent column."""
        return self.consent_column is not None and KINDS[self.event_kind].has_attributes

    @property
    def consent_words(self) -> dict[str, bool]:
        """Words in lower case (casefold) without the space around them, and whether they are a clear yes or no."""
        own = [word.strip().casefold() for word in self.consent_yes or ()]
        return {**dict.fromkeys(CLEAR_NO, False), **dict.fromkeys([*CLEAR_YES, *own], True)}

    @model_validator(mode="after")
    def _says_yes(self) -> "SourceSection":
        if self.consent_yes is not None and self.consent_column is None:
            raise ValueError("consent_yes: needs a consent_column")
        for word in self.consent_yes or ():
            if not word.strip() or word.strip().casefold() in CLEAR_NO:
                raise ValueError(f"consent_yes: {word!r} is no yes")
        return self

    @model_validator(mode="after")
    def _consents(self) -> "SourceSection":
        if self.consent_unknown is not None and not self.tells_consent:
            raise ValueError("consent_unknown: only a crm source without a time that has a consent_column needs it")
        return self

    @model_validator(mode="after")
    def _dated(self) -> "SourceSection":
        for key in ("retention_days", "max_age_days"):
            if getattr(self, key) is not None and KINDS[self.event_kind].has_attributes:
                raise ValueError(f"{key}: a crm source without a time has no age")
        return self
