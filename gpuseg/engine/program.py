"""What a device is told to do: the messages that cross the seam, as plain data.

A `ReadPlan` says how to turn files into canonical integer events. An `Expression` says what a feature is, from
reductions of the integer state. Neither knows which library carries it out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Int64Array: TypeAlias = npt.NDArray[np.int64]

IdType = Literal["int64", "text"]


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
class ReadPlan:
    """How to read one source into canonical events.

    Parameters
    ----------
    source : str
        Name of the source.
    kind : str
        Key of `gpuseg.vocabulary.KINDS`.
    format : {"parquet", "csv", "frame"}
        Reader to use.
    files : tuple of str
        Paths or URLs, sorted; labels for messages where `format` is "frame".
    frame : object or None
        An Arrow table, where `format` is "frame".
    columns : mapping of str to str
        Canonical name to the file's name, for every column to read.
    id_type : {"int64", "text"}
        Type of `profile_id` over all sources.
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
    """

    source: str
    kind: str
    format: Literal["parquet", "csv", "frame"]
    files: tuple[str, ...]
    frame: Any
    columns: Mapping[str, str]
    id_type: IdType
    order_type: IdType | None
    zone: ZoneTable
    run_zone: ZoneTable
    as_of_us: int
    amount_scale: int
    chunk_rows: int

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the free columns, in order."""
        return tuple(name for name in self.columns if name != "profile_id") if self.kind == "crm" else ()


@dataclass
class Tally:
    """Counts of what a scan saw; tallies add up."""

    rows_read: int = 0
    rows_used: int = 0
    rows_after_as_of: int = 0
    amounts_rounded: int = 0
    times_ambiguous: int = 0
    times_nonexistent: int = 0
    first_day: int | None = None
    last_day: int | None = None
    null_counts: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in the counts of another tally."""
        for name in (
            "rows_read",
            "rows_used",
            "rows_after_as_of",
            "amounts_rounded",
            "times_ambiguous",
            "times_nonexistent",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        days = [day for day in (self.first_day, other.first_day) if day is not None]
        self.first_day = min(days, default=None)
        days = [day for day in (self.last_day, other.last_day) if day is not None]
        self.last_day = max(days, default=None)
        for column, count in other.null_counts.items():
            self.null_counts[column] = self.null_counts.get(column, 0) + count


@dataclass(frozen=True)
class Batch:
    """Canonical rows of one chunk, in a form only its device knows, and what the scan counted.

    The columns are those of the kind in `gpuseg.vocabulary`, with `at` as `at_us` (int64, microseconds UTC) and
    `day` (int32, epoch day in the run's zone), and `amount` as `amount_minor` (int64).
    """

    columns: Any
    tally: Tally


class Expression:
    """A feature's arithmetic; trees are built with + - * / and `sqrt`, their leaves are reductions."""

    def __add__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("+", self, as_expression(other))

    def __sub__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("-", self, as_expression(other))

    def __rsub__(self, other: int) -> "Expression":
        return Arithmetic("-", as_expression(other), self)

    def __mul__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("*", self, as_expression(other))

    def __truediv__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("/", self, as_expression(other))


@dataclass(frozen=True)
class Constant(Expression):
    """An integer."""

    value: int


@dataclass(frozen=True)
class Arithmetic(Expression):
    """Two operands and one of + - * /; integers stay integers but for `/`, which is float64, null by zero."""

    operator: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


@dataclass(frozen=True)
class SquareRoot(Expression):
    """float64 square root; null for a negative operand."""

    operand: Expression


Operation = Literal["sum", "count", "count_distinct", "min", "max", "sum_squared_gaps"]


@dataclass(frozen=True)
class Reduction(Expression):
    """One integer per profile from one table of the state.

    Parameters
    ----------
    table : str
        Table of the state, such as "purchases.cells".
    operation : str
        `sum` and `count` are 0 for a profile without rows, `min` and `max` null. `count_distinct` and
        `sum_squared_gaps` look at the distinct days of the rows, which the state keeps sorted.
    column : str
        int64 or int32 column; "day" for the operations on distinct days.
    since_day : int or None
        Only rows on or after this epoch day; None for the whole lifetime.
    category : str or None
        Only rows of this category.
    """

    table: str
    operation: Operation
    column: str
    since_day: int | None = None
    category: str | None = None


def as_expression(value: "Expression | int") -> Expression:
    """Wrap a plain integer."""
    return value if isinstance(value, Expression) else Constant(value)


def sqrt(operand: Expression) -> Expression:
    """float64 square root of an expression."""
    return SquareRoot(operand)


def reductions_of(expression: Expression) -> Iterator[Reduction]:
    """Every reduction that an expression rests on, in reading order."""
    match expression:
        case Reduction():
            yield expression
        case Arithmetic(_, left, right):
            yield from reductions_of(left)
            yield from reductions_of(right)
        case SquareRoot(operand):
            yield from reductions_of(operand)
        case _:
            return


def is_integer(expression: Expression) -> bool:
    """Whether an expression's values are int64."""
    match expression:
        case Reduction() | Constant():
            return True
        case Arithmetic(operator, left, right):
            return operator != "/" and is_integer(left) and is_integer(right)
        case _:
            return False


@dataclass(frozen=True)
class LloydPass:
    """What one pass over rows gives for k centers: sums for the update, and labels where asked for.

    Parameters
    ----------
    sums : float64 array, shape (k, n_features)
        Sum of the rows nearest to each center.
    counts : int64 array, shape (k,)
        Number of those rows.
    inertia : float
        Sum of squared distances to the nearest center.
    labels : int32 array, shape (n_rows,), or None
        Index of the nearest center, the lower index where two are equally near.
    nearest : array, shape (n_rows,), or None
        Squared distance to the nearest center.
    second : array, shape (n_rows,), or None
        Squared distance to the second-nearest center, inf where there is one center.
    """

    sums: npt.NDArray[np.float64]
    counts: Int64Array
    inertia: float
    labels: Any = None
    nearest: Any = None
    second: Any = None
