"""What a device is told to do: the messages that cross the seam, as plain data.

A `ReadPlan` says how to turn files into canonical integer events; `gpuseg.engine.expression` says what a feature is.
Neither knows which library carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gpuseg.engine.profiles import ProfileSet
from gpuseg.vocabulary import KINDS

Int64Array: TypeAlias = npt.NDArray[np.int64]

IdType = Literal["int64", "text"]

CONSENT = "\0consent"
"""Column of a plan that says whether a row may be used, under a name that no configuration can give."""

WRONG_REASON, WRONG_COLUMN = "\0reason", "\0wrong"
"""Columns of raw rows: why a row could not be read, null for all others, and in which column, null for all of it."""

PLACE_FILE, PLACE_ROW = "\0file", "\0row"
"""Columns of a batch of attributes: the place of each row (text and int64)."""


@dataclass(frozen=True, eq=False)
class ZoneTable:
    """UTC offsets of a time zone as a searchable table.

    Parameters
    ----------
    name : str
        IANA name.
    transitions_us : int64 array, shape (n_transitions,)
        Instants, microseconds UTC, ascending, at which the offset changes.
    offsets_us : int64 array, shape (n_transitions + 1,)
        Offset from UTC in microseconds before the first transition and from each one on.
    """

    name: str
    transitions_us: Int64Array
    offsets_us: Int64Array


@dataclass(frozen=True, eq=False)
class ConsentRule:
    """What the consent tables say about whom: rows of others are as if they never were.

    Parameters
    ----------
    profiles : ProfileSet
    may_be_used : bool
        True: these profiles and no others may be used. False: all but these may.
    """

    profiles: ProfileSet
    may_be_used: bool


@dataclass(frozen=True, eq=False)
class ReadPlan:
    """How to read one source into canonical events.

    Parameters
    ----------
    source : str
        Name of the source.
    kind : str
        Key of `gpuseg.vocabulary.KINDS`.
    format : {"parquet", "csv", "jsonl", "arrow", "frame", "sql"}
        Reader to use.
    files : tuple of str
        Paths or URLs, sorted; labels for messages where `format` is "frame" or "sql".
    frame : object or None
        An Arrow table, where `format` is "frame".
    columns : mapping of str to str
        Canonical name to the file's name, for every column to read.
    id_type : {"int64", "text"}
        Type of `profile_id` over all sources.
    key_type : {"int64", "text"}
        Type of the source's own ids, the same where it has no identity map.
    order_type : {"int64", "text"} or None
        Type of `order_id`, None where the source has none.
    zone : ZoneTable
        Zone of times that carry none.
    run_zone : ZoneTable
        Zone in which days are counted.
    as_of_us : int
        Exclusive end of the observation window, microseconds UTC.
    amount_scale : int
        Minor units per currency unit.
    chunk_rows : int
        Most rows in one batch.
    words : mapping of str to str
        The source's own words to the classes of its kind; "*" for all others.
    oldest_day : int or None
        Rows before this epoch day are past their retention.
    quarantine : bool
        Whether bad rows are set apart instead of ending the run.
    identity : Arrow table or None
        Columns `key` and `profile_id`, each key once.
    consent : ConsentRule or None
        Whose rows may be used. None where no source of attributes has a consent column, and while such a source is
        read for what it says: then `CONSENT` is a column of its rows, no filter.
    consent_words : mapping of str to bool
        Words, casefolded, that are a clear yes or a clear no; every other one is a no and counted.
    consent_unknown : {"refuse", "use"}
        What becomes of profiles that this source of attributes with a consent column does not know.
    asked : Asked or None
        The database and its columns, where `format` is "sql".
    row_groups : tuple of int or None
        Of one Parquet file, the first row group to read and the first that is not; None for all of all files.
    first_row : int
        Number of the first row that is read of each file.
    """

    source: str
    kind: str
    format: Literal["parquet", "csv", "jsonl", "arrow", "frame", "sql"]
    files: tuple[str, ...]
    frame: Any
    columns: Mapping[str, str]
    id_type: IdType
    key_type: IdType
    order_type: IdType | None
    zone: ZoneTable
    run_zone: ZoneTable
    as_of_us: int
    amount_scale: int
    chunk_rows: int
    words: Mapping[str, str] = field(default_factory=dict)
    oldest_day: int | None = None
    quarantine: bool = False
    identity: Any = None
    consent: ConsentRule | None = None
    consent_words: Mapping[str, bool] = field(default_factory=dict)
    consent_unknown: Literal["refuse", "use"] = "refuse"
    asked: Any = None
    row_groups: tuple[int, int] | None = None
    first_row: int = 1

    @property
    def tells_consent(self) -> bool:
        """Whether the source speaks for profiles: attributes with a consent column."""
        return CONSENT in self.columns and KINDS[self.kind].has_attributes

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the free columns, in order."""
        if not KINDS[self.kind].has_attributes:
            return ()
        return tuple(name for name in self.columns if name not in ("profile_id", CONSENT))


@dataclass
class Tally:
    """Counts of what a scan saw; tallies add up."""

    rows_read: int = 0
    rows_used: int = 0
    rows_after_as_of: int = 0
    rows_past_retention: int = 0
    rows_without_consent: int = 0
    consents_unclear: int = 0
    rows_unmatched: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    amounts_rounded: int = 0
    times_ambiguous: int = 0
    times_nonexistent: int = 0
    first_day: int | None = None
    last_day: int | None = None
    null_counts: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in the counts of another tally."""
        for name, value in vars(self).items():
            if isinstance(value, int) and name not in ("first_day", "last_day"):
                setattr(self, name, value + getattr(other, name))
        days = [day for day in (self.first_day, other.first_day) if day is not None]
        self.first_day = min(days, default=None)
        days = [day for day in (self.last_day, other.last_day) if day is not None]
        self.last_day = max(days, default=None)
        for column, count in other.null_counts.items():
            self.null_counts[column] = self.null_counts.get(column, 0) + count


@dataclass(frozen=True)
class Batch:
    """Canonical rows of one chunk, in a form only its device knows, what the scan counted, and what it set apart.

    The columns are those of the kind in `gpuseg.vocabulary`, with `at` as `at_us` (int64, microseconds UTC) and
    `day` (int32, epoch day in the run's zone), and the kind's measures (int64) in place of the columns that they are
    made of. `rejected` is an Arrow table in host memory, or None. `refused` holds the marks (as of
    `gpuseg.engine.profiles.Profiles`) of profiles that are not among those who may be used, or is None.
    """

    columns: Any
    tally: Tally
    rejected: Any = None
    refused: Any = None


@dataclass(frozen=True)
class MatrixColumn:
    """How one column of a table becomes one of the matrix, counted in steps of its grid.

    Parameters
    ----------
    name : str
        Column of the table.
    log1p : bool
        Whether sign(x) * log(1 + |x|) takes the place of x.
    fill : float
        Value for nulls, before the logarithm.
    center : float
        What is taken off after it.
    factor : float
        Steps of the grid a unit.
    bound : float
        Most steps kept to either side.
    """

    name: str
    log1p: bool
    fill: float
    center: float
    factor: float
    bound: float


@dataclass(frozen=True)
class MatrixPlan:
    """The columns of a matrix, in order."""

    columns: tuple[MatrixColumn, ...]


@dataclass(frozen=True)
class LloydPass:
    """What one pass over rows gives for k centers: sums for the update, and labels where asked for.

    Parameters
    ----------
    sums : float64 array, shape (k, n_features)
        Sum of the rows nearest to each center, each times its weight where rows have weights.
    counts : int64 array, shape (k,)
        Number of those rows; with weights the sum of these, float64.
    inertia : float
        Sum of squared distances to the nearest center, times weights likewise.
    labels : int32 array, shape (n_rows,), or None
        Index of the nearest center, the lower index where two are equally near.
    nearest : array, shape (n_rows,), or None
        Squared distance to the nearest center.
    second : array, shape (n_rows,), or None
        Squared distance to the second-nearest center, inf where there is one center.
    """

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[Any]
    inertia: float
    labels: Any = None
    nearest: Any = None
    second: Any = None
